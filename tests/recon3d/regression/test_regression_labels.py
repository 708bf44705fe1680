"""Labels of 300W-LP against the recipe written out, and against the landmarks of the same file."""

import numpy as np
import pytest
import torch
from scipy.io import savemat

from common.errors import DataError
from recon3d.regression.decode import CONVENTIONS, FaceDecoder
from recon3d.regression.labels import crop_of, parameters_in_crop, read_fitted_face
from recon3d.regression.params import Layout
from recon3d.regression.roi import crop_from_roi
from tests.recon3d.regression.small_models import small_model

HEIGHT = 450


@pytest.fixture(scope="module")
def model():
    return small_model(199, 29)


@pytest.fixture
def written(tmp_path, model):
    """A .mat of a face made of 40 + 10 components, so that a label loses nothing."""
    rng = np.random.default_rng(0)
    shape, expression = np.zeros(199), np.zeros(29)
    shape[:40], expression[:10] = rng.normal(size=40), rng.normal(size=10)
    pose = np.array([0.2, -0.6, 0.1, 210.0, 240.0, -5.0, 9e-4])
    pitch, yaw, roll = pose[:3]
    rx = [[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]]
    ry = [[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]]
    rz = [[np.cos(roll), np.sin(roll), 0], [-np.sin(roll), np.cos(roll), 0], [0, 0, 1]]
    vertices = model.shape(*(torch.tensor(c, dtype=torch.float32)[None] for c in (shape, expression)))[0].numpy() * 1e5
    posed = pose[6] * np.array(rx) @ ry @ rz @ vertices.T + pose[3:6, None]
    posed[1] = HEIGHT + 1 - posed[1]
    path = tmp_path / "face.mat"
    savemat(
        path,
        {
            "Pose_Para": pose[None],
            "Shape_Para": shape[:, None],
            "Exp_Para": expression[:, None],
            "pt3d_68": posed[:, :68],
        },
    )
    return path, posed, pose


def test_label_reprojects_to_the_files_landmarks(written, model):
    path, posed, pose = written
    face = read_fitted_face(path, HEIGHT)
    assert np.allclose(face.angles_deg, np.rad2deg(pose[:3]))
    crop = crop_of(face, 120)
    label = parameters_in_crop(face.camera, face.identity, face.expression, crop, Layout())
    decoded = FaceDecoder(model, Layout())(label[None])
    points = CONVENTIONS["continuous"].to_crop(decoded, 120, torch.ones(1))[0].numpy()
    expected = crop.apply(posed.T - [0.5, 0.5, 0])
    assert np.abs(points - expected).max() < 1e-3


def test_label_is_the_recipe_of_the_authors(written):
    """300W-LP's camera: A = k·f·R; t_x = (tx − sx)·k; t_y = 121 − (H + 1 − ty − sy)·k; read through convention v1."""
    path, _, (*_, tx, ty, tz, f) = written
    face = read_fitted_face(path, HEIGHT)
    left, top, side = 100.0, 120.0, 240.0  # counted from 1
    k = 120 / side
    crop = crop_from_roi(np.array([left - 1, top - 1, left - 1 + side, top - 1 + side]), 120)
    label = parameters_in_crop(face.camera, face.identity, face.expression, crop, Layout())
    recipe = label.clone()
    recipe[3], recipe[7], recipe[11] = (tx - left) * k, 121 - (HEIGHT + 1 - ty - top) * k, tz * k
    moved = CONVENTIONS["v1"].to_continuous(recipe[None], torch.tensor([k]))[0]
    assert torch.allclose(moved, label, atol=1e-3)
    assert np.isclose(float(label[:12].reshape(3, 4)[:, :3].norm()) / np.sqrt(3), k * f * 1e5)


def test_damaged_files_are_named(tmp_path, written):
    savemat(tmp_path / "bad.mat", {"Pose_Para": np.zeros((1, 6))})
    with pytest.raises(DataError, match=r"bad.mat: field Pose_Para is not 7"):
        read_fitted_face(tmp_path / "bad.mat", HEIGHT)
    face = read_fitted_face(written[0], HEIGHT)
    with pytest.raises(DataError, match="choose fewer"):
        parameters_in_crop(face.camera, face.identity, face.expression, crop_of(face, 120), Layout(200, 29))
