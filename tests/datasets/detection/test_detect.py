"""Face detection on real and hopeless pictures: sizes, turns, several faces, names of detectors."""

import numpy as np
import pytest

from common.errors import DataError
from datasets.detection.boxes import Detection, box_overlap
from datasets.detection.detect import DETECTORS, make_detector
from datasets.detection.yunet import YuNetDetector, distinct, turned_back

BOX = np.array([179.0, 62, 269, 175])  # of the astronaut, 512 × 512 px


@pytest.fixture(scope="module")
def astronaut():
    from skimage.data import astronaut

    return astronaut()


@pytest.fixture(scope="module", params=["yunet", "dlib"])
def detector(request):
    if request.param == "dlib":
        pytest.importorskip("dlib", reason="dlib, an option, is not installed (pip install dlib-bin)")
    return make_detector(request.param)


@pytest.fixture(scope="module")
def yunet():
    return YuNetDetector()


def test_the_astronaut_is_found(detector, astronaut):
    (found,) = detector(astronaut)
    centre = (found.box[:2] + found.box[2:]) / 2
    assert np.abs(centre - [224, 122]).max() < 15 and 70 < found.box[2] - found.box[0] < 110
    assert found.score > 0.5 and found.kind in ("yunet", "dlib")


@pytest.mark.parametrize("zoom", [0.5, 4.0])
def test_boxes_follow_the_photo(detector, astronaut, zoom):
    """A photo shown smaller or larger gives the same box in its own pixels, whatever was resized inside."""
    expected = detector(astronaut)[0].box
    shown = astronaut[::2, ::2] if zoom < 1 else np.kron(astronaut, np.ones((4, 4, 1), np.uint8))
    np.testing.assert_allclose(detector(shown)[0].box / zoom, expected, atol=20)


def test_surest_face_comes_first(detector, astronaut):
    faded = (astronaut * 0.25 + 90).astype(np.uint8)
    found = detector(np.concatenate([faded, astronaut], axis=1))
    scores = [detection.score for detection in found]
    assert len(found) >= 2 and scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 5000, 3), (5000, 1, 3), (2, 3, 3), (200, 200, 3)])
def test_nothing_in_flat_and_extreme_pictures(detector, shape):
    assert detector(np.full(shape, 128, np.uint8)) == []


def test_nothing_in_noise(detector):
    assert detector(np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)) == []


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_lying_faces_have_their_own_eyes_and_mouth(yunet, astronaut, quarters):
    """YuNet fires on turned faces too, with points of an upright one; the points must turn with the photo."""
    (found,) = yunet(np.ascontiguousarray(np.rot90(astronaut, quarters)))
    (upright,) = yunet(astronaut)
    back = turned_back(found, quarters, astronaut.shape)
    np.testing.assert_allclose(back.points, upright.points, atol=3)
    assert box_overlap(back.box, upright.box) > 0.9
    turned = np.angle(np.exp(1j * (found.roll_rad + quarters * np.pi / 2)))
    assert abs(turned) < 0.1, "rot90 turns to the left, so the face's x axis turns up"


def test_small_and_large_faces(yunet, astronaut):
    """A face of 18 px in a large photo, two sizes side by side, and a face that fills the picture."""
    tiny = np.zeros((1500, 2000, 3), np.uint8)
    tiny[700:803, 900:1003] = astronaut[::5, ::5]
    (found,) = yunet(tiny)
    assert box_overlap(found.box, BOX / 5 + [900, 700, 900, 700]) > 0.4
    both = np.concatenate([astronaut, np.pad(astronaut[::3, ::3], ((0, 512 - 171), (0, 0), (0, 0)))], axis=1)
    assert len(yunet(both)) == 2
    filled = astronaut[70:172, 180:268]
    (found,) = yunet(np.kron(filled, np.ones((8, 8, 1), np.uint8)))
    assert found.box[2] - found.box[0] > 500


def test_a_face_is_reported_once():
    box = np.array([0.0, 0, 10, 10])
    faces = [Detection(box + shift, score) for shift, score in ((0, 0.7), (1, 0.9), (30, 0.8))]
    assert [face.score for face in distinct(faces)] == [0.9, 0.8]


@pytest.mark.parametrize("quarters", [0, 1, 2, 3, 4])
def test_turned_back_is_the_pixels_turn(quarters):
    """Mark a pixel of the turned picture; turned back it must be that pixel of the picture."""
    picture = np.arange(6 * 4).reshape(6, 4)
    turned = np.rot90(picture, quarters)
    face = Detection(np.array([1.0, 2, 2, 3]), 1.0, "yunet", np.array([[1.5, 2.5]] * 5))
    x, y = turned_back(face, quarters, picture.shape).points[0]
    assert picture[int(y), int(x)] == turned[2, 1]


def test_detector_none_takes_the_whole_photo():
    (found,) = DETECTORS["none"]()(np.zeros((30, 50, 3), np.uint8))
    assert found.box.tolist() == [0, 0, 50, 30] and found.kind == "crop"


def test_make_detector_says_what_is_missing(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="unknown --detector 'mtcnn'"):
        make_detector("mtcnn")
    with pytest.raises(DataError, match="takes no weights"):
        make_detector("dlib", tmp_path / "x.onnx")
    with pytest.raises(DataError, match="FaceBoxesProd.pth"):
        make_detector("faceboxes")
    (tmp_path / "x.onnx").write_bytes(b"no network")
    with pytest.raises(DataError, match="not YuNet's weights"):
        make_detector(f"yunet:{tmp_path / 'x.onnx'}")
    monkeypatch.setitem(__import__("sys").modules, "dlib", None)
    with pytest.raises(DataError, match="pip install dlib-bin"):
        make_detector("dlib")


def test_no_photo_of_300w_is_missed(yunet, shared_data):
    """Of 40 photos, over all its parts."""
    from benchmarks.detectors import OVERLAP, photos_of
    from datasets.readers.w300 import W300

    for name, image, wanted in photos_of(W300(shared_data / "300w", "train"), 40):
        assert any(box_overlap(face.box, wanted) > OVERLAP for face in yunet(image)), name
