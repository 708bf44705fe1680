"""Visibility of triangles in plain PyTorch, the same code on every device: a z-buffer without loops over triangles.

Vertices are rounded to 1/4096 px, so the inside test is exact in integers: triangles that share an edge leave no crack
between them. A pixel keeps the nearest triangle, and of equally near ones that with the lowest id, whatever the order
of execution.
"""

import torch
from torch import Tensor

SUBPIXELS = 4096  # grid steps per pixel
FARTHEST_PX = 2**17  # vertices further away could overflow the exact integers of the inside test
FRAGMENT_BUDGET = 2**21  # candidate pixels handled at a time: about 200 MB
NOTHING = torch.iinfo(torch.int64).max


def visible_ids(
    screen: Tensor, triangles: Tensor, size: tuple[int, int], perspective: bool, cull_backfaces: bool
) -> Tensor:
    """Nearest triangle per pixel, as `geometry.raster.rasteriser.rasterize` returns it, for values that it has
    checked.
    """
    height, width = size
    corners, nearness = prepare(screen, perspective)
    x, y = (corners[..., axis][:, triangles].flatten(0, 1) for axis in (0, 1))  # (B·F, 3) each
    area = doubled_areas(corners, triangles).flatten()
    left, columns = _pixel_span(x, width)
    top, rows = _pixel_span(y, height)
    keep = (columns > 0) & (rows > 0) & ((area < 0) if cull_backfaces else (area != 0))
    keep &= ~nearness.isnan()[:, triangles].any(-1).flatten()
    kept = keep.nonzero()[:, 0]
    x, y, area, left, top, columns, rows = (t[kept] for t in (x, y, area, left, top, columns, rows))
    batch, face = kept // len(triangles), kept % len(triangles)
    near = nearness[batch[:, None], triangles[face]]
    ends = torch.cumsum(columns * rows, 0)
    buffer = torch.full((len(corners) * height * width,), NOTHING, dtype=torch.int64, device=corners.device)
    for start, stop in _chunks(ends):
        part = slice(start, stop)
        counts = columns[part] * rows[part]
        triangle = torch.repeat_interleave(torch.arange(start, stop, device=counts.device), counts)
        offset = (
            torch.arange(len(triangle), device=counts.device)
            - (ends[part] - counts - (ends[start] - counts[0]))[triangle - start]
        )
        row, column = top[triangle] + offset // columns[triangle], left[triangle] + offset % columns[triangle]
        inside, edges = _edges(x[triangle], y[triangle], area[triangle], column, row)
        triangle, row, column = triangle[inside], row[inside], column[inside]
        weights = edges[inside].double() * (1 / area[triangle].double())[:, None]
        terms = weights * near[triangle]
        depth = (terms[:, 0] + terms[:, 1] + terms[:, 2]).float()
        pixel = (batch[triangle] * height + row) * width + column
        buffer.scatter_reduce_(0, pixel, (_ordered_bits(depth) << 32) | face[triangle], "amin")
    return unpack_ids(buffer.view(-1, height, width))


def unpack_ids(buffer: Tensor) -> Tensor:
    """Packed depths and ids → ids, −1 where nothing was written."""
    return torch.where(buffer == NOTHING, -1, buffer & 0xFFFFFFFF)


def prepare(screen: Tensor, perspective: bool) -> tuple[Tensor, Tensor]:
    """Grid positions (B, V, 2) int64 in 1/4096 px, and (B, V) float64 keys of depth that are linear in the picture.

    A smaller key is nearer. It is NaN at vertices behind the camera, whose triangles are left out.
    """
    depth = screen[..., 2].double()
    if not perspective:
        return (screen[..., :2] * SUBPIXELS).round().long(), depth
    behind = depth <= 0
    corners = (screen[..., :2].masked_fill(behind[..., None], 0) * SUBPIXELS).round().long()
    return corners, torch.where(behind, torch.nan, -1 / depth)


def doubled_areas(corners: Tensor, triangles: Tensor) -> Tensor:
    """(B, V, 2) grid positions, (F, 3) triangles → (B, F) twice the signed areas; y is down, so facing the viewer is <
    0.
    """
    a, b, c = (corners[:, triangles[:, corner]] for corner in range(3))
    ab, ac = b - a, c - a
    return ab[..., 0] * ac[..., 1] - ab[..., 1] * ac[..., 0]


def _pixel_span(positions: Tensor, limit: int) -> tuple[Tensor, Tensor]:
    """(N, 3) grid positions of corners → first pixel in 0 … limit whose centre lies between them, and how many there
    are.
    """
    half = SUBPIXELS // 2
    first = torch.div(positions.amin(1) - half + SUBPIXELS - 1, SUBPIXELS, rounding_mode="floor").clamp(min=0)
    last = torch.div(positions.amax(1) - half, SUBPIXELS, rounding_mode="floor").clamp(max=limit - 1)
    return first, last - first + 1


def _edges(x: Tensor, y: Tensor, area: Tensor, column: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
    """Mask of the candidates whose pixel centre is inside or on an edge; (N, 3) edge functions: area × barycentrics."""
    x = x - (column * SUBPIXELS + SUBPIXELS // 2)[:, None]
    y = y - (row * SUBPIXELS + SUBPIXELS // 2)[:, None]
    first = x[:, 1] * y[:, 2] - y[:, 1] * x[:, 2]
    second = x[:, 2] * y[:, 0] - y[:, 2] * x[:, 0]
    edges = torch.stack([first, second, area - first - second], 1)
    return ((edges * area.sign()[:, None]) >= 0).all(1), edges


def _chunks(ends: Tensor) -> list[tuple[int, int]]:
    """Ranges of triangles with at most FRAGMENT_BUDGET candidates each, or one triangle; ends (N,) are cumulated
    counts.
    """
    total = int(ends[-1]) if len(ends) else 0
    limits = torch.arange(FRAGMENT_BUDGET, total + FRAGMENT_BUDGET, FRAGMENT_BUDGET, device=ends.device)
    cuts = [0, *torch.searchsorted(ends, limits, right=True).tolist()]
    return [(start, stop) for start, stop in zip(cuts, cuts[1:]) if stop > start]


def _ordered_bits(values: Tensor) -> Tensor:
    """float32 → int64 in the range of int32, in the same order, negative values too."""
    bits = (values + 0.0).view(torch.int32)  # + 0 makes −0 equal to 0
    return torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).long()
