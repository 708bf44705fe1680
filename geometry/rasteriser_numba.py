"""Visibility of triangles on the CPU, compiled by numba: a plain z-buffer, band of rows by band of rows.

Same arithmetic as `geometry.rasteriser_torch`, hence the same ids on every pixel. Compiled once and cached on disk; bands run
on as many threads as `torch.get_num_threads()`. The threads are Python's, with the interpreter lock released: numba's own pools
must not be used after a fork, as in the workers of a DataLoader. Import fails with ImportError where numba is missing.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import torch
from numba import njit
from torch import Tensor

from geometry.rasteriser_torch import FARTHEST_PX, SUBPIXELS

SHIFT = SUBPIXELS.bit_length() - 1
HALF, LAST = SUBPIXELS // 2, SUBPIXELS - 1


def visible_ids(
    screen: Tensor, triangles: Tensor, size: tuple[int, int], perspective: bool, cull_backfaces: bool
) -> Tensor | None:
    """Nearest triangle per pixel, as `geometry.rasteriser.rasterize` returns it, or None if a value is not acceptable."""
    height, width = size
    points, faces = screen.contiguous().numpy(), triangles.contiguous().numpy()
    if not _indices_fit(faces, screen.shape[1]):
        return None
    corners, nearness = np.empty((*points.shape[:2], 2), np.int64), np.empty(points.shape[:2])
    spans = [prepare(*arrays, perspective) for arrays in zip(points, corners, nearness)]
    if None in spans:
        return None
    ids = torch.empty(len(screen), height, width, dtype=torch.int64)
    pictures = ids.numpy()

    def work(face: int, top: int, bottom: int) -> None:
        _fill(corners[face], nearness[face], faces, pictures[face], top, bottom, cull_backfaces)

    run_in_bands(work, spans, height)
    return ids


def run_in_bands(work: Callable[[int, int, int], None], spans: list[tuple[int, int]], height: int) -> None:
    """Call work(face, top, bottom) so that the bands cover all rows of each face's picture, on torch's number of threads.

    spans: first and last row that each face touches, also outside the picture; several bands of a face divide them evenly.
    """
    threads = torch.get_num_threads()
    bands = -(-threads // len(spans))
    tasks = []
    for face, (first, last) in enumerate(spans):
        first, last = (min(max(row, 0), height - 1) for row in (first, last))
        cuts = [0, *(first + (last + 1 - first) * band // bands for band in range(1, bands)), height]
        tasks += [(face, top, bottom) for top, bottom in zip(cuts, cuts[1:]) if top < bottom]
    run_tasks(work, tasks)


def run_tasks(work: Callable, tasks: list[tuple]) -> None:
    """Call work(*task) for every task on torch's number of threads; the calling thread is one of them."""
    threads = min(torch.get_num_threads(), len(tasks))

    def drain() -> None:
        while tasks:
            try:
                task = tasks.pop()
            except IndexError:  # another thread took the last one
                return
            work(*task)

    helpers = [_pool(os.getpid()).submit(drain) for _ in range(threads - 1)]
    drain()
    for helper in helpers:
        helper.result()


@lru_cache(maxsize=1)
def _pool(process: int) -> ThreadPoolExecutor:
    """Worker threads of this process: those of a parent do not survive a fork. They start when they are first needed."""
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix=f"rasteriser-{process}")


@njit(cache=True, nogil=True)
def _indices_fit(triangles, num_vertices):
    fits = True
    for face in range(len(triangles)):
        for corner in range(3):
            fits &= 0 <= triangles[face, corner] < num_vertices
    return fits


@njit(cache=True, nogil=True)
def prepare(screen, corners, nearness, perspective):
    """Fill the grid positions (V, 2) and depth keys (V,) of one screen (V, 3).

    Returns the first and last row touched, or None if a vertex in front of the camera is not finite or too far away.
    """
    first, last, fine = np.int64(FARTHEST_PX), np.int64(-FARTHEST_PX), True
    for vertex in range(len(screen)):
        x, y, depth = screen[vertex]
        if perspective and depth <= 0:
            corners[vertex], nearness[vertex] = 0, np.nan
            continue
        fine &= abs(x) <= FARTHEST_PX and abs(y) <= FARTHEST_PX and np.isfinite(depth)
        if not fine:
            break
        corners[vertex, 0], corners[vertex, 1] = np.int64(np.rint(x * SUBPIXELS)), np.int64(np.rint(y * SUBPIXELS))
        nearness[vertex] = -1.0 / np.float64(depth) if perspective else np.float64(depth)
        first, last = min(first, corners[vertex, 1] >> SHIFT), max(last, corners[vertex, 1] >> SHIFT)
    return (first, last) if fine else None


@njit(cache=True, nogil=True)
def _fill(corners, nearness, triangles, ids, top, bottom, cull_backfaces):
    """Write the ids of the rows top … bottom − 1 of one picture."""
    width = ids.shape[1]
    ids[top:bottom] = -1
    depth_buffer = np.full((bottom - top, width), np.inf, np.float32)
    for face in range(len(triangles)):
        a, b, c = triangles[face]
        ya, yb, yc = corners[a, 1], corners[b, 1], corners[c, 1]
        first_row = max((min(ya, yb, yc) - HALF + LAST) >> SHIFT, top)
        last_row = min((max(ya, yb, yc) - HALF) >> SHIFT, bottom - 1)
        if first_row > last_row:
            continue
        xa, xb, xc = corners[a, 0], corners[b, 0], corners[c, 0]
        first_column = max((min(xa, xb, xc) - HALF + LAST) >> SHIFT, 0)
        last_column = min((max(xa, xb, xc) - HALF) >> SHIFT, width - 1)
        if first_column > last_column:
            continue
        area = (xb - xa) * (yc - ya) - (yb - ya) * (xc - xa)
        if area == 0 or (cull_backfaces and area > 0):
            continue
        near_a, near_b, near_c = nearness[a], nearness[b], nearness[c]
        if np.isnan(near_a + near_b + near_c):
            continue
        sign = 1 if area > 0 else -1
        scale = 1.0 / (area * sign)
        # Edge functions at the first pixel's centre, positive inside; one step right or down changes them by a constant.
        px, py = (first_column << SHIFT) + HALF, (first_row << SHIFT) + HALF
        row_edge_a = sign * ((xb - px) * (yc - py) - (yb - py) * (xc - px))
        row_edge_b = sign * ((xc - px) * (ya - py) - (yc - py) * (xa - px))
        right_a, right_b = (sign * (yb - yc)) << SHIFT, (sign * (yc - ya)) << SHIFT
        down_a, down_b = (sign * (xc - xb)) << SHIFT, (sign * (xa - xc)) << SHIFT
        for row in range(first_row, last_row + 1):
            edge_a, edge_b = row_edge_a, row_edge_b
            for column in range(first_column, last_column + 1):
                edge_c = area * sign - edge_a - edge_b
                if (edge_a | edge_b | edge_c) >= 0:
                    depth = np.float32(edge_a * scale * near_a + edge_b * scale * near_b + edge_c * scale * near_c)
                    if depth < depth_buffer[row - top, column]:
                        depth_buffer[row - top, column] = depth
                        ids[row, column] = face
                edge_a += right_a
                edge_b += right_b
            row_edge_a += down_a
            row_edge_b += down_b
