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


def test_photos_are_scored_against_their_points(tmp_path, capsys):
    faces = embedded_faces(160, seed=8).batch(0, 3)
    points = faces.landmarks_2d.numpy()
    for i in range(3):
        Image.fromarray(faces.images[i].numpy()).save(tmp_path / f"{i}.png")
        (tmp_path / f"{i}.pts").write_text(format_pts(points[i]))
    arguments = ["-c", "regressor_120", "--benchmark", "photos", "--json", str(tmp_path / "s.json")]
    assert eval_recon3d.main([*arguments, "--images", str(tmp_path)]) == 0
    regressor = FaceRegressor.from_pretrained("regressor_120", load_face_model("head"), detector="none")
    nme = []
    for i, truth in enumerate(points):
        image = read_image(tmp_path / f"{i}.png")
        (face,) = regressor.regress_crops([image], [crop_from_points(truth, regressor.size)])
        side = np.sqrt(np.prod(truth.max(0) - truth.min(0)))
        nme.append(100 * np.linalg.norm(face.landmarks[:, :2] - truth, axis=1).mean() / side)
    result = json.loads((tmp_path / "s.json").read_text())
    assert result["n"] == 3 and result["nme"] == pytest.approx(np.mean(nme), rel=1e-3)
    (tmp_path / "empty").mkdir()
    assert eval_recon3d.main([*arguments, "--images", str(tmp_path / "empty")]) == 2
    assert "holds no photo with a .pts" in capsys.readouterr().err
