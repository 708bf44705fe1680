"""Normals of meshes. Triangles run counter-clockwise seen from outside, so normals point outward."""

import torch
from torch import Tensor

WEIGHTINGS = ("unit", "area")


def face_normals(vertices: Tensor, triangles: Tensor) -> Tensor:
    """(B, V, 3) vertices, (F, 3) triangles → (B, F, 3) outward normals with twice the triangle's area as length."""
    a, b, c = (vertices[:, triangles[:, corner]] for corner in range(3))
    return torch.linalg.cross(b - a, c - a)


def vertex_normals(vertices: Tensor, triangles: Tensor, weighting: str = "unit") -> Tensor:
    """Unit normals per vertex: the normalised sum of the normals of the triangles around it.

    Args: vertices (B, V, 3) any unit; triangles (F, 3) int64; weighting: "unit" sums unit normals (Deep3D, Deng et al. 2019),
        "area" weights them by area (3DDFA, Lin et al. 2020).
    Returns: (B, V, 3); 0 at vertices of no triangle. Raises: ValueError for another weighting.
    """
    if weighting not in WEIGHTINGS:
        raise ValueError(f"unknown weighting of normals '{weighting}'; choose one of {', '.join(WEIGHTINGS)}.")
    normals = face_normals(vertices, triangles)
    if weighting == "unit":
        normals = _normalised(normals)
    return _normalised(_SumAroundVertices.apply(normals, triangles, vertices.shape[1]))


def _normalised(vectors: Tensor) -> Tensor:
    """Unit length; a zero vector stays zero, with zero gradient instead of NaN."""
    squared = (vectors * vectors).sum(-1, keepdim=True)
    return vectors * torch.where(squared > 0, squared, torch.ones_like(squared)).rsqrt()


class _SumAroundVertices(torch.autograd.Function):
    """(B, F, 3) per face → (B, V, 3) sums over the faces of each vertex; the gradient is a gather."""

    @staticmethod
    def forward(ctx, faces: Tensor, triangles: Tensor, num_vertices: int) -> Tensor:
        ctx.save_for_backward(triangles)
        batch = len(faces)
        by_face = faces.transpose(0, 1).reshape(len(triangles), batch * 3)
        sums = by_face.new_zeros(num_vertices, batch * 3)
        for corner in range(3):
            sums.index_add_(0, triangles[:, corner], by_face)
        return sums.unflatten(1, (batch, 3)).transpose(0, 1)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        (triangles,) = ctx.saved_tensors
        return sum(gradient[:, triangles[:, corner]] for corner in range(3)), None, None
