"""VGGFace2: 3.3 million photos of 9,131 people with face boxes; no landmarks used."""

import numpy as np

from common.files.images import safe_join
from common.files.tables import numbers, read_csv
from datasets.sample import Annotation, FaceDataset

MIN_HEIGHT_PX = 100


class VggFace2(FaceDataset):
    """`{train,test}/imgs/<id>/<image>.jpg`, `bb_landmark/loose_bb_{train,test}.csv` (NAME_ID, X, Y, W, H; 0-based).

    Boxes up to 100 px high are dropped, then the rest is shuffled with a fixed seed so that --train-count is a fair
    sample.
    """

    name = "vggface2"
    title = "VGGFace2"
    source = "https://www.robots.ox.ac.uk/~vgg/data/vgg_face2/ (loose_bb csv files and photos)"
    splits = ("train", "test")
    extend_top, extend_bottom = 0.05, 0.10

    def read_annotations(self) -> list[Annotation]:
        folder = self.require(self.root / self.split / "imgs")
        path = self.require(self.root / "bb_landmark" / f"loose_bb_{self.split}.csv")
        annotations = []
        for line, row in read_csv(path, ("NAME_ID", "X", "Y", "W", "H")):
            x, y, width, height = numbers([row[c] or "nan" for c in "XYWH"], (4,), f"{path}:{line}")
            if height > MIN_HEIGHT_PX:
                photo = safe_join(folder, row["NAME_ID"] + ".jpg")
                annotations.append(Annotation(photo, row["NAME_ID"], box=np.array([x, y, x + width, y + height])))
        order = np.random.default_rng(0).permutation(len(annotations))
        return [annotations[i] for i in order]
