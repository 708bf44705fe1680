"""The 3DDFA rules that make a Crop: from a detector's box and from landmarks."""

import math

import numpy as np

from common.errors import DataError
from datasets.crop import Crop, square_crop

BOX_SIDE = 1.58  # side of the crop in units of the mean box side
BOX_SHIFT_Y = 0.14  # downward shift of its centre in the same unit
MIN_SIDE_PX = 4  # a face below this holds no picture of a face


def crop_from_detection(box: np.ndarray, size: int, image_shape: tuple[int, ...], authors: bool = False) -> Crop:
    """Rule "box" of 3DDFA.

    Args: box (4,) left, top, right, bottom in photo px; size of the crop in px; image_shape (H, W, …); authors: whole
        pixels for the side, as the authors cut it.
    Raises: DataError for a box that is not finite, smaller than 4 px, or outside the photo.
    """
    left, top, right, bottom = _checked(box, image_shape)
    mean_side = (right - left + bottom - top) / 2
    side = BOX_SIDE * mean_side
    centre = np.array([(left + right) / 2, (top + bottom) / 2 + BOX_SHIFT_Y * mean_side])
    return square_crop(centre, float(int(side)) if authors else side, size)


def crop_from_points(points: np.ndarray, size: int) -> Crop:
    """Rule "landmarks" of 3DDFA: √2 × the longer side of the points' box, same centre.

    Args: points (K, 2+) photo px: landmarks or vertices. Raises: DataError for points that are not finite or lie
    together.
    """
    points = np.asarray(points, dtype=np.float64)[:, :2]
    low, high = points.min(0), points.max(0)
    side = math.sqrt(2) * float((high - low).max())
    if not np.isfinite(side) or side < MIN_SIDE_PX:
        raise DataError(f"landmarks span {side / math.sqrt(2):.3g} px, so no face can be cut out; check the landmarks.")
    return square_crop((low + high) / 2, side, size)


def crop_from_roi(roi: np.ndarray, size: int) -> Crop:
    """The crop of a region (4,) left, top, right, bottom in continuous photo px, square or nearly so, not rounded.

    Raises: DataError when it is not finite or has no area.
    """
    left, top, right, bottom = (float(value) for value in np.asarray(roi, dtype=np.float64))
    if not np.isfinite([left, top, right, bottom]).all() or right <= left or bottom <= top:
        raise DataError(f"region {list(map(float, roi))} has no area; expected left, top, right, bottom.")
    x, y = size / (right - left), size / (bottom - top)
    return Crop(np.array([[x, 0.0, -left * x], [0.0, y, -top * y]]), size)


def rounded(crop: Crop) -> Crop:
    """The crop with borders on whole photo pixels, as the authors cut it. They paste back with the exact one."""
    corners = np.round(crop.invert(np.array([[0.0, 0.0], [crop.size, crop.size]])))
    return crop_from_roi(corners.ravel(), crop.size)


def _checked(box: np.ndarray, image_shape: tuple[int, ...]) -> tuple[float, float, float, float]:
    left, top, right, bottom = (float(value) for value in box)
    height, width = image_shape[:2]
    shown = ", ".join(f"{value:.6g}" for value in (left, top, right, bottom))
    if not np.isfinite([left, top, right, bottom]).all():
        raise DataError(f"face box ({shown}) is not finite; correct the box.")
    if right - left < MIN_SIDE_PX or bottom - top < MIN_SIDE_PX:
        raise DataError(
            f"face box ({shown}) is smaller than {MIN_SIDE_PX} px; give left, top, right, bottom of a face."
        )
    if right <= 0 or bottom <= 0 or left >= width or top >= height:
        raise DataError(f"face box ({shown}) lies outside the {width}×{height} photo; correct the box.")
    return left, top, right, bottom
