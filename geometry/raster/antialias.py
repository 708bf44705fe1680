"""Antialiased silhouettes, and with them gradients that move an outline (Laine et al. 2020, section 3.5).

Where two neighbouring pixels see different triangles and a silhouette edge of the nearer one crosses the line between
their centres, the pixel in which it crosses is blended in proportion. Edges steeper than 45° count between pixels of a
row, the others between pixels of a column. Only edges of triangles that a pixel sees are found, so it works where
triangles are larger than pixels: if the outline of a dense face needs gradients, render at two or four times the size
and average.
"""

import torch
from torch import Tensor

from geometry.raster.rasteriser import interpolate


def opposite_vertices(triangles: Tensor) -> Tensor:
    """(F, 3) triangles → (F, 3) int64: beyond the edge opposite each corner, the far vertex of the neighbouring
    triangle.

    −1 where an edge has no other triangle, or several.
    """
    first, second = triangles[:, [1, 2, 0]].flatten(), triangles[:, [2, 0, 1]].flatten()
    key = torch.minimum(first, second) * (int(triangles.max()) + 1) + torch.maximum(first, second)
    order = torch.argsort(key, stable=True)
    _, counts = torch.unique_consecutive(key[order], return_counts=True)
    starts = torch.cumsum(counts, 0) - counts
    left = order[starts[counts == 2]]
    right = order[starts[counts == 2] + 1]
    result = torch.full_like(first, -1)
    corners = triangles.flatten()
    result[left], result[right] = corners[right], corners[left]
    return result.view(-1, 3)


def antialias(
    picture: Tensor,
    screen: Tensor,
    triangles: Tensor,
    ids: Tensor,
    opposite: Tensor | None = None,
    perspective: bool = False,
) -> Tensor:
    """Blend the pixels along silhouettes.

    Args: picture (B, H, W, C), any attributes with their background; screen (B, V, 3), triangles (F, 3), ids (B, H, W)
        and perspective as for `rasterize`; opposite: `opposite_vertices(triangles)`, to compute it once for many calls.
    Returns: (B, H, W, C), differentiable with respect to the picture and to x and y of the screen.
    """
    opposite = opposite_vertices(triangles) if opposite is None else opposite
    with torch.no_grad():
        depth = interpolate(screen, triangles, ids, screen[..., 2:], perspective)[..., 0].masked_fill(
            ids < 0, torch.inf
        )
    batch, height, width = ids.shape
    index = torch.arange(ids.numel(), device=ids.device).view(ids.shape)
    result = picture.flatten(0, 2)
    colours = result
    for axis in (0, 1):  # pairs along a row, where an edge's crossing is found in x, then along a column
        here = index[:, :, :-1] if axis == 0 else index[:, :-1]
        there = index[:, :, 1:] if axis == 0 else index[:, 1:]
        near, far = _ordered_pairs(here.flatten(), there.flatten(), ids.flatten(), depth.flatten())
        crossing, found = _crossings(near, far, axis, screen, triangles, ids, opposite)
        near, far, crossing = near[found], far[found], crossing[found, None].to(colours)
        difference = colours[near] - colours[far]
        # Beyond half of the way the nearer surface reaches into the far pixel, else it leaves a part of its own.
        result = result.index_add(0, far, (crossing - 0.5).clamp(min=0) * difference)
        result = result.index_add(0, near, (crossing - 0.5).clamp(max=0) * difference)
    return result.view(batch, height, width, -1)


def _ordered_pairs(here: Tensor, there: Tensor, ids: Tensor, depth: Tensor) -> tuple[Tensor, Tensor]:
    """Flat pixel indices of neighbours that see different triangles, the one with the nearer surface first."""
    different = ids[here] != ids[there]
    here, there = here[different], there[different]
    swap = depth[there] < depth[here]
    return torch.where(swap, there, here), torch.where(swap, here, there)


def _crossings(
    near: Tensor, far: Tensor, axis: int, screen: Tensor, triangles: Tensor, ids: Tensor, opposite: Tensor
) -> tuple[Tensor, Tensor]:
    """Where silhouette edges cross the lines from near to far centres: (P,) positions 0 … 1, and whether one does."""
    _, height, width = ids.shape
    face = near // (height * width)
    triangle = ids.flatten()[near]
    centre = torch.stack([near % width, near // width % height], -1).to(screen.dtype) + 0.5
    sign = (far - near).sign().to(screen.dtype)[:, None]
    # Coordinates from the near centre, the first along the pair towards the far one, the second across.
    points = screen[face[:, None], triangles[triangle], :2] - centre[:, None]
    along, across = points[..., axis] * sign, points[..., 1 - axis]
    beyond = opposite[triangle]
    other = screen[face[:, None], beyond.clamp(min=0), :2] - centre[:, None]
    first, second = [1, 2, 0], [2, 0, 1]
    from_x, from_y, to_x, to_y = along[:, first], across[:, first], along[:, second], across[:, second]
    own = _side(from_x, from_y, to_x, to_y, along, across)
    neighbour = _side(from_x, from_y, to_x, to_y, other[..., axis] * sign, other[..., 1 - axis])
    silhouette = (beyond < 0) | (own * neighbour > 0)
    straddles = (from_y < 0) != (to_y < 0)
    run, rise = to_x - from_x, to_y - from_y
    steep = rise.abs() >= run.abs() if axis == 0 else rise.abs() > run.abs()
    position = from_x - from_y * run / torch.where(straddles, rise, torch.ones_like(rise))
    fits = silhouette & straddles & steep & (position >= 0) & (position <= 1)
    nearest = torch.where(fits, position.detach(), torch.inf).argmin(1, keepdim=True)
    return position.gather(1, nearest)[:, 0], fits.any(1)


def _side(ax: Tensor, ay: Tensor, bx: Tensor, by: Tensor, px: Tensor, py: Tensor) -> Tensor:
    """Sign of the side of the line a b on which p lies."""
    return ((bx - ax) * (py - ay) - (by - ay) * (px - ax)).sign()
