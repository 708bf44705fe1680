"""The small face model, and the authors' weights where they are."""

import pytest

from morphable.model import FaceModel
from tests.recon3d.regression.small_models import small_model


@pytest.fixture(scope="session")
def face_model() -> FaceModel:
    return small_model()


@pytest.fixture(scope="session")
def tddfa(shared_data):
    """Folder of 3DDFA_V2's weights and expected outputs."""
    return shared_data / "tddfa"
