"""Lit faces drawn over photos, without gradients: normals, light and rasteriser in one go.

Fast on the CPU where numba is installed; elsewhere, and on a GPU, the same picture comes from
`geometry.raster.render`'s parts.
"""

import torch
from torch import Tensor

from geometry.mesh.normals import vertex_normals
from geometry.raster.rasteriser import NUMBA, check_indices, interpolate, rasterize, resolve_implementation
from geometry.raster.shading import sh_shade


@torch.no_grad()
def shade_vertices(vertices: Tensor, triangles: Tensor, albedo: Tensor, gamma: Tensor, ambient: float = 0.8) -> Tensor:
    """Lit colours of one face, as `sh_shade` of the area-weighted `vertex_normals`.

    Args: vertices (V, 3) posed; triangles (F, 3); albedo (V, 3) RGB 0 … 1; gamma (3, 9) light; ambient as in
    `sh_shade`.
    Returns: (V, 3) RGB, clamped to 0 … 1.
    """
    if NUMBA and vertices.device.type == "cpu" and vertices.dtype == torch.float32:
        from geometry.raster import painting_numba

        colours = painting_numba.shade_vertices(vertices, triangles, albedo, gamma, ambient)
        if colours is not None:
            return colours
    check_indices(triangles, len(vertices))
    normals = vertex_normals(vertices[None], triangles, "area")
    return sh_shade(albedo[None], normals, gamma[None], ambient)[0].clamp(0, 1)


@torch.no_grad()
def paint(
    screen: Tensor,
    triangles: Tensor,
    colours: Tensor,
    background: Tensor,
    perspective: bool = False,
    cull_backfaces: bool = False,
    impl: str = "auto",
) -> Tensor:
    """Draw a mesh with coloured vertices over a picture.

    Args: screen (V, 3), triangles (F, 3), perspective, cull_backfaces and impl as for `rasterize`; colours (V, 3) RGB 0
        … 1, clamped; background (H, W, 3) uint8. Several faces go into one mesh by `merge_meshes`, so that they hide
        each other.
    Returns: (H, W, 3) uint8, a new picture. Raises: ValueError as `rasterize` does.
    """
    if background.ndim != 3 or background.shape[2] != 3 or background.dtype != torch.uint8:
        raise ValueError(
            f"the background has shape {tuple(background.shape)} and type {background.dtype}, not (H, W, 3) of uint8."
        )
    if colours.shape != screen.shape:
        raise ValueError(
            f"colours have shape {tuple(colours.shape)}, the screen {tuple(screen.shape)}: both must be (V, 3)."
        )
    if resolve_implementation(impl, screen) == "numba":
        from geometry.raster import painting_numba

        picture = painting_numba.paint(screen, triangles, colours, background, perspective, cull_backfaces)
        if picture is not None:
            return picture
    size = tuple(background.shape[:2])
    ids = rasterize(screen[None], triangles, size, perspective, cull_backfaces, impl)
    drawn = interpolate(screen[None], triangles, ids, colours.clamp(0, 1) * 255, perspective)[0]
    return torch.where(ids[0, ..., None] >= 0, (drawn + 0.5).clamp(max=255).to(torch.uint8), background)


def paint_lit(
    screen: Tensor,
    vertices: Tensor,
    triangles: Tensor,
    albedo: Tensor,
    gamma: Tensor,
    background: Tensor,
    perspective: bool = False,
    cull_backfaces: bool = False,
) -> Tensor:
    """Draw one face under spherical-harmonics light over a picture: `paint` of `shade_vertices`.

    Args: screen (V, 3) as for `rasterize`; vertices (V, 3) posed, whose normals meet the light; the rest as for those
    two.
    Returns: (H, W, 3) uint8.
    """
    colours = shade_vertices(vertices, triangles, albedo, gamma)
    return paint(screen, triangles, colours, background, perspective, cull_backfaces)
