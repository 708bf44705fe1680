"""What the demo takes: photos, folders with all below, globs, videos and webcams; each gets a name for its results."""

import glob
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.errors import DataError
from common.files.images import IMAGE_SUFFIXES, read_image
from common.files.inputs import check_file
from datasets.photos import free_name

VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")
_CAMERA = re.compile(r"webcam:(\d+)|<video(\d+)>")  # the second as 3DDFA_V2's imageio names it


@dataclass(frozen=True)
class Input:
    """One photo, video or webcam.

    Attributes: name of its results, unlike that of any other input; source: path, or what the user called it; kind:
        photo, video or webcam.
    """

    name: str
    source: str
    kind: str = "photo"

    @property
    def camera(self) -> int | None:
        """Number of the webcam, None for files."""
        return _camera(self.source)

    def read(self) -> np.ndarray:
        """(H, W, 3) uint8 RGB of a photo. Raises: DataError naming the file."""
        if self.source == ASTRONAUT:
            from skimage.data import astronaut

            return astronaut()
        return read_image(Path(self.source))


ASTRONAUT = "astronaut"  # NASA's photo, which comes with scikit-image


def find_inputs(texts: list[str], flat: bool = False, skipped: Collection[Path] = ()) -> list[Input]:
    """Every input once, in the order that was given; folders are searched with all below.

    Args: flat: all results share one folder, so no name may be the beginning of another's files; skipped: resolved
        paths of files in folders that are results.
    Raises: DataError for an input that matches nothing.
    """
    if not texts:
        try:
            import skimage.data  # noqa: F401
        except ImportError:
            raise DataError("no photo given; name photos, folders or globs.") from None
        return [Input(ASTRONAUT, ASTRONAUT)]
    sources: dict[Path | str, tuple[str, str]] = {}
    for text in texts:
        for source, kind in _expand(text, skipped):
            sources.setdefault(source if kind == "webcam" else Path(source).resolve(), (source, kind))
    found = list(sources.values())
    names = unique_names([_wanted_name(*one) for one in found], flat)
    return [Input(name, *one) for name, one in zip(names, found, strict=True)]


def _wanted_name(source: str, kind: str) -> str:
    return f"webcam{_camera(source)}" if kind == "webcam" else Path(source).stem


def unique_names(wanted: list[str], flat: bool = False) -> list[str]:
    """The wanted names, with numbers behind those that came before; case does not tell names apart.

    Args: flat: besides, `a` becomes `a-2` where there is an `a_1`, whose files `a_1.json` could be those of `a`.
    """
    taken: set[str] = set()
    folded = {name.casefold() for name in wanted}
    names = []
    for name in wanted:
        is_beginning = flat and any(other.startswith(f"{name.casefold()}_") for other in folded)
        names.append(free_name(name, taken | {name.casefold()} if is_beginning else taken))
        taken.add(names[-1].casefold())
    return names


def _expand(text: str, skipped: Collection[Path]) -> Iterator[tuple[str, str]]:
    """(source, kind) of all that one argument names."""
    if _camera(text) is not None:
        yield text, "webcam"
        return
    path = Path(text)
    try:
        is_folder, is_file = path.is_dir(), path.is_file()
    except (OSError, ValueError):  # too long, NUL
        check_file(path)
        raise
    if is_folder:
        files = sorted(p for p in path.rglob("*") if _kind(p) and not _is_hidden(p, path) and p.is_file())
        files = [p for p in files if p.resolve() not in skipped]
        if not files:
            raise DataError(f"{path}: the folder holds no photos or videos ({', '.join(IMAGE_SUFFIXES)}, …).")
    elif is_file:
        files = [path]
    else:
        files = sorted(Path(p) for p in glob.glob(text, recursive=True))
        files = [p for p in files if p.is_file()]
        if not files:
            raise DataError(f"{text}: no such photo, video or folder.")
    for file in files:
        yield str(file), _kind(file) or "photo"


def _kind(path: Path) -> str | None:
    suffix = path.suffix.lower()
    return "photo" if suffix in IMAGE_SUFFIXES else "video" if suffix in VIDEO_SUFFIXES else None


def _is_hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def _camera(text: str) -> int | None:
    match = _CAMERA.fullmatch(text)
    return None if match is None else int(match[1] or match[2])
