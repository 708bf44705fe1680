"""Find faces in photos that come without boxes."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

# Side and vertical shift, in units of a dlib box side, of the square that 3FabRec's landmark rule cuts
# (`crop_from_landmarks`). `python benchmarks/detector_box.py --count 2012` on the 300-W training photos at hand, 1891 faces
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


DETECTORS: dict[str, Callable[[], Callable[[np.ndarray], list[Detection]]]] = {
    "dlib": DlibDetector,
    "none": lambda: whole_photo,
}


def landmark_square(box: np.ndarray) -> tuple[np.ndarray, float]:
    """Centre (2,) and side of the landmark rule's square as a dlib box suggests it, in photo pixels."""
    side = max(box[2] - box[0], box[3] - box[1])
    centre = np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2 + DLIB_TO_LANDMARK_SHIFT_Y * side])
    return centre, DLIB_TO_LANDMARK_SIDE * side
