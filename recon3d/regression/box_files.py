"""3DDFA's files of face boxes."""

from pathlib import Path

import numpy as np

from common.errors import DataError


def read_boxes(path: Path) -> list[np.ndarray]:
    """3DDFA's box file: a line with the number of faces, then `id left top right bottom` each, counted from 0.

    Raises: DataError naming the file and the line.
    """
    try:
        lines = [line.split() for line in path.read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or 'no text'}).") from None
    boxes = []
    for number, words in enumerate(lines[1:], start=2):
        try:
            box = np.array([float(word) for word in words[-4:]])
        except ValueError:
            box = np.full(4, np.nan)
        if len(words) not in (4, 5) or not np.isfinite(box).all():
            raise DataError(
                f"{path}, line {number}: expected 'id left top right bottom', found '{' '.join(words)[:60]}'."
            )
        boxes.append(box)
    if not boxes or lines[0] != [str(len(boxes))]:
        raise DataError(f"{path}: its first line must be the number of boxes below it, which is {len(boxes)}.")
    return boxes
