"""Depth of the landmarks of photos: photo in, faces with landmarks and their depth out.

predictor = DepthPredictor.from_pretrained("depthnet_gan")
faces = predictor(image)                     # (H, W, 3) uint8 RGB → list of Face with depth (68,)
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from common.pretrained import DEFAULT_LANDMARKS
from common.runtime import choose_device
from datasets.face import Face
from depthnet.lifting import Lifter
from depthnet.models import load_model
from landmarks.finder import LandmarkFinder


class DepthPredictor:
    """A landmark finder and DepthNet's lifting behind one call.

    Args: lifter; finder of 68 landmarks.
    """

    def __init__(self, lifter: Lifter, finder: LandmarkFinder) -> None:
        self.lifter, self.finder = lifter, finder

    @classmethod
    def from_pretrained(
        cls,
        name: str = "depthnet_gan",
        snapshots: Path | None = None,
        *,
        device: str = "auto",
        landmark_model: str = DEFAULT_LANDMARKS,
        **options: Any,
    ) -> "DepthPredictor":
        """By bundled name, session, session/epoch or path.

        Args: snapshots: folder of sessions, default that of local_config.ini; landmark_model: bundled name, session or
            path; options of the `LandmarkFinder`.
        Raises: CheckpointError.
        """
        lifter = Lifter(load_model(name, snapshots), choose_device(device))
        return cls(lifter, LandmarkFinder(landmark_model, snapshots, device=device, **options))

    def __call__(self, image: np.ndarray, boxes: Sequence[np.ndarray] | None = None, **given: Any) -> list[Face]:
        """Faces of one photo, surest detection first; depth in photo pixels, toward the viewer.

        Args: image (H, W, 3) uint8 RGB; boxes (4,) left, top, right, bottom instead of the detector; box_kind and crops
            as `LandmarkDetector` takes them.
        """
        return self.lifted(self.finder(image, boxes, **given))

    def lifted(self, faces: Sequence[Face]) -> list[Face]:
        """Faces of 68 landmarks with their depth."""
        # the lifter's depths grow away from the viewer, as 3DFAW's; a Face's grow toward it
        return [
            replace(face, depth=-self.lifter.photo_depth(face.landmarks[:, :2].astype(np.float64))) for face in faces
        ]

    def predict_batch(
        self, images: Sequence[np.ndarray], boxes: Sequence[Sequence[np.ndarray]] | None = None
    ) -> list[list[Face]]:
        """Faces of several photos, one list per photo."""
        given = [None] * len(images) if boxes is None else boxes
        return [self(image, own) for image, own in zip(images, given, strict=True)]
