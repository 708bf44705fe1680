"""Labels of the embedded head: rendered truth and fitted photos project onto the landmarks of their crops."""

import numpy as np
import pytest
import torch

from common.errors import DataError
from datasets.synthetic import faces as synthetic
from morphable.model import EMBEDDED_HEAD, FaceModel
from recon3d.regression import prepare
from recon3d.regression.head_labels import photo_samples, synthetic_samples
from recon3d.regression.params import Layout


@pytest.fixture(scope="module")
def head():
    return FaceModel.load(EMBEDDED_HEAD)


@pytest.fixture()
def few_faces(monkeypatch):
    monkeypatch.setattr(synthetic, "BATCH", 2)
    monkeypatch.setattr(synthetic, "FACES", {"train": 4, "test": 2})


def projected(head, label, height):
    """(68, 2) crop px, y down, of a label."""
    parts = Layout(*head.sizes[:2]).split(torch.as_tensor(label)[None])
    points = head.points(head.shape(parts.identity, parts.expression), "ibug68")
    screen = points @ parts.matrix.mT + parts.translation[:, None]
    return np.stack([screen[0, :, 0], height - screen[0, :, 1]], 1)


def test_rendered_labels_are_exact(tmp_path, head, few_faces):
    samples, count = synthetic_samples(tmp_path, "train", 120, Layout(*head.sizes[:2]))
    samples = list(samples)
    assert count == len(samples) == 4
    for sample in samples:
        side = len(sample.image)
        np.testing.assert_allclose(projected(head, sample.parameters, side), sample.landmarks, atol=0.05)
        assert sample.image.std() > 5


def test_fitted_photos_follow_their_points(drawn, head):
    root, _ = drawn("folder", 6)
    samples, count = photo_samples(root, head, 120, Layout(*head.sizes[:2]), 0)
    samples = list(samples)
    assert count == len(samples) == 6
    off = [projected(head, s.parameters, len(s.image)) - s.landmarks for s in samples]
    errors = [np.linalg.norm(difference[17:], axis=1).mean() for difference in off]
    assert max(errors) < 3, "px of a crop of 160; jaw points may slide"
    assert photo_samples(root, head, 120, Layout(*head.sizes[:2]), 1e-6)[1] == 0
    with pytest.raises(DataError, match="no photo with a .pts"):
        photo_samples(root / "nowhere", head, 120, Layout(*head.sizes[:2]), 0)


def test_command_packs_both(tmp_path, drawn, few_faces, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert prepare.main(["synthetic", "--out", "packed"]) == 0
    some = ["--from", str(drawn("folder", 6)[0]), "--count", "3", "--max-error", "0"]
    assert prepare.main(["photos", "--out", "photos", *some]) == 0
    assert np.load("packed/images.npy").shape == (4, 160, 160, 3) and len(np.load("photos/images.npy")) == 3
    assert prepare.main(["photos", "--out", "x"]) == 2
    assert prepare.main(["nothing"]) == 2
    assert "name one source" in capsys.readouterr().err
