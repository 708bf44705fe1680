"""Small squares of faces for reports."""

import numpy as np

from datasets.crop import square_crop
from datasets.sample import landmark_box

THUMBNAIL_PX = 200
MARGIN = 1.35  # side of the square in the longer side of the landmarks' box


def cut_thumbnail(image: np.ndarray, landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A square around the points (K, 2+) of a photo, (200, 200, 3) uint8, and the (2, 3) matrix from photo to it."""
    box = landmark_box(landmarks)
    side = max(float((box[2:] - box[:2]).max()), 1.0) * MARGIN
    crop = square_crop((box[:2] + box[2:]) / 2, side, THUMBNAIL_PX)
    return crop.extract(image), crop.matrix
