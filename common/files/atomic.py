"""Files and folders that appear under their name whole or not at all: written beside their place, then renamed.

What a killed program leaves ends in `.tmp`, which no reader takes, and is swept by the next one that writes there.
"""

import ctypes
import os
import platform
import re
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from common.files.outputs import claim

MAX_STEM = 100  # characters of a name that its temporary one repeats; file systems take 255 bytes
_HOST = f"{zlib.crc32(platform.node().encode()):08x}"
_TEMPORARY = re.compile(r"\..*\.([0-9a-f]{8})-(\d+)-[0-9a-f]{8}\.tmp(\.\w+)?")
_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux
_swept: set[Path] = set()


@contextmanager
def replacing(path: Path, keep_suffix: bool = False) -> Iterator[Path]:
    """A path beside `path` to write to; it takes the name when the block ends, after it has reached the disk.

    Folders are made. When the block raises, or writes nothing, what stood under the name stays.

    Args: keep_suffix: for writers that take the format from the name; else the suffix is `.tmp`.
    Raises: OSError; DataError in a folder of results, see `common.files.outputs.claim`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(path, path.suffix if keep_suffix else "")
    try:
        yield temporary
        if temporary.exists():
            flush(temporary)
            claim(path, temporary)
            os.replace(temporary, path)
            flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_file(path: Path, content: bytes | str) -> Path:
    """Bytes, or text as UTF-8 with its line ends as they are. Returns: the path."""
    with replacing(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
    return Path(path)


def temporary_name(path: Path, suffix: str = "") -> Path:
    """A new hidden name beside `path`, which says whose it is; the first of a folder also sweeps it."""
    sweep(path.parent)
    stem = path.name.encode(errors="surrogateescape")[:MAX_STEM].decode(errors="ignore")
    return path.with_name(f".{stem}.{_HOST}-{os.getpid()}-{uuid4().hex[:8]}.tmp{suffix}")


def sweep(folder: Path) -> None:
    """Remove what killed programs of this machine left in a folder, once in the life of this one."""
    place = folder.resolve()
    if place in _swept:
        return
    _swept.add(place)
    for path in place.glob(".*.tmp*"):
        found = _TEMPORARY.fullmatch(path.name)
        if found and found[1] == _HOST and not _is_alive(int(found[2])):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True


def publish_folder(new: Path, target: Path) -> None:
    """Give a whole folder its name in one step, also over an older one, which then lies under the name `new`.

    Where the system cannot swap two names there is an instant without either; a kill in it leaves the older folder as
    `.<name>.previous`, which the next success removes. Raises: OSError.
    """
    if not target.exists():
        os.rename(new, target)
    elif not _swap(new, target):
        os.rename(target, _previous(target))
        os.rename(new, target)
    shutil.rmtree(_previous(target), ignore_errors=True)
    flush(target.parent)


def _previous(target: Path) -> Path:
    return target.with_name(f".{target.name}.previous")


def _swap(one: Path, other: Path) -> bool:
    """Exchange two names (Linux: renameat2); False where there is no such call."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    return rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0


def flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk. Raises: OSError, of a folder only where it can."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:  # a folder that is not listed, a file under a strict umask, folders on Windows
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
