"""Nearest points on a triangle mesh, exact, by a tree of boxes; compiled by numba, no gradient."""

import numpy as np
from numba import njit

LEAF = 8  # triangles in a leaf of the tree
DEPTH = 64  # of the traversal's stack; the tree is balanced, so this is never reached


class ClosestPoints:
    """The nearest points of one mesh, for as many queries as wanted.

    Args: vertices (N, 3) finite; triangles (F, 3) ids, F ≥ 1. Raises: ValueError for a mesh without triangles.
    Ericson 2005, §5.1.5 (point to triangle) and §6.2 (box trees).
    """

    def __init__(self, vertices: np.ndarray, triangles: np.ndarray) -> None:
        if not len(triangles):
            raise ValueError("there is no nearest point on a mesh without triangles.")
        corners = np.ascontiguousarray(vertices, np.float64)[triangles]
        self._order, self._boxes, self._ranges, self._children = _build(corners)
        self._corners = corners[self._order]

    def __call__(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Points (P, 3) → (P,) int64 triangle; (P, 3) float64 barycentric weights, ≥ 0, rows sum to 1; (P,)
        distances.
        """
        points = np.ascontiguousarray(points, np.float64)
        faces, weights, squared = _search(points, self._corners, self._boxes, self._ranges, self._children)
        return self._order[faces], weights, np.sqrt(squared)


def closest_points(
    points: np.ndarray, vertices: np.ndarray, triangles: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`ClosestPoints` for one query."""
    return ClosestPoints(vertices, triangles)(points)


@njit(cache=True, nogil=True)
def _build(corners):
    """Halve the triangles along the longest side of their centres' box until LEAF are left.

    Returns: (F,) order of triangles; (M, 2, 3) boxes; (M, 2) first and last + 1 triangle in that order; (M,) left
        child, the right one follows it, 0 at a leaf.
    """
    count = len(corners)
    centres = (corners[:, 0] + corners[:, 1] + corners[:, 2]) / 3
    order = np.arange(count)
    size = 4 * (count // LEAF + 1)
    boxes, ranges, children = np.empty((size, 2, 3)), np.zeros((size, 2), np.int64), np.zeros(size, np.int64)
    ranges[0, 1] = count
    made, node = 1, 0
    while node < made:
        begin, end = ranges[node]
        low, high = np.full(3, np.inf), np.full(3, -np.inf)
        centre_low, centre_high = np.full(3, np.inf), np.full(3, -np.inf)
        for i in range(begin, end):
            for axis in range(3):
                for k in range(3):
                    low[axis] = min(low[axis], corners[order[i], k, axis])
                    high[axis] = max(high[axis], corners[order[i], k, axis])
                centre_low[axis] = min(centre_low[axis], centres[order[i], axis])
                centre_high[axis] = max(centre_high[axis], centres[order[i], axis])
        boxes[node, 0], boxes[node, 1] = low, high
        if end - begin > LEAF:
            axis, middle = np.argmax(centre_high - centre_low), (begin + end) // 2
            order[begin:end] = order[begin:end][np.argsort(centres[order[begin:end], axis])]
            children[node] = made
            ranges[made, 0], ranges[made, 1] = begin, middle
            ranges[made + 1, 0], ranges[made + 1, 1] = middle, end
            made += 2
        node += 1
    return order, boxes[:made], ranges[:made], children[:made]


@njit(cache=True, nogil=True)
def _box_distance(point, box):
    """Squared distance of a point to a box, 0 inside."""
    total = 0.0
    for axis in range(3):
        gap = max(box[0, axis] - point[axis], 0.0, point[axis] - box[1, axis])
        total += gap * gap
    return total


@njit(cache=True, nogil=True)
def _dot(a, b):
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@njit(cache=True, nogil=True, error_model="numpy")
def _on_triangle(point, a, b, c):
    """Barycentric weights of the nearest point of a triangle by regions of its plane; may be NaN where it has no
    area.
    """
    ab, ac, ap = b - a, c - a, point - a
    d1, d2 = _dot(ab, ap), _dot(ac, ap)
    if d1 <= 0 and d2 <= 0:
        return 1.0, 0.0, 0.0
    bp = point - b
    d3, d4 = _dot(ab, bp), _dot(ac, bp)
    if d3 >= 0 and d4 <= d3:
        return 0.0, 1.0, 0.0
    vc = d1 * d4 - d3 * d2
    if vc <= 0 and d1 >= 0 and d3 <= 0:
        t = d1 / (d1 - d3)
        return 1 - t, t, 0.0
    cp = point - c
    d5, d6 = _dot(ab, cp), _dot(ac, cp)
    if d6 >= 0 and d5 <= d6:
        return 0.0, 0.0, 1.0
    vb = d5 * d2 - d1 * d6
    if vb <= 0 and d2 >= 0 and d6 <= 0:
        t = d2 / (d2 - d6)
        return 1 - t, 0.0, t
    va = d3 * d6 - d5 * d4
    if va <= 0 and d4 - d3 >= 0 and d5 - d6 >= 0:
        t = (d4 - d3) / ((d4 - d3) + (d5 - d6))
        return 0.0, 1 - t, t
    total = va + vb + vc
    return va / total, vb / total, vc / total


@njit(cache=True, nogil=True)
def _search(points, corners, boxes, ranges, children):
    """Depth first, the nearer child first, leaving out boxes farther away than the best so far."""
    count = len(points)
    faces, weights, squared = np.zeros(count, np.int64), np.zeros((count, 3)), np.full(count, np.inf)
    stack = np.empty(DEPTH, np.int64)
    for p in range(count):
        point, top = points[p], 1
        stack[0] = 0
        while top:
            top -= 1
            node = stack[top]
            if _box_distance(point, boxes[node]) >= squared[p]:
                continue
            left = children[node]
            if left:
                nearer_right = _box_distance(point, boxes[left + 1]) < _box_distance(point, boxes[left])
                stack[top], stack[top + 1] = (left, left + 1) if nearer_right else (left + 1, left)
                top += 2
                continue
            for face in range(ranges[node, 0], ranges[node, 1]):
                a, b, c = corners[face]
                u, v, w = _on_triangle(point, a, b, c)
                offset = u * a + v * b + w * c - point
                distance = _dot(offset, offset)
                if distance < squared[p]:
                    faces[p], squared[p] = face, distance
                    weights[p, 0], weights[p, 1], weights[p, 2] = u, v, w
    return faces, weights, squared
