"""Augmentation of aligned crops: one similarity for picture, mask and landmarks, on the device."""

from dataclasses import dataclass

import torch
from torch import Tensor

from datasets.augment import hash_uniform, transform_points, warp
from geometry.schemes import IBUG_68

_STREAM = 31


@dataclass(frozen=True)
class AlignedAugmentation:
    """Ranges of Deep3DFaceRecon_pytorch by default; `none` is the TF version's."""

    shift_px: float = 10.0  # ±, whole pixels
    scale: float = 0.1  # ± share
    rotation_deg: float = 10.0  # ±
    flip: float = 0.5  # share of mirrored samples

    @classmethod
    def none(cls) -> "AlignedAugmentation":
        """No change."""
        return cls(0.0, 0.0, 0.0, 0.0)


def augment(
    images: Tensor,
    masks: Tensor,
    landmarks: Tensor,
    indices: Tensor,
    step: int,
    options: AlignedAugmentation,
    seed: int = 0,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Move a batch. Random numbers depend on seed, step and sample alone.

    Args: images (B, 3, S, S) and masks (B, 1, S, S) uint8; landmarks (B, 68, 2) px; indices (B,).
    Returns: images 0 … 1, masks 0 … 1, landmarks, and (B,) whether a sample is mirrored, where left and right landmarks
        change places.
    """
    if options == AlignedAugmentation.none():
        return images.float() / 255, masks.float() / 255, landmarks, torch.zeros_like(indices, dtype=torch.bool)
    size = images.shape[-1]
    matrices, mirrored = random_similarities(options, hash_uniform(seed, step, indices, _STREAM, 5), size)
    moved = warp(torch.cat([images, masks], 1), matrices, size) / 255
    points = transform_points(matrices, landmarks)
    swapped = points[:, torch.as_tensor(IBUG_68.flip_permutation, device=points.device)]
    return moved[:, :3], moved[:, 3:], torch.where(mirrored[:, None, None], swapped, points), mirrored


def random_similarities(options: AlignedAugmentation, uniform: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Flip, then shift, then turn and scale about the middle. uniform (B, 5). Returns: (B, 2, 3) matrices; (B,)
    mirrored.
    """
    signed = 2 * uniform - 1
    mirrored = uniform[:, 4] < options.flip
    scale = 1 + signed[:, 0] * options.scale
    angle = torch.deg2rad(signed[:, 1] * options.rotation_deg)
    cosine, sine = scale * torch.cos(angle), scale * torch.sin(angle)
    turn = torch.stack([torch.stack([cosine, -sine], 1), torch.stack([sine, cosine], 1)], 1)
    mirror = torch.stack([torch.where(mirrored, -1.0, 1.0), torch.ones_like(scale)], 1)
    linear = turn * mirror[:, None]
    shift = (signed[:, 2:4] * options.shift_px).round()[..., None]
    middle = torch.full((2, 1), size / 2, device=uniform.device)
    return torch.cat([linear, middle + turn @ shift - linear @ middle], 2), mirrored
