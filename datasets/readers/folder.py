"""A user's own photos: any folder, with or without points, any number of them."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np

from common.errors import DataError
from common.files.images import IMAGE_SUFFIXES, image_size, safe_join
from common.files.points import check_count, read_json_points, read_pts, read_text
from common.files.tables import choose_split, numbers
from common.logs import console
from common.runtime import is_main_process
from datasets.crop import Crop, crop_from_box
from datasets.sample import Annotation, FaceDataset, landmark_box
from geometry.schemes import LandmarkScheme, generic_scheme


class Folder(FaceDataset):
    """Photos below a folder; points beside them as `.pts` (1-based) or `.json`, or in one csv (image, x0, y0, …;
    0-based).

    Splits: train and test (or val, the same) are folders of these names; photos outside them belong to whichever of the
        two
    has no folder. Without such folders they are 90 % and 10 % by a hash of the name. full is everything, unlabeled too,
    its points unused. As soon as one photo has points, photos without are left out. Without points the face is the one
    of `faces`, and photos without a face are left out; without `faces` it is the whole photo. The csv stands in the
    folder or in that of the split; its names are relative to it.

    Args (besides those of `FaceDataset`): scheme of the points, default by their number; faces, a function
        from photos to the box of each, or None (`datasets.detection.first_faces`).
    """

    name = "folder"
    title = "Folder of photos"
    source = "your own disk"
    splits = ("train", "test", "val", "full", "unlabeled")

    def __init__(
        self,
        root: Path,
        split: str = "full",
        image_size: int = 256,
        crop_source: str = "bb_ground_truth",
        align: bool = False,
        scheme: LandmarkScheme | None = None,
        faces: Callable[[list[Path]], dict] | None = None,
    ) -> None:
        self.wanted_scheme, self.faces = scheme, faces
        super().__init__(root, split, image_size, crop_source, align)

    def read_annotations(self) -> list[Annotation]:
        photos = self._photos()
        tables = self._tables()
        points: dict[Path, np.ndarray] = {}
        if self.split != "unlabeled":
            points = self._from_table(tables[0]) if tables else self._beside(photos)
        if points:
            photos = [p for p in photos if p in points]
            counts = {len(points[p]) for p in photos}
            if len(counts) > 1:
                raise DataError(
                    f"{self.root}: photos have different numbers of points ({sorted(counts)}); make them equal."
                )
            if counts:
                self.scheme = self.wanted_scheme or generic_scheme(counts.pop())
            return [self._annotation(path, points[path], None) for path in photos]
        boxes = {} if self.faces is None else self._with_faces(photos)
        return [self._annotation(path, None, boxes.get(path)) for path in photos if boxes.get(path, path) is not None]

    def _photos(self) -> list[Path]:
        """Photos of the split in the order of their paths."""
        photos = sorted(p for p in self.root.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
        if self.split in ("full", "unlabeled"):
            return photos
        present = [name for name in ("train", "test", "val") if (self.root / name).is_dir()]
        if not present:
            return choose_split(photos, self.split, lambda p: str(p.relative_to(self.root)))
        wanted = {"test": ("test", "val"), "val": ("val", "test")}.get(self.split, (self.split,))
        chosen = next((self.root / name for name in wanted if name in present), None)
        if chosen is not None:
            return [p for p in photos if p.is_relative_to(chosen)]
        return [p for p in photos if not any(p.is_relative_to(self.root / name) for name in present)]

    def _tables(self) -> list[Path]:
        """The csv with the points: in the folder, or in the split's own one. Raises: DataError for more than one."""
        for folder in (self.root / self.split, self.root):
            tables = sorted(folder.glob("*.csv"))
            if len(tables) > 1:
                raise DataError(f"{folder}: holds {len(tables)} csv files; leave the one with the points.")
            if tables:
                return tables
        return []

    def _expected(self) -> int | None:
        return self.wanted_scheme.num_points if self.wanted_scheme else None

    def _beside(self, photos: list[Path]) -> dict[Path, np.ndarray]:
        points = {}
        for photo in photos:
            for suffix, read in ((".pts", read_pts), (".json", read_json_points)):
                if photo.with_suffix(suffix).exists():
                    points[photo] = read(photo.with_suffix(suffix), self._expected())
                    break
        return points

    def _from_table(self, table: Path) -> dict[Path, np.ndarray]:
        points = {}
        try:
            rows = [
                (number, row) for number, row in enumerate(csv.reader(read_text(table).splitlines()), start=1) if row
            ]
        except csv.Error as error:
            raise DataError(f"{table}: not a csv table ({error}).") from None
        for number, row in rows[1:]:
            where = f"{table}:{number}"
            if len(row) < 3 or len(row) % 2 == 0:
                raise DataError(f"{where}: expected an image name and x, y pairs, found {len(row)} columns.")
            values = numbers(row[1:], (len(row) - 1,), where).reshape(-1, 2) + 0.5
            check_count(Path(where), len(values), self._expected())
            path = safe_join(table.parent, row[0])
            if not path.exists():
                raise DataError(f"{where}: {row[0]} is not in {table.parent}; correct the name or remove the row.")
            if path in points:
                raise DataError(f"{where}: {row[0]} comes twice; one face per photo can be read here.")
            points[path] = values
        return points

    def _with_faces(self, photos: list[Path]) -> dict[Path, np.ndarray | None]:
        """Boxes of `faces`; what has none is said. Raises: DataError when no photo has one."""
        boxes = self.faces(photos)
        empty = [path for path, box in boxes.items() if box is None]
        if boxes and len(empty) == len(boxes):
            raise DataError(
                f"{self.root}: no face found in {len(empty)} photos; if each is one face, give --detector none."
            )
        if empty and is_main_process():
            console().info(
                f"{self.root}: no face found in {len(empty)} of {len(photos)} photos, left out: {empty[0].name} …"
            )
        return boxes

    def _annotation(self, path: Path, landmarks: np.ndarray | None, box: np.ndarray | None) -> Annotation:
        name = str(path.relative_to(self.root))
        if landmarks is not None:
            return Annotation(path, name, landmarks, box=landmark_box(landmarks))
        return Annotation(path, name, box=box, detector_box=box)

    def _crop(self, annotation: Annotation, image_shape: tuple[int, ...] | None) -> Crop:
        if annotation.landmarks is None and annotation.box is None and self.crop_source.startswith("bb_"):
            height, width = (image_shape or image_size(annotation.path)[::-1])[:2]
            return crop_from_box(np.array([0.0, 0.0, width, height]), self.image_size, (height, width), padded=True)
        return super()._crop(annotation, image_shape)
