"""Where the photos of a batch run come from: folders, tar files, parquet lists; named and in an order that stays."""

import glob
import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from common.errors import DataError
from common.files.images import IMAGE_SUFFIXES
from common.files.tar import index_tar

LIST_COLUMNS = ("file", "path", "image")  # of a parquet list, the first that is there


class Photo(NamedTuple):
    """One photo: what the table calls it, its file, and (offset, size) of it inside a tar file."""

    name: str
    path: str
    span: tuple[int, int] | None = None


class Chunk(NamedTuple):
    """The photos of one part of the table."""

    number: int
    photos: list[Photo]


def photos_of(inputs: Sequence[str]) -> Iterator[Photo]:
    """All photos of all inputs; nothing but the listing of one folder or tar file is held at a time.

    A folder stands for the photos below it; a tar file, or a pattern of such, for its photos, named <tar>/<member>; a
    parquet file for the photos that its column `file`, `path` or `image` names, relative to its own folder.
    Raises: DataError for an input that is missing or of no such kind.
    """
    for text in inputs:
        for path in _expand(text):
            if path.is_dir():
                yield from _folder(path)
            elif path.suffix == ".parquet":
                yield from _listed(path)
            elif path.suffix == ".tar":
                yield from _tar(path)
            else:
                yield Photo(printable(text), text)


def chunks_of(photos: Iterator[Photo], size: int) -> Iterator[Chunk]:
    """Runs of at most `size` photos, numbered from 0."""
    number = 0
    while part := list(islice(photos, size)):
        yield Chunk(number, part)
        number += 1


def printable(name: str) -> str:
    """A file name as text that any table takes: bytes that are no UTF-8 become escapes."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")


def _expand(text: str) -> list[Path]:
    path = Path(text)
    if path.is_dir() or path.is_file():
        known = path.is_dir() or path.suffix.lower() in (*IMAGE_SUFFIXES, ".tar", ".parquet")
        if not known:
            raise DataError(f"{path}: is no folder, photo, .tar or .parquet file.")
        return [path]
    matches = sorted(Path(p) for p in glob.glob(text) if Path(p).suffix in (".tar", ".parquet"))
    if not matches:
        raise DataError(f"{text}: no such folder, photo, .tar or .parquet file.")
    return matches


def _is_photo(name: str) -> bool:
    return not name.startswith(".") and name.lower().endswith(IMAGE_SUFFIXES)


def _folder(root: Path) -> Iterator[Photo]:
    for folder, below, files in os.walk(root):
        below.sort()
        for name in sorted(filter(_is_photo, files)):
            path = os.path.join(folder, name)
            yield Photo(printable(path), path)


def _tar(path: Path) -> Iterator[Photo]:
    for member, span in index_tar(path).items():
        if _is_photo(member.rpartition("/")[2]):
            yield Photo(printable(f"{path}/{member}"), str(path), span)


def _listed(path: Path) -> Iterator[Photo]:
    import pyarrow
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as file:
            column = next((name for name in LIST_COLUMNS if name in file.schema_arrow.names), None)
            if column is None:
                raise DataError(f"{path}: has no column {', '.join(LIST_COLUMNS[:-1])} or {LIST_COLUMNS[-1]}.")
            for batch in file.iter_batches(columns=[column]):
                for name in batch.column(0).to_pylist():
                    if not isinstance(name, str) or "\0" in name:
                        raise DataError(f"{path}: column '{column}' holds {name!r}, which is no file name.")
                    yield Photo(name, str(path.parent / name))
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(f"{path}: not a readable parquet file ({str(error).splitlines()[0][:120]}).") from None
