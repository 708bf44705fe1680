"""Depth of one photo's keypoints, and affines to other poses, in that photo's pixels."""

import numpy as np
import torch

from datasets.threedfaw import check_spread, normalise
from depthnet.inference import all_pair_depths
from depthnet.models import LoadedDepthNet
from geometry.face_template import to_66, to_68
from geometry.lifted_affine import solve_affine
from geometry.schemes import FAW_66


def mirror(points: np.ndarray) -> np.ndarray:
    """(…, 66, 2) keypoints in units of the image sides as a mirror shows them."""
    return points[..., FAW_66.flip_permutation, :] * np.array([-1.0, 1.0]) + np.array([1.0, 0.0])


class Lifter:
    """A trained DepthNet for photos of any size; the mean over its runs (a GAN's depths are on one scale)."""

    def __init__(self, model: LoadedDepthNet, device: torch.device | None = None) -> None:
        self.device = device or torch.device("cpu")
        self.networks = model.networks.to(self.device).eval()

    def depths(self, source: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Normalised keypoints source (66, 2), targets (M, 66, 2) → depths (M, 66), predicted affines (M, 2, 4) or None."""
        points, others = (torch.as_tensor(a, dtype=torch.float32, device=self.device) for a in (source[None], targets))
        depths, affines = all_pair_depths(self.networks, points, others)
        depth = depths.mean(dim=0)[0].expand(len(targets), -1).cpu().numpy().astype(np.float64)
        return depth, None if affines is None else affines.mean(dim=0)[0].cpu().numpy().astype(np.float64)

    def to_targets(self, source: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Depths (M, 66) and affines (M, 2, 4) that map source onto targets, in units of the image sides."""
        depths, affines = self.depths(source, targets)
        if affines is None:
            affines = solve_affine(*(torch.as_tensor(a) for a in (source[None], depths, targets))).numpy()
        return depths, affines

    def photo_depth(self, keypoints: np.ndarray, width: int, height: int) -> np.ndarray:
        """(66 or 68, 2) keypoints in pixels → depths of as many, in pixels, smaller is nearer, mean 0.

        A network that wants a target sees the mirrored face, so the depth does not depend on another photo.
        Raises: DataError for collinear keypoints.
        """
        points = to_66(keypoints) if len(keypoints) == 68 else keypoints
        check_spread(points, "this face")
        source = normalise(np.asarray(points, dtype=np.float64), width, height)
        depth = self.depths(source, mirror(source)[None])[0][0] * (width + height) / 2
        depth = depth - depth.mean()
        return to_68(depth[:, None])[:, 0] if len(keypoints) == 68 else depth


def to_pixels(affine: np.ndarray, source_size: tuple[int, int], target_size: tuple[int, int]) -> np.ndarray:
    """An affine in units of the image sides as one in pixels; the depth stays in the network's unit.

    Args: affine (…, 2, 4); sizes (width, height). Upstream scaled the depth column and the translation alone, which is
    right only
        for equal and square pictures.
    """
    rows = np.array([[target_size[0]], [target_size[1]]], dtype=np.float64)
    return affine * rows / np.array([source_size[0], source_size[1], 1.0, 1.0])


def axis_rotation(axis: str, angle: float) -> np.ndarray:
    """Right-handed (3, 3) rotation about x (right), y (down) or z (away from the viewer), angle in radians."""
    cosine, sine = np.cos(angle), np.sin(angle)
    a, b = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrix = np.eye(3)
    matrix[a, a] = matrix[b, b] = cosine
    matrix[a, b], matrix[b, a] = -sine, sine
    return matrix


def rotation_affine(rotation: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """2 × 4 affine of x' = c + R (x − c): the face turns about its own centre (3,). All in one unit."""
    return np.column_stack([rotation[:2], centre[:2] - rotation[:2] @ centre])


def animation_angles(first: float, second: float) -> np.ndarray:
    """Angles of an animation in radians: 0 to first, then to second, about 0.01 per frame, as upstream."""
    return np.concatenate(
        [np.linspace(0, first, int(100 * abs(first))), np.linspace(first, second, int(100 * abs(second - first)))]
    )


def rotation_affines(points: np.ndarray, depth: np.ndarray, axis: str, angles: np.ndarray) -> np.ndarray:
    """(N, 2, 4) affines that turn keypoints (K, 2) with depths (K,), all in one unit, about their centroid."""
    centre = np.append(points.mean(axis=0), depth.mean())
    return np.stack([rotation_affine(axis_rotation(axis, angle), centre) for angle in angles])


def turned_keypoints(points: np.ndarray, depth: np.ndarray, axis: str, angles: np.ndarray) -> np.ndarray:
    """(N, K, 2): keypoints with depths turned about their centroid and projected."""
    affines = rotation_affines(points, depth, axis, angles)
    return points @ affines[:, :, :2].transpose(0, 2, 1) + depth[:, None] * affines[:, None, :, 2] + affines[:, None, :, 3]
