"""Photos inside uncompressed tar files, found once and read in place; nothing is ever extracted."""

import tarfile
from pathlib import Path, PurePosixPath

from datasets.errors import DataError

MAX_MEMBERS = 5_000_000


def index_tar(path: Path) -> dict[str, tuple[int, int]]:
    """Member name → (offset, size) of every regular file.

    Raises: DataError naming the file when it is missing, no plain tar, or holds absolute names, ".." or too many members.
    """
    spans: dict[str, tuple[int, int]] = {}
    try:
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                if not member.isfile():
                    continue
                name = PurePosixPath(member.name)
                if name.is_absolute() or ".." in name.parts:
                    raise DataError(f"{path}: member '{member.name}' leaves the archive; refused.")
                spans[member.name.removeprefix("./")] = (member.offset_data, member.size)
                if len(spans) > MAX_MEMBERS:
                    raise DataError(f"{path}: more than {MAX_MEMBERS:,} members; refused.")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file.") from None
    except (OSError, tarfile.TarError) as error:
        raise DataError(f"{path}: not an uncompressed tar file ({error}).") from None
    return spans
