"""mb05 and FaceBoxes with the authors' weights give the authors' numbers."""

import numpy as np
import pytest
import torch

from common.files.images import read_image
from datasets.detection.faceboxes import FaceBoxesDetector
from morphable.loaders import tddfa_sparse
from recon3d.regression.importers import import_regressor
from recon3d.regression.models import LoadedRegressor, load_regressor, normalise, save_for_inference
from recon3d.regression.params import scale_matrix
from recon3d.regression.regressor import FaceRegressor

PHOTOS = ("JianzhuGuo", "emma", "trump_hillary")


@pytest.fixture(scope="module")
def expected(tddfa):
    with np.load(tddfa / "expected_mb05.npz", allow_pickle=False) as file:
        return dict(file)


@pytest.fixture(scope="module")
def mb05(tddfa):
    return import_regressor(tddfa / "mb05_120x120.pth")


@pytest.fixture(scope="module")
def sparse_model(tddfa):
    return tddfa_sparse.load(tddfa / "sparse68")


def test_network_outputs(mb05, expected):
    rgb = torch.from_numpy(expected["random__input_bgr"][..., ::-1].copy()).permute(0, 3, 1, 2)
    with torch.inference_mode():
        outputs = mb05.network(normalise(rgb)).numpy()
    assert np.abs(outputs - expected["random__whitened_output"]).max() < 1e-4


@pytest.mark.parametrize("photo", PHOTOS)
def test_photos(photo, mb05, expected, sparse_model, tddfa):
    loaded = LoadedRegressor(mb05, mb05.describe(), tddfa)
    regressor = FaceRegressor(loaded, sparse_model, detector="none", authors=True, device="cpu")
    image = read_image(tddfa / "images" / f"{photo}.jpg")
    faces = regressor(image, expected[f"{photo}__boxes"][:, :4])
    wanted = scale_matrix(torch.from_numpy(expected[f"{photo}__params"]), 1e5)
    found = torch.from_numpy(np.stack([face.parameters for face in faces]))
    assert (mb05.whitening.whiten(found) - mb05.whitening.whiten(wanted)).abs().max() < 1e-4
    for face, landmarks, pose, roi in zip(
        faces, *(expected[f"{photo}__{name}"] for name in ("landmarks68", "pose_deg", "roi")), strict=True
    ):
        corners = face.crop.invert(np.array([[0.0, 0.0], [120.0, 120.0]]))
        assert np.allclose(corners.ravel(), roi)
        points = face.landmarks - [
            0.5,
            0.5,
            face.landmarks[:, 2].min(),
        ]  # the authors count from 0, depth from its minimum
        assert np.abs(points - landmarks.T).max() < 0.05
        assert np.abs(face.angles_deg[[1, 0, 2]] - pose).max() < 0.05
        assert face.head_landmarks.shape == (68, 2)


@pytest.mark.parametrize("photo", PHOTOS)
def test_faceboxes(photo, expected, tddfa):
    found = FaceBoxesDetector(tddfa / "FaceBoxesProd.pth")(read_image(tddfa / "images" / f"{photo}.jpg"))
    wanted = expected[f"{photo}__boxes"]
    assert len(found) == len(wanted)
    for detection, (*box, score) in zip(found, wanted, strict=True):
        low, high = np.maximum(detection.box[:2], box[:2]), np.minimum(detection.box[2:], box[2:])
        inner = np.prod(high - low)
        union = np.prod(detection.box[2:] - detection.box[:2]) + np.prod(np.subtract(box[2:], box[:2])) - inner
        assert inner / union > 0.98 and abs(detection.score - score) < 1e-4


def test_both_heads_and_decodes_agree(mb05, expected, sparse_model, tddfa):
    """Parameters and the second head were trained to give the same landmarks."""
    loaded = LoadedRegressor(mb05, mb05.describe(), tddfa)
    regressor = FaceRegressor(loaded, sparse_model, detector="none", steps=2, device="cpu")
    image = read_image(tddfa / "images" / "trump_hillary.jpg")
    for face in regressor(image, expected["trump_hillary__boxes"][:, :4]):
        side = 120 / face.crop.scale
        assert np.abs(face.head_landmarks - face.landmarks[:, :2]).mean() < 0.015 * side
        assert (
            np.allclose(face.rotation @ face.rotation.T, np.eye(3), atol=1e-5) and np.linalg.det(face.rotation) > 0.99
        )
        screen = regressor.screen([face])[0].numpy()  # the sparse model's vertices are its landmarks
        assert np.allclose(screen * [1, 1, -1], face.landmarks, atol=1e-2)


def test_snapshot_round_trip(mb05, tmp_path, tddfa, expected):
    save_for_inference(LoadedRegressor(mb05, mb05.describe(), tddfa), tmp_path / "mb05", half=False)
    loaded = load_regressor(str(tmp_path / "mb05"))
    rgb = torch.from_numpy(expected["random__input_bgr"][..., ::-1].copy()).permute(0, 3, 1, 2)
    with torch.inference_mode():
        assert torch.equal(loaded.model(rgb), mb05(rgb))
    assert loaded.model.config.landmarks == 68 and loaded.model.convention.name == "v2"
