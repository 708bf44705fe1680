"""youtube_faces with facial key points (Udacity): frames of 347 people, 68 machine-assisted points for most of them."""

import csv

import numpy as np

from datasets.errors import DataError
from datasets.images import IMAGE_SUFFIXES, safe_join
from datasets.sample import Annotation, FaceDataset, landmark_box
from geometry.schemes import IBUG_68


class YoutubeFaces(FaceDataset):
    """`{training,test}/<frame>.jpg` and `{training,test}_keypoints.csv` (image, x0, y0, …, x67, y67; 0-based).

    Splits: train, test (annotated frames), unlabeled (every frame of `training/`, annotated or not).
    A frame without points is cropped by the whole picture, which is already a loose face crop.
    """

    name = "youtube_faces"
    title = "YouTube Faces keypoints"
    source = "https://github.com/udacity/P1_Facial_Keypoints (MIT)"
    splits = ("train", "test", "unlabeled")
    scheme = IBUG_68
    extend_top, extend_bottom = 0.20, 0.12

    def read_annotations(self) -> list[Annotation]:
        part = "test" if self.split == "test" else "training"
        folder = self.require(self.root / part)
        points = self._read_points(part)
        if self.split == "unlabeled":
            names = sorted(p.name for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
        else:
            names = list(points)
        return [self._annotation(folder, name, points.get(name)) for name in names]

    def _annotation(self, folder, name: str, landmarks: np.ndarray | None) -> Annotation:
        path = safe_join(folder, name)
        box = landmark_box(landmarks) if landmarks is not None else None
        return Annotation(path, f"{folder.name}/{name}", landmarks, box=box)

    def _read_points(self, part: str) -> dict[str, np.ndarray]:
        path = self.require(self.root / f"{part}_keypoints.csv")
        points = {}
        with path.open(newline="") as file:
            for number, row in enumerate(csv.reader(file), start=1):
                if number == 1:
                    continue
                try:
                    values = np.array(row[1:], dtype=np.float32).reshape(68, 2) + 0.5
                except ValueError:
                    raise DataError(f"{path}:{number}: expected a file name and 68 x, y pairs.") from None
                if not np.isfinite(values).all():
                    raise DataError(f"{path}:{number}: a coordinate of {row[0]} is not finite.")
                points[row[0]] = values
        return points
