"""Quadric edge collapse onto end points (Garland and Heckbert 1997): the vertices left are a subset of the given ones.

Candidates lie in a heap that is never searched: when a collapse changes an edge's cost, a new entry goes in and the old
one is thrown away when it comes up. The link condition (Dey et al. 1999) keeps the mesh a manifold of the same
topology.
"""

import heapq

import numpy as np
from numba import njit

from recon3d.refinement.meshes import MeshGraphError

MIN_COSINE = 0.2  # between a triangle's normal before and after; less is a fold
LENGTH_WEIGHT = (
    1e-3  # of the squared edge length in the cost: in flat regions, where quadrics are 0, short edges go first
)


def decimate(vertices: np.ndarray, triangles: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Reduce a manifold mesh (N, 3), (F, 3) to `count` of its vertices.

    Returns: (count,) ascending ids of the vertices kept; (F', 3) triangles that name positions in that list.
    Raises: MeshGraphError when its topology does not allow so few.
    """
    points, faces = np.ascontiguousarray(vertices, np.float64), triangles.astype(np.int64)
    alive, kept_faces = _collapse(points, faces, _quadrics(points, faces), count)
    kept = np.flatnonzero(alive)
    if len(kept) > count:
        raise MeshGraphError(
            f"the mesh of {len(vertices)} vertices cannot be reduced to {count} without tearing it, only to"
            f" {len(kept)};"
            " ask for fewer levels."
        )
    new_id = np.full(len(vertices), -1)
    new_id[kept] = np.arange(len(kept))
    return kept, new_id[faces[kept_faces]]


def _quadrics(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(N, 10) upper triangles of Σ p pᵀ over the planes p = (n, d) around each vertex, and upright ones on boundary
    edges.
    """
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    normals = _unit(np.cross(b - a, c - a))
    edges = triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    sides = np.sort(edges, 1)
    _, where, shared = np.unique(sides[:, 0] * len(vertices) + sides[:, 1], return_index=True, return_counts=True)
    boundary = where[shared == 1]
    begin, end = vertices[edges[boundary, 0]], vertices[edges[boundary, 1]]
    upright = _unit(np.cross(end - begin, normals[boundary // 3]))
    planes = np.concatenate([np.repeat(normals, 3, 0), upright, upright])
    owners = np.concatenate([triangles.ravel(), edges[boundary, 0], edges[boundary, 1]])
    planes = np.concatenate([planes, -(planes * vertices[owners]).sum(1, keepdims=True)], 1)
    upper = np.triu_indices(4)
    products = planes[:, upper[0]] * planes[:, upper[1]]
    return np.stack([np.bincount(owners, column, len(vertices)) for column in products.T], 1)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-30)


@njit(cache=True, nogil=True)
def _error(quadric, x, y, z):
    """vᵀ Q v at a point."""
    q = quadric
    squares = q[0] * x * x + q[4] * y * y + q[7] * z * z + q[9]
    return squares + 2 * (q[1] * x * y + q[2] * x * z + q[3] * x + q[5] * y * z + q[6] * y + q[8] * z)


@njit(cache=True, nogil=True)
def _push(heap, points, quadrics, version, a, b):
    """The edge's cheaper direction; ties keep the smaller id. The sum of versions only grows, so equal means
    unchanged.
    """
    a, b = min(a, b), max(a, b)
    both = quadrics[a] + quadrics[b]
    at_a = _error(both, points[a, 0], points[a, 1], points[a, 2])
    at_b = _error(both, points[b, 0], points[b, 1], points[b, 2])
    length = ((points[a] - points[b]) ** 2).sum() * LENGTH_WEIGHT
    stamp = version[a] + version[b]
    if at_a <= at_b:
        heapq.heappush(heap, (at_a + length, a, b, stamp))
    else:
        heapq.heappush(heap, (at_b + length, b, a, stamp))


@njit(cache=True, nogil=True)
def _corner_lists(faces, count):
    """Linked lists of the corners (3·face + k) around each vertex: first, last (N,) and following (3F,)."""
    first, last = np.full(count, -1), np.full(count, -1)
    following = np.full(faces.size, -1)
    for corner in range(faces.size):
        vertex = faces[corner // 3, corner % 3]
        if first[vertex] < 0:
            first[vertex] = corner
        else:
            following[last[vertex]] = corner
        last[vertex] = corner
    return first, last, following


@njit(cache=True, nogil=True)
def _ring(vertex, mesh, neighbours, marks, mark):
    """Write the vertices around one into `neighbours` and mark them; returns their number and that of the triangles."""
    faces, face_alive, first, _, following = mesh
    count, triangles, previous, corner = 0, 0, -1, first[vertex]
    while corner >= 0:
        face = corner // 3
        if face_alive[face]:
            triangles += 1
            for k in range(3):
                other = faces[face, k]
                if other != vertex and marks[other] != mark:
                    marks[other] = mark
                    neighbours[count] = other
                    count += 1
            previous = corner
        elif previous >= 0 and following[corner] >= 0:  # dead triangles leave the list; its end must stay for `last`
            following[previous] = following[corner]
        corner = following[corner]
    return count, triangles


@njit(cache=True, nogil=True)
def _keeps_topology(keep, drop, mesh, around, ring, marks, mark):
    """The link condition: the ends' common neighbours are just the corners opposite the edge, and no part shrinks to
    nothing.

    Uses up marks … mark + 3.
    """
    faces, face_alive, first, _, following = mesh
    num_keep, faces_keep = _ring(keep, mesh, around, marks, mark)
    num_drop, faces_drop = _ring(drop, mesh, ring, marks, mark + 1)
    common = 0
    for i in range(num_keep):
        common += marks[around[i]] == mark + 1
    shared, corner, opposite = 0, first[drop], np.zeros(2, np.int64)
    while corner >= 0:
        face = corner // 3
        if face_alive[face] and (faces[face, 0] == keep or faces[face, 1] == keep or faces[face, 2] == keep):
            if shared == 2:
                return False
            opposite[shared] = faces[face, 0] + faces[face, 1] + faces[face, 2] - keep - drop
            shared += 1
        corner = following[corner]
    bridge = shared == 2 and num_keep != faces_keep and num_drop != faces_drop  # from boundary to boundary: would pinch
    if shared == 0 or common != shared or bridge or faces_keep + faces_drop - 2 * shared < 1:
        return False
    for i in range(shared):
        num, triangles = _ring(opposite[i], mesh, ring, marks, mark + 2 + i)
        if triangles <= (
            3 if num == triangles else 1
        ):  # it would be left with two triangles on each other, or with none
            return False
    return True


@njit(cache=True, nogil=True)
def _folds(keep, drop, points, mesh):
    """Whether a triangle around `drop` would turn over or vanish."""
    faces, face_alive, first, _, following = mesh
    corner = first[drop]
    while corner >= 0:
        face = corner // 3
        if face_alive[face] and faces[face, 0] != keep and faces[face, 1] != keep and faces[face, 2] != keep:
            k = 0
            while faces[face, k] != drop:
                k += 1
            one, two = points[faces[face, (k + 1) % 3]], points[faces[face, (k + 2) % 3]]
            before = np.cross(one - points[drop], two - points[drop])
            after = np.cross(one - points[keep], two - points[keep])
            if (before * after).sum() <= MIN_COSINE * np.sqrt((before**2).sum() * (after**2).sum()):
                return True
        corner = following[corner]
    return False


@njit(cache=True, nogil=True)
def _merge(keep, drop, mesh):
    """Give the triangles of `drop` to `keep`; those that have both go."""
    faces, face_alive, first, last, following = mesh
    corner = first[drop]
    while corner >= 0:
        face = corner // 3
        if faces[face, 0] == keep or faces[face, 1] == keep or faces[face, 2] == keep:
            face_alive[face] = False
        elif face_alive[face]:
            for k in range(3):
                if faces[face, k] == drop:
                    faces[face, k] = keep
        corner = following[corner]
    following[last[keep]] = first[drop]
    last[keep] = last[drop]


@njit(cache=True, nogil=True)
def _collapse(points, faces, quadrics, target):
    """Collapse until `target` vertices are left or nothing more may go. `faces` and `quadrics` are changed in place.

    Returns: (N,) bool vertices and (F,) bool triangles that are left.
    """
    count = len(points)
    alive, face_alive = np.ones(count, np.bool_), np.ones(len(faces), np.bool_)
    first, last, following = _corner_lists(faces, count)
    mesh = (faces, face_alive, first, last, following)
    version, marks = np.zeros(count, np.int64), np.full(count, -1)
    around, ring = np.empty(count, np.int64), np.empty(count, np.int64)
    mark, left, before, careful = 0, count, count + 1, True
    while left > target and (before > left or careful):
        careful = careful and before > left  # folds are allowed before giving up
        before = left
        heap = [(0.0, 0, 0, 0) for _ in range(0)]
        for face in range(len(faces)):
            for k in range(3 if face_alive[face] else 0):
                _push(heap, points, quadrics, version, faces[face, k], faces[face, (k + 1) % 3])
        while len(heap) > 0 and left > target:
            _, keep, drop, stamp = heapq.heappop(heap)
            if not (alive[keep] and alive[drop]) or version[keep] + version[drop] != stamp:
                continue
            mark += 4
            if not _keeps_topology(keep, drop, mesh, around, ring, marks, mark) or (
                careful and _folds(keep, drop, points, mesh)
            ):
                continue
            _merge(keep, drop, mesh)
            alive[drop] = False
            quadrics[keep] += quadrics[drop]
            version[keep] += 1
            left -= 1
            mark += 4
            num_keep, _ = _ring(keep, mesh, around, marks, mark)
            for i in range(num_keep):
                _push(heap, points, quadrics, version, keep, around[i])
    return alive, face_alive
