"""Labels by landmark model and teacher: who is trusted where, faces in which both disagree, leaks, the command."""

import shutil

import numpy as np
import pytest

from datasets.leaks import training_photos
from geometry.schemes import IBUG_68
from recon3d.regression import prepare, teacher_labels
from recon3d.regression.data import PackedCrops
from recon3d.regression.teacher_labels import blended_targets, disagreement

JAW, EYE = 3, 40


def test_trust_goes_over_with_the_yaw():
    landmarks, teacher = np.zeros((5, 68, 2)), np.ones((5, 68, 3))
    targets = blended_targets(landmarks, teacher, np.array([0.0, -25.0, 40.0, -62.5, 80.0]))
    assert targets[:, JAW, 0].tolist() == [0, 0.5, 1, 1, 1]
    assert targets[:, EYE, 0].tolist() == [0, 0, 0, 0.5, 1]
    assert (targets[..., 2] == 1).all()


def test_disagreement_by_hand():
    landmarks = np.stack([np.linspace(0, 90, 68), np.linspace(0, 40, 68)], 1)[None]
    teacher = np.concatenate([landmarks, landmarks[..., :1]], -1)
    teacher[:, 17:, 0] += 6
    teacher[:, :17] += 1000  # the jaw does not count
    assert disagreement(landmarks, teacher) == pytest.approx(10)


@pytest.fixture()
def photos(drawn, tmp_path):
    """Four drawn faces, two of them without points."""
    folder = tmp_path / "photos"
    shutil.copytree(drawn("folder", 6)[0], folder)
    points = sorted(folder.rglob("*.pts"))
    for path in points[2:4]:
        path.unlink()
    for path in points[4:]:
        path.unlink()
        path.with_suffix(".jpg").unlink()
    return folder


def test_the_command_labels_photos(photos, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert prepare.main(["taught", "--from", str(photos), "--out", "taught"]) == 0
    packed = PackedCrops(tmp_path / "taught")
    annotated = [n for n in packed.names if (tmp_path / n).with_suffix(".pts").is_file()]
    assert len(annotated) == 2 and packed.landmarks.shape == (len(packed), IBUG_68.num_points, 2)
    assert np.isfinite(packed.landmarks).all() and packed.face_model == "head"
    monkeypatch.setattr(teacher_labels, "MAX_DISAGREEMENT", 0.0)
    assert prepare.main(["taught", "--from", str(photos), "--out", "strict"]) == 0
    assert PackedCrops(tmp_path / "strict").names == annotated
    assert prepare.main(["taught", "--from", "nowhere"]) == 2
    assert "give it with --from" in capsys.readouterr().err


def test_leaked_photos_are_left_out(tmp_path):
    folder = tmp_path / "300w" / "images" / "train" / "lfpw"
    folder.mkdir(parents=True)
    for name in ("image_0828.png", "image_0829.png"):
        (folder / name).write_bytes(b"")
    assert [p.name for p in training_photos(tmp_path)] == ["image_0829.png"]
    assert [p.name for p in training_photos(folder)] == ["image_0829.png"]
