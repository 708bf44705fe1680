"""Visibility of triangles on a CUDA GPU, compiled by Triton: one program per triangle, 64-bit atomic minimum of depth
and id.

Same arithmetic as `geometry.raster.rasteriser_torch`, without fused multiply-add, hence the same ids. They were checked
in Triton's interpreter, and the kernel compiles for a GPU, but no GPU has run it yet: "auto" does not choose it. Import
fails with ImportError where Triton is missing.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from geometry.raster.rasteriser_torch import NOTHING, SUBPIXELS, prepare, unpack_ids

TILE_ROWS, TILE_COLUMNS = 4, 8  # 32 pixels: one warp


def visible_ids(
    screen: Tensor, triangles: Tensor, size: tuple[int, int], perspective: bool, cull_backfaces: bool
) -> Tensor:
    """Nearest triangle per pixel, as `geometry.raster.rasteriser.rasterize` returns it, for values that it has
    checked.
    """
    batch, num_vertices, _ = screen.shape
    corners, nearness = (t.contiguous() for t in prepare(screen, perspective))
    buffer = torch.full((batch, *size), NOTHING, dtype=torch.int64, device=screen.device)
    grid = (len(triangles), batch)
    arrays = (corners, nearness, triangles.contiguous(), buffer)
    options = {"num_warps": 1, "enable_fp_fusion": False}
    _fill[grid](*arrays, num_vertices, *size, cull_backfaces, SUBPIXELS, TILE_ROWS, TILE_COLUMNS, **options)
    return unpack_ids(buffer)


@triton.jit
def _fill(
    corners,
    nearness,
    triangles,
    buffer,
    num_vertices,
    height,
    width,
    CULL: tl.constexpr,
    STEPS: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    face, batch = tl.program_id(0), tl.program_id(1).to(tl.int64)
    a = tl.load(triangles + face * 3) + batch * num_vertices
    b = tl.load(triangles + face * 3 + 1) + batch * num_vertices
    c = tl.load(triangles + face * 3 + 2) + batch * num_vertices
    xa, ya, near_a = tl.load(corners + a * 2), tl.load(corners + a * 2 + 1), tl.load(nearness + a)
    xb, yb, near_b = tl.load(corners + b * 2), tl.load(corners + b * 2 + 1), tl.load(nearness + b)
    xc, yc, near_c = tl.load(corners + c * 2), tl.load(corners + c * 2 + 1), tl.load(nearness + c)
    half: tl.constexpr = STEPS // 2
    # Shifted to be positive, because integer division truncates; vertices lie within 2 ** 17 px.
    shift: tl.constexpr = 262144
    left = (tl.minimum(tl.minimum(xa, xb), xc) - half + STEPS - 1 + shift * STEPS) // STEPS - shift
    right = (tl.maximum(tl.maximum(xa, xb), xc) - half + shift * STEPS) // STEPS - shift
    top = (tl.minimum(tl.minimum(ya, yb), yc) - half + STEPS - 1 + shift * STEPS) // STEPS - shift
    bottom = (tl.maximum(tl.maximum(ya, yb), yc) - half + shift * STEPS) // STEPS - shift
    first_row, first_column = tl.maximum(top, 0).to(tl.int32), tl.maximum(left, 0).to(tl.int32)
    end_row, end_column = tl.minimum(bottom + 1, height).to(tl.int32), tl.minimum(right + 1, width).to(tl.int32)
    area = (xb - xa) * (yc - ya) - (yb - ya) * (xc - xa)
    near_sum = near_a + near_b + near_c
    drawable = (area != 0) & (near_sum == near_sum)  # NaN marks what is behind the camera
    if CULL:
        drawable = drawable & (area < 0)
    if drawable:
        sign = tl.where(area > 0, 1, -1).to(tl.int64)
        scale = 1.0 / (area * sign).to(tl.float64)
        for tile_row in range(first_row, end_row, ROWS):
            for tile_column in range(first_column, end_column, COLUMNS):
                rows = (tile_row + tl.arange(0, ROWS)[:, None]).to(tl.int64)
                columns = (tile_column + tl.arange(0, COLUMNS)[None, :]).to(tl.int64)
                px, py = columns * STEPS + half, rows * STEPS + half
                edge_a = sign * ((xb - px) * (yc - py) - (yb - py) * (xc - px))
                edge_b = sign * ((xc - px) * (ya - py) - (yc - py) * (xa - px))
                edge_c = area * sign - edge_a - edge_b
                inside = ((edge_a | edge_b | edge_c) >= 0) & (rows < end_row) & (columns < end_column)
                weight_a, weight_b = edge_a.to(tl.float64) * scale, edge_b.to(tl.float64) * scale
                weight_c = edge_c.to(tl.float64) * scale
                depth = (weight_a * near_a + weight_b * near_b + weight_c * near_c).to(tl.float32) + 0.0
                bits = depth.to(tl.int32, bitcast=True)
                bits = tl.where(bits < 0, bits ^ 0x7FFFFFFF, bits).to(tl.int64)
                pixel = (batch * height + rows) * width + columns
                tl.atomic_min(buffer + pixel, (bits << 32) | face.to(tl.int64), mask=inside, sem="relaxed")
