"""Parameters, whitening, decoding, crops: against closed forms and round trips."""

import numpy as np
import pytest
import torch

from common.errors import DataError, FaceModelError
from datasets.crop import square_crop
from geometry.rotations import rotation_from_euler
from networks.regressors import RegressorConfig
from recon3d.regression.decode import CONVENTIONS, FaceDecoder, authors_pose, crop_scales, to_photo
from recon3d.regression.models import ParameterRegressor
from recon3d.regression.params import Layout, Whitening, join, scale_matrix, transform_parameters
from recon3d.regression.roi import crop_from_detection, crop_from_points, crop_from_roi, rounded
from tests.recon3d.regression.small_models import random_parameters, small_model


def test_split_and_join():
    layout, parameters = Layout(), random_parameters(3)
    parts = layout.split(parameters)
    assert parts.matrix.shape == (3, 3, 3) and parts.identity.shape == (3, 40) and parts.expression.shape == (3, 10)
    assert torch.equal(parts.translation[:, 1], parameters[:, 7]) and torch.equal(
        parts.matrix[:, 1, 2], parameters[:, 6]
    )
    assert torch.equal(join(parts), parameters)
    with pytest.raises(ValueError, match=r"need \(B, 62\)"):
        layout.split(parameters[:, :61])


def test_whitening():
    parameters = random_parameters(200)
    parameters[:, 20] = 3.5  # never changes
    whitening = Whitening.of(parameters)
    whitened = whitening.whiten(parameters)
    assert whitened.mean(0).abs().max() < 1e-4 and (whitened[:, 20] == 0).all()
    spread = whitened.std(0)
    assert ((spread - 1).abs() < 1e-4)[torch.arange(62) != 20].all()
    assert torch.allclose(whitening.restore(whitened), parameters, atol=1e-4)
    with pytest.raises(ValueError, match="two samples"):
        Whitening.of(parameters[:1])
    with pytest.raises(ValueError, match="positive"):
        Whitening(torch.zeros(3), torch.zeros(3))
    with pytest.raises(ValueError, match="61 numbers, the network 62"):
        ParameterRegressor(RegressorConfig(width=0.25), Whitening(torch.zeros(61), torch.ones(61)))


@pytest.mark.parametrize("sparse", [False, True])
def test_decoder_against_the_formula(face_model, sparse):
    parameters = random_parameters(4)
    points = face_model.landmarks["ibug68"] if sparse else None
    found = FaceDecoder(face_model, Layout(), points)(parameters)
    parts = Layout().split(parameters)
    shape = face_model.shape(parts.identity, parts.expression)
    shape = shape[:, :68] if sparse else shape
    for b in range(4):
        expected = parts.matrix[b].double() @ shape[b].double().T + parts.translation[b].double()[:, None]
        assert torch.allclose(found[b].double(), expected.T, atol=1e-3)


def test_decoder_refuses_a_small_model():
    with pytest.raises(FaceModelError, match="has 8 identity"):
        FaceDecoder(small_model(8, 3), Layout())


def test_conventions_against_the_authors_arithmetic():
    """V1: (x, 121 − y); V2: (x − 1, 120 − y); both then times the scale plus the roi's corner, counted from 0."""
    points = torch.tensor([[[10.0, 20.0, 3.0], [70.0, 100.0, -5.0]]])
    crop = crop_from_roi(np.array([30.5, 41.25, 330.5, 341.25]), 120)
    for name, column, row in (("v1", 0, 121), ("v2", -1, 120)):
        placed = to_photo(CONVENTIONS[name].to_crop(points, 120, crop_scales([crop], points)), [crop])[0]
        expected = np.stack([(points[0, :, 0] + column) * 2.5 + 30.5, (row - points[0, :, 1]) * 2.5 + 41.25], axis=1)
        assert np.allclose(placed[:, :2] - 0.5, expected, atol=1e-4)
        assert np.allclose(placed[:, 2], points[0, :, 2] * 2.5)


@pytest.mark.parametrize("name", CONVENTIONS)
def test_to_continuous_moves_no_point(face_model, name):
    parameters, scale = random_parameters(3), torch.tensor([0.4, 1.0, 1.7])
    decoder = FaceDecoder(face_model, Layout())
    there = CONVENTIONS[name].to_crop(decoder(parameters), 120, scale)
    moved = CONVENTIONS[name].to_continuous(parameters, scale)
    here = CONVENTIONS["continuous"].to_crop(decoder(moved), 120, scale)
    assert torch.allclose(there, here, atol=1e-4)


def test_scale_matrix(face_model):
    parameters = random_parameters(1)
    scaled = Layout().split(scale_matrix(parameters, 3.0))
    parts = Layout().split(parameters)
    assert torch.allclose(scaled.matrix, 3 * parts.matrix) and torch.equal(scaled.translation, parts.translation)


def test_transformed_parameters_follow_their_crop(face_model):
    parameters = random_parameters(3)
    decoder, convention = FaceDecoder(face_model, Layout()), CONVENTIONS["continuous"]
    turned = [square_crop(np.array([60.0 + i, 55.0]), 90.0 + 10 * i, 64, angle_rad=0.3 * i - 0.4) for i in range(3)]
    matrices = torch.tensor(np.stack([crop.matrix for crop in turned]), dtype=torch.float32)
    moved = transform_parameters(parameters, matrices, 120, 64)
    here = convention.to_crop(decoder(moved), 64, torch.ones(3))
    there = convention.to_crop(decoder(parameters), 120, torch.ones(3)).double().numpy()
    expected = np.stack([crop.apply(points) for crop, points in zip(turned, there, strict=True)])
    assert np.abs(here.numpy() - expected).max() < 1e-3


def test_authors_pose_of_rotations():
    """Of proper rotations it is the "3ddfa" convention of geometry.rotations."""
    angles = torch.tensor([[0.1, -0.5, 0.3], [-0.4, 0.9, -0.2], [0.0, 0.0, 0.0]])
    pose = authors_pose(50 * rotation_from_euler(angles, "3ddfa"))
    assert torch.allclose(pose.angles_deg, torch.rad2deg(angles), atol=1e-3)
    assert torch.allclose(pose.scale, torch.full((3,), 50.0))


def test_authors_pose_at_the_gimbal():
    angles = torch.tensor([[0.3, torch.pi / 2, 0.0], [0.3, -torch.pi / 2, 0.0]])
    pose = authors_pose(rotation_from_euler(angles, "3ddfa"))
    assert torch.isfinite(pose.angles_deg).all()
    assert torch.allclose(pose.angles_deg[:, 1], torch.tensor([90.0, -90.0])) and (pose.angles_deg[:, 2] == 0).all()
    assert torch.allclose(pose.angles_deg[:, 0], torch.full((2,), torch.rad2deg(torch.tensor(0.3)).item()), atol=0.05)


def test_rois_by_hand():
    crop = crop_from_detection(np.array([100.0, 50.0, 200.0, 170.0]), 120, (400, 400), authors=True)
    side = int(1.58 * 110)
    corners = crop.invert(np.array([[0.0, 0.0], [120.0, 120.0]]))
    assert np.allclose(corners[0], [150 - side / 2, 110 + 0.14 * 110 - side / 2])
    assert np.allclose(corners[1] - corners[0], side)
    assert np.allclose(rounded(crop).invert(np.array([[0.0, 0.0]]))[0] % 1, 0)
    points = crop_from_points(np.array([[10.0, 10.0], [30.0, 20.0], [20.0, 50.0]]), 120)
    assert np.isclose(120 / points.scale, np.sqrt(2) * 40)
    assert np.allclose(points.invert(np.array([[60.0, 60.0]]))[0], [20, 30])


@pytest.mark.parametrize(
    ("box", "text"),
    [
        ([5.0, 5.0, 6.0, 6.0], "smaller than 4 px"),
        ([5.0, 5.0, float("nan"), 60.0], "not finite"),
        ([500.0, 5.0, 600.0, 60.0], "outside the 100×100 photo"),
        ([60.0, 60.0, 5.0, 5.0], "smaller than 4 px"),
    ],
)
def test_unusable_boxes_are_named(box, text):
    with pytest.raises(DataError, match=text):
        crop_from_detection(np.array(box), 120, (100, 100))


def test_unusable_points_and_rois():
    with pytest.raises(DataError, match="span"):
        crop_from_points(np.ones((68, 2)), 120)
    with pytest.raises(DataError, match="no area"):
        crop_from_roi(np.array([3.0, 3.0, 3.0, 9.0]), 120)
