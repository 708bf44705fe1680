"""Landmarks drawn into pictures, at sub-pixel positions."""

import cv2
import numpy as np

from geometry.schemes import LandmarkScheme

GREEN, BLUE, RED = (60, 220, 60), (70, 120, 255), (255, 70, 70)
_BITS = 4  # of OpenCV's fractional coordinates


def fixed_point(points: np.ndarray) -> np.ndarray:
    """(…, 2) continuous image coordinates → int32 for OpenCV's `shift=4`, whose pixel centres are integers.

    Points too far away for OpenCV are moved to 2**16 px.
    """
    limit = 2.0 ** (16 + _BITS)
    return np.clip(np.round((np.asarray(points) - 0.5) * 2**_BITS), -limit, limit).astype(np.int32)


def draw_dots(image: np.ndarray, points: np.ndarray, colour: tuple, radius: float) -> None:
    """Discs in place. Args: points (K, 2) continuous image coordinates; radius in px."""
    for x, y in fixed_point(points).tolist():
        cv2.circle(image, (x, y), int(radius * 2**_BITS), colour, -1, cv2.LINE_AA, shift=_BITS)


def draw_contours(image: np.ndarray, points: np.ndarray, scheme: LandmarkScheme, colour: tuple, width: int) -> None:
    """The contours of a scheme in place. Args: points (K, 2) continuous image coordinates; width in px."""
    fixed = fixed_point(points)
    for contour in scheme.contours:
        cv2.polylines(image, [fixed[list(contour)].reshape(-1, 1, 2)], False, colour, width, cv2.LINE_AA, shift=_BITS)


def draw_landmarks(
    image: np.ndarray,
    landmarks: np.ndarray,
    scheme: LandmarkScheme | None = None,
    colour: tuple = BLUE,
    radius: float = 0.0,
) -> None:
    """Dots and, with a scheme, its contours, drawn in place.

    Args: landmarks (K, 2+) continuous image coordinates; radius in px, 0 = by the size of the face.
    """
    points = np.asarray(landmarks)[:, :2]
    size = max(float(np.ptp(points[:, 0])), float(np.ptp(points[:, 1])), 1.0)
    radius = radius or max(1.2, size / 110)
    if scheme is not None:
        draw_contours(image, points, scheme, colour, max(1, int(radius / 2)))
    draw_dots(image, points, colour, radius)


def draw_offsets(image: np.ndarray, predicted: np.ndarray, truth: np.ndarray) -> None:
    """Ground truth green, prediction blue, joined by red lines, in place."""
    ends = fixed_point(np.stack([predicted[:, :2], truth[:, :2]], axis=1))
    cv2.polylines(image, list(ends[:, :, None, :]), False, RED, 1, cv2.LINE_AA, shift=_BITS)
    draw_landmarks(image, truth, colour=GREEN)
    draw_landmarks(image, predicted, colour=BLUE)
