"""Paint a triangle mesh whose vertices carry positions in a source picture: the inner loop of face warping, for
batches.

Pixel conventions are the house's: continuous coordinates, the centre of pixel (i, j) at (j + 0.5, i + 0.5). A pixel
belongs to a triangle when its centre lies inside or on an edge; where several do, the smallest key wins and, of equal
keys, the later triangle. `impl="compiled"` is numba on the CPU, `impl="reference"` the same in PyTorch, on any device,
triangle by triangle.
"""

import numba
import numpy as np
import torch

WRAPS = ("clamp", "repeat")


def paint(
    textures: np.ndarray,
    uv: np.ndarray,
    vertices: np.ndarray,
    keys: np.ndarray,
    triangles: np.ndarray,
    size: tuple[int, int],
    wrap: str = "clamp",
    impl: str = "compiled",
) -> tuple[np.ndarray, np.ndarray]:
    """Warp source pictures by a mesh.

    Args:
        textures: (B or 1, h, w, C) uint8.  uv: (B, V, 2) vertices in textures' continuous pixels.
        vertices: (B, V, 2) in the result's continuous pixels.  keys: (B, F, 3) of the corners of every triangle,
            interpolated over it like a depth: smallest is shown.  triangles: (F, 3).  size: (height, width) of the
                result.
        wrap: beyond the border of a texture, clamp or repeat.
    Returns: pictures (B, H, W, C) uint8, bilinear samples rounded to nearest, 0 where no triangle is; triangle ids (B,
        H, W) int16, −1 there.
    Raises: ValueError for shapes that do not match or an unknown wrap or impl.
    """
    if wrap not in WRAPS or impl not in ("compiled", "reference"):
        raise ValueError(f"unknown wrap '{wrap}' or impl '{impl}'")
    count, points = vertices.shape[:2]
    shapes = uv.shape == (count, points, 2) and keys.shape == (count, len(triangles), 3)
    if not shapes or len(textures) not in (1, count) or textures.ndim != 4:
        raise ValueError(f"shapes {textures.shape}, {uv.shape}, {vertices.shape}, {keys.shape} do not match")
    arrays = [np.ascontiguousarray(a, dtype=np.float64) for a in (uv, vertices, keys)]
    triangles = np.ascontiguousarray(triangles, dtype=np.int64)
    if impl == "reference":
        return _paint_reference(textures, *arrays, triangles, size, wrap)
    out = np.zeros((count, *size, textures.shape[3]), np.uint8)
    ids = np.full((count, *size), -1, np.int16)
    _paint(np.ascontiguousarray(textures), *arrays, triangles, wrap == "repeat", out, ids)
    return out, ids


@numba.njit(cache=True, nogil=True)
def _paint(textures, uv, vertices, keys, triangles, repeat, out, ids):  # pragma: no cover  (compiled)
    count, height, width = ids.shape
    nearest = np.empty((height, width))
    for b in range(count):
        nearest[:] = np.inf
        for f in range(len(triangles)):
            i, j, k = triangles[f]
            x0, y0 = vertices[b, i]
            x1, y1 = vertices[b, j]
            x2, y2 = vertices[b, k]
            area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
            if area == 0 or not np.isfinite(area):
                continue
            left = max(int(np.floor(min(x0, x1, x2) - 0.5)), 0)
            right = min(int(np.ceil(max(x0, x1, x2) - 0.5)), width - 1)
            top = max(int(np.floor(min(y0, y1, y2) - 0.5)), 0)
            bottom = min(int(np.ceil(max(y0, y1, y2) - 0.5)), height - 1)
            for row in range(top, bottom + 1):
                y = row + 0.5
                for column in range(left, right + 1):
                    x = column + 0.5
                    w1 = ((x - x0) * (y2 - y0) - (x2 - x0) * (y - y0)) / area
                    w2 = ((x1 - x0) * (y - y0) - (x - x0) * (y1 - y0)) / area
                    w0 = 1 - w1 - w2
                    if w0 >= 0 and w1 >= 0 and w2 >= 0:
                        key = w0 * keys[b, f, 0] + w1 * keys[b, f, 1] + w2 * keys[b, f, 2]
                        if key <= nearest[row, column]:
                            nearest[row, column] = key
                            ids[b, row, column] = f
        _sample(textures[b if len(textures) > 1 else 0], uv[b], vertices[b], triangles, repeat, out[b], ids[b])


@numba.njit(cache=True, nogil=True)
def _sample(texture, uv, vertices, triangles, repeat, out, ids):  # pragma: no cover  (compiled)
    height, width = ids.shape
    th, tw, channels = texture.shape
    for row in range(height):
        for column in range(width):
            f = ids[row, column]
            if f < 0:
                continue
            i, j, k = triangles[f]
            x0, y0 = vertices[i]
            x1, y1 = vertices[j]
            x2, y2 = vertices[k]
            area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
            x, y = column + 0.5, row + 0.5
            w1 = ((x - x0) * (y2 - y0) - (x2 - x0) * (y - y0)) / area
            w2 = ((x1 - x0) * (y - y0) - (x - x0) * (y1 - y0)) / area
            w0 = 1 - w1 - w2
            u = w0 * uv[i, 0] + w1 * uv[j, 0] + w2 * uv[k, 0] - 0.5
            v = w0 * uv[i, 1] + w1 * uv[j, 1] + w2 * uv[k, 1] - 0.5
            left, top = int(np.floor(u)), int(np.floor(v))
            fx, fy = u - left, v - top
            if repeat:
                a, c = left % tw, (left + 1) % tw
                d, e = top % th, (top + 1) % th
            else:
                a, c = min(max(left, 0), tw - 1), min(max(left + 1, 0), tw - 1)
                d, e = min(max(top, 0), th - 1), min(max(top + 1, 0), th - 1)
            for channel in range(channels):
                upper = texture[d, a, channel] * (1 - fx) + texture[d, c, channel] * fx
                lower = texture[e, a, channel] * (1 - fx) + texture[e, c, channel] * fx
                out[row, column, channel] = np.uint8(upper * (1 - fy) + lower * fy + 0.5)


def _paint_reference(textures, uv, vertices, keys, triangles, size, wrap):
    height, width = size
    uv, vertices, keys = (torch.from_numpy(a) for a in (uv, vertices, keys))
    count = len(vertices)
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    x, y = x.double()[None], y.double()[None]
    nearest = torch.full((count, height, width), torch.inf, dtype=torch.float64)
    ids = torch.full((count, height, width), -1, dtype=torch.int16)
    place = torch.zeros(count, height, width, 2, dtype=torch.float64)
    for f, corners in enumerate(triangles.tolist()):
        a, b, c = (vertices[:, corner, :, None, None] for corner in corners)
        area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (c[:, 0] - a[:, 0]) * (b[:, 1] - a[:, 1])
        w1 = ((x - a[:, 0]) * (c[:, 1] - a[:, 1]) - (c[:, 0] - a[:, 0]) * (y - a[:, 1])) / area
        w2 = ((b[:, 0] - a[:, 0]) * (y - a[:, 1]) - (x - a[:, 0]) * (b[:, 1] - a[:, 1])) / area
        weights = torch.stack([1 - w1 - w2, w1, w2], dim=-1)
        key = (weights * keys[:, f, None, None]).sum(dim=-1)
        shown = (weights >= 0).all(dim=-1) & (key <= nearest)
        nearest = torch.where(shown, key, nearest)
        ids[shown] = f
        place = torch.where(shown[..., None], weights @ uv[:, corners][:, None], place)
    return _sample_reference(torch.from_numpy(textures), place - 0.5, ids, wrap)


def _sample_reference(textures, place, ids, wrap):
    th, tw, channels = textures.shape[1:]
    corner = place.floor()
    fx, fy = (place - corner).unbind(dim=-1)
    left, top = corner.long().unbind(dim=-1)
    sheet = torch.arange(len(ids))[:, None, None].clamp(max=len(textures) - 1)

    def texel(dx: int, dy: int) -> torch.Tensor:
        column, row = left + dx, top + dy
        if wrap == "repeat":
            return textures[sheet, row % th, column % tw].double()
        return textures[sheet, row.clamp(0, th - 1), column.clamp(0, tw - 1)].double()

    fx, fy = fx[..., None], fy[..., None]
    values = (texel(0, 0) * (1 - fx) + texel(1, 0) * fx) * (1 - fy) + (texel(0, 1) * (1 - fx) + texel(1, 1) * fx) * fy
    values = torch.where((ids >= 0)[..., None], values + 0.5, 0.0)
    return values.to(torch.uint8).numpy(), ids.numpy()
