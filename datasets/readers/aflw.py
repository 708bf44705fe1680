"""AFLW: 24,386 faces in any pose with up to 21 points, of which 19 are used."""

import numpy as np

from common.errors import DataError
from common.files.images import safe_join
from common.files.mat import read_mat_file
from common.files.tables import numbers
from datasets.sample import Annotation, FaceDataset
from geometry.schemes import AFLW_19

TRAIN_FACES = 20_000


class Aflw(FaceDataset):
    """`data/flickr/<nameList>`, `AFLWinfo_release.mat` (1-based): ra, data (19 x then 19 y), mask_new, bbox (x1, x2,
    y1, y2).

    Splits: train (first 20,000 of the permutation `ra`), full = test (the rest), frontal (those of full with all 19
        points).
    Points that mask_new hides are invisible.
    """

    name = "aflw"
    title = "AFLW"
    source = "https://www.tugraz.at/institute/icg/research/team-bischof/lrs/downloads/aflw/ and AFLWinfo_release.mat"
    splits = ("train", "full", "test", "frontal")
    scheme = AFLW_19

    def read_annotations(self) -> list[Annotation]:
        folder = self.require(self.root / "data" / "flickr")
        path = self.require(self.root / "AFLWinfo_release.mat")
        try:
            content = read_mat_file(path)
            order = numbers(np.atleast_1d(content["ra"]), (-1,), str(path)).astype(int) - 1
            count = len(order)
            points = numbers(content["data"], (count, 38), str(path)).reshape(count, 2, 19).transpose(0, 2, 1) - 0.5
            mask = numbers(content["mask_new"], (count, 19), str(path))
            boxes = numbers(content["bbox"], (count, 4), str(path))[:, [0, 2, 1, 3]] - 0.5
            names = [str(name) for name in np.atleast_1d(content["nameList"])]
        except (KeyError, ValueError, TypeError, IndexError, NotImplementedError, OSError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{path}: not AFLW's information file ({error}).") from None
        if len(names) != count or not np.array_equal(np.sort(order), np.arange(count)):
            raise DataError(f"{path}: ra is no permutation of the {len(names)} photos of nameList; get the file again.")
        chosen = order[:TRAIN_FACES] if self.split == "train" else order[TRAIN_FACES:]
        if self.split == "frontal":
            chosen = [i for i in chosen if mask[i].all()]
        return [
            Annotation(safe_join(folder, names[i]), f"{names[i]}#{i}", points[i], mask[i], box=boxes[i])
            for i in map(int, chosen)
        ]
