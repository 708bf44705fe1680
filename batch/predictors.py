"""The predictors of a batch run by task; each is imported only where it is asked for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from common.config import LocalConfig
from common.errors import DataError
from common.pretrained import DEFAULT_LANDMARKS
from datasets.detection.detect import DEFAULT_DETECTOR
from datasets.face import Face


class Predictor(Protocol):
    """Photos in, a list of faces for each out."""

    def predict_batch(self, images: Sequence[np.ndarray]) -> list[list[Face]]:
        """(H, W, 3) uint8 RGB each."""


@dataclass(frozen=True)
class PredictorSpec:
    """What a worker needs to make its predictor; model "" is the bundled one of the task."""

    task: str
    model: str = ""
    device: str = "auto"
    detector: str = DEFAULT_DETECTOR
    flip: bool = False
    config: Path | None = None


def _landmarks(spec: PredictorSpec, local: LocalConfig) -> Predictor:
    from landmarks.detector import LandmarkDetector

    name = spec.model or DEFAULT_LANDMARKS
    return LandmarkDetector.from_pretrained(
        name, local.snapshots, device=spec.device, detector=spec.detector, flip=spec.flip
    )


def _depth(spec: PredictorSpec, local: LocalConfig) -> Predictor:
    from depthnet.predictor import DepthPredictor

    name = spec.model or "depthnet_gan"
    return DepthPredictor.from_pretrained(
        name, local.snapshots, device=spec.device, detector=spec.detector, flip=spec.flip
    )


def _mesh(spec: PredictorSpec, local: LocalConfig) -> Predictor:
    from recon3d.regression.regressor import FaceRegressor

    name = spec.model or "regressor_120"
    return FaceRegressor.from_pretrained(name, local=local, device=spec.device, detector=spec.detector)


def _reconstruct(spec: PredictorSpec, local: LocalConfig) -> Predictor:
    from recon3d.inference.reconstructor import Reconstructor

    if spec.detector != DEFAULT_DETECTOR:
        raise DataError(f"--detector {spec.detector}: --task reconstruct finds faces with {DEFAULT_DETECTOR} alone.")
    return Reconstructor.from_pretrained(spec.model or "reconstructor", local, device=spec.device)


TASKS: dict[str, Callable[[PredictorSpec, LocalConfig], Predictor]] = {
    "landmarks": _landmarks,
    "depth": _depth,
    "mesh": _mesh,
    "reconstruct": _reconstruct,
}
