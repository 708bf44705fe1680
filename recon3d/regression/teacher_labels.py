"""Labels of photos that nobody fitted: 68 points by annotation or landmark network, depth and large yaws by a teacher.

A landmark network marks the outline that is seen, a 3DMM regressor fixed points of the skin. Near the front both agree,
and the landmarks are the more accurate; in turned faces jaw points of the far side exist only in 3D. So the target of
each point goes over from the one to the other with |yaw|, its depth is the teacher's, and the face model is fitted to
these 3D points.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from common.files.images import read_image
from common.files.points import read_pts
from datasets.crop import Crop
from landmarks.finder import LandmarkFinder
from morphable.fit import FitSettings, fit_landmarks
from morphable.model import FaceModel
from recon3d.regression.data import PackedSample
from recon3d.regression.head_labels import weak_perspective_camera, widened
from recon3d.regression.labels import parameters_in_crop
from recon3d.regression.params import Layout
from recon3d.regression.regressor import FaceRegressor
from recon3d.regression.roi import crop_from_points

BATCH = 64  # photos that are labelled at once
JAW = slice(0, 17)
JAW_YAW_DEG = (15.0, 35.0)  # between them jaw points go over from the landmarks to the teacher
INNER_YAW_DEG = (50.0, 75.0)  # the same for all other points
TURNED_DEG = 45.0  # beyond it the crop holds the points of both
MAX_DISAGREEMENT = 6.0  # mean distance of both beside the jaw, % of √(w·h) of the landmarks' box


@dataclass(frozen=True)
class _Labelled:
    """A photo with its 68 points (68, 2) px and whether they were annotated."""

    path: Path
    image: np.ndarray
    points: np.ndarray
    annotated: bool


def blended_targets(landmarks: np.ndarray, teacher: np.ndarray, yaw_deg: np.ndarray) -> np.ndarray:
    """(N, 68, 3) targets from landmarks (N, 68, 2), the teacher's points (N, 68, 3) and its yaws (N,) in degrees.

    All in px, y down, z toward the viewer.
    """
    trust = np.repeat(_trust(yaw_deg, INNER_YAW_DEG)[:, None], landmarks.shape[1], axis=1)
    trust[:, JAW] = _trust(yaw_deg, JAW_YAW_DEG)[:, None]
    targets = np.array(teacher, dtype=np.float64)
    targets[..., :2] += trust[..., None] * (landmarks - teacher[..., :2])
    return targets


def _trust(yaw_deg: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """1 below the first limit of |yaw|, 0 above the second."""
    return np.clip((limits[1] - np.abs(yaw_deg)) / (limits[1] - limits[0]), 0, 1)


def disagreement(landmarks: np.ndarray, teacher: np.ndarray) -> np.ndarray:
    """(N,) mean distance of landmarks (N, 68, 2) and teacher (N, 68, 3) beside the jaw, % of the landmarks' box."""
    extent = np.sqrt(np.prod(landmarks.max(1) - landmarks.min(1), axis=-1))
    inner = landmarks[:, JAW.stop :] - teacher[:, JAW.stop :, :2]
    return 100 * np.linalg.norm(inner, axis=-1).mean(1) / extent


def taught_samples(
    paths: Sequence[Path], finder: LandmarkFinder, teacher: FaceRegressor, model: FaceModel, size: int, layout: Layout
) -> Iterator[PackedSample]:
    """A sample of the surest face of every photo; points of a `.pts` beside a photo go before those of the finder.

    Photos without a face, and faces without annotation where finder and teacher disagree, are left out.
    Args: size: of the inner crop in px; layout: of the model's parameters.
    Raises: DataError for photos and points that cannot be read.
    """
    for start in range(0, len(paths), BATCH):
        labelled = list(_with_points(paths[start : start + BATCH], finder))
        if labelled:
            yield from _fitted(labelled, teacher, model, size, layout)


def _with_points(paths: Sequence[Path], finder: LandmarkFinder) -> Iterator[_Labelled]:
    images = [read_image(path) for path in paths]
    found = finder.predict_batch(images)
    for path, image, faces in zip(paths, images, found, strict=True):
        points = path.with_suffix(".pts")
        if points.is_file():
            yield _Labelled(path, image, read_pts(points, 68), True)
        elif faces:
            yield _Labelled(path, image, np.asarray(faces[0].landmarks[:, :2], dtype=np.float64), False)


def _fitted(
    labelled: list[_Labelled], teacher: FaceRegressor, model: FaceModel, size: int, layout: Layout
) -> Iterator[PackedSample]:
    crops = [crop_from_points(one.points, teacher.size) for one in labelled]
    faces = teacher.predict_crops([one.image for one in labelled], crops)
    landmarks = np.stack([one.points for one in labelled])
    taught = np.stack([face.landmarks for face in faces]).astype(np.float64)
    yaw = np.array([face.angles_deg[1] for face in faces])
    targets = blended_targets(landmarks, taught, yaw)
    fits = fit_landmarks(model, torch.from_numpy(targets).float(), settings=FitSettings(slide_contour=False))
    error = disagreement(landmarks, taught)
    for i, one in enumerate(labelled):
        if error[i] > MAX_DISAGREEMENT and not one.annotated:
            continue
        seen = landmarks[i] if abs(yaw[i]) <= TURNED_DEG else np.concatenate([landmarks[i], taught[i, :, :2]])
        crop: Crop = widened(crop_from_points(seen, size))
        fit = fits[i : i + 1]
        camera = weak_perspective_camera(fit.rotation[0].numpy(), float(fit.scale[0]), fit.translation[0].numpy())
        label = parameters_in_crop(camera, fit.identity[0].numpy(), fit.expression[0].numpy(), crop, layout)
        yield PackedSample(crop.extract(one.image), label.numpy(), str(one.path), crop.apply(targets[i, :, :2]))
