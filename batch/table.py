"""The table of a batch run: one row for every face, and one for every photo without; parts that become one file."""

import hashlib
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from batch.sources import Chunk
from common.errors import DataError
from common.files.atomic import replacing
from datasets.face import Face

FORMAT = b"1"
NUMBERS = pa.list_(pa.float32())
SCHEMA = pa.schema(
    [
        ("file", pa.string()),
        ("face", pa.int32()),
        ("error", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("box", NUMBERS),
        ("score", pa.float32()),
        ("detection_score", pa.float32()),
        ("scheme", pa.string()),
        ("landmarks", NUMBERS),
        ("landmark_dims", pa.int32()),
        ("depth", NUMBERS),
        ("pitch", pa.float32()),
        ("yaw", pa.float32()),
        ("roll", pa.float32()),
        ("rotation", NUMBERS),
        ("scale", pa.float32()),
        ("parameters", NUMBERS),
        ("crop_size", pa.int32()),
        ("crop_matrix", NUMBERS),
    ]
)


class Result(NamedTuple):
    """What became of a photo: its (height, width), its faces, and why there are none."""

    name: str
    size: tuple[int, int] | None
    faces: Sequence[Face]
    error: str | None


def rows_of(result: Result) -> list[dict]:
    """The photo's rows of the table; what a method does not estimate is null.

    Coordinates are continuous photo px, flattened: landmarks x0, y0, (z0,) x1, …; `landmark_dims` says how many per
    point. pitch, yaw, roll in degrees; `rotation` row by row.
    """
    height, width = result.size or (None, None)
    photo = {"file": result.name, "width": width, "height": height}
    if not result.faces:
        return [photo | {"error": result.error}]
    return [photo | {"face": i} | _face(face) for i, face in enumerate(result.faces)]


def _face(face: Face) -> dict:
    pitch, yaw, roll = (None,) * 3 if face.angles_deg is None else np.asarray(face.angles_deg, float).tolist()
    return {
        "box": _flat(face.box),
        "score": None if math.isnan(face.score) else float(face.score),
        "detection_score": None if math.isnan(face.detection_score) else float(face.detection_score),
        "scheme": face.scheme,
        "landmarks": _flat(face.landmarks),
        "landmark_dims": face.landmarks.shape[1],
        "depth": _flat(face.depth),
        "pitch": pitch,
        "yaw": yaw,
        "roll": roll,
        "rotation": _flat(face.rotation),
        "scale": None if face.scale is None else float(face.scale),
        "parameters": _flat(face.parameters),
        "crop_size": face.crop.size,
        "crop_matrix": _flat(face.crop.matrix),
    }


def _flat(values: np.ndarray | None) -> list[float] | None:
    return None if values is None else np.asarray(values, np.float32).ravel().tolist()


def digest(run: str, chunk: Chunk) -> bytes:
    """What a part is made of: the run's description and the names of its photos."""
    text = "\0".join([run, *(photo.name for photo in chunk.photos)])
    return hashlib.sha256(text.encode(errors="replace")).hexdigest().encode()


def part_path(folder: Path, number: int) -> Path:
    """Where a part of the table lies."""
    return folder / f"part-{number:07d}.parquet"


def write_part(folder: Path, run: str, chunk: Chunk, rows: list[dict]) -> None:
    """Publish a part whole or not at all."""
    made = {b"faces": FORMAT, b"digest": digest(run, chunk), b"photos": str(len(chunk.photos)).encode()}
    table = pa.Table.from_pylist(rows, SCHEMA.with_metadata(made))
    with replacing(part_path(folder, chunk.number)) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def is_done(folder: Path, run: str, chunk: Chunk) -> bool:
    """Whether the part of a chunk is there.

    Raises: DataError where it is of other photos or another run, or damaged.
    """
    path = part_path(folder, chunk.number)
    if not path.exists():
        return False
    try:
        made = pq.read_schema(path).metadata or {}
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: damaged ({str(error)[:80]}); delete it and run again.") from None
    if made.get(b"digest") != digest(run, chunk):
        raise DataError(
            f"{folder}: was begun with other photos or options; give them again, choose another OUTPUT, or delete"
            " the folder."
        )
    return True


class Totals(NamedTuple):
    """What a finished table holds."""

    photos: int
    faces: int
    failed: int


def join_parts(folder: Path, numbers: Iterable[int], run: str, output: Path) -> Totals:
    """All parts as one file, a part in memory at a time; the file appears whole or not at all."""
    photos = faces = failed = 0
    with replacing(output) as temporary:
        schema = SCHEMA.with_metadata({b"faces": FORMAT, b"run": run.encode()})
        with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
            for number in numbers:
                table = pq.read_table(part_path(folder, number))
                photos += int(table.schema.metadata[b"photos"])
                failed += table.num_rows - table["error"].null_count
                writer.write_table(table.replace_schema_metadata(schema.metadata))
                faces += table.num_rows - table["face"].null_count
    return Totals(photos, faces, failed)


def run_of(output: Path) -> str | None:
    """The description of the run that wrote a table; None for any other file."""
    try:
        made = pq.read_schema(output).metadata or {}
    except (OSError, pa.ArrowException):
        return None
    return made[b"run"].decode() if made.get(b"faces") == FORMAT and b"run" in made else None
