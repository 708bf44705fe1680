"""Weakly supervised 3D reconstruction from single photos: R-Net of Deng et al. 2019, for any face model."""
