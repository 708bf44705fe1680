"""A face of a photo with its keypoints, from files or from a detector, at any output size."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from common.errors import DataError
from common.files.images import read_image
from datasets.readers.threedfaw import check_spread, read_keypoints
from geometry.face_template import to_66, to_68

MAX_DEPTH_SIDES = 3.0  # deeper faces are in pixels
Detect = Callable[[np.ndarray], list[np.ndarray]]  # (H, W, 3) RGB → (68, 2) keypoints of every face, surest first


@dataclass(frozen=True)
class PhotoFace:
    """image (H, W, 3) uint8 RGB; points (66, 2) in its continuous pixels; depth (66,) of the file in sides, or None."""

    image: np.ndarray
    points: np.ndarray
    depth: np.ndarray | None

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return self.image.shape[1], self.image.shape[0]

    @property
    def points68(self) -> np.ndarray:
        """(68, 2)."""
        return to_68(self.points)

    def resized(self, size: tuple[int, int]) -> "PhotoFace":
        """The face at another (width, height); the depth stays as it is."""
        if size == self.size:
            return self
        method = cv2.INTER_AREA if size[0] < self.size[0] else cv2.INTER_LINEAR
        scale = np.array(size) / np.array(self.size)
        return PhotoFace(cv2.resize(self.image, size, interpolation=method), self.points * scale, self.depth)


def read_face(
    photo: Path,
    keypoints: Path | None,
    separator: str = ",",
    detect: Detect | None = None,
    scale_depth: float | None = None,
) -> PhotoFace:
    """A photo's face by its keypoint file (66 or 68 rows, 2 or 3 columns, pixels), else by the detector.

    Args: scale_depth: see `depth_in_sides`.

    Raises: DataError for files that do not fit together, and when no face is found.
    """
    image = read_image(photo)
    if keypoints is None:
        found = [] if detect is None else detect(image)
        if not found:
            raise DataError(f"{photo}: no face found; give its keypoints in a file.")
        return PhotoFace(image, to_66(np.asarray(found[0], dtype=np.float64)[:, :2]), None)
    rows = read_keypoints(keypoints, separator)
    if len(rows) not in (66, 68):
        raise DataError(f"{keypoints}: {len(rows)} rows where 66 or 68 keypoints are expected.")
    rows = to_66(rows) if len(rows) == 68 else rows
    check_inside(rows, image, photo, keypoints)
    check_spread(rows[:, :2], keypoints)
    size = image.shape[1], image.shape[0]
    return PhotoFace(image, rows[:, :2], depth_in_sides(rows[:, 2], size, scale_depth) if rows.shape[1] == 3 else None)


def depth_in_sides(depth: np.ndarray, size: tuple[int, int], scale: float | None) -> np.ndarray:
    """Depths (K,) of a keypoint file in sides, the mean of width and height of its picture.

    Args: scale: depths divided by it are in sides; 0: their range is one side. None: 1 for files like FaceWarper's,
    with depths in sides; the picture's side for pixels, as 3DFAW and our demo write them. A face is neither three sides
    deep nor only three pixels, which tells them apart.
    Raises: DataError for a negative scale.
    """
    span = np.ptp(depth)
    if scale is None:
        scale = 1.0 if span <= MAX_DEPTH_SIDES else sum(size) / 2
    if scale < 0:
        raise DataError(f"--scale-depth {scale:g}: must be positive, or 0 for the range of the depths.")
    if scale == 0:
        return (depth - depth.min()) / (span or 1.0)
    return depth / scale


def file_depth(face: PhotoFace, size: tuple[int, int], why: str) -> np.ndarray:
    """(66,) depths of the keypoint file in pixels of a picture of that (width, height).

    Args: why: the option that needs them, for the message. Raises: DataError without a depth column, or when all are
    equal, as files without depth have them.
    """
    if face.depth is None:
        raise DataError(f"{why} needs a third column of depths in the keypoint file.")
    if np.ptp(face.depth) == 0:
        raise DataError(f"{why} needs depths, but all in the keypoint file are {face.depth[0]:g}; give another file.")
    return face.depth * sum(size) / 2


def check_inside(points: np.ndarray, image: np.ndarray, photo: Path, keypoints: Path) -> None:
    """Raises: DataError when more than half of the keypoints lie outside the photo: they belong to another one."""
    height, width = image.shape[:2]
    inside = (points[:, 0] >= 0) & (points[:, 0] <= width) & (points[:, 1] >= 0) & (points[:, 1] <= height)
    if inside.mean() < 0.5:
        raise DataError(
            f"{keypoints}: {int((~inside).sum())} of {len(points)} keypoints lie outside {photo} of"
            f" {width}×{height} px;"
            " they belong to another picture or size."
        )
