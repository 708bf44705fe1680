"""Folders of results: a file that the program did not write, or that was changed since, is never replaced.

Such a folder holds the record `.faces-results`, lines as `sha256sum` writes them, one for each result.
"""

import hashlib
from pathlib import Path

from common.errors import DataError

RECORD = ".faces-results"


def open_results(folder: Path) -> None:
    """Make a folder one of results. Raises: OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RECORD).touch()


def claim(path: Path, new: Path) -> None:
    """Note that the file `new` takes the name `path`, if that lies in a folder of results; call it before renaming.

    Raises: DataError when something stands there that the program did not write as it is now.
    """
    record = path.parent / RECORD
    if not record.is_file():
        return
    if path.exists() and _line(path, path.name) not in record.read_bytes().splitlines():
        raise DataError(
            f"{path}: not written by this program, or changed since, so kept; move it or choose another --out."
        )
    with record.open("ab") as file:
        file.write(_line(new, path.name) + b"\n")


def _line(file: Path, name: str) -> bytes:
    if not file.is_file():
        return b""
    with file.open("rb") as stream:
        digest = (
            hashlib.file_digest(stream, "sha256") if hasattr(hashlib, "file_digest") else hashlib.sha256(stream.read())
        )
    return digest.hexdigest().encode() + b"  " + name.encode(errors="surrogateescape")
