"""300-W: 68 points on photos of AFW, Helen, LFPW and iBUG."""

from pathlib import Path

import numpy as np

from common.errors import DataError
from common.files.mat import read_mat_file
from common.files.points import read_pts
from datasets.leaks import is_leaked
from datasets.sample import Annotation, FaceDataset
from geometry.schemes import IBUG_68

_FOLDERS = {
    "train": ("train/afw", "train/helen", "train/lfpw"),
    "common": ("test/common/helen", "test/common/lfpw"),
    "challenging": ("test/challenging/ibug",),
    "300w": ("test/300W/01_Indoor", "test/300W/02_Outdoor", "test/300W/01_Outdoor"),
}
_FOLDERS["full"] = _FOLDERS["common"] + _FOLDERS["challenging"]
_BOX_FILES = {
    "train/afw": "afw",
    "train/helen": "helen_trainset",
    "train/lfpw": "lfpw_trainset",
    "test/common/helen": "helen_testset",
    "test/common/lfpw": "lfpw_testset",
    "test/challenging/ibug": "ibug",
}


class W300(FaceDataset):
    """`images/<part>/<photo>.{jpg,png}` with `<photo>.pts` beside it; `Bounding Boxes/*.mat` are optional.

    Splits: train, common, challenging, full (= common + challenging), 300w. Folders of a split that are absent are left
        out,
    and the size that is printed tells; a split of which no folder exists is an error. Training photos that are test
    photos too (`datasets.leaks`) are left out.
    """

    name = "w300"
    title = "300-W"
    source = "https://ibug.doc.ic.ac.uk/resources/300-W/"
    splits = ("train", "common", "challenging", "full", "300w")
    scheme = IBUG_68
    extend_top, extend_bottom = 0.20, 0.12

    def read_annotations(self) -> list[Annotation]:
        folders = [part for part in _FOLDERS[self.split] if (self.root / "images" / part).is_dir()]
        if not folders:
            raise DataError(self.missing(self.root / "images" / _FOLDERS[self.split][0]))
        return [annotation for part in folders for annotation in self._read_folder(part)]

    def _read_folder(self, part: str) -> list[Annotation]:
        boxes = self._read_boxes(part)
        annotations = []
        for points_path in sorted((self.root / "images" / part).glob("*.pts")):
            if is_leaked(part, points_path.stem):
                continue
            photo = next((p for p in (points_path.with_suffix(s) for s in (".jpg", ".png")) if p.exists()), None)
            if photo is None:
                raise DataError(f"{points_path}: its photo (.jpg or .png) is missing; copy it beside the .pts file.")
            detected, annotated = boxes.get(photo.name, (None, None))
            landmarks = read_pts(points_path, IBUG_68.num_points)
            annotations.append(
                Annotation(photo, f"{part}/{photo.name}", landmarks, box=annotated, detector_box=detected)
            )
        return annotations

    def _read_boxes(self, part: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """File name → (detector box, ground-truth box), both 1-based in the file; empty where the .mat is absent."""
        if part not in _BOX_FILES:
            return {}
        path = self.root / "Bounding Boxes" / f"bounding_boxes_{_BOX_FILES[part]}.mat"
        if not path.exists():
            if self.crop_source == "bb_detector":
                raise DataError(self.missing(path))
            return {}
        try:
            records = read_mat_file(path)["bounding_boxes"]
            return {
                str(r["imgName"]): (_box(r["bb_detector"], path), _box(r["bb_ground_truth"], path))
                for r in np.atleast_1d(records)
            }
        except DataError:
            raise
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise DataError(f"{path}: not a bounding-box file of 300-W ({error}).") from None


def _box(values: np.ndarray, path: Path) -> np.ndarray:
    """(4,) 1-based left, top, right, bottom → continuous photo pixels. Raises: DataError naming the file."""
    box = np.asarray(values, dtype=float)
    if box.shape != (4,) or not np.isfinite(box).all():
        raise DataError(f"{path}: a box is not four finite numbers; get the file again.")
    return box - 0.5
