"""What the demo asks of a method: faces of photos, pictures of them, and files."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from datasets.face import Face
from tasks.inputs import Input
from tasks.settings import DemoSettings

if TYPE_CHECKING:  # PyAV, only for videos
    from video.smoothing import PhotoParameters
    from video.tracking import FaceFollower


@dataclass(frozen=True)
class Photo:
    """An input that was read: image (H, W, 3) uint8 RGB."""

    input: Input
    image: np.ndarray


@dataclass(frozen=True)
class Result:
    """Faces of one photo, and what else the method's writers need of it."""

    photo: Photo
    faces: list[Face]
    more: Any = None
    extras: Sequence[dict] = ()  # of each face, for its JSON

    @property
    def labels(self) -> list[str]:
        """Names of the faces' own files."""
        name, count = self.photo.input.name, len(self.faces)
        return [name] if count == 1 else [f"{name}_{i}" for i in range(count)]


PhotoWriter = Callable[[Path, Result], list[Path]]
FaceWriter = Callable[[Path, Result, int], list[Path]]


class Method(ABC):
    """A method that is ready for photos. A writer is given a stem, `<folder>/<name>`, and returns what it wrote.

    Attributes: photo_writers, face_writers by kind, for `--save`; description, JSON-ready: model, licence, ….
    """

    photo_writers: dict[str, PhotoWriter]
    face_writers: dict[str, FaceWriter]
    description: dict[str, object]

    settings: DemoSettings
    smoothed: "PhotoParameters | None" = None  # parameters that a video smooths; None: the landmarks
    together = False  # whether all photos are one batch, as of one person

    @abstractmethod
    def process(self, photos: Sequence[Photo]) -> Sequence[Result | Exception]:
        """Faces of photos, surest first, with all that the writers need; a photo that alone fails gives its error.

        Raises: UserError, ValueError.
        """

    @abstractmethod
    def predict(self, images: Sequence[np.ndarray]) -> list[list[Face]]:
        """Faces of photos or frames (H, W, 3) uint8 RGB, without what only writers need. Raises: UserError."""

    @property
    @abstractmethod
    def follower(self) -> "FaceFollower":
        """What finds and follows faces in a video."""

    def complete(self, image: np.ndarray, faces: list[Face]) -> list[Face]:
        """Faces of the follower with what `draw` needs besides."""
        return faces

    @abstractmethod
    def draw(self, image: np.ndarray, faces: Sequence[Face]) -> np.ndarray:
        """The picture, of the same size, with what the method found: a frame of a video."""

    def write(self, folder: Path, result: Result, kinds: Sequence[str]) -> list[list[Path]]:
        """Write the kinds of files. Returns: those of each face; the others belong to the photo."""
        labels = result.labels
        if not labels:
            return []
        shared = []
        for write in (self.photo_writers[kind] for kind in kinds if kind in self.photo_writers):
            shared += write(folder / result.photo.input.name, result)
        own: list[list[Path]] = []
        for i, label in enumerate(labels):
            writers = [self.face_writers[kind] for kind in kinds if kind in self.face_writers]
            own.append([path for write in writers for path in write(folder / label, result, i)])
            if len(labels) > 1:  # writers of photos may write a file per face, too
                own[i] += [path for path in shared if path.name.startswith((f"{label}_", f"{label}."))]
        return own


def beside(stem: Path, ending: str) -> Path:
    """`<folder>/<name>` and an ending → `<folder>/<name><ending>`."""
    return stem.with_name(stem.name + ending)


def fitted(picture: np.ndarray, max_side: int) -> np.ndarray:
    """The picture, made smaller where its longest side is above max_side; 0: as it is."""
    scale = max_side / max(picture.shape[:2])
    if not max_side or scale >= 1:
        return picture
    size = [max(1, round(side * scale)) for side in picture.shape[1::-1]]
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
