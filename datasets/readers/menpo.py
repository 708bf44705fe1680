"""Menpo in ParFace-Net's packings: 68 points in tar files (menpo2d), 84 points (menpo), and LS3D-W."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import numpy as np

from common.errors import DataError
from common.files.images import safe_join
from common.files.points import read_json_points
from common.files.tables import choose_split, numbers, read_records
from common.files.tar import index_tar
from datasets.sample import Annotation, FaceDataset, landmark_box
from geometry.schemes import IBUG_68, MENPO_84

PROFILE_POINTS = 39


class TarDataset(FaceDataset):
    """Photos in tar files, points in `csv/*.ljson` (0-based x, y); the box is that of the points."""

    extend_top, extend_bottom = 0.20, 0.12

    def from_tar(self, tar: str, table: str, field: str) -> list[Annotation]:
        """All records of a table with their photos in one tar file."""
        spans = index_tar(self.require(self.root / tar))
        by_name = _by_last_part(spans)
        path = self.require(self.root / "csv" / table)
        annotations = []
        for number, record in enumerate(read_records(path, ("img_path", field))):
            where = f"{path}: record {number + 1}"
            member = _member(str(record["img_path"]), spans, by_name)
            if member is None:
                raise DataError(f"{where}: {record['img_path']} is not in {self.root / tar} (or not by a unique name).")
            found = _annotated(numbers(record[field], (-1, -1), where), where)
            box = landmark_box(found)
            if self.split == "unlabeled":
                annotations.append(Annotation(self.root / tar, member, box=box, span=spans[member]))
                continue
            points = _pad(found, self.scheme.num_points, where)
            annotations.append(Annotation(self.root / tar, member, points, box=box, span=spans[member]))
        return annotations


def _by_last_part(names: Iterable[str]) -> dict[str, str]:
    """Last part → tar member; parts that several members share are left out, because they could mean the wrong
    photo.
    """
    counts = Counter(PurePosixPath(name).name for name in names)
    return {PurePosixPath(name).name: name for name in names if counts[PurePosixPath(name).name] == 1}


def _member(name: str, spans: dict, by_name: dict[str, str]) -> str | None:
    """Tar member of a record: its full name or its last part, each as it is or as `<stem>.rgb.<ext>`; None without
    one.
    """
    posix = PurePosixPath(name)
    if not posix.name:
        return None
    packed = posix.with_name(f"{posix.stem}.rgb{posix.suffix}")
    for candidate in (str(posix), str(packed)):
        if candidate in spans:
            return candidate
    return by_name.get(posix.name) or by_name.get(packed.name)


def _annotated(values: np.ndarray, where: str) -> np.ndarray:
    """(N, 2+) of a file, 0-based → (N, 2) continuous; rows of zeros are padding and become NaN; z is dropped."""
    if len(values) == 0 or values.shape[1] not in (2, 3):
        raise DataError(f"{where}: expected a list of [x, y] landmarks, found shape {values.shape}.")
    used = np.abs(values[:, :2]).sum(axis=1, keepdims=True) > 0
    if not used.any():
        raise DataError(f"{where}: all landmarks are 0; correct or remove the record.")
    return np.where(used, values[:, :2] + 0.5, np.nan).astype(np.float32)


def _pad(points: np.ndarray, count: int, where: str) -> np.ndarray:
    """(count, 2); profiles have PROFILE_POINTS, the rest is NaN, that is, invisible. Raises: DataError for another
    number.
    """
    if len(points) not in (count, PROFILE_POINTS):
        raise DataError(
            f"{where}: {len(points)} landmarks where {count} (or {PROFILE_POINTS} of a profile) are expected."
        )
    return np.concatenate([points, np.full((count - len(points), 2), np.nan, np.float32)])


class Menpo2d(TarDataset):
    """`{menpo,menpo_test,300W,menpo3D84}.tar`, `csv/menpo_{train,common,challenging,full}.ljson`, `csv/300W.ljson`.

    Splits: train, common, challenging, full, 300w, unlabeled (= `menpo3D84`, points unused).
    """

    name = "menpo2d"
    title = "Menpo 2D"
    source = "https://ibug.doc.ic.ac.uk/resources/2nd-facial-landmark-tracking-competition-menpo-ben/"
    splits = ("train", "common", "challenging", "full", "300w", "unlabeled")
    scheme = IBUG_68

    def read_annotations(self) -> list[Annotation]:
        field = "landmarks_2d"
        if self.split == "unlabeled":
            return self.from_tar("menpo3D84.tar", "menpo3D84.ljson", field)
        if self.split == "300w":
            return self.from_tar("300W.tar", "300W.ljson", field)
        tar = "menpo.tar" if self.split == "train" else "menpo_test.tar"
        return self.from_tar(tar, f"menpo_{self.split}.ljson", field)


class Ls3dW(TarDataset):
    """`LS3D.tar`, `csv/ls3d.ljson` (img_path, landmarks). No split by its authors: val holds 10 % by a hash of the
    name.
    """

    name = "ls3d"
    title = "LS3D-W"
    source = "https://www.adrianbulat.com/face-alignment"
    splits = ("train", "val", "test", "full")
    scheme = IBUG_68

    def read_annotations(self) -> list[Annotation]:
        return choose_split(self.from_tar("LS3D.tar", "ls3d.ljson", "landmarks"), self.split, lambda a: a.name)


class Menpo(FaceDataset):
    """`<photo>.jpg|png` with `<photo>.ljson` ({landmarks: {points: 84 × (y, x)}}, 0-based) in one folder per part.

    Splits: train (`train/`), common, challenging, full (= both), 300w, each a folder of that name.
    """

    name = "menpo"
    title = "Menpo 84"
    source = "https://ibug.doc.ic.ac.uk/resources/1st-3d-face-tracking-wild-competition/"
    splits = ("train", "common", "challenging", "full", "300w")
    scheme = MENPO_84

    def read_annotations(self) -> list[Annotation]:
        parts = ("common", "challenging") if self.split == "full" else (self.split,)
        return [annotation for part in parts for annotation in self._read_folder(self.require(self.root / part))]

    def _read_folder(self, folder: Path) -> list[Annotation]:
        annotations = []
        for path in sorted(folder.rglob("*.ljson")):
            photo = next((p for p in (path.with_suffix(s) for s in (".jpg", ".png")) if p.exists()), None)
            if photo is None:
                raise DataError(f"{path}: its photo (.jpg or .png) is missing; copy it beside the .ljson file.")
            points = read_json_points(path, self.scheme.num_points)[:, :2]
            name = str(photo.relative_to(self.root))
            annotations.append(Annotation(safe_join(self.root, name), name, points, box=landmark_box(points)))
        return annotations
