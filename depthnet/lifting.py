"""Depth of one photo's keypoints, and affines to other poses, in that photo's pixels."""

import dataclasses

import numpy as np
import torch

from datasets.readers.threedfaw import check_spread
from depthnet.inference import all_pair_depths
from depthnet.models import LoadedDepthNet
from geometry.face_template import TEMPLATE_66, to_66, to_68
from geometry.lifted_affine import solve_affine
from geometry.schemes import FAW_66

DEFAULT_LAYOUT = {"centre": [0.5, 0.5], "spread": 0.3}  # of models that do not say, such as the authors'


def mirror(points: np.ndarray, centre: float) -> np.ndarray:
    """(…, 66, 2) keypoints as a mirror at x = centre shows them."""
    return points[..., FAW_66.flip_permutation, :] * np.array([-1.0, 1.0]) + np.array([2 * centre, 0.0])


TURNS = [(pitch, yaw) for pitch in (-15, 0, 15) for yaw in (-30, -15, 0, 15, 30)]  # degrees, of the template


def turned_template() -> np.ndarray:
    """(15, 66, 3) the generic face in the poses of TURNS, in its own unit."""
    turns = [axis_rotation("x", np.deg2rad(p)) @ axis_rotation("y", np.deg2rad(y)) for p, y in TURNS]
    return (TEMPLATE_66 - TEMPLATE_66.mean(axis=0)) @ np.stack(turns).transpose(0, 2, 1)


class Lifter:
    """A trained DepthNet for photos of any size; the mean over its runs, each brought to one sign and scale first.

    Sign and scale of a run are those of `depth_scale` in its config.json, else, without a base that knows them, those
    that the template in fifteen poses tells: keypoints determine neither, and runs of opposite sign would cancel out.

    The networks know faces only where and as large as they are in the training photos, so keypoints are shifted and
    scaled to that layout first; depths come back in the photo's pixels.
    """

    def __init__(self, model: LoadedDepthNet, device: torch.device | None = None) -> None:
        self.device = device or torch.device("cpu")
        self.networks = model.networks.to(self.device).eval()
        layout = model.config.get("layout", DEFAULT_LAYOUT)
        self.centre, self.spread = np.array(layout["centre"], dtype=np.float64), float(layout["spread"])
        runs = int(model.networks.config.seeds)
        known = model.config.get(
            "depth_scale", 1.0 if getattr(model.networks.config, "base", "none") != "none" else None
        )
        self.factors = self._template_factors() if known is None else np.full(runs, float(known))

    @torch.inference_mode()
    def _template_factors(self) -> np.ndarray:
        """Per run, the factor that brings its depths nearest to the turned template's: sign and scale."""
        faces = turned_template()
        own, scale = self.standard(faces[..., :2])
        ours = np.stack([self._raw(p, mirror(p, self.centre[0])[None])[0][:, 0] for p in own], axis=1)
        ours = (ours - ours.mean(axis=2, keepdims=True)) / scale[:, None]
        return (ours * faces[..., 2]).sum(axis=(1, 2)) / np.maximum((ours**2).sum(axis=(1, 2)), 1e-12)

    def standard(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(…, 66, 2) pixels → the same in the training layout, and the scales (…) units per pixel."""
        centred = points - points.mean(axis=-2, keepdims=True)
        scale = self.spread / np.sqrt((centred**2).sum(axis=-1).mean(axis=-1))
        return centred * scale[..., None, None] + self.centre, scale

    def _raw(self, source: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Every run's own depths (S, M, 66) or (S, 1, 66) and affines of a face (66, 2) and targets (M, 66, 2)."""
        points, others = (torch.as_tensor(a, dtype=torch.float32, device=self.device) for a in (source[None], targets))
        depths, affines = all_pair_depths(self.networks, points, others)
        return depths[:, 0].cpu().double().numpy(), None if affines is None else affines[:, 0].cpu().double().numpy()

    def depths(self, source: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Keypoints in the layout, source (66, 2), targets (M, 66, 2) → depths (M, 66), predicted affines (M, 2, 4) or
        None.
        """
        depths, affines = self._raw(source, targets)
        depth = (self.factors[:, None, None] * depths).mean(axis=0)
        depth = np.broadcast_to(depth, (len(targets), depth.shape[1]))
        if affines is None:
            return depth, None
        affines = affines.copy()
        affines[..., 2] /= self.factors[:, None, None]
        return depth, affines.mean(axis=0)

    def to_targets(self, source: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Depths (M, 66) of the source in its pixels, and affines (M, 2, 4) from its pixels and depths to the targets'
        pixels.

        Args: source (66, 2), targets (M, 66, 2), each in the pixels of its own photo. Raises: DataError for collinear
        keypoints.
        """
        check_spread(source, "the source face")
        (own, scale), (others, scales) = self.standard(source), self.standard(targets)
        depths, affines = self.depths(own, others)
        depths = depths / scale
        if affines is None:
            return depths, fit_affines(source, depths, targets)
        # the predicted one maps layout to layout: put the two changes of units around it
        ratio = (scale / scales)[:, None, None]
        shift = affines[:, :, :2] @ (self.centre - scale * source.mean(axis=0)) + affines[:, :, 3] - self.centre
        shift = shift / scales[:, None] + targets.mean(axis=1)
        return depths, np.concatenate([affines[:, :, :3] * ratio, shift[..., None]], axis=2)

    def photo_depth(self, keypoints: np.ndarray) -> np.ndarray:
        """(66 or 68, 2) keypoints in pixels → depths of as many, in pixels, smaller is nearer, mean 0.

        A network that wants a target sees the mirrored face, so the depth does not depend on another photo.
        Raises: DataError for collinear keypoints.
        """
        points = np.asarray(to_66(keypoints) if len(keypoints) == 68 else keypoints, dtype=np.float64)
        check_spread(points, "this face")
        own, scale = self.standard(points)
        depth = self.depths(own, mirror(own, self.centre[0])[None])[0][0] / scale
        depth = to_68(depth[:, None])[:, 0] if len(keypoints) == 68 else depth
        return depth - depth.mean()


def calibrate(model: LoadedDepthNet, points: np.ndarray, depth: np.ndarray) -> float:
    """Factor, sign included, that brings a model's depths to the true ones' scale by least squares over faces.

    A critic with batch norm sees real and generated depths each divided by their own deviation, so it teaches neither
    the scale
    nor the sign. Args: points (N, 66, 2), depth (N, 66) of training faces.
    """
    lifter = Lifter(dataclasses.replace(model, config=model.config | {"depth_scale": 1.0}))
    ours = np.stack([lifter.photo_depth(face) for face in points.astype(np.float64)])
    true = depth - depth.mean(axis=1, keepdims=True)
    return float((ours * true).sum() / (ours * ours).sum())


def layout_of(points: np.ndarray) -> dict:
    """Where faces (N, 66, 2) lie and how large they are: mean centroid and mean root mean square distance from it."""
    centroids = points.mean(axis=1)
    spread = np.sqrt(((points - centroids[:, None]) ** 2).sum(axis=2).mean(axis=1)).mean()
    return {"centre": [round(float(c), 4) for c in centroids.mean(axis=0)], "spread": round(float(spread), 4)}


def fit_affines(source: np.ndarray, depths: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Least-squares affines (M, 2, 4) of source (66, 2) with depths (M, 66) to targets (M, 66, 2)."""
    return solve_affine(*(torch.tensor(a, dtype=torch.float64) for a in (source[None], depths, targets))).numpy()


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


def rotation_affines(
    points: np.ndarray, depth: np.ndarray, axis: str, angles: np.ndarray, centre: np.ndarray | None = None
) -> np.ndarray:
    """(N, 2, 4) affines that turn keypoints (K, 2) with depths (K,), all in one unit, about a centre (3,) or their
    centroid.
    """
    centre = np.append(points.mean(axis=0), depth.mean()) if centre is None else centre
    return np.stack([rotation_affine(axis_rotation(axis, angle), centre) for angle in angles])


def turned_keypoints(points: np.ndarray, depth: np.ndarray, axis: str, angles: np.ndarray) -> np.ndarray:
    """(N, K, 2): keypoints with depths turned about their centroid and projected."""
    affines = rotation_affines(points, depth, axis, angles)
    return (
        points @ affines[:, :, :2].transpose(0, 2, 1) + depth[:, None] * affines[:, None, :, 2] + affines[:, None, :, 3]
    )
