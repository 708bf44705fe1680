"""The face model that a regressor's parameters belong to."""

from common.config import LocalConfig
from common.errors import FaceModelError
from morphable.model import FaceModel
from morphable.open import load_face_model
from recon3d.regression.models import ParameterRegressor

SCHEME = "ibug68"


def open_face_model(
    source: str | None, local: LocalConfig | None, regressor: ParameterRegressor | None = None
) -> FaceModel:
    """A face model with landmarks for regression, by default the one that a regressor was trained for.

    Raises: FaceModelError for one that cannot be read or has no such landmarks.
    """
    source = source or (regressor.face_model if regressor is not None else "") or "head"
    model = load_face_model(source, local)
    if SCHEME not in model.landmarks:
        raise FaceModelError(f"face model {source}: has no landmarks {SCHEME}, which regression needs; choose another.")
    return model
