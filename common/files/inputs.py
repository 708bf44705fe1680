"""The door that a user's files come through: regular ones alone, as a pipe or device may never end."""

import os
import stat
from pathlib import Path

from common.errors import DataError


def check_file(path: Path, max_bytes: int | None = None) -> None:
    """Raises: DataError naming what is no regular file, cannot be seen, has a name no system takes or is too large."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        raise DataError(f"{path}: cannot be read (no such file).") from None
    except OSError as error:
        raise DataError(f"{shown(path)}: cannot be read ({error.strerror}).") from None
    except ValueError:  # NUL
        raise DataError(f"{shown(path)}: not a file name; correct it.") from None
    if not stat.S_ISREG(status.st_mode):
        raise DataError(f"{path}: not a file but a folder, pipe or device; give a regular file.")
    if max_bytes is not None and status.st_size > max_bytes:
        raise DataError(f"{path}: larger than {max_bytes:,} bytes; refused.")


def shown(path: Path, length: int = 80) -> str:
    """A name as it can be written in a message: cut, and without bytes that are no text."""
    text = str(path).encode(errors="backslashreplace").decode().replace("\0", "\\0")
    return text if len(text) <= length else f"{text[:length]}…"
