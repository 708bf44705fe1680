"""The one landmark finder that other methods use: photo in, landmarks of its faces out, networks loaded when first asked."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from common.config import LocalConfig
from datasets.face import Face
from datasets.photos import parse_box
from landmarks.detector import LandmarkDetector


class FoundLandmarks(NamedTuple):
    """Name of a landmark scheme, and the (n, K, 2) continuous photo px of n faces."""

    scheme: str
    points: np.ndarray


class LandmarkFinder:
    """A `LandmarkDetector` that costs nothing until a photo needs it.

    Args: name, snapshots and options as `LandmarkDetector.from_pretrained` takes them; box (4,) left, top, right, bottom of the
        face in every photo, instead of the detector.
    """

    def __init__(
        self,
        name: str = "landmarks_300w",
        snapshots: Path = Path("data/models/snapshots"),
        *,
        box: np.ndarray | None = None,
        **options: object,
    ) -> None:
        self.name, self.snapshots, self.box, self.options = name, snapshots, box, options

    @cached_property
    def detector(self) -> LandmarkDetector:
        """The networks. Raises: CheckpointError, DataError as `LandmarkDetector` does."""
        return LandmarkDetector.from_pretrained(self.name, self.snapshots, **self.options)

    def __call__(self, image: np.ndarray, boxes: Sequence[np.ndarray] | None = None) -> list[Face]:
        """Faces of one photo, surest detection first; arguments and errors as of `LandmarkDetector`."""
        if boxes is None and self.box is not None:
            boxes = [self.box]
        return self.detector(image, boxes)

    def predict_batch(self, images: Sequence[np.ndarray], boxes: Sequence[Sequence[np.ndarray]]) -> list[list[Face]]:
        """Faces of several photos in given boxes, one list per photo."""
        return self.detector.predict_batch(images, boxes)

    def points(self, image: np.ndarray) -> FoundLandmarks:
        """Landmarks of all faces of one photo; n = 0 where there is none."""
        faces = self(image)
        found = [face.landmarks[:, :2] for face in faces]
        return FoundLandmarks(
            self.detector.scheme.name, np.stack(found) if found else np.zeros((0, self.detector.scheme.num_points, 2))
        )


class FinderSettings(Protocol):
    """The options of a demo that say how landmarks are found."""

    landmark_model: str
    detector: str
    box: str | None
    flip: bool
    device: str


def open_finder(settings: FinderSettings, local: LocalConfig) -> LandmarkFinder:
    """The finder that a demo's options describe. Raises: DataError for a bad box."""
    return LandmarkFinder(
        settings.landmark_model,
        local.snapshots,
        box=None if settings.box is None else parse_box(settings.box),
        device=settings.device,
        detector=settings.detector,
        flip=settings.flip,
    )
