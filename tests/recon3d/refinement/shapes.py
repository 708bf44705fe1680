"""Meshes for the tests of graph networks."""

import numpy as np


def grid(side: int, height: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """A square sheet of side² vertices with a bump, (N, 3) float32 and (F, 3); it has a boundary."""
    axis = np.linspace(-1, 1, side)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    z = height * np.exp(-4 * (x * x + y * y))
    first = (np.arange(side - 1)[:, None] * side + np.arange(side - 1)).ravel()[:, None]
    triangles = np.concatenate([first + [0, 1, side], first + [1, side + 1, side]])
    return np.stack([x, y, z], -1).reshape(-1, 3).astype(np.float32), triangles


def sphere(rings: int = 12, around: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """A closed sphere, counter-clockwise seen from outside."""
    polar, azimuth = np.pi * np.arange(1, rings) / rings, 2 * np.pi * np.arange(around) / around
    p, a = np.meshgrid(polar, azimuth, indexing="ij")
    body = np.stack([np.sin(p) * np.cos(a), np.sin(p) * np.sin(a), np.cos(p)], -1).reshape(-1, 3)
    vertices = np.concatenate([[[0, 0, 1]], body, [[0, 0, -1]]])
    i, j = np.meshgrid(np.arange(rings - 2), np.arange(around), indexing="ij")
    here, beside = 1 + i * around + j, 1 + i * around + (j + 1) % around
    quads = np.stack([here, here + around, beside + around, beside], -1).reshape(-1, 4)
    top = np.stack([np.zeros(around, int), 1 + np.arange(around), 1 + (np.arange(around) + 1) % around], -1)
    last = len(vertices) - 1
    bottom = last - 1 - around + top[:, [0, 2, 1]]
    bottom[:, 0] = last
    triangles = np.concatenate([top, quads[:, [0, 1, 2]], quads[:, [0, 2, 3]], bottom])
    return vertices.astype(np.float32), triangles
