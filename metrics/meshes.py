"""Distances between face meshes in mm: per vertex of one topology, point to plane after ICP (MICC), and NoW's protocol.

Meshes are in dm, as face models are; results are in mm.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from geometry.mesh.closest_points import ClosestPoints
from geometry.similarity import moved, similarity
from geometry.units import MM_PER_DM

MICC_RADIUS_DM = 0.95
NOW_TOLERANCE_DM = 1e-5  # 0.001 mm, at which ICP ends
FACE_RADIUS = (
    1.2  # of the face that is compared, in means of the outer eye distance and the nose's length (Feng et al. 2018)
)


def vertex_errors_mm(found: Tensor, truth: Tensor, weights: Tensor | None = None, scaled: bool = True) -> Tensor:
    """(B,) mean distance of corresponding vertices (B, N, 3) dm after the best similarity (or rigid motion), in mm.

    weights (N,): where vertices count, in the alignment and in the mean; a face's region, for instance.
    """
    weights = torch.ones_like(found[0, :, 0]) if weights is None else weights.to(found)
    return (vertex_distances_mm(found, truth, weights, scaled) * weights).sum(1) / weights.sum()


def vertex_distances_mm(found: Tensor, truth: Tensor, weights: Tensor, scaled: bool = True) -> Tensor:
    """(B, N) distances of corresponding vertices after the best similarity (or rigid motion), as `vertex_errors_mm`."""
    return MM_PER_DM * (moved(found, similarity(found, truth, weights, scaled)) - truth).norm(dim=-1)


@dataclass(frozen=True)
class Surface:
    """A triangle mesh prepared for nearest-point queries: vertices (V, 3) dm, triangles (F, 3)."""

    vertices: np.ndarray
    triangles: np.ndarray

    @cached_property
    def _closest(self) -> ClosestPoints:
        return ClosestPoints(self.vertices, self.triangles)

    def nearest(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(P, 3) → the nearest points of the surface (P, 3) and the unit normals there (P, 3)."""
        faces, weights, _ = self._closest(points)
        corners = self.vertices[self.triangles[faces]]
        a, b, c = np.moveaxis(corners, 1, 0)
        normals = np.cross(b - a, c - a)
        lengths = np.linalg.norm(normals, axis=1, keepdims=True)
        return (corners * weights[..., None]).sum(1), normals / np.maximum(lengths, 1e-12)


def icp(
    points: np.ndarray, surface: Surface, scaled: bool = True, iterations: int = 40, tolerance: float = 1e-7
) -> np.ndarray:
    """Points (P, 3) moved onto a surface by a similarity (or rigid motion), from where they are: point-to-plane ICP.

    Each round solves the linearised motion that brings the points into the tangent planes of their nearest surface
    points (Chen and Medioni 1991), and stops when no point moves by more than the tolerance (dm).
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

    Args: found (P, 3) dm, aligned to the truth by landmarks; nose_tip (3,) of the truth, around which it is cut to the
    radius.
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


def face_crop(scan: np.ndarray, landmarks: np.ndarray, radius: float = FACE_RADIUS) -> np.ndarray:
    """(P,) whether points of a scan (P, 3) belong to the face that its seven landmarks (7, 3) mark, as Feng et al. 2018
    cut it.

    A sphere around 0.3 of the way from the bottom of the nose to the middle of the inner eye corners.
    """
    bottom, bridge = landmarks[4], landmarks[1:3].mean(0)
    unit = (np.linalg.norm(landmarks[0] - landmarks[3]) + np.linalg.norm(bridge - bottom)) / 2
    return np.linalg.norm(scan - (bottom + 0.3 * (bridge - bottom)), axis=1) <= radius * unit


def now_errors_mm(
    scan: np.ndarray, scan_landmarks: np.ndarray, mesh: Surface, mesh_landmarks: np.ndarray, metrical: bool = False
) -> np.ndarray:
    """Distances of scan points to a predicted neutral mesh in mm by NoW's protocol (Sanyal et al. 2019).

    Seven landmarks give a similarity (metrical: rigid) alignment of the mesh; ICP of the scan's face onto it with the
    same freedom follows. Distances are counted in the scan's scale.
    Args: scan (P, 3), scan_landmarks and mesh_landmarks (7, 3) dm: outer and inner corner of the right eye, inner and
        outer corner of the left eye, bottom of the nose, right and left corner of the mouth.
    Returns: (Q,) of the Q points of the face (`face_crop`). Raises: ValueError when no point of the scan is near its
    landmarks.
    """
    source, target = (torch.from_numpy(np.asarray(x, dtype=np.float64))[None] for x in (mesh_landmarks, scan_landmarks))
    motion = similarity(source, target, scaled=not metrical)
    vertices = moved(torch.from_numpy(mesh.vertices.astype(np.float64))[None], motion)[0].numpy()
    points = np.asarray(scan, dtype=np.float64)
    points = points[face_crop(points, target[0].numpy())]
    if not len(points):
        raise ValueError("no point of the scan lies near its landmarks; check their units (dm).")
    surface = Surface(vertices, mesh.triangles)
    placed = icp(points, surface, scaled=not metrical, tolerance=NOW_TOLERANCE_DM)
    nearest, _ = surface.nearest(placed)
    scale = np.linalg.norm(placed - placed.mean(0)) / np.linalg.norm(points - points.mean(0))
    return MM_PER_DM * np.linalg.norm(placed - nearest, axis=1) / scale


def now_summary(distances: list[np.ndarray]) -> dict[str, float]:
    """Median, mean and standard deviation over all points of all scans, as NoW's tables give them."""
    together = np.concatenate(distances)
    return {"median": float(np.median(together)), "mean": float(together.mean()), "std": float(together.std())}
