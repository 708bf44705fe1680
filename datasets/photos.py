"""What every demo does around its method: which photos, which results, where to, and going on after a failure."""

import glob
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from common.errors import DataError
from common.files.images import IMAGE_SUFFIXES, read_image
from common.files.inputs import check_file
from common.files.outputs import open_results
from common.limits import MAX_BOX_PX


def find_photos(inputs: list[str], taken: set[str]) -> Iterator[tuple[str, Path | np.ndarray]]:
    """(unique name for results, photo) of every input. Raises: DataError for an input that matches nothing."""
    if not inputs:
        try:
            from skimage.data import astronaut
        except ImportError:
            raise DataError("no photo given; name photos, folders or globs.") from None
        yield free_name("astronaut", taken), astronaut()
        return
    for text in inputs:
        for path in _expand(text):
            yield free_name(path.stem, taken), path


def _expand(text: str) -> list[Path]:
    path = Path(text)
    try:
        os.lstat(path)
    except FileNotFoundError:
        pass
    except (OSError, ValueError):  # too long, NUL
        check_file(path)
    if path.is_dir():
        photos = sorted(p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith("."))
        if not photos:
            raise DataError(f"{path}: the folder holds no photos ({', '.join(IMAGE_SUFFIXES)}).")
        return photos
    if path.exists():
        return [path]
    matches = sorted(Path(p) for p in glob.glob(text))
    if not matches:
        raise DataError(f"{text}: no such photo or folder.")
    return matches


def free_name(wanted: str, taken: set[str]) -> str:
    """wanted, or with the first number that makes it new, added to taken; case does not tell names apart on every
    system.
    """
    name, number = wanted, 2
    while name.casefold() in taken:
        name, number = f"{wanted}-{number}", number + 1
    taken.add(name.casefold())
    return name


def process_photos(
    photos: Sequence[tuple[str, Path | np.ndarray]],
    work: Callable[[str, Path, np.ndarray], str],
    say: Callable[[str], None],
) -> None:
    """Do work(name, path, image) for every photo and say what it returns; a photo that fails is named and the others go
    on.

    Args: photos from `find_photos`; work: raises DataError, or OSError for a result that cannot be written.
    Raises: DataError at the end when some photo failed.
    """
    failed: list[str] = []
    for name, source in photos:
        where = Path(name) if isinstance(source, np.ndarray) else source
        try:
            image = source if isinstance(source, np.ndarray) else read_image(source)
            say(f"{where}: {work(name, where, image)}")
        except (DataError, OSError) as error:
            failed.append(f"{where}: {str(error).removeprefix(f'{where}: ')}")
            say(f"failed: {failed[-1]}")
    if failed:
        raise DataError(f"{len(failed)} of {len(photos)} photos gave no result, the first: {failed[0].rstrip('.')}.")


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
