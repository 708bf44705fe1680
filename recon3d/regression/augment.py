"""Augmentation of crops with parameters, a whole batch at once on the device: one similarity, then colour, blur,
occlusion.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from datasets.augment import Degradation, degrade, hash_uniform, warp
from recon3d.regression.params import DEPTH_COLUMN, transform_parameters


@dataclass(frozen=True)
class CropAugmentation(Degradation):
    """Ranges of the similarity, and shares of the samples that are degraded; the default does nothing.

    Attributes: rotation_deg ±; scale, ± share; shift, ± share of the side.
    """

    rotation_deg: float = 0.0
    scale: float = 0.0
    shift: float = 0.0

    @property
    def moves(self) -> bool:
        """Whether the geometry changes."""
        return bool(self.rotation_deg or self.scale or self.shift)


class CropTransform:
    """uint8 crops with a margin → crops that networks see, with the parameters that belong to them.

    Args: size S; augmentation, None for validation; seed. Random numbers depend on seed, step and sample alone.
    """

    def __init__(self, size: int, augmentation: CropAugmentation | None = None, seed: int = 0) -> None:
        self.size, self.augmentation, self.seed = size, augmentation, seed

    def __call__(
        self, images: Tensor, parameters: Tensor, indices: Tensor, step: int = 0, landmarks: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, R, R) uint8, (B, P), (B,) → (B, 3, S, S) float 0 … 255, (B, P), landmarks (B, K, 2) that moved along.

        t_z stays: no picture shows it. Without landmarks the last is (B, 0, 2).
        """
        if landmarks is None:
            landmarks = parameters.new_empty(len(parameters), 0, 2)
        resolution, options = images.shape[-1], self.augmentation
        offset = (resolution - self.size) // 2
        if options is None or not options.moves:
            moved = parameters.clone()
            moved[:, 3] -= offset
            moved[:, 7] -= resolution - self.size - offset
            window = images[..., offset : offset + self.size, offset : offset + self.size].float()
            return (window if options is None else self._degrade(window, indices, step)), moved, landmarks - offset
        matrices = similarities(options, hash_uniform(self.seed, step, indices, 11, 4), resolution, self.size)
        moved = transform_parameters(parameters, matrices, resolution, self.size)
        moved[:, DEPTH_COLUMN] = parameters[:, DEPTH_COLUMN]
        landmarks = landmarks @ matrices[..., :2].mT + matrices[..., 2][:, None]
        return self._degrade(warp(images, matrices, self.size), indices, step), moved, landmarks

    def _degrade(self, images: Tensor, indices: Tensor, step: int) -> Tensor:
        return degrade(images / 255, self.augmentation, hash_uniform(self.seed, step, indices, 12, 18)) * 255


def similarities(options: CropAugmentation, uniform: Tensor, resolution: int, size: int) -> Tensor:
    """Random similarities about the centre of the padded crop. uniform (B, 4). Returns: (B, 2, 3) padded → inner px."""
    signed = 2 * uniform - 1
    linear = turns(signed, options.rotation_deg, options.scale)
    centre = torch.full((2, 1), resolution / 2, device=uniform.device)
    inner = centre - (resolution - size) // 2 + (signed[:, 2:] * options.shift * size)[..., None]
    return torch.cat([linear, inner - linear @ centre], dim=2)


def turns(signed: Tensor, rotation_deg: float, scale: float) -> Tensor:
    """Scaled rotations (..., 2, 2) from (..., 2+) in −1 … 1: angle ± rotation_deg and size 1 ± scale."""
    angle, size = torch.deg2rad(signed[..., 0] * rotation_deg), 1 + signed[..., 1] * scale
    cosine, sine = size * torch.cos(angle), size * torch.sin(angle)
    return torch.stack([torch.stack([cosine, -sine], -1), torch.stack([sine, cosine], -1)], -2)
