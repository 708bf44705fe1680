"""Visibility of triangles on the CPU, compiled by numba: a plain z-buffer, band of rows by band of rows.

Same arithmetic as `geometry.raster.rasteriser_torch`, hence the same ids on every pixel. Compiled once and cached on
disk; bands run on as many threads as `torch.get_num_threads()`. The threads are Python's, with the interpreter lock
released:
numba's own pools must not be used after a fork, as in the workers of a DataLoader. Import fails with ImportError where
numba is missing.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import torch
from numba import njit
from torch import Tensor

from geometry.raster.rasteriser_torch import FARTHEST_PX, SUBPIXELS

SHIFT = SUBPIXELS.bit_length() - 1
HALF, LAST = SUBPIXELS // 2, SUBPIXELS - 1


def visible_ids(
    screen: Tensor, triangles: Tensor, size: tuple[int, int], perspective: bool, cull_backfaces: bool
) -> Tensor | None:
    """Nearest triangle per pixel, as `rasteriser.rasterize` returns it, or None if a value is not acceptable."""
    height, width = size
    points, faces = screen.contiguous().numpy(), triangles.contiguous().numpy()
    if not indices_fit(faces, screen.shape[1]):
        return None
    corners, nearness = np.empty((*points.shape[:2], 2), np.int64), np.empty(points.shape[:2])
    boxes = [prepare(*arrays, perspective) for arrays in zip(points, corners, nearness)]
    if None in boxes:
        return None
    ids = torch.empty(len(screen), height, width, dtype=torch.int64)
    pictures = ids.numpy()

    def work(face: int, top: int, bottom: int) -> None:
        window = (top, bottom, 0, width)
        fill(corners[face], nearness[face], faces, pictures[face], None, None, window, perspective, cull_backfaces)

    bands = -(-torch.get_num_threads() // len(boxes))
    run_tasks(work, [(face, *rows) for face, box in enumerate(boxes) for rows in cut_rows(box, height, bands)])
    return ids


def indices_fit(triangles: np.ndarray, num_vertices: int) -> bool:
    """Whether all triangles name vertices that exist; negative ones become huge as unsigned numbers."""
    return int(triangles.view(np.uint64).max()) < num_vertices


def cut_rows(box: tuple[int, int, int, int], height: int, bands: int) -> list[tuple[int, int]]:
    """Bands (top, bottom) that cover all rows of a picture and divide the rows of the face's box evenly."""
    first, last = (min(max(row, 0), height - 1) for row in box[:2])
    cuts = [0, *(first + (last + 1 - first) * band // bands for band in range(1, bands)), height]
    return [(top, bottom) for top, bottom in zip(cuts, cuts[1:]) if top < bottom]


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
    """Worker threads of this process: those of a parent do not survive a fork. They start when they are first
    needed.
    """
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix=f"rasteriser-{process}")


@njit(cache=True, nogil=True, error_model="numpy")
def prepare(screen, corners, nearness, perspective):
    """Fill the grid positions (V, 2) and depth keys (V,) of one screen (V, 3).

    Returns the first and last row and column of pixels touched, inside the picture or not, or None if a vertex in front
    of the camera is not finite or too far away.
    """
    top, bottom, left, right = FARTHEST_PX, -FARTHEST_PX, FARTHEST_PX, -FARTHEST_PX
    for vertex in range(len(screen)):
        x, y, depth = screen[vertex]
        if perspective and depth <= 0:
            corners[vertex], nearness[vertex] = 0, np.nan
            continue
        if not (abs(x) <= FARTHEST_PX and abs(y) <= FARTHEST_PX and np.isfinite(depth)):
            return None
        column, row = np.int64(np.rint(x * SUBPIXELS)), np.int64(np.rint(y * SUBPIXELS))
        corners[vertex, 0], corners[vertex, 1] = column, row
        nearness[vertex] = -1.0 / np.float64(depth) if perspective else np.float64(depth)
        top, bottom = min(top, row >> SHIFT), max(bottom, row >> SHIFT)
        left, right = min(left, column >> SHIFT), max(right, column >> SHIFT)
    return top, bottom, left, right


@njit(cache=True, nogil=True, error_model="numpy")
def fill(corners, nearness, triangles, ids, colours, picture, window, perspective, cull_backfaces):
    """Rasterise one face inside a window (top, bottom, left, right) of its picture.

    Writes either ids (H, W), where colours and picture are None, or the interpolated colours (V, 3), 0 … 255, into the
    picture (H, W, 3) uint8, where ids is None. Returns: whether it covered any pixel.
    """
    drawn = False
    top, bottom, left, right = window
    if ids is not None:
        ids[top:bottom, left:right] = -1
    depth_buffer = np.full((bottom - top, right - left), np.inf, np.float32)
    for face in range(len(triangles)):
        # Unsigned indices spare numba the support of negative ones.
        a, b, c = np.uint64(triangles[face, 0]), np.uint64(triangles[face, 1]), np.uint64(triangles[face, 2])
        ya, yb, yc = corners[a, 1], corners[b, 1], corners[c, 1]
        first_row = max((min(ya, yb, yc) - HALF + LAST) >> SHIFT, top)
        last_row = min((max(ya, yb, yc) - HALF) >> SHIFT, bottom - 1)
        if first_row > last_row:
            continue
        xa, xb, xc = corners[a, 0], corners[b, 0], corners[c, 0]
        first_column = max((min(xa, xb, xc) - HALF + LAST) >> SHIFT, left)
        last_column = min((max(xa, xb, xc) - HALF) >> SHIFT, right - 1)
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
        # Edge functions at the first pixel's centre, positive inside; one step right or down changes them by a
        # constant.
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
                    weight_a, weight_b, weight_c = edge_a * scale, edge_b * scale, edge_c * scale
                    key = weight_a * near_a + weight_b * near_b + weight_c * near_c
                    if np.float32(key) < depth_buffer[row - top, column - left]:
                        depth_buffer[row - top, column - left] = np.float32(key)
                        drawn = True
                        if ids is not None:
                            ids[row, column] = face
                        if picture is not None:
                            if perspective:
                                weight_a, weight_b = weight_a * near_a / key, weight_b * near_b / key
                            share_a, share_b = np.float32(weight_a), np.float32(weight_b)
                            share_c = np.float32(1) - share_a - share_b
                            for channel in range(3):
                                value = share_a * colours[a, channel] + share_b * colours[b, channel]
                                value += share_c * colours[c, channel] + np.float32(0.5)
                                picture[row, column, channel] = np.uint8(np.int32(value))
                edge_a += right_a
                edge_b += right_b
            row_edge_a += down_a
            row_edge_b += down_b
    return drawn
