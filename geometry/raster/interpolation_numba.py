"""Barycentric interpolation and its gradient on the CPU, compiled by numba: one pass over the pixels each.

Same mathematics as the torch path of `geometry.raster.rasteriser`. Import fails with ImportError where numba is
missing.
"""

import numpy as np
import torch
from numba import njit
from torch import Tensor
from torch.autograd.function import once_differentiable

from geometry.raster.rasteriser_numba import indices_fit, run_tasks


def interpolate(screen: Tensor, triangles: Tensor, ids: Tensor, attributes: Tensor | None, perspective: bool) -> Tensor:
    """As `geometry.raster.rasteriser.interpolate`, or, without attributes, as
    `geometry.raster.rasteriser.barycentrics`.
    """
    return _Interpolate.apply(screen, triangles, ids, attributes, perspective)


def fits(screen: Tensor, triangles: Tensor, ids: Tensor) -> bool:
    """Whether the ids name triangles, and these vertices, that exist; compiled code would read past the end of the
    arrays.
    """
    return indices_fit(_array(triangles), screen.shape[1]) and int(_array(ids).max()) < len(triangles)


class _Interpolate(torch.autograd.Function):
    """(B, V, 3) screen and (B, V, C) or (V, C) attributes → (B, H, W, C) picture."""

    @staticmethod
    def forward(
        ctx, screen: Tensor, triangles: Tensor, ids: Tensor, attributes: Tensor | None, perspective: bool
    ) -> Tensor:
        ctx.save_for_backward(screen, triangles, ids, attributes)
        ctx.perspective = perspective
        points, faces, pixels = (_array(t) for t in (screen, triangles, ids))
        values = _per_face(attributes, len(screen))
        picture = torch.zeros(*ids.shape, 3 if attributes is None else attributes.shape[-1], dtype=screen.dtype)
        out = picture.numpy()
        tasks = [(points[i], faces, pixels[i], values[i], out[i], perspective) for i in range(len(points))]
        run_tasks(_forward, tasks)
        return picture

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None, Tensor | None, None]:
        screen, triangles, ids, attributes = ctx.saved_tensors
        points, faces, pixels, incoming = (_array(t) for t in (screen, triangles, ids, gradient))
        values = _per_face(attributes, len(screen))
        to_screen = np.zeros_like(points)
        to_values = [None if value is None else np.zeros_like(value) for value in values]
        arrays = zip(points, pixels, values, incoming, to_screen, to_values)
        run_tasks(_backward, [(p, faces, i, v, g, ts, tv, ctx.perspective) for p, i, v, g, ts, tv in arrays])
        to_attributes = None
        if attributes is not None:
            to_attributes = torch.from_numpy(np.stack(to_values) if attributes.ndim == 3 else sum(to_values))
        return torch.from_numpy(to_screen), None, None, to_attributes, None


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()


def _per_face(attributes: Tensor | None, count: int) -> list[np.ndarray | None]:
    """One (V, C) array, or None, for each face of the batch."""
    if attributes is None or attributes.ndim == 2:
        return [None if attributes is None else _array(attributes)] * count
    return list(_array(attributes))


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _clamp(value):
    return min(max(value, value * 0), value * 0 + 1)


@njit(cache=True, nogil=True, error_model="numpy")
def _forward(screen, triangles, ids, attributes, out, perspective):
    """Fill the covered pixels of out (H, W, C) with attributes (V, C), or with barycentric coordinates for None."""
    half, third = screen.dtype.type(0.5), screen.dtype.type(1 / 3)
    for row in range(ids.shape[0]):
        for column in range(ids.shape[1]):
            face = ids[row, column]
            if face < 0:
                continue
            a, b, c = np.uint64(triangles[face, 0]), np.uint64(triangles[face, 1]), np.uint64(triangles[face, 2])
            px, py = screen.dtype.type(column) + half, screen.dtype.type(row) + half
            xa, ya, xb, yb = screen[a, 0] - px, screen[a, 1] - py, screen[b, 0] - px, screen[b, 1] - py
            xc, yc = screen[c, 0] - px, screen[c, 1] - py
            qa, qb, qc = xb * yc - yb * xc, xc * ya - yc * xa, xa * yb - ya * xb
            if perspective:
                qa, qb, qc = qa / screen[a, 2], qb / screen[b, 2], qc / screen[c, 2]
            total = qa + qb + qc
            if total == 0:
                wa, wb, wc = third, third, third
            else:
                wa, wb, wc = _clamp(qa / total), _clamp(qb / total), _clamp(qc / total)
            shares = wa + wb + wc
            wa, wb, wc = wa / shares, wb / shares, wc / shares
            if attributes is None:
                out[row, column, 0], out[row, column, 1], out[row, column, 2] = wa, wb, wc
            if attributes is not None:
                for k in range(out.shape[2]):
                    out[row, column, k] = wa * attributes[a, k] + wb * attributes[b, k] + wc * attributes[c, k]


@njit(cache=True, nogil=True, error_model="numpy")
def _backward(screen, triangles, ids, attributes, gradient, to_screen, to_attributes, perspective):
    """Add the gradient (H, W, C) of the picture, carried back, to those of the screen (V, 3) and the attributes (V, C)
    or None.

    With edge functions e, q = e / depth (or e), u = q / Σq, w = clamp(u) / Σ clamp(u), in the notation of the comments
    below.
    """
    half = screen.dtype.type(0.5)
    for row in range(ids.shape[0]):
        for column in range(ids.shape[1]):
            face = ids[row, column]
            if face < 0:
                continue
            a, b, c = np.uint64(triangles[face, 0]), np.uint64(triangles[face, 1]), np.uint64(triangles[face, 2])
            px, py = screen.dtype.type(column) + half, screen.dtype.type(row) + half
            xa, ya, xb, yb = screen[a, 0] - px, screen[a, 1] - py, screen[b, 0] - px, screen[b, 1] - py
            xc, yc = screen[c, 0] - px, screen[c, 1] - py
            qa, qb, qc = xb * yc - yb * xc, xc * ya - yc * xa, xa * yb - ya * xb
            if perspective:
                qa, qb, qc = qa / screen[a, 2], qb / screen[b, 2], qc / screen[c, 2]
            total = qa + qb + qc
            flat = total == 0
            scale = 0 * total if flat else 1 / total
            ua, ub, uc = qa * scale, qb * scale, qc * scale
            wa, wb, wc = _clamp(ua), _clamp(ub), _clamp(uc)
            if flat:
                wa, wb, wc = wa + 1, wb + 1, wc + 1
            unit = 1 / (wa + wb + wc)
            wa, wb, wc = wa * unit, wb * unit, wc * unit
            # ∂w
            ga, gb, gc = 0 * wa, 0 * wb, 0 * wc
            if attributes is None:
                ga, gb, gc = gradient[row, column, 0], gradient[row, column, 1], gradient[row, column, 2]
            if attributes is not None:
                for k in range(gradient.shape[2]):
                    g = gradient[row, column, k]
                    ga, gb, gc = ga + g * attributes[a, k], gb + g * attributes[b, k], gc + g * attributes[c, k]
                    to_attributes[a, k] += g * wa
                    to_attributes[b, k] += g * wb
                    to_attributes[c, k] += g * wc
            # ∂u: clamped coordinates pass nothing on
            mean = ga * wa + gb * wb + gc * wc
            ga = (ga - mean) * unit if 0 <= ua <= 1 else 0 * ga
            gb = (gb - mean) * unit if 0 <= ub <= 1 else 0 * gb
            gc = (gc - mean) * unit if 0 <= uc <= 1 else 0 * gc
            # ∂q, then ∂e and ∂depth
            mean = ga * ua + gb * ub + gc * uc
            ga, gb, gc = (ga - mean) * scale, (gb - mean) * scale, (gc - mean) * scale
            if perspective:
                ga, gb, gc = ga / screen[a, 2], gb / screen[b, 2], gc / screen[c, 2]
                to_screen[a, 2] -= ga * qa
                to_screen[b, 2] -= gb * qb
                to_screen[c, 2] -= gc * qc
            to_screen[a, 0] += gc * yb - gb * yc
            to_screen[a, 1] += gb * xc - gc * xb
            to_screen[b, 0] += ga * yc - gc * ya
            to_screen[b, 1] += gc * xa - ga * xc
            to_screen[c, 0] += gb * ya - ga * yb
            to_screen[c, 1] += ga * xb - gb * xa
