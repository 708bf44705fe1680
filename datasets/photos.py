"""What every demo does around its method: which photos, which results, where to, and going on after a failure."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from common.errors import DataError
from common.files.outputs import open_results
from common.limits import MAX_BOX_PX


def free_name(wanted: str, taken: set[str]) -> str:
    """wanted, or with the first number that makes it new, added to taken; case does not tell names apart on every
    system.
    """
    name, number = wanted, 2
    while name.casefold() in taken:
        name, number = f"{wanted}-{number}", number + 1
    taken.add(name.casefold())
    return name


def parse_save(text: str, known: Sequence[str]) -> list[str]:
    """'a,b' → ['a', 'b'], all of the known kinds. Raises: DataError for an unknown one."""
    kinds = [kind.strip() for kind in text.split(",") if kind.strip()]
    unknown = [kind for kind in kinds if kind not in known]
    if unknown or not kinds:
        raise DataError(f"--save: unknown kind '{','.join(unknown)}'; choose from: {', '.join(known)}.")
    return kinds


def parse_box(text: str) -> np.ndarray:
    """'x,y,w,h' → (4,) left, top, right, bottom. Raises: DataError."""
    try:
        x, y, width, height = (float(value) for value in text.split(","))
    except ValueError:
        raise DataError(f"--box '{text}': expected four numbers x,y,w,h in photo pixels.") from None
    if not np.isfinite([x, y, width, height]).all() or width <= 0 or height <= 0:
        raise DataError(f"--box '{text}': width and height must be above 0.")
    if np.abs([x, y, width, height]).max() > MAX_BOX_PX:
        raise DataError(f"--box '{text}': beyond {MAX_BOX_PX:,} px; give a box of the photo.")
    return np.array([x, y, x + width, y + height])


def make_folder(path: Path) -> None:
    """Make a folder of results (`common.files.outputs`). Raises: DataError when none can be written there."""
    try:
        open_results(path)
        usable = os.access(path, os.W_OK | os.X_OK)
    except OSError:
        usable = False
    if not usable:
        raise DataError(f"--out {path}: no folder that results can be written to; choose another.")
