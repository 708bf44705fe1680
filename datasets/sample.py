"""What a dataset yields, and the base of all datasets."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from common.errors import DataError
from common.files.images import read_image
from datasets.crop import Crop, crop_from_box, crop_from_landmarks
from geometry.schemes import LandmarkScheme

# 3FabRec's lm_openface and lm_cnn cut by landmarks of detectors, which no data here has
CROP_SOURCES = ("bb_ground_truth", "bb_detector", "lm_ground_truth")


@dataclass(frozen=True)
class Annotation:
    """One face of one photo as a dataset's files describe it, in continuous photo pixels.

    Attributes:
        path: the photo.  name: what reports call the face, unique in its dataset.
        landmarks: (K, 2) or (K, 3; z in photo pixels, toward the viewer) float32, or None; NaN where not annotated.
        visibility: (K,) float32 in [0, 1], 0 for points that must not count; None means all 1.
        box: (4,) annotated left, top, right, bottom, or None.  detector_box: the same from the dataset's own detector.
        labels: anything else, such as WFLW's attributes or a yaw in degrees.
        span: (offset, size) of the photo inside path, which is then a tar file.
        crop_landmarks: (K, 2) points that the landmark crop rule uses where they are not `landmarks`.
    """

    path: Path
    name: str
    landmarks: np.ndarray | None = None
    visibility: np.ndarray | None = None
    box: np.ndarray | None = None
    detector_box: np.ndarray | None = None
    labels: dict = field(default_factory=dict)
    span: tuple[int, int] | None = None
    crop_landmarks: np.ndarray | None = None


@dataclass(frozen=True)
class Sample:
    """A face cut out of its photo.

    Attributes:
        image: (R, R, 3) uint8 RGB crop.  crop: how it was cut.
        landmarks: (K, 2 or 3) float32 in crop pixels, or None.  visibility: (K,) float32, or None.
        name, labels: as in `Annotation`.
    """

    image: np.ndarray
    crop: Crop
    landmarks: np.ndarray | None
    visibility: np.ndarray | None
    name: str
    labels: dict


class FaceDataset(Dataset):
    """A list of annotations and the rule that crops them; subclasses only fill `annotations`.

    Args:
        root: the dataset's folder.  split: what part of it.
        image_size: inner crop side S in pixels; samples are ceil(S·√2) wide (`datasets.crop.padded_size`).
        crop_source: one of CROP_SOURCES.  align: level the eyes (landmark crops only).
    Raises: DataError with the missing file, its source and its place; for an unknown split; for an empty split.
    """

    name = ""
    title = ""
    source = ""  # where a user gets the data
    splits: tuple[str, ...] = ("train",)
    scheme: LandmarkScheme | None = None
    extend_top = 0.0
    extend_bottom = 0.0

    def __init__(
        self,
        root: Path,
        split: str = "train",
        image_size: int = 256,
        crop_source: str = "bb_ground_truth",
        align: bool = False,
    ) -> None:
        self.root, self.split, self.image_size = Path(root), split, image_size
        self.crop_source, self.align = crop_source, align
        if split not in self.splits:
            raise DataError(f"{self.title} has no split '{split}'; choose one of: {', '.join(self.splits)}.")
        if crop_source not in CROP_SOURCES:
            raise DataError(
                f"--crop-source {crop_source} is none that can be cut; choose one of: {', '.join(CROP_SOURCES)}."
            )
        if not self.root.is_dir():
            raise DataError(self.missing(self.root))
        self.annotations = self.read_annotations()
        if not self.annotations:
            raise DataError(f"{self.title} split '{split}' in {self.root} is empty; check that its files are complete.")

    def read_annotations(self) -> list[Annotation]:
        """All faces of the split in file order."""
        raise NotImplementedError

    def missing(self, path: Path) -> str:
        """One sentence that says what is missing, where it comes from and where it goes."""
        return (
            f"{self.title} not found at {path}. Get it from {self.source}, and set {self.name} in"
            " local_config.ini to its"
            " folder."
        )

    def require(self, path: Path) -> Path:
        """The path itself if it exists. Raises: DataError as `missing` words it."""
        if not path.exists():
            raise DataError(self.missing(path))
        return path

    def __len__(self) -> int:
        return len(self.annotations)

    def __getitem__(self, index: int) -> Sample:
        annotation = self.annotations[index]
        image = read_image(annotation.path, annotation.span)
        return cut_sample(annotation, self.make_crop(annotation, image.shape), image)

    def make_crop(self, annotation: Annotation, image_shape: tuple[int, ...] | None = None) -> Crop:
        """The padded crop of one face by the dataset's rule. Raises: DataError naming the photo."""
        try:
            return self._crop(annotation, image_shape)
        except DataError as error:
            raise DataError(f"{annotation.name} in {self.root}: {error}") from None

    def _crop(self, annotation: Annotation, image_shape: tuple[int, ...] | None) -> Crop:
        points = annotation.landmarks
        if self.crop_source.startswith("lm_"):
            if points is None:
                raise DataError(f"--crop-source {self.crop_source} needs landmarks, which {self.title} does not have.")
            scheme = self.scheme or LandmarkScheme("points", len(points))
            points = points if annotation.crop_landmarks is None else annotation.crop_landmarks
            return crop_from_landmarks(points, scheme, self.image_size, padded=True, align=self.align)
        box = annotation.box if self.crop_source == "bb_ground_truth" else annotation.detector_box
        if box is None and self.crop_source == "bb_ground_truth" and points is not None:
            box = landmark_box(points)
        if box is None:
            raise DataError(
                f"--crop-source {self.crop_source} needs a face box, which {self.title} does not have here."
            )
        shape = image_shape or (2**31, 2**31)
        return crop_from_box(box, self.image_size, shape, self.extend_top, self.extend_bottom, padded=True)

    def __repr__(self) -> str:
        lines = [
            f"{self.title}:",
            f"    {len(self)} images, split '{self.split}', {self.scheme.num_points if self.scheme else 'no'}"
            " landmarks",
            f"    crop: {self.crop_source}, {self.image_size} px{', aligned' if self.align else ''}",
            f"    root: {self.root}",
        ]
        return "\n".join(lines)


def landmark_box(landmarks: np.ndarray) -> np.ndarray:
    """(4,) left, top, right, bottom of the finite points."""
    points = landmarks[np.isfinite(landmarks[:, :2]).all(axis=1), :2]
    if not len(points):
        raise DataError("no landmark is finite; check the annotation.")
    return np.concatenate([points.min(axis=0), points.max(axis=0)])


def cut_sample(annotation: Annotation, crop: Crop, image: np.ndarray) -> Sample:
    """Resample the crop and carry the landmarks along; points without an annotation become invisible."""
    landmarks = visibility = None
    if annotation.landmarks is not None:
        landmarks = crop.apply(annotation.landmarks).astype(np.float32)
        finite = np.isfinite(landmarks).all(axis=1)
        visibility = finite.astype(np.float32)
        if annotation.visibility is not None:
            visibility *= annotation.visibility
        landmarks = np.nan_to_num(landmarks, nan=0.0, posinf=0.0, neginf=0.0)
    return Sample(crop.extract(image), crop, landmarks, visibility, annotation.name, annotation.labels)
