"""The direct landmark network: its likelihood, its training, what resuming keeps, labels by several views."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from common.runtime import make_accelerator
from datasets.loader import FaceSet
from datasets.packing import pack
from datasets.readers.w300 import W300
from datasets.resident import ResidentFaces
from geometry.schemes import IBUG_68
from landmarks.data import crop_extension
from landmarks.net_inference import confidence
from landmarks.net_losses import laplace_nll, readout_loss
from landmarks.net_models import load_net, save_net
from landmarks.net_settings import LandmarkNetSettings
from landmarks.net_training import LandmarkNetMethod, describe, new_networks, repeated
from landmarks.pseudo_labels import label
from networks.landmark_net import LandmarkReadouts, Located
from train_landmarks_fast import main
from training.loop import EpochPosition

SETTINGS = LandmarkNetSettings(
    input_size=64, width=16, blocks=1, daug=0, occ=0, colour=0, blur=0, grey=0, noise=0, lr=3e-3
)


@pytest.fixture
def packed(drawn, tmp_path):
    return pack(W300(drawn("w300")[0], "train", 64), tmp_path / "cache", progress=False)


def test_the_likelihood_is_best_at_the_truth_and_at_the_error_as_scale():
    truth, weights = torch.zeros(1, 1, 2), torch.ones(1, 1)

    def nll(distance: float, scale: float) -> float:
        located = Located(torch.tensor([[[distance, 0.0]]]), torch.tensor([[math.log(scale)]]))
        return float(laplace_nll(located, truth, weights))

    assert nll(0.1, 0.05) < nll(0.2, 0.05) < nll(0.3, 0.05)
    assert nll(0.1, 0.05) < min(nll(0.1, 0.03), nll(0.1, 0.08))  # d/b + 2 ln b is smallest at b = d/2


def test_points_without_weight_do_not_count():
    located = Located(torch.rand(2, 3, 2), torch.zeros(2, 3))
    truth, weights = located.points.clone(), torch.ones(2, 3)
    truth[0, 1] += 100
    weights[0, 1] = 0
    terms = readout_loss(LandmarkReadouts(located, located, located), truth, weights)
    assert float(terms["loss"]) == pytest.approx(0.0, abs=1e-4)


def test_confidence_is_the_mass_of_the_density_within_the_tolerance():
    scale, tolerance = 0.07, 0.1
    radius = torch.linspace(0, tolerance, 20001, dtype=torch.float64)
    density = radius * torch.exp(-radius / scale) / scale**2  # radial Laplace, integrated over the angle
    expected = torch.trapezoid(density, radius)
    assert float(confidence(torch.tensor(math.log(scale)), tolerance)) == pytest.approx(float(expected), abs=1e-5)


def test_training_brings_points_to_their_truth(packed):
    resident = ResidentFaces(FaceSet([packed]), torch.device("cpu"), progress=False)
    networks = new_networks(SETTINGS, IBUG_68)
    method = LandmarkNetMethod(networks, SETTINGS, make_accelerator("cpu"), IBUG_68, {}, resident)
    batch = resident.collate([(i, i) for i in range(len(resident))])
    errors = [float(method.training_step(batch, step, EpochPosition(0, step, 40))["nme"]) for step in range(40)]
    assert np.mean(errors[-5:]) < 0.5 * np.mean(errors[:3])
    scores = method.evaluate(0)
    assert scores["score"] == pytest.approx((scores["nme"] + scores["nme_moved"]) / 2)


def test_sets_are_repeated_as_asked_for(packed):
    faces = repeated(FaceSet([packed, packed]), [3, 1])
    assert len(faces) == 4 * len(packed) and (faces.part_of == 0).sum() == 3 * len(packed)


def test_labels_go_back_from_every_view_to_the_crop(packed):
    """A network that always sees the crop's centre: turned, moved and mirrored views agree on where that is."""

    class Centre(torch.nn.Module):
        config = dataclasses.make_dataclass("Config", [("input_size", int)])(64)

        def forward(self, images):
            located = Located(torch.zeros(len(images), 68, 2), torch.zeros(len(images), 68))
            return LandmarkReadouts(located, located, located)

    model = dataclasses.make_dataclass("Model", ["networks", "scheme"])(Centre(), IBUG_68)
    resident = ResidentFaces(FaceSet([packed], with_landmarks=False), torch.device("cpu"), progress=False)
    points, spread = label([model], resident)
    middle = packed.resolution / 2
    shifts = (points - middle).abs().max()
    assert points.shape == (len(packed), 68, 2) and shifts < 0.06 * packed.resolution  # views move by 3 % of the crop
    assert 0.005 < float(spread.mean()) < 0.06


def test_the_script_trains_resumes_to_the_bit_and_gives_a_bundle(packed, tmp_path):
    ini = tmp_path / "local.ini"
    ini.write_text(f"[Paths]\ndata = {tmp_path}\noutputs = {tmp_path}/outputs\n")
    common = [
        "--config",
        str(ini),
        "--dataset",
        str(packed.folder),
        "--input-size",
        "64",
        "--width",
        "16",
        "--blocks",
        "1",
        "-b",
        "4",
        "--schedule",
        "constant",
        "--warmup",
        "0",
        "--device",
        "cpu",
    ]
    assert main([*common, "--sessionname", "whole", "--epochs", "2"]) == 0
    assert main([*common, "--sessionname", "parts", "--epochs", "1"]) == 0
    assert main([*common, "-r", "parts", "--sessionname", "parts", "--epochs", "2"]) == 0
    snapshots = tmp_path / "models" / "snapshots"
    whole, parts = (load_file(snapshots / name / "00002" / "model.safetensors") for name in ("whole", "parts"))
    assert whole.keys() == parts.keys() and all(torch.equal(whole[key], parts[key]) for key in whole)

    save_net(load_net(snapshots / "parts" / "00002"), tmp_path / "bundle")
    bundled = load_net(tmp_path / "bundle")
    averaged = parts["ema.module.stem.0.weight"].half().float()
    torch.testing.assert_close(bundled.networks.stem[0].weight, averaged)


def test_a_snapshot_says_how_far_its_crops_reach_beyond_the_points():
    """The detector cuts the second crop by it: without, a trained network would see other crops than it learned
    from.
    """
    net = new_networks(SETTINGS, IBUG_68).net
    told = describe(SETTINGS, net, IBUG_68, ["w300/train"])["crop_extend"]
    assert told == (W300.extend_top, W300.extend_bottom) == (0.2, 0.12)
    assert crop_extension(["folder_of_packed_crops", "w300:train"], "bb_ground_truth") == told
    assert crop_extension(["w300"], "lm_ground_truth") is None and crop_extension(["packed"], "bb_ground_truth") is None
