"""Light and colours on the CPU, compiled by numba: what `geometry.raster.painting` does, in three passes over the mesh.

NumPy, not torch, does the small steps between them: the threads of a parallel torch operation keep spinning for a while
and would take the cores from ours. Import fails with ImportError where numba is missing.
"""

import numpy as np
import torch
from numba import njit
from torch import Tensor

from geometry.raster.rasteriser_numba import cut_rows, fill, indices_fit, prepare, run_tasks
from geometry.raster.shading import SH_SCALES


def shade_vertices(vertices: Tensor, triangles: Tensor, albedo: Tensor, gamma: Tensor, ambient: float) -> Tensor | None:
    """As `geometry.raster.painting.shade_vertices`, or None if a triangle names a vertex that is not there."""
    points, faces, tints = (t.contiguous().numpy() for t in (vertices, triangles, albedo.to(vertices)))
    if not indices_fit(faces, len(points)):
        return None
    light = gamma.numpy().astype(np.float32)
    light[:, 0] += ambient
    light *= np.float32(SH_SCALES)
    parts = torch.get_num_threads()
    sums = np.zeros((parts, 3, len(points)), np.float32)
    colours = np.empty(points.shape, np.float32)
    run_tasks(_add_normals, [(points, part, total) for part, total in zip(np.array_split(faces, parts), sums)])
    ends = [len(points) * part // parts for part in range(parts + 1)]
    run_tasks(_shade, [(sums, tints, light, colours, start, stop) for start, stop in zip(ends, ends[1:])])
    return torch.from_numpy(colours)


def paint(
    screen: Tensor, triangles: Tensor, colours: Tensor, background: Tensor, perspective: bool, cull_backfaces: bool
) -> Tensor | None:
    """As `geometry.raster.painting.paint`, or None where a value is not acceptable or nothing was drawn."""
    points, faces = screen.contiguous().numpy(), triangles.contiguous().numpy()
    if not indices_fit(faces, len(points)):
        return None
    corners, nearness = np.empty((len(points), 2), np.int64), np.empty(len(points))
    box = prepare(points, corners, nearness, perspective)
    if box is None:
        return None
    shades = np.clip(colours.numpy().astype(np.float32), 0, 1) * np.float32(255)
    picture = background.numpy().copy()
    height, width = picture.shape[:2]
    top, bottom, left, right = (
        min(max(edge, 0), limit - 1) for edge, limit in zip(box, (height, height, width, width))
    )
    drawn = []

    def work(first: int, last: int) -> None:
        window = (max(first, top), min(last, bottom + 1), left, right + 1)
        drawn.append(fill(corners, nearness, faces, None, shades, picture, window, perspective, cull_backfaces))

    run_tasks(work, cut_rows(box, height, torch.get_num_threads()))
    return torch.from_numpy(picture) if any(drawn) else None


@njit(cache=True, nogil=True, error_model="numpy")
def _add_normals(vertices, triangles, sums):
    """Add the area-weighted normals of triangles (F, 3) to the sums (3, V) of their vertices."""
    for face in range(len(triangles)):
        a, b, c = np.uint64(triangles[face, 0]), np.uint64(triangles[face, 1]), np.uint64(triangles[face, 2])
        ux, uy, uz = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
        vx, vy, vz = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for vertex in (a, b, c):
            sums[0, vertex] += nx
            sums[1, vertex] += ny
            sums[2, vertex] += nz


@njit(cache=True, nogil=True, error_model="numpy")
def _shade(sums, albedo, light, colours, start, stop):
    """Colours (V, 3) 0 … 1 of the vertices start … stop − 1 from partial sums of normals (P, 3, V) and scaled light (3,
    9).
    """
    one, zero, three = np.float32(1), np.float32(0), np.float32(3)
    x, y, z = sums[0, 0, start:stop], sums[0, 1, start:stop], sums[0, 2, start:stop]
    for part in range(1, len(sums)):
        sums[0, :, start:stop] += sums[part, :, start:stop]
    for i in range(len(x)):
        squared = x[i] * x[i] + y[i] * y[i] + z[i] * z[i]
        scale = one / np.sqrt(squared) if squared > 0 else zero
        x[i], y[i], z[i] = x[i] * scale, y[i] * scale, z[i] * scale
    bright = np.empty((3, len(x)), np.float32)
    for channel in range(3):  # loops over vertices stay innermost and simple, so that the compiler vectorises them
        k0, k1, k2, k3, k4, k5, k6, k7, k8 = light[channel]
        for i in range(len(x)):
            value = k0 + k1 * y[i] + k2 * z[i] + k3 * x[i] + k4 * x[i] * y[i] + k5 * y[i] * z[i]
            value += k6 * (three * z[i] * z[i] - one) + k7 * x[i] * z[i] + k8 * (x[i] * x[i] - y[i] * y[i])
            bright[channel, i] = value
    tints, result = albedo[start:stop], colours[start:stop]
    for i in range(len(x)):
        for channel in range(3):
            result[i, channel] = min(max(tints[i, channel] * bright[channel, i], zero), one)
