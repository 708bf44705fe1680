"""youtube_faces with facial key points (Udacity): frames of 347 people, 68 machine-assisted points for most of them."""

import csv
from pathlib import Path

import numpy as np

from common.errors import DataError
from common.files.images import IMAGE_SUFFIXES, image_size, safe_join
from common.files.points import read_text
from common.files.tables import numbers
from datasets.crop import Crop, crop_from_box, crop_from_landmarks
from datasets.sample import Annotation, FaceDataset, landmark_box
from geometry.schemes import IBUG_68

MAX_TABLE_BYTES = 64 * 2**20


class YoutubeFaces(FaceDataset):
    """`{training,test}/<frame>.jpg` and `{training,test}_keypoints.csv` (image, x0, y0, …, x67, y67; 0-based).

    Splits: train, test (annotated frames), unlabeled (every frame of both folders, annotated or not).
    A frame without points is cropped by the whole picture, which is already a loose face crop.
    """

    name = "youtube_faces"
    title = "YouTube Faces keypoints"
    source = "https://github.com/udacity/P1_Facial_Keypoints (MIT)"
    splits = ("train", "test", "unlabeled")
    scheme = IBUG_68
    extend_top, extend_bottom = 0.20, 0.12

    def read_annotations(self) -> list[Annotation]:
        parts = {"train": ["training"], "test": ["test"], "unlabeled": ["training", "test"]}[self.split]
        return [annotation for part in parts for annotation in self._read_part(part)]

    def _read_part(self, part: str) -> list[Annotation]:
        folder = self.require(self.root / part)
        points = self._read_points(part)
        names = list(points)
        if self.split == "unlabeled":
            names = sorted(p.name for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
        return [self._annotation(folder, name, points.get(name)) for name in names]

    def _annotation(self, folder: Path, name: str, landmarks: np.ndarray | None) -> Annotation:
        path = safe_join(folder, name)
        if landmarks is None:
            return Annotation(path, f"{folder.name}/{name}", box=np.array([0, 0, *image_size(path)], float))
        if self.split == "unlabeled":
            return Annotation(path, f"{folder.name}/{name}", box=self._loose_box(landmarks))
        return Annotation(path, f"{folder.name}/{name}", landmarks, box=landmark_box(landmarks))

    def _loose_box(self, landmarks: np.ndarray) -> np.ndarray:
        """The photo square of the landmark rule, or the box of the points, as --crop-source says."""
        if not self.crop_source.startswith("lm_"):
            return landmark_box(landmarks)
        crop = crop_from_landmarks(landmarks, self.scheme, self.image_size)
        corners = crop.invert(np.array([[0.0, 0.0], [self.image_size, self.image_size]]))
        return corners.ravel()

    def _crop(self, annotation: Annotation, image_shape: tuple[int, ...] | None) -> Crop:
        if self.split == "unlabeled" and self.crop_source.startswith("lm_"):
            return crop_from_box(annotation.box, self.image_size, image_shape or (2**31, 2**31), padded=True)
        return super()._crop(annotation, image_shape)

    def _read_points(self, part: str) -> dict[str, np.ndarray]:
        path = self.require(self.root / f"{part}_keypoints.csv")
        try:
            rows = list(enumerate(csv.reader(read_text(path, MAX_TABLE_BYTES).splitlines()), start=1))
        except csv.Error as error:
            raise DataError(f"{path}: not a csv table ({error}).") from None
        points = {}
        for number, row in rows[1:]:
            if len(row) != 137:
                raise DataError(f"{path}:{number}: expected a file name and 68 x, y pairs.")
            points[row[0]] = numbers(row[1:], (136,), f"{path}:{number}").reshape(68, 2) + 0.5
        return points
