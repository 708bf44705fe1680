"""What sees what: several faces in one z-buffer, and the vertices that a picture shows."""

import torch
from torch import Tensor
from torch.nn.functional import pad

from geometry.raster.rasteriser import interpolate

# offsets of the four pixel centres around a point
NEIGHBOURS = ((0, 0), (0, 1), (1, 0), (1, 1))


def merge_meshes(meshes: list[Tensor], triangles: list[Tensor]) -> tuple[Tensor, Tensor]:
    """One mesh of several, so that they hide each other in one z-buffer.

    Args: meshes: per mesh (..., V_i, C) screens, colours or other attributes, equal but for V_i; triangles: (F_i, 3)
    each.
    Returns: (..., ΣV, C) and (ΣF, 3). Triangles keep their order, so ids below F_0 belong to the first mesh, and so on.
    Raises: ValueError for lists that are empty or differ in length.
    """
    if len(meshes) != len(triangles) or not meshes:
        raise ValueError(
            f"{len(meshes)} meshes came with {len(triangles)} lists of triangles; give one list for each, at least one."
        )
    starts = [0]
    for mesh in meshes:
        starts.append(starts[-1] + mesh.shape[-2])
    return torch.cat(meshes, -2), torch.cat([part + start for part, start in zip(triangles, starts)])


@torch.no_grad()
def visible_vertices(
    screen: Tensor, triangles: Tensor, ids: Tensor, perspective: bool = False, tolerance: float | Tensor | None = None
) -> Tensor:
    """Which vertices the picture shows: those inside it that nothing hides.

    A vertex is visible if its depth is at most that of the surface at one of the four pixel centres around it, so a
    slanted surface does not hide itself; a hidden vertex within a pixel of an occluder's outline or the border may
    count as visible.

    Args: screen (B, V, 3), triangles (F, 3), ids (B, H, W) and perspective as for `rasterize`; tolerance: by how much a
        vertex may lie behind the surface, in units of depth, one number or (B,); None: 1 % of the face's range of
        depth.
    Returns: (B, V) bool.
    """
    _, height, width = ids.shape
    depth = screen[..., 2]
    if tolerance is None:
        tolerance = 0.01 * (depth.amax(1) - depth.amin(1))
    surface = interpolate(screen, triangles, ids, screen[..., 2:], perspective)[..., 0]
    # Nothing hides a vertex where the surface ends, at the picture's border too.
    surface = pad(surface.masked_fill(ids < 0, torch.inf), (1, 1, 1, 1), value=torch.inf).flatten(1)
    x, y = screen[..., 0], screen[..., 1]
    # Clamped before they become integers, because points far outside would overflow.
    column, row = (x + 0.5).clamp(0, width).floor().long(), (y + 0.5).clamp(0, height).floor().long()
    farthest = torch.full_like(depth, -torch.inf)
    for down, right in NEIGHBOURS:
        farthest = torch.maximum(farthest, surface.gather(1, (row + down) * (width + 2) + column + right))
    inside = (x >= 0) & (x <= width) & (y >= 0) & (y <= height)
    if perspective:
        inside &= depth > 0
    return inside & (depth <= farthest + torch.as_tensor(tolerance, device=depth.device).reshape(-1, 1))
