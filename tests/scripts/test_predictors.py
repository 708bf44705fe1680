"""Every method's predictor has one shape: (image, boxes) → list of Face, batches, bundled names, JSON."""

import inspect
import json

import numpy as np
import pytest
from skimage.data import astronaut

from datasets.face import Face
from depthnet.predictor import DepthPredictor
from landmarks.detector import LandmarkDetector
from landmarks.finder import LandmarkFinder
from recon3d.fitting.fitter import FaceFitter
from recon3d.inference.reconstructor import Reconstructor
from recon3d.regression.regressor import FaceRegressor

PREDICTORS = {
    "landmarks_300w": LandmarkDetector,
    "depthnet_gan": DepthPredictor,
    "regressor_120": FaceRegressor,
    "head": FaceFitter,
    "reconstructor": Reconstructor,
}
BOX = np.array([170.0, 70.0, 280.0, 185.0])  # the astronaut's face


@pytest.fixture(scope="module", params=PREDICTORS)
def predictor(request):
    return PREDICTORS[request.param].from_pretrained(request.param, device="cpu")


def test_a_photo_gives_faces_in_a_box_and_found(predictor):
    photo = astronaut()
    (found,), (given,) = predictor(photo), predictor(photo, [BOX])
    for face in (found, given):
        assert isinstance(face, Face) and face.scheme == "ibug68" and len(face.landmarks) == 68
        assert (face.landmarks[:, :2] > BOX[:2] - 25).all() and (face.landmarks[:, :2] < BOX[2:] + 25).all()
    assert np.isnan(given.detection_score) and found.detection_score > 0
    assert np.linalg.norm(found.landmarks[:, :2] - given.landmarks[:, :2], axis=1).mean() < 12
    np.testing.assert_allclose(given.box, BOX)


def test_batches_keep_photos_apart(predictor):
    photo = astronaut()
    empty, one = predictor.predict_batch([np.zeros((80, 80, 3), np.uint8), photo])
    assert empty == [] and len(one) == 1
    assert predictor.predict_batch([photo], [[BOX, BOX]])[0][1].landmarks.shape == one[0].landmarks.shape


def test_faces_are_json(predictor):
    (face,) = predictor(astronaut(), [BOX])
    content = json.loads(json.dumps(face.to_json(), allow_nan=False))
    assert np.allclose(content["landmarks"], face.landmarks, atol=1e-3) and "detection_score" not in content
    assert ("depth" in content) == isinstance(predictor, DepthPredictor)
    assert ("pose_deg" in content) == isinstance(predictor, FaceRegressor | FaceFitter | Reconstructor)


def test_depth_grows_toward_the_viewer(predictor):
    """The nose tip is nearer than both ends of the jaw, whether depth comes with the landmarks or apart from them."""
    (face,) = predictor(astronaut(), [BOX])
    depth = face.landmarks[:, 2] if face.landmarks.shape[1] == 3 else face.depth
    if depth is None:
        assert not isinstance(predictor, DepthPredictor | FaceRegressor | FaceFitter)
        return
    assert depth[30] > depth[[0, 16]].max() + 20


def test_options_of_constructors_have_names():
    for cls in (*PREDICTORS.values(), LandmarkFinder):
        parameters = list(inspect.signature(cls).parameters.values())
        assert all(p.kind in (p.KEYWORD_ONLY, p.VAR_KEYWORD) for p in parameters[3:]), cls


def test_the_finder_loads_nothing_before_it_is_asked(monkeypatch):
    finder = LandmarkFinder("no such model")
    assert "detector" not in vars(finder)
    found = LandmarkFinder(device="cpu", box=BOX).points(astronaut())
    assert found.scheme == "ibug68" and found.points.shape == (1, 68, 2)
    assert LandmarkFinder(device="cpu").points(np.zeros((64, 64, 3), np.uint8)).points.shape == (0, 68, 2)
