"""Landmark models as one module: crops in, points and scores out."""

import torch
from torch import Tensor

from common.errors import DataError
from export.module import ExportedModule
from landmarks.inference import predict
from landmarks.models import LoadedModel
from networks.blocks import PIXEL_MEAN


class ExportedLandmarks(ExportedModule):
    """Crops → landmarks (B, K, 2) continuous px of the crop (3 with a depth head), scores (B, K) about 1 when sure."""

    def __init__(self, model: LoadedModel) -> None:
        """Raises: DataError for a model without a landmark head."""
        super().__init__()
        if model.scheme is None:
            raise DataError(f"{model.folder}: has no landmark head; train one with train_aae_landmarks.py.")
        self.networks = model.networks.float().eval()
        self.size = model.networks.config.input_size
        mean = PIXEL_MEAN if model.networks.config.normalize else (0.0, 0.0, 0.0)
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])

    @property
    def outputs(self) -> list[str]:
        """Names in order."""
        return ["landmarks", "scores"]

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, S, S) uint8 RGB → landmarks, scores."""
        found = predict(self.networks, crops.float() / 255 - self.mean)
        return found.landmarks, found.scores
