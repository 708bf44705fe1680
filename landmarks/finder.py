"""The one landmark finder that other methods use: photo in, landmarks of its faces out, networks loaded when first
asked.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from common.pretrained import DEFAULT_LANDMARKS
from datasets.face import Face
from landmarks.detector import Boxes, LandmarkDetector


class FoundLandmarks(NamedTuple):
    """Name of a landmark scheme, and the (n, K, 2) continuous photo px of n faces."""

    scheme: str
    points: np.ndarray


class LandmarkFinder:
    """A `LandmarkDetector` that costs nothing until a photo needs it.

    Args: name, snapshots and options as `LandmarkDetector.from_pretrained` takes them; box (4,) left, top, right,
        bottom of the face in every photo, instead of the detector; box_kind: what drew it.
    """

    def __init__(
        self,
        name: str = DEFAULT_LANDMARKS,
        snapshots: Path | None = None,
        *,
        box: np.ndarray | None = None,
        box_kind: str = "landmarks",
        **options: Any,
    ) -> None:
        self.name, self.snapshots, self.options = name, snapshots, options
        self.box, self.box_kind = box, box_kind

    @cached_property
    def detector(self) -> LandmarkDetector:
        """The networks. Raises: CheckpointError, DataError as `LandmarkDetector` does."""
        return LandmarkDetector.from_pretrained(self.name, self.snapshots, **self.options)

    def __call__(self, image: np.ndarray, boxes: Boxes | None = None, **given: Any) -> list[Face]:
        """Faces of one photo, surest detection first; arguments (box_kind, crops) and errors as of
        `LandmarkDetector`.
        """
        if boxes is None and self.box is not None and given.get("crops") is None:
            boxes, given = [self.box], {"box_kind": self.box_kind}
        return self.detector(image, boxes, **given)

    def predict_batch(
        self, images: Sequence[np.ndarray], boxes: Sequence[Boxes] | None = None, **given: Any
    ) -> list[list[Face]]:
        """Faces of several photos, one list per photo; arguments as of `LandmarkDetector.predict_batch`."""
        return self.detector.predict_batch(images, boxes, **given)

    def points(self, image: np.ndarray) -> FoundLandmarks:
        """Landmarks of all faces of one photo; n = 0 where there is none."""
        faces = self(image)
        found = [face.landmarks[:, :2] for face in faces]
        return FoundLandmarks(
            self.detector.scheme.name, np.stack(found) if found else np.zeros((0, self.detector.scheme.num_points, 2))
        )
