"""Pictures of meshes: a camera, light and the rasteriser in one call."""

from dataclasses import dataclass

import torch
from torch import Tensor

from geometry.mesh.normals import vertex_normals
from geometry.raster.rasteriser import interpolate, rasterize
from geometry.raster.shading import sh_shade

# A soft key light from the upper left in front, for pictures of shapes: γ of one grey channel.
STUDIO_LIGHT = (-0.25, -0.12, 0.26, 0.08, 0.0, 0.0, 0.03, 0.0, 0.0)


@dataclass(frozen=True)
class Rendering:
    """What the camera saw; H × W pixels, 0 in the background."""

    colours: Tensor  # (B, H, W, 3), range of the albedo
    mask: Tensor  # (B, H, W) bool
    ids: Tensor  # (B, H, W) int64 triangle ids, −1 = background


def studio_light(count: int, device: torch.device | str = "cpu") -> Tensor:
    """(count, 3, 9) SH coefficients of a plain studio light."""
    return torch.tensor(STUDIO_LIGHT, device=device).expand(count, 3, 9)


def render(
    screen: Tensor,
    posed: Tensor,
    triangles: Tensor,
    albedo: Tensor,
    gamma: Tensor,
    size: tuple[int, int],
    perspective: bool = False,
) -> Rendering:
    """Lit faces, differentiable with respect to screen, shape, albedo and light (colour per vertex, Deng et al. 2019).

    Args: screen (B, V, 3) from a camera; posed (B, V, 3) rotated vertices, for the normals; triangles (F, 3); albedo
        (B, V, 3) or (V, 3); gamma (B, 3, 9); size (H, W); perspective as for `rasterize`.
    """
    ids = rasterize(screen, triangles, size, perspective)
    colours = sh_shade(albedo, vertex_normals(posed, triangles), gamma)
    return Rendering(interpolate(screen, triangles, ids, colours, perspective), ids >= 0, ids)
