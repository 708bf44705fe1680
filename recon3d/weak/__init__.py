"""Weakly supervised 3D reconstruction from single photos: R-Net of Deng et al. 2019, for any face model."""

from recon3d.weak.reconstructor import ReconstructedFaces, Reconstructor

__all__ = ["ReconstructedFaces", "Reconstructor"]
