"""A user's own photos: any folder, with or without points, any number of them."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np

from datasets.errors import DataError
from datasets.images import IMAGE_SUFFIXES, image_size, read_image, safe_join
from datasets.points import check_count, read_json_points, read_pts
from datasets.sample import Annotation, FaceDataset, landmark_box
from datasets.tables import choose_split
from geometry.schemes import LandmarkScheme, generic_scheme


class Folder(FaceDataset):
    """Photos below a folder; points beside them as `.pts` (1-based) or `.json`, or in one csv (image, x0, y0, …; 0-based).

    Splits: train and test (or val) are folders of these names if there are such, else 90 % and 10 % by a hash of the name;
    full is everything. As soon as one photo has points, photos without are left out. Without points the whole photo is the
    face, or what `detector` finds first.

    Args (besides those of `FaceDataset`): scheme of the points, default by their number; detector, a function
        image → list of Detection.
    """

    name = "folder"
    title = "Folder of photos"
    source = "your own disk"
    splits = ("train", "test", "val", "full", "unlabeled")

    def __init__(
        self, root: Path, split: str = "full", image_size: int = 256, crop_source: str = "bb_ground_truth", align: bool = False,
        scheme: LandmarkScheme | None = None, detector: Callable | None = None,
    ) -> None:
        self.wanted_scheme, self.detector = scheme, detector
        super().__init__(root, split, image_size, crop_source, align)

    def read_annotations(self) -> list[Annotation]:
        folder, by_hash = self.root, self.split in ("train", "test", "val")
        if by_hash and (self.root / self.split).is_dir():
            folder, by_hash = self.root / self.split, False
        photos = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
        if by_hash:
            photos = choose_split(photos, self.split, lambda p: str(p.relative_to(self.root)))
        tables = sorted(folder.glob("*.csv"))
        if len(tables) > 1:
            raise DataError(f"{folder}: holds {len(tables)} csv files; leave the one with the points.")
        points = {} if self.split == "unlabeled" else self._from_table(folder, tables[0]) if tables else self._beside(photos)
        if points:
            photos = [p for p in photos if p in points]
            counts = {len(v) for v in points.values()}
            if len(counts) > 1:
                raise DataError(f"{folder}: photos have different numbers of points ({sorted(counts)}); make them equal.")
            self.scheme = self.wanted_scheme or generic_scheme(counts.pop())
        return [self._annotation(path, points.get(path)) for path in photos]

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

    def _from_table(self, folder: Path, table: Path) -> dict[Path, np.ndarray]:
        points = {}
        with table.open(newline="") as file:
            for number, row in enumerate(csv.reader(file), start=1):
                if number == 1 or not row:
                    continue
                where = f"{table}:{number}"
                try:
                    values = np.array(row[1:], dtype=np.float32).reshape(-1, 2) + 0.5
                except ValueError:
                    raise DataError(f"{where}: expected an image name and x, y pairs.") from None
                if not np.isfinite(values).all():
                    raise DataError(f"{where}: a coordinate of {row[0]} is not finite; correct or remove the row.")
                check_count(Path(where), len(values), self._expected())
                points[safe_join(folder, row[0])] = values
        return points

    def _annotation(self, path: Path, landmarks: np.ndarray | None) -> Annotation:
        name = str(path.relative_to(self.root))
        if landmarks is not None:
            return Annotation(path, name, landmarks, box=landmark_box(landmarks))
        if self.detector is not None:
            found = self.detector(read_image(path))
            if found:
                return Annotation(path, name, box=found[0].box)
        return Annotation(path, name, box=np.array([0.0, 0.0, *image_size(path)]))
