"""Annotation tables: csv with named columns, json lists, ljson (one record a line); and deterministic splits."""

import csv
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from datasets.errors import DataError

MAX_TABLE_BYTES = 4 * 2**30


def read_csv(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """(line number, row) of a csv with a header. Raises: DataError for a missing file or column, or a short row."""
    _check_size(path)
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        reader = csv.DictReader(file, skipinitialspace=True)
        missing = [c for c in columns if c not in (reader.fieldnames or [])]
        if missing:
            raise DataError(f"{path}: has no column '{missing[0]}'; expected {', '.join(columns)}.")
        for row in reader:
            if any(row[c] is None for c in columns):
                raise DataError(f"{path}:{reader.line_num}: fewer columns than the header names.")
            yield reader.line_num, row


def read_records(path: Path, fields: tuple[str, ...]) -> list[dict]:
    """Records of a .json list or a .ljson file. Raises: DataError for a wrong layout or a missing field."""
    _check_size(path)
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        records = json.loads(text) if text.lstrip().startswith("[") else [json.loads(x) for x in text.splitlines() if x.strip()]
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not valid JSON ({error.msg}).") from None
    for number, record in enumerate(records, start=1):
        missing = [f for f in fields if not isinstance(record, dict) or f not in record]
        if missing:
            raise DataError(f"{path}: record {number} has no field '{missing[0]}'.")
    return records


def _check_size(path: Path) -> None:
    try:
        if path.stat().st_size > MAX_TABLE_BYTES:
            raise DataError(f"{path}: larger than {MAX_TABLE_BYTES:,} bytes, so not an annotation table.")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from None


def numbers(values: object, shape: tuple[int, ...], where: str) -> np.ndarray:
    """float32 array of a shape (−1 = any). Raises: DataError naming the place for another shape or a value not finite."""
    try:
        array = np.asarray(values, dtype=np.float32)
    except (ValueError, TypeError):
        raise DataError(f"{where}: expected numbers.") from None
    fits = array.ndim == len(shape) and all(want in (-1, have) for want, have in zip(shape, array.shape, strict=True))
    if not fits:
        raise DataError(f"{where}: expected numbers of shape {shape}, found {array.shape}.")
    if not np.isfinite(array).all():
        raise DataError(f"{where}: a value is not finite; correct the annotation.")
    return array


def split_by_name(name: str, validation_share: float = 0.1) -> str:
    """'train' or 'val' by a hash of a name: the same on every machine, for datasets whose authors give no split."""
    return "val" if int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 2**32 < validation_share else "train"


def choose_split(items: list, split: str, name: Callable[[object], str]) -> list:
    """Items of 'train', 'val' ('test' means the same) or 'full' by `split_by_name`."""
    if split == "full":
        return items
    wanted = "train" if split == "train" else "val"
    return [item for item in items if split_by_name(name(item)) == wanted]
