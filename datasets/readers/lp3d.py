"""300W-LP and AFLW2000-3D as ParFace-Net's json files describe them: 68 points in three dimensions, large poses.

`python -m datasets.commands.convert 300wlp` and `... aflw2000` write the files from the datasets' own .mat files.
"""

from pathlib import Path

import numpy as np

from common.errors import DataError
from common.files.arrays import read_npy
from common.files.images import safe_join
from common.files.tables import numbers, read_records
from datasets.sample import Annotation, FaceDataset
from geometry.schemes import IBUG_68


class Lp3dDataset(FaceDataset):
    """Records: img_paths, landmarks (68 × 3; x, y 0-based photo px, z toward the viewer), landmarks_2d, bbox (x, y, w,
    h).

    Landmarks are 68 × 2 where no depth is known.
    """

    source = (
        "http://www.cbsr.ia.ac.cn/users/xiangyuzhu/projects/3DDFA/main.htm, then python -m datasets.commands.convert"
    )
    scheme = IBUG_68
    extend_top, extend_bottom = 0.05, 0.10
    json_name = ""
    prefix = ""

    def read_records(self) -> tuple[Path, list[dict]]:
        """The file and its records."""
        path = self.require(self.root / "csv" / self.json_name)
        return path, read_records(path, ("img_paths", "landmarks", "bbox"))

    def annotation(self, path: Path, number: int, record: dict, labels: dict) -> Annotation:
        """One record as an annotation."""
        where = f"{path}: record {number + 1}"
        points = numbers(record["landmarks"], (68, -1), where)
        if points.shape[1] not in (2, 3):
            raise DataError(f"{where}: expected x, y or x, y, z of 68 points, found {points.shape}.")
        points = points + np.float32([0.5, 0.5, 0])[: points.shape[1]]
        x, y, width, height = numbers(record["bbox"], (4,), where)
        flat = numbers(record["landmarks_2d"], (68, 2), where) + 0.5 if "landmarks_2d" in record else None
        name = str(record["img_paths"]).removeprefix(self.prefix)
        box = np.array([x, y, x + width, y + height])
        return Annotation(
            safe_join(self.root, name), f"{name}#{number}", points, box=box, labels=labels, crop_landmarks=flat
        )


class Wlp300(Lp3dDataset):
    """`csv/300wLP_anno_tr.json` and the photos below the folder. Splits: train (first 90 % of the records), val =
    test.
    """

    name = "wlp300"
    title = "300W-LP"
    splits = ("train", "val", "test", "full")
    json_name = "300wLP_anno_tr.json"

    def read_annotations(self) -> list[Annotation]:
        path, records = self.read_records()
        border = int(0.9 * len(records))
        numbered = list(enumerate(records))
        chosen = {"train": numbered[:border], "full": numbered}.get(self.split, numbered[border:])
        return [self.annotation(path, i, record, {}) for i, record in chosen]


class Aflw20003d(Lp3dDataset):
    """`csv/aflw2000_3D_anno_vd.json`, `csv/aflw2000_3D_yaw.npy` (degrees). Splits: full = test and three ranges of
    |yaw|.
    """

    name = "aflw20003d"
    title = "AFLW2000-3D"
    splits = ("full", "train", "test", "0_to_30", "30_to_60", "60_to_90")
    json_name = "aflw2000_3D_anno_vd.json"
    prefix = "AFLW2000/"

    def read_annotations(self) -> list[Annotation]:
        if self.split == "train":
            raise DataError("AFLW2000-3D is a test set; train on wlp300 instead.")
        path, records = self.read_records()
        yaws = self._read_yaws(len(records))
        low, high = {"0_to_30": (-1, 30), "30_to_60": (30, 60), "60_to_90": (60, 181)}.get(self.split, (-1, 181))
        if yaws is None:
            return [self.annotation(path, i, record, {}) for i, record in enumerate(records)]
        chosen = [i for i in range(len(records)) if low < abs(yaws[i]) <= high]
        return [self.annotation(path, i, records[i], {"yaw_deg": float(yaws[i])}) for i in chosen]

    def _read_yaws(self, count: int) -> np.ndarray | None:
        """(count,) degrees; None without the file where the split does not need it."""
        path = self.root / "csv" / "aflw2000_3D_yaw.npy"
        if not path.exists() and self.split in ("full", "test"):
            return None
        return numbers(read_npy(self.require(path)), (count,), str(path))
