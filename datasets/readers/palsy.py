"""Faces of patients: the ParFace (facial palsy) set, NeuroFace and MEEI in ParFace-Net's packings."""

import io
from pathlib import Path, PurePosixPath

import numpy as np

from common.errors import DataError
from common.files.images import safe_join
from common.files.tables import choose_split, numbers, read_csv, read_records
from common.files.tar import index_tar
from datasets.sample import Annotation, FaceDataset, landmark_box
from geometry.schemes import IBUG_68

LABELED = tuple(f"labeled_{i}" for i in range(1, 7))


class Palsy(FaceDataset):
    """`<sequence>/<frame>`, `csv/palsy_{annotations,test,unlabeled,labeled_1..6}.ljson` (0-based).

    Fields: img_path (its last two parts count), landmarks_MAL3D (68 × 3); unlabeled: landmarks_FAN.
    Splits: full (all), parface = test, train (= labeled_6), labeled_1 … labeled_6 (or 1 … 6), unlabeled.
    """

    name = "palsy"
    title = "ParFace (facial palsy)"
    source = "the authors of ParFace-Net (https://github.com/jilliam/ParFace)"
    splits = ("train", "full", "parface", "test", "unlabeled", *LABELED, *"123456")
    scheme = IBUG_68
    extend_top, extend_bottom = 0.05, 0.10

    def read_annotations(self) -> list[Annotation]:
        names = {"full": "annotations", "parface": "test", "train": "labeled_6"} | {d: f"labeled_{d}" for d in "123456"}
        path = self.require(self.root / "csv" / f"palsy_{names.get(self.split, self.split)}.ljson")
        field = "landmarks_FAN" if self.split == "unlabeled" else "landmarks_MAL3D"
        annotations = []
        for number, record in enumerate(read_records(path, ("img_path", field)), start=1):
            name = str(PurePosixPath(*PurePosixPath(str(record["img_path"])).parts[-2:]))
            points = numbers(record[field], (68, -1), f"{path}: record {number}")
            if points.shape[1] not in (2, 3):
                raise DataError(
                    f"{path}: record {number}: expected x, y or x, y, z of 68 points, found {points.shape}."
                )
            points = points + np.float32([0.5, 0.5, 0])[: points.shape[1]]
            annotations.append(Annotation(safe_join(self.root, name), name, points, box=landmark_box(points)))
        return annotations


class NeuroFace(FaceDataset):
    """`all.tar` with `<key>.rgb.<ext>`, `<key>.bbox` (x1 y1 x2 y2) and `<key>.lmk2d` (68 lines x y), 0-based.

    No split by its authors: val holds 10 % by a hash of the name.
    """

    name = "neuroface"
    title = "Toronto NeuroFace"
    source = "https://slp.utoronto.ca/faculty/yana-yunusova/speech-production-lab/datasets/"
    splits = ("train", "val", "test", "full")
    scheme = IBUG_68
    extend_top, extend_bottom = 0.05, 0.10

    def read_annotations(self) -> list[Annotation]:
        tar = self.require(self.root / "all.tar")
        spans = index_tar(tar)
        photos = {name.split(".rgb.")[0]: name for name in spans if ".rgb." in name}
        annotations = []
        for key, photo in sorted(photos.items()):
            points = self._numbers(tar, spans, f"{key}.lmk2d", (68, 2)) + 0.5
            box = self._numbers(tar, spans, f"{key}.bbox", (1, 4))[0]
            annotations.append(Annotation(tar, photo, points, box=box, span=spans[photo]))
        return choose_split(annotations, self.split, lambda a: a.name)

    def _numbers(self, tar: Path, spans: dict, member: str, shape: tuple[int, int]) -> np.ndarray:
        if member not in spans:
            raise DataError(f"{tar}: {member} is missing; the archive is incomplete.")
        offset, size = spans[member]
        with tar.open("rb") as file:
            file.seek(offset)
            text = file.read(min(size, 2**20)).decode("utf-8", errors="replace")
        try:
            values = np.loadtxt(io.StringIO(text), dtype=np.float32, ndmin=2)
        except ValueError:
            raise DataError(f"{tar}: {member} holds something else than numbers.") from None
        return numbers(values, shape, f"{tar}: {member}")


class Meei(FaceDataset):
    """`<name>.tar` files and `csv/MEEI_annotations.csv` (image_path = `<tar name>/<member>`, x1, y1, x2, y2; 0-based).

    No split by its authors: val holds 10 % of the tar files by a hash of the name, so that no patient is in both parts;
    with a single tar file, 10 % of its photos.
    """

    name = "meei"
    title = "MEEI facial palsy"
    source = "https://www.sircharlesbell.com/"
    splits = ("train", "val", "test", "full")
    extend_top, extend_bottom = 0.05, 0.10

    def read_annotations(self) -> list[Annotation]:
        path = self.require(self.root / "csv" / "MEEI_annotations.csv")
        archives: dict[str, dict] = {}
        annotations = []
        for line, row in read_csv(path, ("image_path", "x1", "y1", "x2", "y2")):
            tar_name, _, member = row["image_path"].partition("/")
            tar = safe_join(self.root, tar_name if tar_name.endswith(".tar") else f"{tar_name}.tar")
            if tar_name not in archives:
                archives[tar_name] = index_tar(self.require(tar))
            if member not in archives[tar_name]:
                raise DataError(f"{path}:{line}: {member} is not in {tar}.")
            box = numbers([row[c] or "nan" for c in ("x1", "y1", "x2", "y2")], (4,), f"{path}:{line}")
            annotations.append(Annotation(tar, row["image_path"], box=box, span=archives[tar_name][member]))
        by_patient = len(archives) > 1
        return choose_split(annotations, self.split, lambda a: a.path.name if by_patient else a.name)
