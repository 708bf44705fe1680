"""YuNet (Wu et al. 2023), the default face detector: bundled weights, run by OpenCV, at several scales and turns."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from common.errors import DataError
from common.pretrained import verify
from datasets.detection.boxes import Detection, box_overlap

BORDER = 0.25  # of the photo's longer side, black, around photos that a face may fill
OVERLAP = 0.3  # of two boxes that are the same face
MOST_ENLARGED = 4.0  # photos are scaled up at most by this
# Turned faces are found too, with wrong points and lower scores. Of 500 training photos of 300-W all upright faces have
# 0.887 and more (median 0.94), turned by ±90° 0.72, by 180° 0.87 in the median.
SURE = 0.88
_LOGGING = getattr(cv2.utils, "logging", cv2)  # where OpenCV 5 and 4 have the level of their log


class YuNetDetector:
    """Faces from about 10 px to the whole photo, in all poses up to profile, upright or lying.

    The photo is searched at `sides` of its longer side. Where nothing is found, `more_sides` are tried, then the photo
    with a black border; where nothing is sure, its turned copies, whose faces count where they are sure or no other is
    found.

    Args: weights: `face_detection_yunet_*.onnx`, default the bundled ones; threshold: score from which a box counts;
        sides, more_sides: px; those that would enlarge the photo more than four times are left out.
    Raises: DataError for a file that is no such network; CheckpointError for bundled weights that are missing or
    changed.
    """

    def __init__(
        self,
        weights: Path | None = None,
        threshold: float = 0.6,
        sides: tuple[int, ...] = (640, 320),
        more_sides: tuple[int, ...] = (1280, 2560, 160),
    ) -> None:
        weights = verify("yunet") if weights is None else Path(weights)
        level = _LOGGING.getLogLevel()
        _LOGGING.setLogLevel(2)  # errors only: OpenCV 5 warns of a default of its own
        try:
            self._network = cv2.FaceDetectorYN.create(str(weights), "", (320, 320), threshold)
        except cv2.error as error:
            reason = str(error).splitlines()[0][:120]
            raise DataError(f"{weights}: not YuNet's weights for OpenCV {cv2.__version__} ({reason}).") from None
        finally:
            _LOGGING.setLogLevel(level)
        self.sides, self.more_sides = sides, more_sides

    def __call__(self, image: np.ndarray) -> list[Detection]:
        """(H, W, 3) uint8 RGB → faces, surest first."""
        if min(image.shape[:2]) < 2:
            return []
        found = next((faces for faces in self._attempts(image) if faces), [])
        if not any(face.score >= SURE for face in found):
            copies = [(quarters, np.rot90(image, quarters)) for quarters in (1, 2, 3)]
            turned = [turned_back(f, k, image.shape) for k, copy in copies for f in self._search_sides(copy)]
            found += [
                face for face in turned if face.score >= SURE or not found
            ]  # hard upright faces look turned as well
        return distinct(found)

    def _attempts(self, image: np.ndarray) -> Iterator[list[Detection]]:
        """What is found, from the likeliest way on."""
        largest = max(image.shape[:2])
        yield self._search_sides(image)
        for side in (*self.sides, *self.more_sides):
            if side <= MOST_ENLARGED * largest:
                yield self._search(image, side)
        border = round(BORDER * largest)
        bordered = cv2.copyMakeBorder(image, border, border, border, border, cv2.BORDER_CONSTANT)
        yield [moved(face, border) for face in self._search(bordered, min(self.sides))]

    def _search_sides(self, image: np.ndarray) -> list[Detection]:
        """Faces of the photo at all `sides`, which do not enlarge it here."""
        largest = max(image.shape[:2])
        sides = dict.fromkeys(min(side, largest) for side in self.sides)
        return distinct([face for side in sides for face in self._search(image, side)])

    def _search(self, image: np.ndarray, side: int) -> list[Detection]:
        """Faces of the photo scaled to that longer side."""
        scale = side / max(image.shape[:2])
        width, height = (max(1, round(length * scale)) for length in image.shape[1::-1])
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        scaled = cv2.resize(np.ascontiguousarray(image), (width, height), interpolation=method)
        self._network.setInputSize((width, height))
        _, rows = self._network.detect(cv2.cvtColor(scaled, cv2.COLOR_RGB2BGR))
        rows = np.zeros((0, 15)) if rows is None else rows.astype(np.float64)
        rows = rows[np.argsort(-rows[:, -1], kind="stable")]
        boxes = np.hstack([rows[:, :2], rows[:, :2] + rows[:, 2:4]]) / scale
        points = rows[:, 4:14].reshape(-1, 5, 2) / scale
        return [Detection(b, float(r[-1]), "yunet", p) for b, r, p in zip(boxes, rows, points, strict=True)]


def distinct(faces: list[Detection]) -> list[Detection]:
    """Surest first, without boxes that overlap a surer one."""
    kept: list[Detection] = []
    for face in sorted(faces, key=lambda face: -face.score):
        if all(box_overlap(face.box, other.box) <= OVERLAP for other in kept):
            kept.append(face)
    return kept


def moved(face: Detection, border: float) -> Detection:
    """A face of the photo with a border, in the photo."""
    return Detection(face.box - border, face.score, face.kind, face.points - border)


def turned_back(face: Detection, quarters: int, image_shape: tuple[int, ...]) -> Detection:
    """A face of `np.rot90(image, quarters)`, quarters ≥ 0, in the image of that shape (H, W, …)."""
    height, width = image_shape[:2]

    def back(xy: np.ndarray) -> np.ndarray:
        for turn in range(quarters):
            last = width if (quarters - turn) % 2 else height
            xy = np.stack([last - xy[..., 1], xy[..., 0]], axis=-1)
        return xy

    corners = back(face.box.reshape(2, 2))
    return Detection(np.concatenate([corners.min(0), corners.max(0)]), face.score, face.kind, back(face.points))
