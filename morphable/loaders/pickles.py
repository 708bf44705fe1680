"""Pickled arrays of published face models, read without running anything that a file asks for.

A pickle is a program. This reader knows how to rebuild NumPy arrays, and puts an inert object in the place of the
classes of chumpy and scipy.sparse that FLAME files contain; any other name ends the reading. Only this file outside
common/checkpoint.py may use Python's reader of such files.
"""

import codecs
import pickle
import tokenize
from pathlib import Path

import numpy as np

from common.errors import FaceModelError

MAX_BYTES = 2**31
_INERT_PACKAGES = ("chumpy", "scipy.sparse")


class Inert:
    """Stands for an object whose class is not run; keeps the state that the file gives it."""

    def __init__(self, *_: object) -> None:
        self.state: object = None

    def __setstate__(self, state: object) -> None:
        self.state = state


class _Refused(Exception):
    """A name that no file of arrays needs."""


def _rebuild_array(_subtype: type, _shape: tuple, _kind: bytes) -> np.ndarray:
    """What numpy's own rebuilding function gives before the state (shape, type, bytes) arrives."""
    return np.empty(0, dtype="b")


def _rebuild_from_buffer(data: bytes, dtype: np.dtype, shape: tuple, order: str) -> np.ndarray:
    return np.frombuffer(data, dtype).reshape(shape, order=order)


def _rebuild_scalar(dtype: np.dtype, data: bytes | str) -> np.generic:
    if not isinstance(dtype, np.dtype) or dtype.hasobject:
        raise _Refused("a number made of objects")
    return np.frombuffer(data.encode("latin1") if isinstance(data, str) else data, dtype, count=1)[0]


def _rebuild_bytes(text: str, encoding: str = "latin1") -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise _Refused(f"the text encoding {encoding}")
    return codecs.encode(text, "latin1")


def _rebuild_object(_class: type, _base: type, _state: object) -> Inert:
    return Inert()


_ARRAY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")
_KNOWN = {
    **{(module, "_reconstruct"): _rebuild_array for module in _ARRAY_MODULES},
    **{(module, "scalar"): _rebuild_scalar for module in _ARRAY_MODULES},
    **{(module, "_frombuffer"): _rebuild_from_buffer for module in ("numpy.core.numeric", "numpy._core.numeric")},
    ("numpy", "ndarray"): Inert,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _rebuild_bytes,
    ("copy_reg", "_reconstructor"): _rebuild_object,
    ("copyreg", "_reconstructor"): _rebuild_object,
    ("__builtin__", "object"): Inert,
    ("builtins", "object"): Inert,
}


class _ArrayReader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        if (module, name) in _KNOWN:
            return _KNOWN[module, name]
        if any(module == package or module.startswith(package + ".") for package in _INERT_PACKAGES):
            return Inert
        raise _Refused(f"{module}.{name}")


def read_pickled(path: Path) -> object:
    """What a `.pkl` file of arrays, lists, dictionaries, text and numbers holds; chumpy arrays become plain arrays.

    Raises: FaceModelError naming the file when it is missing, cut short, larger than 2 GiB, or asks for any other class
        or function (nothing of it is run).
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise FaceModelError(f"{path}: larger than {MAX_BYTES:,} bytes; refused.")
        with path.open("rb") as file:
            return _read(path, file)
    except OSError as error:
        raise FaceModelError(f"{path}: cannot be read ({error.strerror or error}).") from None


def read_object_npy(path: Path) -> object:
    """The one object of a `.npy` file that NumPy itself would only unpickle, such as FLAME's landmark embedding.

    Raises: FaceModelError naming the file, as `read_pickled`.
    """
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            if not header(file)[2].hasobject:
                return np.load(path, allow_pickle=False)
            content = _read(path, file)
    except OSError as error:
        raise FaceModelError(f"{path}: cannot be read ({error.strerror or error}).") from None
    except FaceModelError:
        raise
    except (ValueError, SyntaxError, tokenize.TokenError, OverflowError, MemoryError) as error:  # of a damaged header
        raise FaceModelError(f"{path}: not a readable .npy file ({str(error).splitlines()[0]}).") from None
    return content.item() if isinstance(content, np.ndarray) and content.size == 1 else content


def _read(path: Path, file) -> object:
    try:
        return _plain(_ArrayReader(file, encoding="latin1").load())
    except _Refused as error:
        raise FaceModelError(
            f"{path}: asks for {error}, which is no array; refused, and nothing of it was run."
        ) from None
    except Exception as error:  # noqa: BLE001  damaged files raise anything; none of it may pass
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise FaceModelError(f"{path}: damaged or no file of arrays ({reason}); get it again.") from None


def _plain(value: object) -> object:
    """Arrays in the place of chumpy's wrappers, at the top and inside dictionaries."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, Inert) and isinstance(value.state, dict) and isinstance(value.state.get("x"), np.ndarray):
        return value.state["x"]
    return value
