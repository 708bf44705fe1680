"""Photos inside uncompressed tar files, found once and read in place; nothing is ever extracted."""

import tarfile
from pathlib import Path, PurePosixPath

from common.errors import DataError

MAX_MEMBERS = 5_000_000


def index_tar(path: Path) -> dict[str, tuple[int, int]]:
    """Member name → (offset, size) of every regular file.

    Raises: DataError naming the file when it is missing, no plain tar, or holds absolute names, ".." or too many
    members.
    """
    spans: dict[str, tuple[int, int]] = {}
    try:
        with tarfile.open(path, "r:") as archive:
            end = -1
            for member in archive:
                if member.size < 0 or member.offset_data <= end:  # damaged sizes would let tarfile walk in circles
                    raise DataError(f"{path}: member '{member.name}' has an impossible size; the archive is damaged.")
                end = member.offset_data
                if not member.isfile():
                    continue
                if member.issparse():
                    raise DataError(f"{path}: member '{member.name}' is sparse; pack the archive again without holes.")
                name = PurePosixPath(member.name)
                if name.is_absolute() or ".." in name.parts:
                    raise DataError(f"{path}: member '{member.name}' leaves the archive; refused.")
                spans[member.name.removeprefix("./")] = (member.offset_data, member.size)
                if len(spans) > MAX_MEMBERS:
                    raise DataError(f"{path}: more than {MAX_MEMBERS:,} members; refused.")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file.") from None
    except (OSError, tarfile.TarError, OverflowError, UnicodeError) as error:
        raise DataError(f"{path}: not an uncompressed tar file ({error}).") from None
    return spans
