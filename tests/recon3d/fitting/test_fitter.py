"""The predictor of the fit: its faces are the fit's, vertices come back from them, pixels refine them."""

import numpy as np
import pytest
import torch
from skimage.data import astronaut

from common.errors import FaceModelError
from datasets.crop import Crop
from datasets.face import Face
from geometry.cameras import weak_perspective
from geometry.rotations import rotation_from_euler
from recon3d.fitting.fitter import FaceFitter

NO_CROP = Crop(matrix=np.eye(2, 3), size=128)


@pytest.fixture(scope="module")
def fitter():
    return FaceFitter.from_pretrained("head", device="cpu", noise=0.01)


@pytest.fixture(scope="module")
def truth(fitter):
    """Two heads of known shape and pose: (rotation, screen (2, V, 3), landmarks as faces)."""
    model = fitter.face_model
    random = torch.Generator().manual_seed(0)
    identity = torch.randn(2, model.sizes[0], generator=random) * model.identity_std
    rotation = rotation_from_euler(torch.tensor([[0.1, 0.4, 0.0], [0.0, -0.2, 0.3]]))
    shapes = model.shape(identity, torch.zeros(2, model.sizes[1]))
    place = torch.tensor([[300.0, 200.0], [90.0, 120.0]])
    screen = weak_perspective(shapes, rotation, torch.tensor([80.0, 50.0]), place)
    points = model.points(screen, "ibug68").numpy()
    found = [
        Face(box=np.zeros(4), detection_score=0.9, landmarks=p[:, :2], scheme="ibug68", crop=NO_CROP) for p in points
    ]
    return rotation, screen, found


def test_known_heads_are_found_again(fitter, truth):
    rotation, screen, found = truth
    faces = fitter.fit(astronaut(), found)
    for i, face in enumerate(faces):
        assert face.detection_score == 0.9 and face.landmarks.shape == (68, 3)
        inner = slice(17, 68)  # jaw points slide
        np.testing.assert_allclose(face.landmarks[inner, :2], found[i].landmarks[inner], atol=2.0)  # px
        turn = rotation[i].T @ torch.from_numpy(face.rotation)
        assert torch.rad2deg(torch.acos(((turn.trace() - 1) / 2).clamp(-1, 1))) < 6
    vertices = fitter.screen(faces)
    assert vertices.shape == screen.shape
    assert (vertices - screen)[..., :2].norm(dim=-1).mean() < 3  # px, of heads of 80 and 50 px per dm
    assert fitter.screen([]).shape == (0, fitter.face_model.num_vertices, 3)


def test_landmarks_are_points_of_the_vertices(fitter, truth):
    (face,) = fitter.fit(astronaut(), truth[2][:1])
    points = fitter.face_model.points(fitter.screen([face]), "ibug68")[0].numpy() * [1, 1, -1]
    np.testing.assert_allclose(points[17:], face.landmarks[17:], atol=1e-3)


def test_pixels_refine(fitter):
    photo = astronaut()
    found = fitter.finder(photo)
    refining = FaceFitter(fitter.face_model, fitter.finder, photometric=True)
    (plain,), (refined,) = fitter.fit(photo, found), refining.fit(photo, found)
    moved = np.linalg.norm((plain.landmarks - refined.landmarks)[:, :2], axis=1)
    assert 0.05 < moved.mean() < 8


def test_an_unknown_face_model_is_told():
    with pytest.raises(FaceModelError, match="no face model 'nose'"):
        FaceFitter.from_pretrained("nose")
