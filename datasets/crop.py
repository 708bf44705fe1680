"""The one way from photo to crop and back: a similarity matrix, its exact inverse, one resampling.

Every method brings a *rule* that makes a `Crop`; nothing else in the codebase cuts faces out of photos.
Coordinates are continuous: the centre of pixel (row i, column j) is (x, y) = (j + 0.5, i + 0.5).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from common.errors import DataError
from geometry.schemes import LandmarkScheme

MIN_BOX_SIDE_PX = 10  # boxes below this are annotation noise; the whole photo is used instead

MAX_SHRINK = 32  # of the low-pass, whose cost grows with it; means of pixels come before stronger shrinking
MAX_WINDOW_PX = 20_000  # larger windows are not copied before they are resampled


@dataclass(frozen=True)
class Crop:
    """A square window of a photo, possibly rotated.

    Attributes:
        matrix: (2, 3) float64; crop_xy = matrix @ [photo_x, photo_y, 1].
        size: side of the crop in pixels.
    """

    matrix: np.ndarray
    size: int

    @property
    def scale(self) -> float:
        """Crop pixels per photo pixel."""
        (a, b, _), (c, d, _) = self.matrix.tolist()
        return abs(a * d - b * c) ** 0.5

    @property
    def angle_rad(self) -> float:
        """Direction in the photo (x right, y down) that is the crop's x axis."""
        return math.atan2(self.matrix[0, 1], self.matrix[0, 0])

    @property
    def inverse_matrix(self) -> np.ndarray:
        """(2, 3) float64; photo_xy = inverse_matrix @ [crop_x, crop_y, 1]."""
        (a, b, x), (c, d, y) = self.matrix.tolist()
        det = a * d - b * c  # written out: ten times faster than NumPy's inverse of a 2 × 2
        return np.array([[d / det, -b / det, (b * y - d * x) / det], [-c / det, a / det, (c * x - a * y) / det]])

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Photo → crop. (..., 2) or (..., 3) points; z is scaled like x and y."""
        return _transform(self.matrix, self.scale, points)

    def invert(self, points: np.ndarray) -> np.ndarray:
        """Crop → photo. (..., 2) or (..., 3) points; z is scaled like x and y."""
        return _transform(self.inverse_matrix, 1 / self.scale, points)

    def extract(self, image: np.ndarray, plain: bool = False) -> np.ndarray:
        """Resample the window once, with a low-pass before strong shrinking; outside the photo is black.

        Args: image (H, W, 3) uint8; plain: bilinear without the low-pass; where the borders lie on whole pixels, the
            very numbers that cv2.resize gives.
        Returns: (size, size, 3) uint8.
        """
        to_centres = self.matrix.copy()
        to_centres[:, 2] += self.matrix[:, :2].sum(1) / 2 - 0.5
        shrink = 1 / self.scale
        window = self._whole_pixels() if plain else None
        if window is not None:
            return cv2.resize(_padded_window(image, *window), (self.size, self.size), interpolation=cv2.INTER_LINEAR)
        if shrink > 1.5 and not plain:
            image, corner = self._surroundings(image, math.ceil(1.05 * shrink) + 2)
            to_centres[:, 2] += to_centres[:, :2] @ corner
            if shrink > MAX_SHRINK:
                image, factors = _averaged(image, shrink / MAX_SHRINK)
                to_centres[:, 2] += to_centres[:, :2] @ (factors / 2 - 0.5)
                to_centres[:, :2] *= factors
            image = cv2.GaussianBlur(image, (0, 0), 0.35 * min(shrink, MAX_SHRINK))
        interpolation = cv2.INTER_CUBIC if shrink < 1 and not plain else cv2.INTER_LINEAR
        border = cv2.BORDER_CONSTANT
        return cv2.warpAffine(image, to_centres, (self.size, self.size), flags=interpolation, borderMode=border)

    def _surroundings(self, image: np.ndarray, margin: int) -> tuple[np.ndarray, np.ndarray]:
        """The part of the photo that the window and that margin in px cover, at least one pixel, and its corner (2,) x,
        y.
        """
        side = self.size
        corners = self.invert(np.array([[0.0, 0.0], [side, 0.0], [0.0, side], [side, side]]))
        largest = np.array(image.shape[1::-1])
        low = np.clip(np.floor(corners.min(0)) - margin, 0, largest - 1).astype(int)
        high = np.clip(np.ceil(corners.max(0)) + margin, low + 1, largest).astype(int)
        return image[low[1] : high[1], low[0] : high[0]], low

    def _whole_pixels(self) -> tuple[int, int, int, int] | None:
        """Left, top, right, bottom of an unrotated crop whose borders lie on whole photo pixels, else None."""
        corners = self.invert(np.array([[0.0, 0.0], [self.size, self.size]])).ravel()
        whole = np.round(corners).astype(int)
        rotated = abs(self.matrix[0, 1]) + abs(self.matrix[1, 0]) > 0
        if rotated or np.abs(corners - whole).max() > 1e-6 or not (0 < whole[2:] - whole[:2]).all():
            return None
        if (whole[2:] - whole[:2]).max() > MAX_WINDOW_PX:
            return None
        return tuple(whole.tolist())

    def outline(self) -> np.ndarray:
        """(4,) left, top, right, bottom of its corners in the photo."""
        corners = self.invert(np.array([[0.0, 0.0], [self.size, 0.0], [0.0, self.size], [self.size, self.size]]))
        return np.concatenate([corners.min(0), corners.max(0)])

    def centre(self, size: int) -> "Crop":
        """The central size × size part, at the integer offset floor((self.size − size) / 2)."""
        matrix = self.matrix.copy()
        matrix[:, 2] -= (self.size - size) // 2
        return Crop(matrix, size)


def _averaged(image: np.ndarray, factor: float) -> tuple[np.ndarray, np.ndarray]:
    """The image smaller by about that factor, at least one pixel, and the exact factors (2,) of x and y."""
    sides = np.array(image.shape[1::-1])
    smaller = np.maximum(np.round(sides / factor), 1).astype(int)
    return cv2.resize(image, tuple(smaller.tolist()), interpolation=cv2.INTER_AREA), sides / smaller


def _padded_window(image: np.ndarray, left: int, top: int, right: int, bottom: int) -> np.ndarray:
    """image[top:bottom, left:right] with black where that lies outside."""
    height, width = image.shape[:2]
    inner = [np.clip(v, 0, size) for v, size in ((left, width), (top, height), (right, width), (bottom, height))]
    window = np.zeros((bottom - top, right - left, *image.shape[2:]), image.dtype)
    x, y, x_end, y_end = inner
    window[y - top : y_end - top, x - left : x_end - left] = image[y:y_end, x:x_end]
    return window


def _transform(matrix: np.ndarray, scale: float, points: np.ndarray) -> np.ndarray:
    points = np.asarray(points, dtype=np.float64)
    moved = points[..., :2] @ matrix[:, :2].T + matrix[:, 2]
    return np.concatenate([moved, points[..., 2:] * scale], axis=-1)


def padded_size(size: int) -> int:
    """Side R = ceil(size·√2) of a crop that can be rotated by any angle and still fills the inner size."""
    return int(np.ceil(size * np.sqrt(2)))


def square_crop(centre: np.ndarray, side: float, size: int, padded: bool = False, angle_rad: float = 0.0) -> Crop:
    """Crop whose inner size × size square is the photo square of that centre and side.

    Args:
        centre: (2,) photo x, y.  side: photo pixels, > 0.  size: inner side S in crop pixels.
        padded: surround the inner square so that the crop is R × R (see `padded_size`), at offset floor((R − S)/2).
        angle_rad: direction in the photo (x right, y down) that becomes the crop's x axis.
    """
    total = padded_size(size) if padded else size
    scale = size / side
    cosine, sine = np.cos(angle_rad), np.sin(angle_rad)
    linear = scale * np.array([[cosine, sine], [-sine, cosine]])
    middle = (total - size) // 2 + size / 2
    offset = np.array([middle, middle]) - linear @ np.asarray(centre, dtype=np.float64)
    return Crop(np.hstack([linear, offset[:, None]]), total)


def crop_from_box(
    box: np.ndarray,
    size: int,
    image_shape: tuple[int, ...],
    extend_top: float = 0.0,
    extend_bottom: float = 0.0,
    padded: bool = False,
) -> Crop:
    """Rule "bounding box": extend by fractions of the height, square around the centre (3FabRec).

    Args:
        box: (4,) left, top, right, bottom in photo pixels.
        image_shape: (H, W, ...) of the photo; boxes with a side under 10 px fall back to the whole photo.
    Raises: DataError for a box that is not finite or does not touch the photo.
    """
    left, top, right, bottom = (float(v) for v in box)
    height, width = image_shape[:2]
    if not np.isfinite([left, top, right, bottom]).all():
        raise DataError(f"face box {list(map(float, box))} is not finite; correct the box.")
    if right - left < MIN_BOX_SIDE_PX or bottom - top < MIN_BOX_SIDE_PX:
        left, top, right, bottom = 0.0, 0.0, float(width), float(height)
    if right <= 0 or bottom <= 0 or left >= width or top >= height:
        raise DataError(f"face box {list(map(float, box))} lies outside the {width}×{height} photo; correct the box.")
    face_height = bottom - top
    top, bottom = top - extend_top * face_height, bottom + extend_bottom * face_height
    centre = np.array([(left + right) / 2, (top + bottom) / 2])
    return square_crop(centre, max(right - left, bottom - top), size, padded)


def crop_from_landmarks(
    landmarks: np.ndarray, scheme: LandmarkScheme, size: int, padded: bool = False, align: bool = False
) -> Crop:
    """Rule "landmarks" of 3FabRec: side 1.4 × the height of the points, centred between eyes and chin.

    The square reaches 0.25 h above and 0.15 h below the points; horizontally its centre is the eye centre moved a
    quarter of the way away from the chin. A scheme without eyes and chin uses the middle of the points instead.

    Args:
        landmarks: (K, 2+) photo coordinates; points that are not finite or have x ≤ 0 are not used for the height.
        align: turn the crop about the face centre so that the eyes are level (the nose axis decides for profile faces).
    Raises: DataError when fewer than 2 points can be used.
    """
    points = np.asarray(landmarks, dtype=np.float64)[:, :2]
    usable = np.isfinite(points).all(axis=1) & (points[:, 0] > 0)
    if usable.sum() < 2:
        raise DataError("fewer than 2 landmarks inside the photo, so no crop can be made; check the annotation.")
    top, bottom = points[usable, 1].min(), points[usable, 1].max()
    height = max(bottom - top, np.ptp(points[usable, 0]) / 2, 1.0)
    left, right = points[usable, 0].min(), points[usable, 0].max()
    centre = np.array([(left + right) / 2, (top - 0.25 * height + bottom + 0.15 * height) / 2])
    angle = 0.0
    if scheme.right_eye_corners and scheme.left_eye_corners:
        right = points[list(scheme.right_eye_corners)].mean(axis=0)
        left = points[list(scheme.left_eye_corners)].mean(axis=0)
        eyes = (right + left) / 2
        if scheme.chin is not None and np.isfinite(points[scheme.chin]).all() and np.isfinite(eyes).all():
            centre[0] = eyes[0] - 0.25 * (eyes[0] - points[scheme.chin, 0])
            if align:
                angle = face_roll(right, left, eyes, points[scheme.chin])
    return square_crop(centre, 1.4 * height, size, padded, angle)


def turned_crop(rule: Callable[[np.ndarray], Crop], points: np.ndarray, angle_rad: float) -> Crop:
    """A rule for upright faces, applied to points (K, 2+) of a face that leans: the crop's x axis has that
    direction.
    """
    if angle_rad == 0:
        return rule(points)
    cosine, sine = np.cos(angle_rad), np.sin(angle_rad)
    turn = np.array([[cosine, sine], [-sine, cosine]])
    centre = points[:, :2].mean(axis=0)
    upright = rule((points[:, :2] - centre) @ turn.T + centre)
    linear = upright.matrix[:, :2]
    offset = upright.matrix[:, 2] + linear @ (centre - turn @ centre)
    return Crop(np.hstack([linear @ turn, offset[:, None]]), upright.size)


def landmark_roll(landmarks: np.ndarray, scheme: LandmarkScheme) -> float:
    """In-plane angle in radians of a face with landmarks (K, 2+); 0 for a scheme without eyes and chin."""
    if not (scheme.right_eye_corners and scheme.left_eye_corners) or scheme.chin is None:
        return 0.0
    points = np.asarray(landmarks, dtype=np.float64)[:, :2]
    right, left = (points[list(eye)].mean(axis=0) for eye in (scheme.right_eye_corners, scheme.left_eye_corners))
    return face_roll(right, left, (right + left) / 2, points[scheme.chin])


def face_roll(right: np.ndarray, left: np.ndarray, eyes: np.ndarray, chin: np.ndarray) -> float:
    """In-plane angle of a face in radians: of the eye line, or of the eyes-chin axis where the eyes are too close
    together.
    """
    down = chin - eyes
    across = left - right
    if np.linalg.norm(across) < 0.2 * np.linalg.norm(down):
        return float(np.arctan2(-down[0], down[1]))
    return float(np.arctan2(across[1], across[0]))
