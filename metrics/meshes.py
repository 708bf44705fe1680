"""Distances between face meshes in mm: per vertex of one topology, point to plane after ICP (MICC), and NoW's protocol.

Meshes are in dm, as face models are; results are in mm.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation
from torch import Tensor

from geometry.similarity import moved, similarity
from geometry.units import MM_PER_DM

MICC_RADIUS_DM = 0.95
_NEIGHBOURS = 12  # triangles, by centroid, among which the nearest surface point is sought


def vertex_errors_mm(found: Tensor, truth: Tensor, weights: Tensor | None = None, scaled: bool = True) -> Tensor:
    """(B,) mean distance of corresponding vertices (B, N, 3) dm after the best similarity (or rigid motion), in mm.

    weights (N,): where vertices count, in the alignment and in the mean; a face's region, for instance.
    """
    weights = torch.ones_like(found[0, :, 0]) if weights is None else weights.to(found)
    distance = (moved(found, similarity(found, truth, weights, scaled)) - truth).norm(dim=-1)
    return MM_PER_DM * (distance * weights).sum(1) / weights.sum()


@dataclass(frozen=True)
class Surface:
    """A triangle mesh prepared for nearest-point queries: vertices (V, 3) dm, triangles (F, 3)."""

    vertices: np.ndarray
    triangles: np.ndarray

    def nearest(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(P, 3) → the nearest points of the surface (P, 3) and the unit normals there (P, 3)."""
        corners = self.vertices[self.triangles]
        tree = cKDTree(corners.mean(1))
        _, candidates = tree.query(points, k=min(_NEIGHBOURS, len(self.triangles)))
        candidates = candidates.reshape(len(points), -1)
        on_surface = nearest_on_triangles(points[:, None], corners[candidates])
        best = np.linalg.norm(on_surface - points[:, None], axis=-1).argmin(1)
        rows = np.arange(len(points))
        a, b, c = np.moveaxis(corners[candidates[rows, best]], 1, 0)
        normals = np.cross(b - a, c - a)
        lengths = np.linalg.norm(normals, axis=1, keepdims=True)
        return on_surface[rows, best], normals / np.maximum(lengths, 1e-12)


def nearest_on_triangles(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Nearest points of triangles: points (..., 3), corners (..., 3, 3) → (..., 3); Ericson 2005, §5.1.5, by regions."""
    a, b, c = np.moveaxis(corners, -2, 0)
    ab, ac, ap = b - a, c - a, points - a
    d1, d2 = (ab * ap).sum(-1), (ac * ap).sum(-1)
    d3, d4 = (ab * (points - b)).sum(-1), (ac * (points - b)).sum(-1)
    d5, d6 = (ab * (points - c)).sum(-1), (ac * (points - c)).sum(-1)
    va, vb, vc = d3 * d6 - d5 * d4, d5 * d2 - d1 * d6, d1 * d4 - d3 * d2

    def ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
        return np.divide(top, bottom, out=np.zeros_like(top), where=np.abs(bottom) > 1e-20)

    zero, one = np.zeros_like(d1), np.ones_like(d1)
    along = ratio(d4 - d3, (d4 - d3) + (d5 - d6))
    total = va + vb + vc
    regions = [  # condition, weights of b and c; the first that holds counts
        ((d1 <= 0) & (d2 <= 0), zero, zero),
        ((d3 >= 0) & (d4 <= d3), one, zero),
        ((d6 >= 0) & (d5 <= d6), zero, one),
        ((vc <= 0) & (d1 >= 0) & (d3 <= 0), ratio(d1, d1 - d3), zero),
        ((vb <= 0) & (d2 >= 0) & (d6 <= 0), zero, ratio(d2, d2 - d6)),
        ((va <= 0) & (d4 - d3 >= 0) & (d5 - d6 >= 0), 1 - along, along),
    ]
    conditions = [condition for condition, _, _ in regions]
    v = np.select(conditions, [weight for _, weight, _ in regions], ratio(vb, total))
    w = np.select(conditions, [weight for _, _, weight in regions], ratio(vc, total))
    return a + v[..., None] * ab + w[..., None] * ac


def icp(points: np.ndarray, surface: Surface, scaled: bool = True, iterations: int = 40, tolerance: float = 1e-7) -> np.ndarray:
    """Points (P, 3) moved onto a surface by a similarity (or rigid motion), from where they are: point-to-plane ICP.

    Each round solves the linearised motion that brings the points into the tangent planes of their nearest surface points
    (Chen and Medioni 1991), and stops when no point moves by more than the tolerance (dm).
    """
    for _ in range(iterations):
        target, normals = surface.nearest(points)
        centre = points.mean(0)
        arms = points - centre
        columns = [np.cross(arms, normals), normals]
        if scaled:
            columns.append((arms * normals).sum(1, keepdims=True))
        system = np.concatenate(columns, 1)
        normal = system.T @ system
        damping = 1e-9 * np.trace(normal) * np.eye(len(normal))
        step = np.linalg.solve(normal + damping, system.T @ ((target - points) * normals).sum(1))
        rotation = Rotation.from_rotvec(step[:3]).as_matrix()
        placed = (1 + (step[6] if scaled else 0.0)) * arms @ rotation.T + centre + step[3:6]
        change = np.abs(placed - points).max()
        points = placed
        if change < tolerance:
            break
    return points


def point_to_plane_mm(points: np.ndarray, surface: Surface) -> np.ndarray:
    """(P,) distances of points to the tangent plane at their nearest surface point, in mm."""
    nearest, normals = surface.nearest(points)
    return MM_PER_DM * np.abs(((points - nearest) * normals).sum(1))


def micc_error_mm(found: np.ndarray, truth: Surface, nose_tip: np.ndarray, radius: float = MICC_RADIUS_DM) -> float:
    """RMSE of point-to-plane distances in mm after similarity ICP, as Deng et al. 2019 score MICC Florence.

    Args: found (P, 3) dm, aligned to the truth by landmarks; nose_tip (3,) of the truth, around which it is cut to the radius.
    Raises: ValueError when nothing of the truth lies within the radius.
    """
    near = np.linalg.norm(truth.vertices - nose_tip, axis=1) <= radius
    kept = near[truth.triangles].all(1)
    if not kept.any():
        raise ValueError(f"no triangle of the true mesh lies within {radius:g} dm of the nose tip; check units (dm).")
    surface = Surface(truth.vertices, truth.triangles[kept])
    placed = icp(found[np.linalg.norm(found - nose_tip, axis=1) <= radius], surface)
    inside = np.linalg.norm(placed - nose_tip, axis=1) <= radius
    return float(np.sqrt(np.mean(point_to_plane_mm(placed[inside], surface) ** 2)))


def now_errors_mm(
    scan: np.ndarray, scan_landmarks: np.ndarray, mesh: Surface, mesh_landmarks: np.ndarray, metrical: bool = False
) -> np.ndarray:
    """Distances of scan points to a predicted neutral mesh in mm by NoW's protocol (Sanyal et al. 2019).

    Seven landmarks give a similarity (metrical: rigid) alignment of the mesh, a rigid ICP of the scan follows.
    Args: scan (P, 3), scan_landmarks and mesh_landmarks (7, 3) dm in the order of `NOW_LANDMARKS`. Returns: (P,).
    """
    source, target = (torch.from_numpy(np.asarray(x, dtype=np.float64))[None] for x in (mesh_landmarks, scan_landmarks))
    motion = similarity(source, target, scaled=not metrical)
    vertices = moved(torch.from_numpy(mesh.vertices.astype(np.float64))[None], motion)[0].numpy()
    surface = Surface(vertices, mesh.triangles)
    placed = icp(np.asarray(scan, dtype=np.float64), surface, scaled=False)
    nearest, _ = surface.nearest(placed)
    return MM_PER_DM * np.linalg.norm(placed - nearest, axis=1)


def now_summary(distances: list[np.ndarray]) -> dict[str, float]:
    """Median, mean and standard deviation over all points of all scans, as NoW's tables give them."""
    together = np.concatenate(distances)
    return {"median": float(np.median(together)), "mean": float(together.mean()), "std": float(together.std())}
