"""Faces whose landmarks a user brings (`--landmarks-from`), or that the landmark model finds."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from common.config import LocalConfig
from common.errors import ConfigError
from datasets.crop import square_crop
from datasets.face import Face
from datasets.photos import parse_box
from datasets.sample import landmark_box
from landmarks.finder import LandmarkFinder
from recon3d.fitting.given_landmarks import read_landmarks
from tasks.method import Photo
from tasks.settings import DemoSettings

CROP_PX = 256


def check_folder(folder: Path | None) -> None:
    """Raises: ConfigError where --landmarks-from is no folder."""
    if folder is not None and not folder.is_dir():
        raise ConfigError(f"--landmarks-from {folder}: no such folder.")


def open_finder(settings: DemoSettings, local: LocalConfig) -> LandmarkFinder:
    """The finder that the options describe; it loads its networks with the first photo. Raises: DataError for a bad
    box.
    """
    return LandmarkFinder(
        settings.landmark_model,
        local.snapshots,
        box=None if settings.box is None else parse_box(settings.box),
        box_kind=settings.box_kind,
        device=settings.device,
        detector=settings.detector,
        flip=settings.flip,
        precision=settings.precision,
    )


def faces_of(photo: Photo, finder: LandmarkFinder, folder: Path | None) -> Sequence[Face]:
    """Found in the photo, or the one whose landmarks lie in the folder. Raises: DataError naming folder or file."""
    if folder is None:
        return finder(photo.image)
    scheme, points = read_landmarks(folder, Path(photo.input.source))
    box = landmark_box(points)
    side = float(max(box[2:] - box[:2]))
    crop = square_crop((box[:2] + box[2:]) / 2, side if side > 0 else 1.0, CROP_PX)
    return [Face(box=box, detection_score=float("nan"), landmarks=np.asarray(points), scheme=scheme, crop=crop)]
