"""Where results go: one folder per input (or one for all), a JSON per input, one table; nothing of others is replaced.

All files of an input are made in a hidden folder first and take their names together, the JSON last: what it lists is
there. What `common.files.outputs` does not know as ours is never replaced.
"""

import csv
import io
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from common.files.atomic import temporary_name, write_file
from common.files.outputs import RECORD, claim, open_results
from datasets.photos import make_folder
from tasks.inputs import Input

SCHEMA = "faces/1"
TABLE = "faces.csv"
DIGEST = 66  # characters before the name in a line of the record


class ResultFolder:
    """The folder of all results.

    Args: root; flat: no folder per input. Raises: DataError when results cannot be written there.
    """

    def __init__(self, root: Path, flat: bool = False) -> None:
        make_folder(root)
        self.root, self.flat = root, flat

    @property
    def own_files(self) -> set[Path]:
        """Resolved paths of all files that the program wrote here."""
        return {
            (record.parent / line[DIGEST:]).resolve()
            for record in self.root.rglob(RECORD)
            for line in record.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        }

    def folder_of(self, name: str) -> Path:
        """Where the results of an input lie."""
        return self.root if self.flat else self.root / name

    def record_path(self, name: str) -> Path:
        """The JSON of an input."""
        return self.folder_of(name) / f"{name}.json"

    def record(self, name: str) -> dict | None:
        """The JSON of an input, None where there is none, or one of its files is gone."""
        path = self.record_path(name)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            files = [self.root / file for file in content["files"]]
            complete = content["schema"] == SCHEMA and all(file.is_file() for file in files)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return content if complete else None

    def finished(self, one: Input, request: dict) -> dict | None:
        """The JSON of an input where it was made by the same request and since the input changed."""
        record, source = self.record(one.name), Path(one.source)
        if record is None or record.get("input") != one.source or record.get("request") != request:
            return None
        newer = source.is_file() and source.stat().st_mtime > self.record_path(one.name).stat().st_mtime
        return None if newer else record

    @contextmanager
    def staged(self, name: str) -> Iterator[Path]:
        """A new folder for the files of an input; `publish` gives them their names. Raises: OSError."""
        folder = temporary_name(self.root / name)
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def publish(self, staging: Path, name: str) -> list[Path]:
        """Move the files of a staging folder to their place. Returns: their paths, relative to the root.

        Raises: DataError for a file in the way that the program did not write; then nothing is moved.
        """
        record = self.record_path(name).name
        files = sorted((p for p in staging.rglob("*") if p.is_file()), key=lambda p: (p.name == record, p))
        targets = [self.folder_of(name) / file.relative_to(staging) for file in files]
        for file, target in zip(files, targets, strict=True):
            open_results(target.parent)
            claim(target, file)
        for file, target in zip(files, targets, strict=True):
            os.replace(file, target)
        return [target.relative_to(self.root) for target in targets]

    def write_table(self, records: Sequence[dict]) -> Path | None:
        """faces.csv with a row per face of all records; None without a face."""
        rows = [row for record in records for row in _rows(record)]
        if not rows:
            return None
        path = self.root / TABLE
        header = list(dict.fromkeys(key for row in rows for key in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, header, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return write_file(path, text.getvalue())


def _rows(record: dict) -> Iterator[dict]:
    """Input, task, face, box, scores, pose and landmarks in continuous photo px; columns as far as a task has them."""
    for face in record["faces"]:
        row = {"input": record["name"], "task": face["task"], "face": face["number"]}
        if "frame" in face:
            row["frame"] = face["frame"]
        row |= dict(zip(("left", "top", "right", "bottom"), face["box"], strict=True))
        row |= {key: face.get(key, "") for key in ("score", "detection_score")}
        row |= face.get("pose_deg", {})
        for i, point in enumerate(face["landmarks"]):
            row |= {f"{axis}{i}": value for axis, value in zip("xyz", point, strict=False)}
        yield row
