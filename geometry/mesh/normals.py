"""Normals of meshes. Triangles run counter-clockwise seen from outside, so normals point outward.

Inside, vertices lie as (V, B, 3): one row holds a vertex of every face of the batch, so gathering and summing move
whole rows.
"""

import torch
from torch import Tensor

WEIGHTINGS = ("unit", "area")


def face_normals(vertices: Tensor, triangles: Tensor) -> Tensor:
    """(B, V, 3) vertices, (F, 3) triangles → (B, F, 3) outward normals with twice the triangle's area as length."""
    return _face_rows(vertices, triangles).transpose(0, 1)


def vertex_normals(vertices: Tensor, triangles: Tensor, weighting: str = "unit") -> Tensor:
    """Unit normals per vertex: the normalised sum of the normals of the triangles around it.

    Args: vertices (B, V, 3) any unit; triangles (F, 3) int64; weighting: "unit" sums unit normals (Deep3D, Deng et al.
        2019), "area" weights them by area (3DDFA, Lin et al. 2020).
    Returns: (B, V, 3); 0 at vertices of no triangle. Raises: ValueError for another weighting.
    """
    if weighting not in WEIGHTINGS:
        raise ValueError(f"unknown weighting of normals '{weighting}'; choose one of {', '.join(WEIGHTINGS)}.")
    normals = _face_rows(vertices, triangles)
    if weighting == "unit":
        normals = _normalised(normals)
    return _normalised(_SumAroundVertices.apply(normals, triangles, vertices.shape[1])).transpose(0, 1)


def _face_rows(vertices: Tensor, triangles: Tensor) -> Tensor:
    """(F, B, 3) unnormalised normals of triangles."""
    a, b, c = _Corners.apply(vertices.transpose(0, 1), triangles).unbind(1)
    return torch.linalg.cross(b - a, c - a)


def _normalised(vectors: Tensor) -> Tensor:
    """Unit length; a zero vector stays zero, with zero gradient instead of NaN."""
    squared = (vectors * vectors).sum(-1, keepdim=True)
    return vectors * torch.where(squared > 0, squared, torch.ones_like(squared)).rsqrt()


class _Corners(torch.autograd.Function):
    """(V, B, 3) → (F, 3, B, 3) corners of the triangles."""

    @staticmethod
    def forward(ctx, vertices: Tensor, triangles: Tensor) -> Tensor:
        ctx.save_for_backward(triangles)
        ctx.shape = vertices.shape
        return vertices.flatten(1).index_select(0, triangles.flatten()).view(len(triangles), 3, *vertices.shape[1:])

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        (triangles,) = ctx.saved_tensors
        sums = gradient.new_zeros(ctx.shape).flatten(1)
        return sums.index_add_(0, triangles.flatten(), gradient.reshape(-1, sums.shape[1])).view(ctx.shape), None


class _SumAroundVertices(torch.autograd.Function):
    """(F, B, 3) per triangle → (V, B, 3) sums over the triangles of each vertex."""

    @staticmethod
    def forward(ctx, faces: Tensor, triangles: Tensor, num_vertices: int) -> Tensor:
        ctx.save_for_backward(triangles)
        sums = faces.new_zeros(num_vertices, *faces.shape[1:])
        for corner in range(3):
            sums.flatten(1).index_add_(0, triangles[:, corner], faces.flatten(1))
        return sums

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        (triangles,) = ctx.saved_tensors
        rows = gradient.flatten(1)
        total = rows.index_select(0, triangles[:, 0])
        for corner in (1, 2):
            total += rows.index_select(0, triangles[:, corner])
        return total.view(len(triangles), *gradient.shape[1:]), None, None
