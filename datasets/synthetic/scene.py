"""What surrounds synthetic heads: light, backgrounds, and the camera's noise and blur."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from geometry.raster.shading import sh_basis

LIGHTS = 3
# A distant light from d lights a matt surface by max(0, n·d), whose second-order part is 1/4 + P1/2 + 5 P2/16 in the
# cosine; Σ Y(d) Y(n) of Deep3D's scaled basis is π/4, π P1, 5π P2/8 by order, so these factors remain.
LOBE = torch.tensor([1.0, *[0.5] * 8]) / math.pi


def random_light(count: int, generator: torch.Generator) -> Tensor:
    """Environments of a sky and a few coloured lights: (B, 3, 9) for `sh_shade` with ambient = 0.

    The brightest direction is exposed to 0.85 … 1.45 times the albedo.
    """

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(count, *shape, generator=generator)

    direction = torch.randn(count, LIGHTS, 3, generator=generator)
    direction[..., 2] = direction[..., 2].abs() * 0.8 + 0.1  # lights behind the head would light nothing that is seen
    direction = direction / direction.norm(dim=-1, keepdim=True)
    strength = uniform(0, 1, LIGHTS, 1) ** 2 * (1 + uniform(-0.12, 0.12, LIGHTS, 3))
    directional = (strength[..., None] * (sh_basis(direction) * LOBE)[..., None, :]).sum(1)
    sky = torch.zeros(count, 3, 9)
    sky[..., 0] = uniform(0.25, 0.8, 1) * (1 + uniform(-0.06, 0.06, 3))
    gamma = sky + directional * uniform(0.3, 2.0)[:, None, None]
    shades = sh_basis(_sphere()) @ gamma.mT  # (B, S, 3)
    return gamma * (uniform(0.85, 1.45) / shades.mean(-1).amax(1))[:, None, None]


def _sphere(steps: int = 64) -> Tensor:
    """(S, 3) directions toward the viewer's side, by the golden angle."""
    index = torch.arange(steps) + 0.5
    z = index / steps
    angle = math.pi * (1 + 5**0.5) * index
    radius = (1 - z * z).sqrt()
    return torch.stack([radius * angle.cos(), radius * angle.sin(), z], -1)


def procedural_backgrounds(
    count: int, size: int, generator: torch.Generator, device: torch.device | str = "cpu"
) -> Tensor:
    """(B, size, size, 3) in 0 … 1: smooth colour fields of several scales with a few hard-edged blobs."""
    total = torch.rand(count, 3, 1, 1, generator=generator).to(device).expand(-1, -1, size, size)
    for cells, weight in ((2, 0.5), (5, 0.35), (17, 0.25), (48, 0.12)):
        field = torch.rand(count, 3, cells, cells, generator=generator).to(device) - 0.5
        share = torch.rand(count, 1, 1, 1, generator=generator).to(device)
        mode = "bilinear" if cells > 2 else "nearest"
        total = total + weight * 2 * share * functional.interpolate(field, (size, size), mode=mode)
    # most rooms and streets are far from pure colours
    chroma = torch.rand(count, 1, 1, 1, generator=generator).to(device) ** 2
    return torch.lerp(total.mean(1, keepdim=True), total, chroma).clamp(0, 1).permute(0, 2, 3, 1)


def photograph(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Camera effects on (B, H, W, 3) in 0 … 1: blur, exposure, white balance, sensor noise. The generator decides."""
    count = len(pictures)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return (low + (high - low) * torch.rand(count, *shape, generator=generator)).to(pictures)

    blurred = functional.avg_pool2d(pictures.permute(0, 3, 1, 2), 3, 1, 1, count_include_pad=False).permute(0, 2, 3, 1)
    pictures = torch.lerp(pictures, blurred, uniform(0, 1)[:, None, None, None] ** 1.5)
    gain = uniform(0.8, 1.15)[:, None, None, None] * (1 + uniform(-0.06, 0.06, 3))[:, None, None]
    noise = torch.randn(pictures.shape, generator=generator, dtype=torch.float32).to(pictures)
    return (pictures * gain + noise * uniform(0, 0.025)[:, None, None, None]).clamp(0, 1)
