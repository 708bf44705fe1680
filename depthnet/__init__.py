"""Keypoint depth (DepthNet, DepthNet+GAN, AIGN) and what it is for: rotation, warping and replacement of faces."""
