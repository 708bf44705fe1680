"""The result of every predictor, one face of one photo, and the shape that all predictors have."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from common.errors import DataError
from datasets.crop import Crop


@dataclass(frozen=True, kw_only=True)
class Face:
    """One face of a photo, in continuous photo pixels; what a method does not estimate is None.

    Attributes:
        box: (4,) left, top, right, bottom as detected or given.
        detection_score: of the face detector; nan for a given box.
        landmarks: (K, 2), or (K, 3) with z toward the viewer in the same unit.
        scheme: name of their landmark scheme, see `geometry.schemes`.
        crop: the crop that the networks saw.
        score: of the landmark network: the probability that their error is below 10 % of the eyes' distance, as
            `landmarks.calibrate` fitted it; of a model without calibration the mean of its points' scores.
        depth: (K,) of the landmarks, toward the viewer, where it was estimated apart from them.
        parameters: (P,) of the face model, as the network's convention counts them.  parts: what they are in order:
            name and number, as ("expression", 52).
        head_landmarks: (K, 2) of a second, direct landmark head.
        rotation: (3, 3) model → picture with y up.  angles_deg: (3,) pitch, yaw, roll.  scale: photo px per dm.
    """

    box: np.ndarray
    detection_score: float
    landmarks: np.ndarray
    scheme: str
    crop: Crop
    score: float = math.nan
    depth: np.ndarray | None = None
    parameters: np.ndarray | None = None
    parts: tuple[tuple[str, int], ...] = ()
    head_landmarks: np.ndarray | None = None
    rotation: np.ndarray | None = None
    angles_deg: np.ndarray | None = None
    scale: float | None = None

    def to_json(self) -> dict:
        """JSON-ready content: lists and numbers, the pose by the names of its angles, nothing for what is None or
        nan.
        """
        content = {
            "box": np.round(self.box, 2).tolist(),
            "score": _rounded(self.score, 4),
            "detection_score": _rounded(self.detection_score, 4),
            "scheme": self.scheme,
            "landmarks": np.round(self.landmarks, 3).tolist(),
            "depth": None if self.depth is None else np.round(self.depth, 3).tolist(),
            "pose_deg": None if self.angles_deg is None else _pose(self.angles_deg),
            "scale_px_per_dm": None if self.scale is None else float(self.scale),
            "parameters": None if self.parameters is None else self.named_parameters(),
            "crop": {"size": self.crop.size, "matrix": np.round(self.crop.matrix, 6).tolist()},
        }
        return {name: value for name, value in content.items() if value is not None}

    def named_parameters(self) -> dict[str, list[float]] | list[float]:
        """The parameters by the names of `parts`; a list where they have no names."""
        values = np.asarray(self.parameters, dtype=float)
        if not self.parts:
            return values.tolist()
        ends = np.cumsum([count for _, count in self.parts])
        rows = zip(self.parts, np.split(values, ends[:-1]), strict=True)
        return {name: part.tolist() for (name, _), part in rows}


class Predictor(Protocol):
    """What `load_model` gives for landmarks, depth, mesh, fit and reconstruct."""

    def __call__(self, image: np.ndarray, boxes: Sequence[np.ndarray] | None = None) -> list[Face]:
        """Faces of one photo (H, W, 3) uint8 RGB, surest detection first; boxes (4,) left, top, right, bottom instead
        of a detector.
        """
        ...

    def predict_batch(
        self, images: Sequence[np.ndarray], boxes: Sequence[Sequence[np.ndarray]] | None = None
    ) -> list[list[Face]]:
        """Faces of several photos, one list per photo."""
        ...


def stacked(values: Iterable[np.ndarray | None], what: str) -> np.ndarray:
    """(B, …) of B faces' values. Raises: DataError where a face lacks them, naming `what`."""
    rows = []
    for value in values:
        if value is None:
            raise DataError(f"a face has no {what}; give faces of a method that estimates them.")
        rows.append(value)
    return np.stack(rows)


def _pose(angles_deg: np.ndarray) -> dict[str, float]:
    return {name: round(float(a), 3) for name, a in zip(("pitch", "yaw", "roll"), angles_deg, strict=True)}


def _rounded(value: float, digits: int) -> float | None:
    return None if math.isnan(value) else round(float(value), digits)
