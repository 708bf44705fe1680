"""Five points for a box that came without: YuNet in the box's surroundings, which tells the face's middle and its
lean.
"""

from functools import cache

import numpy as np

from datasets.crop import Crop, square_crop
from datasets.detection.boxes import BOX_RULES, Detection, box_overlap, tight_square
from datasets.detection.yunet import YuNetDetector

WINDOW = 2.0  # side of the surroundings, in sides of the square around the face's landmarks
WINDOW_PX = 160
OVERLAP = 0.3  # of YuNet's box with the one that it would draw, from which it is the same face


@cache
def _yunet() -> YuNetDetector:
    return YuNetDetector(sides=(WINDOW_PX,), more_sides=())


def locate(image: np.ndarray, given: Detection) -> Detection:
    """The face as YuNet sees it where it finds it, else as it was given; takes about 3 ms.

    Args: image (H, W, 3) uint8 RGB; given: a face with a valid box of any kind but a crop.
    """
    left, top, right, bottom = (float(value) for value in tight_square(given))
    centre, side = np.array([(left + right) / 2, (top + bottom) / 2]), max(right - left, bottom - top)
    window = square_crop(centre, WINDOW * side, WINDOW_PX)
    expected = _yunet_box(centre, side)
    found = [_in_photo(face, window) for face in _yunet()(window.extract(image))]
    best = max(found, key=lambda face: box_overlap(face.box, expected), default=None)
    return best if best is not None and box_overlap(best.box, expected) > OVERLAP else given


def _yunet_box(centre: np.ndarray, side: float) -> np.ndarray:
    """The box (4,) that YuNet draws around a face whose landmarks have that square."""
    rule = BOX_RULES["yunet"].around_landmarks
    unit = side / rule.side
    middle = centre - [0, rule.down * unit]
    return np.concatenate([middle - unit / 2, middle + unit / 2])


def _in_photo(face: Detection, window: Crop) -> Detection:
    box = window.invert(face.box.reshape(2, 2)).ravel()
    return Detection(box, face.score, face.kind, window.invert(face.points))
