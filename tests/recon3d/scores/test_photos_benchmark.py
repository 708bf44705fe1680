"""eval_recon3d.py --benchmark photos for regressors."""

import json

import numpy as np
import pytest
from PIL import Image

import eval_recon3d
from common.files.images import read_image
from common.files.points import format_pts
from datasets.synthetic.faces import embedded_faces
from morphable.open import load_face_model
from recon3d.regression.regressor import FaceRegressor
from recon3d.regression.roi import crop_from_points

FACES = 4


@pytest.fixture
def photos(tmp_path):
    """Rendered faces with their points, and the points."""
    faces = embedded_faces(160, seed=8).batch(0, FACES)
    points = faces.landmarks_2d.numpy()
    for i in range(FACES):
        Image.fromarray(faces.images[i].numpy()).save(tmp_path / f"{i}.png")
        (tmp_path / f"{i}.pts").write_text(format_pts(points[i]))
    return tmp_path, points


def box_error(landmarks, truth):
    side = np.sqrt(np.prod(truth.max(0) - truth.min(0)))
    return 100 * np.linalg.norm(landmarks[:, :2] - truth, axis=1).mean() / side


def test_photos_are_scored_against_their_points(photos, capsys):
    folder, points = photos
    arguments = ["-c", "regressor_120", "--benchmark", "photos", "--json", str(folder / "s.json")]
    assert eval_recon3d.main([*arguments, "--images", str(folder)]) == 0
    regressor = FaceRegressor.from_pretrained("regressor_120", load_face_model("head"), detector="none")
    nme = []
    for i, truth in enumerate(points):
        image = read_image(folder / f"{i}.png")
        (face,) = regressor.predict_crops([image], [crop_from_points(truth, regressor.size)])
        nme.append(box_error(face.landmarks, truth))
    result = json.loads((folder / "s.json").read_text())
    assert result["n"] == FACES and result["nme"] == pytest.approx(np.mean(nme), rel=1e-3)
    (folder / "empty").mkdir()
    assert eval_recon3d.main([*arguments, "--images", str(folder / "empty")]) == 2
    assert "holds no photo with a .pts" in capsys.readouterr().err


def test_photos_are_scored_from_a_detectors_boxes(photos):
    """In two passes unless told otherwise; a face that is not found is a failure."""
    folder, points = photos
    Image.new("RGB", (160, 160)).save(folder / "dark.png")
    (folder / "dark.pts").write_text(format_pts(points[0]))
    results = {}
    for passes, flags in (("one", ["--bbox_init", "one"]), ("two", [])):
        arguments = ["--benchmark", "photos", "--boxes", "yunet", *flags, "--json", str(folder / "s.json")]
        assert eval_recon3d.main(["-c", "regressor_120", *arguments, "--images", str(folder)]) == 0
        results[passes] = json.loads((folder / "s.json").read_text())
        assert results[passes]["protocol"]["crop"] == f"boxes of yunet, passes: {passes}"
        regressor = FaceRegressor.from_pretrained("regressor_120", detector="yunet", steps=1 if flags else 2)
        found = regressor.predict_batch([read_image(folder / f"{i}.png") for i in range(FACES)])
        nme = [box_error(faces[0].landmarks, truth) for faces, truth in zip(found, points, strict=True) if faces]
        assert len(nme) == FACES and results[passes]["nme"] == pytest.approx(np.mean(nme), rel=1e-3)
    assert results["two"]["missed"] == 1 and results["two"]["n"] == FACES + 1
    assert results["two"]["failure_rate"] == pytest.approx(100 / (FACES + 1))
    assert results["one"]["nme"] != results["two"]["nme"]


def test_boxes_start_two_passes_and_landmarks_one():
    image = embedded_faces(160, seed=8).batch(0, 1)
    points, photo = image.landmarks_2d[0].numpy(), image.images[0].numpy()
    regressor = FaceRegressor.from_pretrained("regressor_120")
    box = np.concatenate([points.min(0), points.max(0)])
    (face,) = regressor(photo, [box])
    (first,) = FaceRegressor.from_pretrained("regressor_120", steps=1)(photo, [box])
    again = crop_from_points(first.landmarks, regressor.size)
    assert np.allclose(face.crop.matrix, again.matrix) and not np.allclose(face.crop.matrix, first.crop.matrix)
    (given,) = regressor.predict_crops([photo], [again])
    assert np.array_equal(given.crop.matrix, again.matrix) and np.allclose(given.landmarks, face.landmarks)
