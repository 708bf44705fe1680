"""AffectNet: 287,651 photos with eight expressions, face boxes and 68 points."""

from pathlib import Path

import numpy as np

from common.files.images import safe_join
from common.files.tables import choose_split, numbers, read_csv
from datasets.sample import Annotation, FaceDataset
from geometry.schemes import IBUG_68

NUM_EXPRESSIONS = 8  # the first eight are emotions; "none", "uncertain" and "no face" follow


class AffectNet(FaceDataset):
    """Two layouts, told apart by what is there.

    3FabRec: `cropped_Annotated/<subDirectory_filePath>`, `{training,validation}.csv` with subDirectory_filePath,
    face_x, face_y, face_width, face_height, facial_landmarks ("x;y;…", 0-based), expression, valence, arousal. Width
    and height are sizes (upstream took them for a corner). ParFace-Net: `csv/affectnet_annotations.csv` (image_path,
    x1, y1, x2, y2; made by `python -m datasets.commands.convert affectnet`), photos of 224 px; it has no split, so 10 %
    are held out by a hash of the name. full is everything.
    """

    name = "affectnet"
    title = "AffectNet"
    source = "http://mohammadmahoor.com/affectnet/"
    splits = ("train", "val", "test", "full")

    def read_annotations(self) -> list[Annotation]:
        converted = self.root / "csv" / "affectnet_annotations.csv"
        if converted.exists():
            self.extend_top = self.extend_bottom = 0.0
            return self._read_parface(converted)
        self.extend_top, self.extend_bottom = 0.05, 0.25
        self.scheme = IBUG_68
        return self._read_original()

    def _read_parface(self, path: Path) -> list[Annotation]:
        rows = list(read_csv(path, ("image_path", "x1", "y1", "x2", "y2")))
        rows = choose_split(rows, self.split, lambda r: r[1]["image_path"])
        return [
            Annotation(
                safe_join(self.root, row["image_path"]),
                row["image_path"],
                box=numbers([row[c] or "nan" for c in ("x1", "y1", "x2", "y2")], (4,), f"{path}:{line}"),
            )
            for line, row in rows
        ]

    def _read_original(self) -> list[Annotation]:
        tables = {"train": ("training.csv",), "full": ("training.csv", "validation.csv")}.get(
            self.split, ("validation.csv",)
        )
        annotations = [a for table in tables for a in self._read_table(self.require(self.root / table))]
        order = np.random.default_rng(2).permutation(len(annotations))
        return [annotations[i] for i in order]

    def _read_table(self, path: Path) -> list[Annotation]:
        folder = self.require(self.root / "cropped_Annotated")
        columns = (
            "subDirectory_filePath",
            "face_x",
            "face_y",
            "face_width",
            "face_height",
            "facial_landmarks",
            "expression",
        )
        annotations = []
        for line, row in read_csv(path, columns):
            where = f"{path}:{line}"
            expression = int(numbers(row["expression"] or "nan", (), where))
            if expression >= NUM_EXPRESSIONS:
                continue
            x, y, width, height = numbers([row[c] or "nan" for c in columns[1:5]], (4,), where)
            points = numbers(row["facial_landmarks"].split(";"), (136,), where).reshape(68, 2) + 0.5
            name = row["subDirectory_filePath"]
            labels = {"expression": expression}
            annotations.append(
                Annotation(
                    safe_join(folder, name), name, points, box=np.array([x, y, x + width, y + height]), labels=labels
                )
            )
        return annotations
