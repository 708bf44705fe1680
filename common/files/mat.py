"""MATLAB 5 files of datasets, checked before scipy reads them: `loadmat` ends the whole process on some damaged ones.

A file is a header of 128 bytes and data elements (tag of type and size, then content, padded to 8 bytes); an array is
an element that holds elements: flags, dimensions, name, content ("MAT-File Format", The MathWorks, chapter 1).
"""

import struct
import zlib
from pathlib import Path

import numpy as np
from scipy.io import loadmat

from common.errors import DataError

MAX_MAT_BYTES = 256 * 2**20
_HEADER_BYTES = 128
_MATRIX, _COMPRESSED = 14, 15
_ITEM_BYTES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8}  # numbers
_TEXT_TYPES = (1, 2, 3, 4, 16, 17, 18)
_CELL, _STRUCT, _CHAR = 1, 2, 4
_NUMBER_CLASSES = range(6, 16)
_MAX_DEPTH = 16


class _DamagedError(Exception):
    """What is wrong with a file."""


def read_mat_file(path: Path, simplify: bool = True, max_bytes: int = MAX_MAT_BYTES) -> dict:
    """All variables of a file; `simplify` turns structs into dicts and drops axes of length 1 (scipy's simplify_cells).

    Raises: DataError naming the file when it is missing, no MATLAB 5 file, damaged, or larger than max_bytes (also
    unpacked).
    """
    try:
        if path.stat().st_size > max_bytes:
            raise DataError(f"{path}: larger than {max_bytes:,} bytes, so not an annotation file.")
        check_mat(path.read_bytes(), max_bytes)
        return loadmat(path, simplify_cells=simplify)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}).") from None
    except DataError:
        raise
    except (
        _DamagedError,
        struct.error,
        zlib.error,
        KeyError,
        IndexError,
        ValueError,
        TypeError,
        NotImplementedError,
    ) as error:
        raise DataError(f"{path}: not a readable MATLAB 5 file ({error}); get it again.") from None


def check_mat(data: bytes, max_bytes: int = MAX_MAT_BYTES) -> None:
    """Walk through the elements of a whole file. Raises: _DamagedError, struct.error or zlib.error."""
    if len(data) < _HEADER_BYTES + 8 or data[126:128] not in (b"IM", b"MI"):
        raise _DamagedError("no MATLAB 5 header; save it with -v7 or -v6")
    order = "<" if data[126:128] == b"IM" else ">"
    position, unpacked = _HEADER_BYTES, 0
    while position < len(data):
        kind, size = struct.unpack_from(order + "II", data, position)
        content = data[position + 8 : position + 8 + size]
        if len(content) < size:
            raise _DamagedError("it is cut short")
        if kind == _COMPRESSED:
            stream = zlib.decompressobj()
            content = stream.decompress(content, max_bytes - unpacked)
            unpacked += len(content)
            if unpacked >= max_bytes or not stream.eof:
                raise _DamagedError("a packed variable is damaged or too large")
            kind, size = struct.unpack_from(order + "II", content)
            content = content[8:]
            if len(content) < size:
                raise _DamagedError("a packed variable is cut short")
            position += 8 + struct.unpack_from(order + "I", data, position + 4)[0]
        else:
            position += 8 + size + (-size) % 8
        if kind != _MATRIX:
            raise _DamagedError(f"element of type {kind} where an array is expected")
        _check_array(memoryview(content)[:size], order, 0)


def _element(data: memoryview, position: int, order: str) -> tuple[int, memoryview, int]:
    """(type, content, position of the next element)."""
    word = struct.unpack_from(order + "I", data, position)[0]
    kind, size = word & 0xFFFF, word >> 16
    if size:  # small element: type and size share a word, up to 4 bytes of content follow
        if size > 4:
            raise _DamagedError("a small element is too long")
        return kind, data[position + 4 : position + 4 + size], position + 8
    size = struct.unpack_from(order + "I", data, position + 4)[0]
    start = position + 8
    if start + size > len(data):
        raise _DamagedError("an element is longer than its array")
    return kind, data[start : start + size], start + size + (-size) % 8


def _check_array(data: memoryview, order: str, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise _DamagedError("arrays are nested too deep")
    if not len(data):  # an empty cell
        return
    kind, flags, position = _element(data, 0, order)
    if kind != 6 or len(flags) != 8:
        raise _DamagedError("an array has no flags")
    word = struct.unpack_from(order + "I", flags)[0]
    array_class = word & 0xFF
    if word & 0x800:
        raise _DamagedError("an array is complex, which no annotation is")
    kind, shape, position = _element(data, position, order)
    if kind not in (5, 6) or len(shape) < 8 or len(shape) % 4 or len(shape) > 128:
        raise _DamagedError("an array has no dimensions")
    dimensions = struct.unpack(f"{order}{len(shape) // 4}i", shape)
    if min(dimensions) < 0:
        raise _DamagedError("an array has negative dimensions")
    count = int(np.prod(np.array(dimensions, dtype=object)))
    kind, _, position = _element(data, position, order)
    if kind not in (1, 16):
        raise _DamagedError("an array has no name")
    if array_class in (_CELL, _STRUCT):
        fields = 1
        if array_class == _STRUCT:
            fields, position = _field_count(data, position, order)
        _check_parts(data, position, order, count * fields, depth)
    elif array_class == _CHAR or array_class in _NUMBER_CLASSES:
        _check_content(data, position, order, count, text=array_class == _CHAR)
    else:
        raise _DamagedError(f"an array is of class {array_class}, which no annotation uses")


def _field_count(data: memoryview, position: int, order: str) -> tuple[int, int]:
    """Number of fields of a struct, and where its values begin."""
    kind, length, position = _element(data, position, order)
    names_kind, names, position = _element(data, position, order)
    if kind != 5 or len(length) != 4 or names_kind != 1:
        raise _DamagedError("a struct has no field names")
    width = struct.unpack(order + "i", length)[0]
    if width < 1 or len(names) % width:
        raise _DamagedError("a struct has broken field names")
    return len(names) // width, position


def _check_parts(data: memoryview, position: int, order: str, count: int, depth: int) -> None:
    if count > len(data) // 8:
        raise _DamagedError("a cell or struct has more parts than the file holds")
    for _ in range(count):
        kind, content, position = _element(data, position, order)
        if kind != _MATRIX:
            raise _DamagedError(f"element of type {kind} where an array is expected")
        _check_array(content, order, depth + 1)


def _check_content(data: memoryview, position: int, order: str, count: int, text: bool) -> None:
    if position >= len(data) and not count:
        return
    kind, content, _ = _element(data, position, order)
    if text:
        if kind not in _TEXT_TYPES or len(content) > 4 * count:
            raise _DamagedError("a text is damaged")
    elif kind not in _ITEM_BYTES or len(content) != count * _ITEM_BYTES[kind]:
        raise _DamagedError("an array's size does not fit its dimensions")
