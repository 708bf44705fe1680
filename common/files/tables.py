"""Annotation tables: csv with named columns, json lists, ljson (one record a line); and deterministic splits."""

import csv
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from common.errors import DataError

MAX_TABLE_BYTES = 4 * 2**30
VALIDATION_SHARE = 0.1  # of the names


def read_csv(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """(line number, row) of a csv with a header. Raises: DataError for a missing file or column, or a short row."""
    _check_file(path)
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        reader = csv.DictReader(file, skipinitialspace=True)
        try:
            missing = [c for c in columns if c not in (reader.fieldnames or [])]
            if missing:
                raise DataError(f"{path}: has no column '{missing[0]}'; expected {', '.join(columns)}.")
            for row in reader:
                if any(row[c] is None for c in columns):
                    raise DataError(f"{path}:{reader.line_num}: fewer columns than the header names.")
                yield reader.line_num, row
        except csv.Error as error:
            raise DataError(f"{path}:{reader.line_num}: not a csv table ({error}).") from None


def read_records(path: Path, fields: tuple[str, ...]) -> list[dict]:
    """Records of a .json list or a .ljson file. Raises: DataError for a wrong layout or a missing field."""
    _check_file(path)
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        records = (
            json.loads(text)
            if text.lstrip().startswith("[")
            else [json.loads(x) for x in text.split("\n") if x.strip()]
        )
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not valid JSON ({error.msg}).") from None
    except (RecursionError, ValueError) as error:  # nested too deep, or a number of thousands of digits
        raise DataError(f"{path}: not an annotation table ({type(error).__name__}).") from None
    for number, record in enumerate(records, start=1):
        missing = [f for f in fields if not isinstance(record, dict) or f not in record]
        if missing:
            raise DataError(f"{path}: record {number} has no field '{missing[0]}'.")
    return records


def _check_file(path: Path) -> None:
    try:
        if path.exists() and not path.is_file():
            raise DataError(f"{path}: not a file but a folder or device; put the annotation table in its place.")
        with path.open("rb"):  # fails here, with the sentence below, where reading is not allowed
            pass
        if path.stat().st_size > MAX_TABLE_BYTES:
            raise DataError(f"{path}: larger than {MAX_TABLE_BYTES:,} bytes, so not an annotation table.")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from None


def numbers(values: object, shape: tuple[int, ...], where: str) -> np.ndarray:
    """float32 array of a shape (−1 = any). Raises: DataError naming the place for another shape or a value not
    finite.
    """
    try:
        with np.errstate(over="ignore"):
            array = np.asarray(values, dtype=np.float32)
    except (ValueError, TypeError, OverflowError):
        raise DataError(f"{where}: expected numbers.") from None
    fits = array.ndim == len(shape) and all(want in (-1, have) for want, have in zip(shape, array.shape, strict=True))
    if not fits:
        raise DataError(f"{where}: expected numbers of shape {shape}, found {array.shape}.")
    if not np.isfinite(array).all():
        raise DataError(f"{where}: a value is not finite; correct the annotation.")
    return array


def name_hash(name: str) -> float:
    """A number in [0, 1) that depends on the name alone, the same on every machine."""
    return int(hashlib.sha256(name.encode(errors="replace")).hexdigest()[:8], 16) / 2**32


def choose_split(items: list, split: str, name: Callable[[object], str]) -> list:
    """Items of 'train', 'val' ('test' means the same) or 'full', for datasets whose authors give no split.

    val holds the names whose hash is below VALIDATION_SHARE; it and train get at least one name where there are two.
    Items of equal name (frames of one patient, for example) stay together.
    """
    if split == "full":
        return items
    hashes = {key: name_hash(key) for key in map(name, items)}
    order = sorted(hashes, key=hashes.__getitem__)
    share = sum(value < VALIDATION_SHARE for value in hashes.values())
    count = min(max(share, 1), len(order) - 1) if len(order) > 1 else share
    held_out = set(order[:count])
    return [item for item in items if (name(item) in held_out) != (split == "train")]
