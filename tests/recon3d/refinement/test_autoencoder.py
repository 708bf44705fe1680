"""CoMA on shapes of the embedded head: learns, resumes, names wrong input."""

import pytest
import torch

from common.config import LocalConfig
from morphable.open import load_face_model
from recon3d.refinement import autoencoding
from recon3d.refinement.autoencoder import pca_error_mm, random_shapes


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    root = tmp_path_factory.mktemp("coma")
    return LocalConfig(None, {"data": root / "data", "outputs": root / "outputs"}, {})


def settings(**changes):
    small = {"shapes": 96, "held_out": 16, "epochs": 8, "batch_size": 8, "device": "cpu", "code": 4}
    return autoencoding.AutoencoderSettings(**(small | changes))


def test_training_beats_the_mean_shape(local):
    scores = autoencoding.train_autoencoder(settings(), local)
    assert scores["coma_mm"] < 0.95 * scores["mean_mm"] and scores["pca_mm"] < scores["mean_mm"]
    again = autoencoding.train_autoencoder(settings(epochs=9, resume="coma"), local)
    assert again["coma_mm"] < scores["mean_mm"]
    assert len(list((local.data / "pyramids").iterdir())) == 1  # built once


def test_wrong_input(local, tmp_path, capsys):
    config = tmp_path / "local.ini"
    config.write_text(f"[Paths]\ndata = {tmp_path}\noutputs = {tmp_path}\n[Runtime]\ndevice = cpu\n")
    for flags, text in (
        (["--code", "0"], "--code and --epochs are at least 1"),
        (["--face-model", "nobody"], "error: no face model 'nobody': there are head"),
        (["-r", "nothing"], "no model 'nothing'"),
    ):
        given = ["--config", str(config), "--shapes", "4", "--held-out", "2", *flags]
        assert autoencoding.main(given) == 2
        assert text in capsys.readouterr().err


def test_random_shapes_follow_the_model_and_repeat():
    model = load_face_model("head")
    shapes = random_shapes(model, 8, 3)
    assert shapes.shape == (8, model.num_vertices, 3) and torch.equal(shapes, random_shapes(model, 8, 3))
    assert 1 < 100 * (shapes - model.mean).norm(dim=-1).mean() < 20


def test_pca_of_a_linear_family_is_exact():
    basis, mean = torch.randn(3, 50), torch.randn(50)
    shapes = (torch.randn(40, 3) @ basis + mean).view(40, -1, 1).expand(-1, -1, 3)
    assert pca_error_mm(shapes[:30], shapes[30:], 3) < 1e-2
    assert pca_error_mm(shapes[:30], shapes[30:], 1) > 10
