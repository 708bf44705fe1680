"""What graph networks ask of a mesh: a manifold with every vertex in use."""

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from common.errors import DataError


class MeshGraphError(DataError):
    """A mesh or a pyramid cannot be used by graph networks; the message says why."""


def check_mesh(vertices: np.ndarray, triangles: np.ndarray, name: str = "mesh") -> None:
    """Accept a manifold, with or without boundary, of any number of parts.

    Args: vertices (N, 3) finite; triangles (F, 3) ids; name: what the message calls it.
    Raises: MeshGraphError for an empty mesh, ids out of range, a triangle that repeats a vertex, vertices of no
        triangle, edges of three or more triangles, neighbours of opposite orientation, and fans of triangles that meet
        only in a vertex.
    """
    if vertices.ndim != 2 or vertices.shape[1] != 3 or triangles.ndim != 2 or triangles.shape[1] != 3:
        raise MeshGraphError(f"{name}: shapes {vertices.shape} and {triangles.shape} are not (N, 3) and (F, 3).")
    if not len(vertices) or not len(triangles):
        raise MeshGraphError(
            f"{name} is empty: {len(vertices)} vertices, {len(triangles)} triangles; give a whole mesh."
        )
    if not np.isfinite(vertices).all():
        raise MeshGraphError(
            f"{name}: vertex {int(np.argwhere(~np.isfinite(vertices))[0, 0])} is not finite; repair the mesh."
        )
    if triangles.min() < 0 or triangles.max() >= len(vertices):
        raise MeshGraphError(
            f"{name}: triangles name a vertex outside 0 … {len(vertices) - 1}; they belong to another mesh."
        )
    corners = np.sort(triangles, 1)
    repeated = (corners[:, 1:] == corners[:, :-1]).any(1)
    if repeated.any():
        raise MeshGraphError(
            f"{name}: triangle {int(repeated.argmax())} names a vertex twice; remove degenerate triangles."
        )
    unused = np.bincount(triangles.ravel(), minlength=len(vertices)) == 0
    if unused.any():
        raise MeshGraphError(
            f"{name}: vertex {int(unused.argmax())} belongs to no triangle ({int(unused.sum())} such); drop"
            " isolated vertices"
            " with FaceModel.submesh."
        )
    _check_manifold(triangles, len(vertices), name)


def _check_manifold(triangles: np.ndarray, count: int, name: str) -> None:
    directed = triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    edges = np.sort(directed, 1)
    key = edges[:, 0] * count + edges[:, 1]
    order = np.argsort(key, kind="stable")
    same = key[order][1:] == key[order][:-1]
    crowded = same[1:] & same[:-1]
    if crowded.any():
        a, b = edges[order[int(crowded.argmax())]]
        raise MeshGraphError(f"{name} is not a manifold: three triangles share the edge {a}–{b}; remove one of them.")
    first, second = order[:-1][same], order[1:][same]
    turned = directed[first, 0] == directed[second, 0]
    if turned.any():
        a, b = edges[first[int(turned.argmax())]]
        raise MeshGraphError(
            f"{name}: the triangles at the edge {a}–{b} are of opposite orientation; turn one of them."
        )
    # corners of triangles that share an edge at a vertex form one fan; a manifold has one fan per vertex
    rows, columns = [], []
    for end in (0, 1):
        vertex = edges[first][:, end]
        rows.append(_corner(triangles, first // 3, vertex))
        columns.append(_corner(triangles, second // 3, vertex))
    links = (np.ones(2 * len(first)), (np.concatenate(rows), np.concatenate(columns)))
    fans, fan_of = connected_components(sparse.coo_matrix(links, (triangles.size, triangles.size)), directed=False)
    if fans > count:
        corner_of_fan = np.zeros(fans, np.int64)
        corner_of_fan[fan_of] = np.arange(triangles.size)
        vertex = int(np.bincount(triangles.ravel()[corner_of_fan]).argmax())
        raise MeshGraphError(
            f"{name} is not a manifold: parts of it meet only in vertex {vertex}; split that vertex in two."
        )


def _corner(triangles: np.ndarray, faces: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """Flat index of the corner of each face that is the given vertex."""
    return faces * 3 + (triangles[faces] == vertices[:, None]).argmax(1)


def adjacency(triangles: np.ndarray, count: int, edge_weights: str = "binary") -> sparse.csr_matrix:
    """(N, N) symmetric adjacency of a mesh.

    Args: edge_weights: "binary", 1 on every edge; "faces", the number of triangles at the edge (2 inside, 1 on the
        boundary), as the authors of GCN_ResNet and CoMA have it.
    Raises: ValueError for another weighting.
    """
    if edge_weights not in ("binary", "faces"):
        raise ValueError(f"unknown edge weights '{edge_weights}'; choose binary or faces.")
    edges = triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    both = np.concatenate([edges, edges[:, ::-1]])
    matrix = sparse.csr_matrix((np.ones(len(both)), (both[:, 0], both[:, 1])), (count, count))
    if edge_weights == "binary":
        matrix.data[:] = 1
    return matrix


def normalised_laplacian(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """I − D^−½ A D^−½, eigenvalues 0 … 2 (Defferrard et al. 2016). Raises: MeshGraphError for a vertex without
    neighbours.
    """
    degree = np.asarray(matrix.sum(1)).ravel()
    if (degree <= 0).any():
        raise MeshGraphError(
            f"vertex {int((degree <= 0).argmax())} has no neighbours; a Laplacian needs a mesh without such."
        )
    scale = sparse.diags(degree**-0.5)
    return (sparse.identity(matrix.shape[0]) - scale @ matrix @ scale).tocsr()


def parts_of(triangles: np.ndarray, count: int) -> np.ndarray:
    """(N,) number of the connected part of each vertex."""
    return connected_components(adjacency(triangles, count), directed=False)[1]
