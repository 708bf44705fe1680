"""A frame with its faces: landmarks in the colour of the person, and the number of his track."""

from collections.abc import Sequence

import cv2
import numpy as np

from drawing.landmarks import draw_landmarks
from geometry.schemes import SCHEMES
from video.tracking import TrackedFace

COLOURS = ((90, 220, 90), (90, 150, 255), (255, 120, 90), (240, 210, 60), (220, 110, 240), (80, 220, 220))


def draw_tracks(image: np.ndarray, faces: Sequence[TrackedFace]) -> np.ndarray:
    """(H, W, 3) uint8 RGB → a copy with everything drawn."""
    image = image.copy()
    for tracked in faces:
        face, colour = tracked.face, COLOURS[tracked.number % len(COLOURS)]
        draw_landmarks(image, face.landmarks, SCHEMES.get(face.scheme), colour)
        low, high = face.landmarks[:, :2].min(0), face.landmarks[:, :2].max(0)
        scale = max(0.4, (high[1] - low[1]) / 250)
        place = int(high[0] + 8 * scale), int(low[1] + 20 * scale)
        cv2.putText(image, str(tracked.number), place, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, 1, cv2.LINE_AA)
    return image
