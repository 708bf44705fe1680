"""NumPy files of datasets: numbers only, of a size that the file itself holds, one sentence for anything else."""

import tokenize
import zipfile
import zlib
from pathlib import Path

import numpy as np

from common.errors import DataError
from common.files.inputs import check_file

MAX_NPZ_BYTES = 2**30  # unpacked
# What NumPy raises for damaged files, beside ValueError: an empty one, a broken header, a broken archive, absurd
# shapes.
_UNREADABLE = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    TypeError,
    SyntaxError,
    OverflowError,
    MemoryError,
    RuntimeError,  # an encrypted archive, a header nested too deep
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


def read_npy(path: Path) -> np.ndarray:
    """The array of a `.npy` file. Raises: DataError naming the file when it is missing, damaged or holds objects."""
    check_file(path)
    try:
        # Mapped, because a header that claims more than the file holds is then refused before memory is asked for.
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.ndarray):
            array.close()
            raise ValueError("an archive of several arrays")
        return np.array(array)
    except _UNREADABLE as error:
        raise DataError(f"{path}: not a readable .npy file ({_reason(error)}).") from None


def read_npz(path: Path, names: tuple[str, ...]) -> list[np.ndarray]:
    """Named arrays of a `.npz` file. Raises: DataError naming the file when it is missing, damaged, too large or lacks
    one.
    """
    check_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > MAX_NPZ_BYTES:
                raise ValueError(f"larger than {MAX_NPZ_BYTES:,} bytes unpacked")
        with np.load(path, allow_pickle=False) as content:
            return [content[name] for name in names]
    except _UNREADABLE as error:
        wanted = " and ".join(f"'{name}'" for name in names)
        raise DataError(f"{path}: not a .npz file with arrays {wanted} ({_reason(error)}).") from None


def _reason(error: BaseException) -> str:
    """The first line of the error, without NumPy's advice to unpickle."""
    text = str(error.strerror or error) if isinstance(error, OSError) else str(error)
    if "pickl" in text:  # its hints speak of pickled data
        return "it holds objects instead of numbers"
    return text.splitlines()[0][:120] if text.strip() else type(error).__name__
