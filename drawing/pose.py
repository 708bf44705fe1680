"""The pose of a head over the photo: a box whose larger face looks where the head looks, its axes, and the angles."""

import cv2
import numpy as np

_FRONT = 4 / 3  # half side and depth of the front square, in half sides of the rear one (3DDFA)
_BOX, _AXES = (0, 255, 40), ((255, 60, 60), (60, 220, 60), (70, 120, 255))  # x red, y green, z blue
_FIXED_BITS = 4
_HEAD_POINTS = 27  # jaw and brows: their mean is the centre of the box


def box_corners(rotation: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Corners of the pose box on the photo: (8, 2) px, rear square then front square, each from the lower left on the
    picture.

    Half the side of the rear square is l = √2 · max(w, h) / 3 of the landmarks' box, of the front one 4/3 l, at a
    distance of 4/3 l, so that the box opens toward the viewer; the mean of the rear corners lies on the mean of
    landmarks 0 … 26 (3DDFA).

    Args: rotation (3, 3); landmarks (68, 2+) px.
    """
    points = np.asarray(landmarks, dtype=np.float64)[:, :2]
    half = np.sqrt(2) * np.ptp(points, axis=0).max() / 3
    square = np.array([[-1, -1], [-1, 1], [1, 1], [1, -1]], dtype=np.float64)
    rear = np.column_stack([square, np.zeros(4)])
    front = np.column_stack([_FRONT * square, np.full(4, _FRONT)])
    posed = half * np.concatenate([rear, front]) @ np.asarray(rotation, dtype=np.float64).T
    flat = posed[:, :2] * (1, -1)
    return flat - flat[:4].mean(0) + points[:_HEAD_POINTS].mean(0)


def draw_pose(
    photo: np.ndarray, rotations: np.ndarray, landmarks: np.ndarray, angles_deg: np.ndarray | None = None
) -> np.ndarray:
    """A copy of the photo with the pose box and the axes of every face, and its angles in words.

    The axes start at the mean of landmarks 0 … 26: x (red) to the head's side on the right of the picture, y (green)
    up, z (blue) where the head looks.

    Args: photo (H, W, 3) uint8 RGB; rotations (n, 3, 3); landmarks (n, 68, 2+) px; angles_deg (n, 3) pitch, yaw, roll
        to print, or None.
    """
    picture = photo.copy()
    for i, (rotation, points) in enumerate(zip(np.asarray(rotations), np.asarray(landmarks))):
        corners = box_corners(rotation, points)
        width = max(1, round(float(np.ptp(points[:, :2], axis=0).max()) / 90))
        for line in ([0, 1, 2, 3, 0], [4, 5, 6, 7, 4], [0, 4], [1, 5], [2, 6], [3, 7]):
            _line(picture, corners[line], _BOX, width)
        centre = points[:_HEAD_POINTS, :2].mean(0)
        length = np.linalg.norm(np.ptp(points[:, :2], axis=0)) / 2
        for axis in np.argsort(rotation[2]):  # the nearest axis last
            end = centre + length * rotation[:2, axis] * (1, -1)
            _line(picture, np.stack([centre, end]), _AXES[axis], 2 * width)
        if angles_deg is not None:
            pitch, yaw, roll = np.asarray(angles_deg)[i]
            _words(picture, f"yaw {yaw:.1f} pitch {pitch:.1f} roll {roll:.1f}", corners)
    return picture


def _line(picture: np.ndarray, points: np.ndarray, colour: tuple, width: int) -> None:
    """OpenCV's pixel centres are whole numbers; sub-pixel positions are fixed-point."""
    fixed = np.round((points - 0.5) * 2**_FIXED_BITS).astype(np.int32)[:, None]
    cv2.polylines(picture, [fixed], False, colour, width, cv2.LINE_AA, shift=_FIXED_BITS)


def _words(picture: np.ndarray, text: str, corners: np.ndarray) -> None:
    """Text under the box, inside the picture."""
    size = max(0.4, float(np.ptp(corners, axis=0).max()) / 600)
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, 1)
    x = int(np.clip(corners[:, 0].min(), 2, max(2, picture.shape[1] - width - 2)))
    y = int(np.clip(corners[:, 1].max() + height + 4, height + 2, picture.shape[0] - 4))
    black, white = (0, 0, 0), (255, 255, 255)
    # The dark edge is the same text one pixel off: OpenCV spaces thicker letters wider.
    for dx, dy, colour in ((-1, 0, black), (1, 0, black), (0, -1, black), (0, 1, black), (0, 0, white)):
        cv2.putText(picture, text, (x + dx, y + dy), cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1, cv2.LINE_AA)
