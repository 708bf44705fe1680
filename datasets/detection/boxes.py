"""A face box is not a crop: what each detector's boxes stand for, and the one way from a box to the square of a
network.

A *box* lies around a face as its detector or its annotator draws it; a *crop* is the square that a network sees. How
one follows from the other is a table, fitted on training photos by `python -m benchmarks detector_box --config
local_config.ini`.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from common.errors import DataError
from datasets.crop import Crop, face_roll, square_crop

UPRIGHT_RAD = np.deg2rad(30)  # faces that lean less are not turned: networks are trained on photos that lean as well
MIN_SIDE_PX = 2.0  # a box below this holds no picture of a face
MOST_PHOTOS = 20  # larger boxes, in sides of the photo, show nothing but a dot of it


@dataclass(frozen=True)
class Detection:
    """A face of a photo, in continuous photo pixels.

    Attributes:
        box: (4,) left, top, right, bottom.
        score: higher is surer (YuNet 0 to 1, dlib about −0.5 to 3); nan for a given box.
        kind: what draws such boxes, one of BOX_KINDS.
        points: (5, 2) right eye, left eye, nose tip, right and left corner of the mouth (the person's), or None.
    Raises: DataError for another kind.
    """

    box: np.ndarray
    score: float
    kind: str = "landmarks"
    points: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.kind not in BOX_KINDS:
            raise DataError(f"unknown kind of face boxes '{self.kind}'; choose one of: {', '.join(BOX_KINDS)}.")

    @property
    def roll_rad(self) -> float:
        """Direction of the face's own x axis in the photo; 0 without points and for faces that are nearly upright."""
        if self.points is None:
            return 0.0
        right, left, mouth = self.points[0], self.points[1], self.points[3:].mean(0)
        roll = face_roll(right, left, (right + left) / 2, mouth)
        return roll if abs(roll) > UPRIGHT_RAD else 0.0


class BoxRule(NamedTuple):
    """Square of a box: its side, and how far its centre lies below the box's, in units of √(width · height) of the
    box.
    """

    side: float
    down: float


class BoxRules(NamedTuple):
    """The squares of one kind of boxes: that of 3FabRec's landmark rule, and the one around the landmarks
    themselves.
    """

    landmark_rule: BoxRule
    around_landmarks: BoxRule


# Medians of `python -m benchmarks detector_box --config local_config.ini --count 500` on training photos of 300-W.
BOX_RULES = {
    "landmarks": BoxRules(
        BoxRule(1.385, -0.049), BoxRule(1.027, 0.0)
    ),  # tight around brows, chin and the sides of the face
    "yunet": BoxRules(BoxRule(1.226, 0.103), BoxRule(0.910, 0.147)),
    "dlib": BoxRules(BoxRule(1.331, 0.042), BoxRule(0.972, 0.091)),
    "faceboxes": BoxRules(BoxRule(1.224, 0.113), BoxRule(0.911, 0.157)),
}
# Trained on WIDER FACE's boxes as YuNet and FaceBoxes are, whose rules agree; its weights were not at hand.
BOX_RULES["retinaface"] = BOX_RULES["yunet"]
# Centre of the landmark rule's square on the way from the eyes' to the mouth's middle, where five points are known: it
# then lies within 0.02 of the unit sideways, by boxes alone within 0.07 (the same photos).
POINTS_CENTRE = 0.57
CROP_KIND = "crop"  # of a square that is a crop already
BOX_KINDS = (*BOX_RULES, CROP_KIND)


def crop_of_detection(detection: Detection, crop_source: str, size: int) -> Crop:
    """The crop that a network's rule would cut by landmarks, as far as box and points tell; of a crop the square around
    it.

    Args: detection with a box that passes `check_box`; crop_source: of the network, one of
        `datasets.sample.CROP_SOURCES`; size of the crop in px.
    """
    left, top, right, bottom = (float(value) for value in detection.box)
    centre = np.array([(left + right) / 2, (top + bottom) / 2])
    if detection.kind == CROP_KIND:
        return square_crop(centre, max(right - left, bottom - top), size)
    rules = BOX_RULES[detection.kind]
    rule = rules.landmark_rule if crop_source.startswith("lm_") else rules.around_landmarks
    unit, roll = ((right - left) * (bottom - top)) ** 0.5, detection.roll_rad
    if detection.points is not None and crop_source.startswith("lm_"):
        eyes, mouth = detection.points[:2].mean(0), detection.points[3:].mean(0)
        centre = eyes + POINTS_CENTRE * (mouth - eyes)
    else:
        centre += rule.down * unit * np.array([-np.sin(roll), np.cos(roll)])
    return square_crop(centre, rule.side * unit, size, angle_rad=roll)


def tight_square(detection: Detection) -> np.ndarray:
    """(4,) the square around the face's landmarks, as far as its box tells; of tight boxes and crops the box itself."""
    if detection.kind in ("landmarks", CROP_KIND):
        return detection.box
    rule = BOX_RULES[detection.kind].around_landmarks
    left, top, right, bottom = (float(value) for value in detection.box)
    unit, roll = ((right - left) * (bottom - top)) ** 0.5, detection.roll_rad
    centre = np.array([(left + right) / 2, (top + bottom) / 2]) + rule.down * unit * np.array(
        [-np.sin(roll), np.cos(roll)]
    )
    return np.concatenate([centre - rule.side * unit / 2, centre + rule.side * unit / 2])


def check_box(box: np.ndarray, image_shape: tuple[int, ...]) -> None:
    """Raises: DataError naming a box that is not finite, has no area or does not touch the photo."""
    left, top, right, bottom = (float(value) for value in box)
    height, width = image_shape[:2]
    shown = f"face box ({left:.6g}, {top:.6g}, {right:.6g}, {bottom:.6g})"
    if not np.isfinite([left, top, right, bottom]).all():
        raise DataError(f"{shown} is not finite; correct the box.")
    if min(right - left, bottom - top) < MIN_SIDE_PX:
        raise DataError(f"{shown} is under {MIN_SIDE_PX:g} px wide or high; give left, top, right, bottom of a face.")
    if max(right - left, bottom - top) > MOST_PHOTOS * max(width, height):
        raise DataError(f"{shown} is over {MOST_PHOTOS} times as large as the {width}×{height} photo; correct the box.")
    if right <= 0 or bottom <= 0 or left >= width or top >= height:
        raise DataError(f"{shown} lies outside the {width}×{height} photo; correct the box.")


def box_overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes (4,)."""
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    inner = np.prod(np.clip(high - low, 0, None))
    return float(inner / max(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - inner, 1e-12))
