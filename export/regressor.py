"""Regressors as one module: crops in, parameters, landmarks and (if dense) all vertices out."""

from torch import Tensor

from export.module import ExportedModule
from morphable.model import FaceModel
from recon3d.regression.decode import FaceDecoder
from recon3d.regression.face_models import SCHEME
from recon3d.regression.models import ParameterRegressor, normalise


class ExportedRegressor(ExportedModule):
    """Crops → `parameters` (B, P), `landmarks` (B, 68, 3), `head_landmarks` (B, K, 2) where the network has that head,
    `vertices` (B, V, 3) if dense: crop px as the model's convention counts them, decoded ones y up.
    """

    def __init__(self, model: ParameterRegressor, face_model: FaceModel, dense: bool) -> None:
        super().__init__()
        self.model, self.size = model, model.config.input_size
        self.landmarks = FaceDecoder(face_model, model.layout, face_model.landmarks[SCHEME])
        self.dense = FaceDecoder(face_model, model.layout) if dense else None

    @property
    def outputs(self) -> list[str]:
        """Names in order."""
        head = ["head_landmarks"] if self.model.network.fc_lm is not None else []
        return ["parameters", "landmarks", *head, *(["vertices"] if self.dense is not None else [])]

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, S, S) uint8 → as `outputs` names them."""
        pixels, head = normalise(crops), ()
        if self.model.network.fc_lm is None:
            whitened = self.model.network(pixels)
        else:
            whitened, points = self.model.network.with_landmarks(pixels)
            middle = self.model.config.input_size / 2
            head = (points * middle + middle,)
        parameters = whitened * self.model.std + self.model.mean
        dense = () if self.dense is None else (self.dense(parameters),)
        return parameters, self.landmarks(parameters), *head, *dense
