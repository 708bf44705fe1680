"""train_3dmm.py on drawn faces: every loss lowers the error, runs resume, wrong input is named."""

import re
import shutil
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

import train_3dmm
from common.checkpoint import read_state, read_tensors, save_snapshot
from networks.landmark_net import LandmarkNet, LandmarkNetConfig
from recon3d.regression import drawn
from recon3d.regression.data import PackedSample, pack_crops, packed_resolution
from recon3d.regression.decode import CONVENTIONS, FaceDecoder
from recon3d.regression.losses import PointSampler
from recon3d.regression.method import RegressionMethod, box_nme
from recon3d.regression.mirror import FaceMirror
from recon3d.regression.models import load_regressor
from recon3d.regression.params import Layout
from recon3d.regression.settings import RegressionSettings
from recon3d.regression.short_video import VideoSynthesis
from tests.recon3d.regression.small_models import random_parameters, small_model

LAYOUT, SIZE = Layout(6, 3), 32


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A face model file, packed crops in which landmarks are dots, an ini file."""
    root = tmp_path_factory.mktemp("regression")
    model = small_model(6, 3)
    model.save(root / "model.safetensors")
    resolution = packed_resolution(SIZE)
    parameters = random_parameters(48, size=resolution, identity=6, expression=3)
    parameters[:, :12] *= torch.where(torch.arange(12) % 4 == 3, 1.0, resolution / 160)
    decoder = FaceDecoder(model, LAYOUT, model.landmarks["ibug68"])
    points = CONVENTIONS["continuous"].to_crop(decoder(parameters), resolution, torch.ones(48)).numpy()[..., :2]

    def draw(i):
        image = np.zeros((resolution, resolution, 3), np.uint8)
        for k, point in enumerate(points[i]):
            cv2.circle(image, tuple(int(v) for v in point), 1, (255, 80 + 2 * k, 255 - 3 * k), -1)
        return PackedSample(image, parameters[i].numpy(), f"drawn{i}", points[i])

    pack_crops((draw(i) for i in range(48)), 48, root / "crops", LAYOUT, SIZE, "small", say=print)
    (root / "local.ini").write_text(f"[Paths]\ndata = {root}/data\noutputs = {root}/outputs\n[Runtime]\ndevice = cpu\n")
    return root


def run(workspace, *flags, epochs=2, session="run", width="0.25"):
    common = [
        "--config",
        workspace / "local.ini",
        "--data",
        workspace / "crops",
        "--face-model",
        workspace / "model.safetensors",
    ]
    common += [
        "--sessionname",
        session,
        "-e",
        epochs,
        "-b",
        16,
        "--width",
        width,
        "--clip-norm",
        1,
        "--resample-num",
        20,
    ]
    return train_3dmm.main([str(a) for a in (*common, *flags)])


@pytest.mark.parametrize("loss", ["pdc", "vdc", "wpdc", "fwpdc", "radan", "vanilla", "meta", "l1"])
def test_every_loss_lowers_the_error(workspace, loss, capsys):
    """Sixteen samples are learnt by heart, so that the bar is far from what a net that sees nothing reaches (100 %)."""
    flags = [
        "--loss",
        loss,
        "--val-data",
        workspace / "crops",
        "--meta-steps",
        4,
        "--eval-freq",
        1,
        "--schedule",
        "constant",
    ]
    flags += ["--train-count", 16, "--repeat", 10]
    flags += ["--optimizer", "adamw", "--base-lr", 0.003, "--lrr", 0.1]
    flags += ["--jigsaw"] if loss == "radan" else []
    assert run(workspace, *flags, session=loss, epochs=4) == 0
    lines = [float(v) for v in re.findall(r"Train:.* nme=([\d.]+)", capsys.readouterr().out)]
    assert len(lines) == 4 and lines[-1] < 0.8 * lines[0]
    loaded = load_regressor(loss, workspace / "data" / "models" / "snapshots")
    assert loaded.info["loss"] == loss and loaded.model.config.landmarks == 68 and loaded.info["metrics"]["nme"] > 0


@pytest.mark.parametrize("loss", ["vdc", "meta"])
def test_resumed_run_equals_an_uninterrupted_one(workspace, loss):
    flags = [
        "--loss",
        loss,
        "--meta-steps",
        2,
        "--rotation",
        10,
        "--shift",
        0.05,
        "--colour",
        0.5,
        "--jigsaw-grids",
        2,
        4,
    ]
    snapshots = workspace / "data" / "models" / "snapshots"
    for session, parts in ((f"{loss}_whole", [3]), (f"{loss}_parts", [1, 3])):
        for i, epochs in enumerate(parts):
            assert run(workspace, *flags, *(["-r", session] if i else []), session=session, epochs=epochs) == 0
    whole, parts = (
        read_tensors(snapshots / f"{loss}_{name}" / "00003" / "model.safetensors") for name in ("whole", "parts")
    )
    assert all(torch.equal(whole[k], parts[k]) for k in whole)


def test_annotations_teach_where_labels_are_wrong(workspace):
    """Labels without the right places: only the landmark term can bring the points home."""
    wrong = workspace / "wrong_labels"
    shutil.copytree(workspace / "crops", wrong, dirs_exist_ok=True)
    labels = np.load(wrong / "parameters.npy")
    labels[:, 3] += 6  # px to the right
    np.save(wrong / "parameters.npy", labels)
    flags = ["--data", wrong, "--val-data", workspace / "crops", "--optimizer", "adamw", "--base-lr", 0.003]
    flags += ["--train-count", 16, "--repeat", 6, "--schedule", "constant", "--loss", "l1"]
    scores = []
    for weight in (0, 50):
        assert run(workspace, *flags, "--landmark-weight", weight, session=f"wrong{weight}", epochs=3) == 0
        loaded = load_regressor(f"wrong{weight}", workspace / "data" / "models" / "snapshots")
        scores.append(loaded.info["metrics"]["nme"])
    assert scores[1] < 0.8 * scores[0]


def test_a_trunk_starts_from_a_landmark_model(workspace, tmp_path, capsys):
    config = LandmarkNetConfig(width=16)
    source = LandmarkNet(config)
    for p in source.parameters():
        torch.nn.init.normal_(p)
    save_snapshot(tmp_path / "points", source.state_dict(), {"kind": "landmark_net", "network": config.to_dict()})
    flags = ["--trunk", tmp_path / "points", "--base-lr", 0, "--weight-decay", 0]
    assert run(workspace, "--arch", "landmark_trunk", *flags, session="trunk", width="0.5", epochs=1) == 0
    network = load_regressor("trunk", workspace / "data" / "models" / "snapshots").model.network
    assert torch.equal(network.stages[3][1].conv1.weight, source.stages[3][1].conv1.weight)
    assert torch.equal(network.squeeze[0].weight, source.squeeze[0].weight)
    assert run(workspace, "--arch", "landmark_trunk", *flags, session="other", width="1") == 2
    assert "another architecture" in capsys.readouterr().err
    assert run(workspace, *flags, session="other") == 2
    assert "add --arch landmark_trunk" in capsys.readouterr().err


def test_jigsaws_that_do_not_fit_are_one_sentence(workspace, capsys):
    assert run(workspace, "--jigsaw-grids", 3, session="puzzle", epochs=1) == 2
    assert "crops of 32 px cannot be cut into 3 × 3 equal cells" in capsys.readouterr().err


def test_puzzles_stand_behind_the_batch():
    """One copy per option, the same parameters, the same pixels in other places."""
    settings = RegressionSettings(jigsaw=True, jigsaw_grids=[2, 3])
    method = SimpleNamespace(settings=settings)
    images, parameters = torch.rand(4, 3, 120, 120), torch.rand(4, 62)
    many, repeated = RegressionMethod._with_puzzles(method, images, parameters, torch.arange(4), 1)
    assert many.shape == (16, 3, 120, 120) and torch.equal(repeated, parameters.repeat(4, 1))
    assert torch.equal(many[:4], images)
    for copy in many[8:].split(4):
        assert not torch.equal(copy, images)
        assert torch.allclose(copy.flatten(2).sort().values, images.flatten(2).sort().values)


def test_another_loss_is_a_new_stage(workspace):
    assert run(workspace, "--loss", "wpdc", session="stages", epochs=1) == 0
    assert run(workspace, "--loss", "vdc", "-r", "stages", "--lrr", 0.1, session="stages", epochs=2) == 0
    state = read_state(workspace / "data" / "models" / "snapshots" / "stages" / "00002" / "state.pt")
    assert state["position"]["stage"] == "regression_vdc" and state["position"]["stage_start"] == 1


def test_short_videos_and_mirrors_are_trained_on(workspace, tmp_path, monkeypatch):
    assert drawn.main([str(tmp_path), "--count", "4", "--identity", "8", "--expression", "6"]) == 0
    seen = []
    step = RegressionMethod.training_step

    def watched(method, batch, number, epoch):
        terms = step(method, batch, number, epoch)
        seen.append(method.changes)
        return terms

    monkeypatch.setattr(RegressionMethod, "training_step", watched)
    flags = [
        "--data",
        tmp_path / "crops",
        "--face-model",
        "head",
        "-b",
        2,
        "--flip",
        0.5,
        "--video-frames",
        3,
        "--rotation",
        5,
    ]
    assert run(workspace, *flags, "--loss", "vdc", session="clips", epochs=1) == 0
    assert len(seen) == 2 and [type(change) for change in seen[0]] == [FaceMirror, VideoSynthesis]


def test_radan_trains(workspace):
    assert (
        run(workspace, "--arch", "radan", "--loss", "radan", "--train-count", 4, "-b", 2, session="radan_net", epochs=1)
        == 0
    )


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["--face-model", "head"], None),
        (["--data", "nowhere"], r"nowhere/info.json: not the description"),
        (["--train-count", "99"], r"--train-count 99 is not within 1..48"),
        (["--face-model", "nowhere.safetensors"], r"no face model 'nowhere.safetensors': there are head"),
        (["--flip", "0.5"], r"--flip: face model .* knows no mirror partners"),
        (["-r", "nowhere"], r"no model 'nowhere'"),
    ],
)
def test_wrong_input_is_named(workspace, flags, text, capsys):
    if text is None:  # a model with more components than the parameters is fine, one with fewer is not
        small_model(3, 3).save(workspace / "tiny.safetensors")
        flags, text = (
            ["--face-model", workspace / "tiny.safetensors"],
            r"3 identity and 3 expression components.*6 and 3",
        )
    assert run(workspace, *flags, session="wrong") == 2
    assert re.search(text, capsys.readouterr().err)


def test_box_nme_by_hand():
    truth = torch.tensor([[[0.0, 0.0], [4.0, 9.0]]])
    assert torch.isclose(box_nme(truth + torch.tensor([0.3, 0.4]), truth), torch.tensor([100 * 0.5 / 6])).all()


def test_sampler_follows_the_face_model():
    sampler = PointSampler(small_model(6, 3), LAYOUT, 10)
    assert sampler.draw().modes.shape == (78, 3, 9)
