"""From images to landmarks: flip averaging and the three read-outs."""

import numpy as np
import pytest
import torch

import eval_landmarks
from common.checkpoint import save_snapshot
from geometry.schemes import IBUG_68
from landmarks.bundle import main as bundle
from landmarks.inference import predict
from landmarks.models import LoadedModel, load_model, model_config
from networks.aae import AAE, AAEConfig

PERMUTATION = torch.as_tensor(IBUG_68.flip_permutation)


@pytest.fixture(scope="module")
def networks():
    torch.manual_seed(0)
    return AAE(AAEConfig(128, num_landmarks=68, coords_head=True)).eval()


def test_flip_average_is_equivariant(networks):
    """The mirrored photo must give the mirrored points, whatever the networks are."""
    images = torch.randn(2, 3, 128, 128)
    for readout in ("coords", "heatmaps"):
        with torch.inference_mode():
            a = predict(networks, images, PERMUTATION, readout=readout)
            b = predict(networks, images.flip(-1), PERMUTATION, readout=readout)
        if readout == "coords":
            mirrored = b.landmarks[:, PERMUTATION] * torch.tensor([-1.0, 1.0]) + torch.tensor([128.0, 0.0])
            assert torch.allclose(a.landmarks, mirrored, atol=1e-3)
        assert torch.allclose(a.heatmaps, b.heatmaps.flip(-1)[:, PERMUTATION], atol=1e-4)


def test_readouts(networks):
    images = torch.randn(2, 3, 128, 128)
    with torch.inference_mode():
        by_map, by_z, both = (predict(networks, images, readout=r).landmarks for r in ("heatmaps", "coords", "mean"))
        expected = (networks.coords(networks.Q(images)).view(2, 68, 2) + 1) * 64
    assert torch.allclose(by_z, expected, atol=1e-4)
    assert torch.allclose(both, (by_map + by_z) / 2, atol=1e-4)


def test_compat_decoding_has_no_half_pixel(networks):
    with torch.inference_mode():
        points = predict(networks, torch.randn(1, 3, 128, 128), subpixel=False).landmarks
    assert torch.equal(points, points.round())


def test_bundling_keeps_the_readout(networks, tmp_path, capsys):
    config = model_config(networks, IBUG_68, "lm_ground_truth", epoch=3)
    save_snapshot(tmp_path / "data/models/snapshots/s/00003", networks.state_dict(), config)
    (tmp_path / "x.ini").write_text(f"[Paths]\ndata = {tmp_path / 'data'}\n")
    assert bundle(["s", str(tmp_path / "small"), "--readout", "coords", "--config", str(tmp_path / "x.ini")]) == 0
    model = load_model(str(tmp_path / "small"))
    assert model.networks.config.readout == "coords" and isinstance(model, LoadedModel)
    np.testing.assert_allclose(model.networks.coords.weight.detach(), networks.coords.weight.detach(), atol=1e-3)
    assert bundle(["nothing", str(tmp_path / "y"), "--config", str(tmp_path / "x.ini")]) == 2
    assert "no model 'nothing'" in capsys.readouterr().err


def test_readout_that_the_model_lacks(tmp_path, capsys):
    plain = AAE(AAEConfig(128, num_landmarks=68))
    save_snapshot(tmp_path / "m", plain.state_dict(), model_config(plain, IBUG_68, "lm_ground_truth"))
    assert eval_landmarks.main(["-r", str(tmp_path / "m"), "--readout", "coords"]) == 2
    assert "no coordinate read-out" in capsys.readouterr().err
