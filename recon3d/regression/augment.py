"""Augmentation of crops with parameters, a whole batch at once on the device: one similarity, then colour, blur, occlusion."""

from dataclasses import dataclass

import torch
from torch import Tensor

from datasets.augment import blur, hash_uniform, jitter_colour, occlude, recompress, warp
from recon3d.regression.params import DEPTH_COLUMN, transform_parameters


@dataclass(frozen=True)
class CropAugmentation:
    """Ranges of the similarity and shares of the samples that get a treatment; the default does nothing.

    Attributes: rotation_deg ±; scale, ± share; shift, ± share of the side; colour, blur, jpeg, occlusion, shares of samples.
    """

    rotation_deg: float = 0.0
    scale: float = 0.0
    shift: float = 0.0
    colour: float = 0.0
    blur: float = 0.0
    jpeg: float = 0.0
    occlusion: float = 0.0

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

    def __call__(self, images: Tensor, parameters: Tensor, indices: Tensor, step: int = 0) -> tuple[Tensor, Tensor]:
        """(B, 3, R, R) uint8, (B, P), (B,) → (B, 3, S, S) float 0 … 255, (B, P). t_z stays: no picture shows it."""
        resolution, options = images.shape[-1], self.augmentation
        offset = (resolution - self.size) // 2
        if options is None or not options.moves:
            moved = parameters.clone()
            moved[:, 3] -= offset
            moved[:, 7] -= resolution - self.size - offset
            window = images[..., offset : offset + self.size, offset : offset + self.size].float()
            return (window if options is None else self._degrade(window, indices, step)), moved
        matrices = similarities(options, hash_uniform(self.seed, step, indices, 11, 4), resolution, self.size)
        moved = transform_parameters(parameters, matrices, resolution, self.size)
        moved[:, DEPTH_COLUMN] = parameters[:, DEPTH_COLUMN]
        return self._degrade(warp(images, matrices, self.size), indices, step), moved

    def _degrade(self, images: Tensor, indices: Tensor, step: int) -> Tensor:
        options, images = self.augmentation, images / 255
        uniform = hash_uniform(self.seed, step, indices, 12, 15)
        if options.colour:
            images = jitter_colour(images, uniform[:, 0] < options.colour, uniform[:, 1:4])
        if options.blur:
            images = blur(images, torch.where(uniform[:, 4] < options.blur, 0.003 + 0.012 * uniform[:, 5], 0.0) * self.size)
        if options.jpeg:
            images = recompress(images, uniform[:, 6] < options.jpeg, 8 + uniform[:, 7] * 17)
        if options.occlusion:
            images = occlude(images, uniform[:, 8] < options.occlusion, uniform[:, 9:15])
        return images * 255


def similarities(options: CropAugmentation, uniform: Tensor, resolution: int, size: int) -> Tensor:
    """Random similarities about the centre of the padded crop. uniform (B, 4). Returns: (B, 2, 3) padded → inner px."""
    signed = 2 * uniform - 1
    angle, scale = torch.deg2rad(signed[:, 0] * options.rotation_deg), 1 + signed[:, 1] * options.scale
    cosine, sine = scale * torch.cos(angle), scale * torch.sin(angle)
    linear = torch.stack([torch.stack([cosine, -sine], 1), torch.stack([sine, cosine], 1)], 1)
    centre = torch.full((2, 1), resolution / 2, device=uniform.device)
    inner = centre - (resolution - size) // 2 + (signed[:, 2:] * options.shift * size)[..., None]
    return torch.cat([linear, inner - linear @ centre], dim=2)
