"""What a texture refiner sees of R-Net's faces: colours of the photo, skin well inside the face, screen, normals and
light.
"""

import cv2
import torch
from torch import Tensor
from torch.nn import functional as F

from morphable.light import shading
from recon3d.reconstruction.coefficients import Coefficients
from recon3d.reconstruction.renderer import FaceRenderer
from recon3d.refinement.texture_losses import TextureBatch

SKIN_SHARE = 0.5
DILATE_PX, ERODE_PX, EROSIONS = 5, 9, 2  # Lin et al.'s ellipses


def texture_inputs(
    renderer: FaceRenderer, coefficients: Coefficients, features: Tensor, images: Tensor, masks: Tensor
) -> TextureBatch:
    """Of B faces: features (B, Z), images (B, 3, S, S) and skin probability (B, 1, S, S) 0 … 1; shapes are R-Net's
    own.
    """
    geometry = renderer.geometry(coefficients)
    normals = renderer.normals(geometry)
    return TextureBatch(
        features,
        renderer.albedo(coefficients).clamp(0, 1),
        images,
        inner_skin(masks),
        geometry.screen,
        normals,
        shading(normals, coefficients.gamma),
    )


def inner_skin(masks: Tensor) -> Tensor:
    """Skin probability (B, 1, H, W) 0 … 1 → (B, H, W) 0 or 1: holes closed, then well inside the skin (Lin et al.
    2020).
    """
    skin = _dilated((masks > SKIN_SHARE).float(), DILATE_PX)
    for _ in range(EROSIONS):
        skin = 1 - _dilated(1 - skin, ERODE_PX)
    return skin[:, 0]


def _dilated(binary: Tensor, size: int) -> Tensor:
    """(B, 1, H, W) 0 or 1, with an ellipse; nothing comes in over the border."""
    ellipse = torch.from_numpy(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))).to(binary)
    return (F.conv2d(binary, ellipse[None, None], padding=size // 2) > 0.5).float()
