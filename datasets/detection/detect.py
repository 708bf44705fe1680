"""The face detectors by name."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from common.errors import DataError
from datasets.detection.boxes import Detection
from datasets.detection.yunet import YuNetDetector

DetectFaces = Callable[[np.ndarray], list[Detection]]  # (H, W, 3) uint8 RGB → faces, surest first
DEFAULT_DETECTOR = "yunet"


def whole_photo(image: np.ndarray) -> list[Detection]:
    """The photo itself as one crop, for photos that are face crops already."""
    return [Detection(np.array([0.0, 0.0, image.shape[1], image.shape[0]]), 1.0, "crop")]


def _dlib() -> DetectFaces:
    from datasets.detection.dlib_hog import DlibDetector  # an option that not everybody has

    return DlibDetector()


def _faceboxes(weights: Path | None = None) -> DetectFaces:
    from datasets.detection.faceboxes import FaceBoxesDetector  # PyTorch, only where it is used

    return FaceBoxesDetector(weights)


DETECTORS: dict[str, Callable[..., DetectFaces]] = {
    "yunet": YuNetDetector,
    "dlib": _dlib,
    "faceboxes": _faceboxes,
    "none": lambda: whole_photo,
}
DETECTOR_HELP = (
    "yunet (bundled), dlib (pip install dlib-bin), faceboxes:FILE of weights, or none: every photo is one face crop"
)


def make_detector(name: str | DetectFaces, weights: Path | None = None) -> DetectFaces:
    """A detector by `name` or `name:weights`; a function is returned as it is.

    Raises: DataError for an unknown name and for weights that are missing or that it does not take.
    """
    if not isinstance(name, str):
        return name
    name, _, file = name.partition(":")
    weights = Path(file) if file else weights
    if name not in DETECTORS:
        raise DataError(f"unknown --detector '{name}'; choose one of: {', '.join(DETECTORS)}.")
    if weights is not None and name in ("dlib", "none"):
        raise DataError(f"detector '{name}' takes no weights; leave them out.")
    return DETECTORS[name]() if weights is None else DETECTORS[name](weights)
