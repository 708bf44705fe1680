"""dlib's HOG face detector, for those who have installed it (pip install dlib-bin)."""

import cv2
import numpy as np

from common.errors import DataError
from datasets.detection.boxes import Detection


class DlibDetector:
    """Upright faces from about 40 px, frontal to half profile.

    Args: max_side: larger photos are scaled down to it first; small_side: smaller ones are scaled up to it;
        threshold: faces with a lower score are dropped (dlib's own is 0).
    Raises: DataError where dlib is not installed.
    """

    def __init__(self, max_side: int = 1280, small_side: int = 400, threshold: float = 0.1) -> None:
        try:
            import dlib
        except ImportError:
            raise DataError("--detector dlib needs dlib: pip install dlib-bin, or use --detector yunet.") from None
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
            Detection(np.array([b.left(), b.top(), b.right() + 1, b.bottom() + 1]) / scale, float(score), "dlib")
            for b, score in zip(boxes, scores, strict=True)
        ]
        return sorted(found, key=lambda detection: -detection.score)
