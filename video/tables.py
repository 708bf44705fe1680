"""What was found in a video, frame by frame: a .csv with a row per face, or a .json, written while it is read."""

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

import numpy as np

from common.errors import DataError
from common.files.atomic import replacing
from datasets.face import Face
from video.reader import reason
from video.tracking import FrameFaces

HEAD = ("frame", "seconds", "track", "left", "top", "right", "bottom", "score")
ANGLES = ("pitch", "yaw", "roll")


class Table(Protocol):
    """Takes frames in order."""

    def add(self, shown: FrameFaces) -> None:
        """One more frame. Raises: OSError."""


@contextmanager
def open_table(path: Path, source: str, fps: float) -> Iterator[Table]:
    """A .csv or .json that appears under its name when the block has ended. Raises: DataError where it cannot be
    written.
    """
    try:
        with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            table = _Json(file, source, fps) if Path(path).suffix == ".json" else _Csv(file)
            yield table
            table.end()
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written ({reason(error)}); free some space or choose another place."
        ) from None


class _Csv:
    """Track, box, score, pose where there is one, and landmarks x0, y0, … in continuous px of the frame."""

    def __init__(self, file: IO[str]) -> None:
        self._writer, self._begun = csv.writer(file, lineterminator="\n"), False

    def add(self, shown: FrameFaces) -> None:
        for tracked in shown.faces:
            face = tracked.face
            if not self._begun:
                self._writer.writerow(_header(face))
                self._begun = True
            angles = [] if face.angles_deg is None else face.angles_deg
            numbers = [*_box(face), face.score, *angles, *face.landmarks.ravel()]
            place = [shown.frame.number, f"{shown.frame.seconds:.4f}", tracked.number]
            self._writer.writerow([*place, *(f"{number:.3f}" for number in numbers)])

    def end(self) -> None:
        if not self._begun:
            self._writer.writerow(HEAD)


class _Json:
    """One object: source, fps, and a list of frames, one a line, each with its faces and their tracks."""

    def __init__(self, file: IO[str], source: str, fps: float) -> None:
        self._file, self._mark = file, ""
        head = {"video": source, "fps": round(fps, 4), "convention": "continuous"}
        file.write(json.dumps(head)[:-1] + ', "frames": [')

    def add(self, shown: FrameFaces) -> None:
        faces = [
            {"track": t.number, **t.face.to_json(), "box": np.round(_box(t.face), 2).tolist()} for t in shown.faces
        ]
        frame = {"frame": shown.frame.number, "seconds": round(shown.frame.seconds, 4), "faces": faces}
        self._file.write(f"{self._mark}\n{json.dumps(frame)}")
        self._mark = ","

    def end(self) -> None:
        self._file.write("\n]}\n")


def _header(face: Face) -> list[str]:
    axes = "xyz"[: face.landmarks.shape[1]]
    points = [f"{axis}{i}" for i in range(len(face.landmarks)) for axis in axes]
    return [*HEAD, *(ANGLES if face.angles_deg is not None else ()), *points]


def _box(face: Face) -> np.ndarray:
    """(4,) around the landmarks: a followed face was not detected in this frame."""
    points = face.landmarks[:, :2]
    return np.concatenate([points.min(0), points.max(0)])
