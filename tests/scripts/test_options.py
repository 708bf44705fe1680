"""Options of all scripts: one word for one thing, groups and ranges."""

import dataclasses
import math

import pytest

import demo
import eval_depthnet
import eval_landmarks
import eval_recon3d
import train_3dmm
import train_aae_landmarks
import train_aae_landmarks_3d
import train_aae_unsupervised
import train_depthnet
import train_facewarp_cyclegan
import train_landmarks_fast
import train_recon3d
import warp_face
from common.config import GROUPS, build_parser
from depthnet import settings as depth_settings
from depthnet.replacement.training import CycleGANSettings
from landmarks import settings as landmark_settings
from landmarks.net_settings import LandmarkNetSettings
from recon3d.reconstruction.settings import ReconstructionSettings
from recon3d.refinement.settings import RefineSettings, TextureSettings
from recon3d.regression.settings import RegressionSettings
from recon3d.scores.regression import EvalSettings as MeshEvalSettings
from tasks.settings import AllSettings
from tasks.table import ALL, TASKS

TRAINING = {
    train_aae_unsupervised: ([], landmark_settings.UnsupervisedSettings),
    train_aae_landmarks: ([], landmark_settings.LandmarkSettings),
    train_aae_landmarks_3d: ([], landmark_settings.DepthSettings),
    train_landmarks_fast: ([], LandmarkNetSettings),
    train_depthnet: ([], depth_settings.TrainSettings),
    train_facewarp_cyclegan: ([], CycleGANSettings),
    train_3dmm: ([], RegressionSettings),
    train_recon3d: ([], ReconstructionSettings),
}
STAGES = {"gcn": RefineSettings, "gcn_texture": TextureSettings}
LOADING = {
    eval_landmarks: landmark_settings.EvalSettings,
    eval_depthnet: depth_settings.EvalSettings,
    eval_recon3d: MeshEvalSettings,
    warp_face: depth_settings.WarpSettings,
}
DEMOS = {**{name: task.settings for name, task in TASKS.items()}, ALL: AllSettings}
EVERY = [
    *(settings for _, settings in TRAINING.values()),
    *STAGES.values(),
    *LOADING.values(),
    *DEMOS.values(),
]
SCRIPTS = [
    *((script, flags) for script, (flags, _) in TRAINING.items()),
    *((train_recon3d, ["--stage", stage]) for stage in STAGES),
]
HOSTILE = [
    ("--lr", "nan", "not a finite number"),
    ("--lr", "inf", "not a finite number"),
    ("--lr", "-1", "at least 0"),
    ("--epochs", "-1", "at least 0"),
    ("--batch-size", "-4", "of range: at least"),
    ("--batch-size", "0", "range: at least"),
    ("--seed", "-1", "at least 0"),
    ("--workers", "-1", "at least 0"),
    ("--save-every", "0", "at least 1"),
    ("--sessionname", "../x", "no name for a session"),
    ("--sessionname", "/x", "no name for a session"),
    ("--sessionname", "a\nb", "no name for a session"),
    ("--sessionname", "", "no name for a session"),
]


@pytest.mark.parametrize(("script", "flags"), SCRIPTS)
@pytest.mark.parametrize(("flag", "value", "reason"), HOSTILE)
def test_trainings_refuse_hostile_values_in_one_sentence(script, flags, flag, value, reason, capsys):
    with pytest.raises(SystemExit) as caught:
        script.main([*flags, "--dry-run", f"{flag}={value}"])
    captured = capsys.readouterr()
    assert caught.value.code == 2 and not captured.out
    assert (
        captured.err.count("error:") == 1
        and flag in captured.err
        and reason in captured.err
        and "usage" not in captured.err
    )


@pytest.mark.parametrize(("script", "flags"), SCRIPTS)
def test_the_ini_file_has_the_same_ranges(script, flags, tmp_path, capsys):
    ini = tmp_path / "x.ini"
    ini.write_text("[Runtime]\nseed = -1\n")
    assert script.main([*flags, "--config", str(ini), "--dry-run"]) == 2
    assert "seed = -1: -1 is out of range: at least 0" in capsys.readouterr().err


@pytest.mark.parametrize("settings", EVERY)
def test_every_number_that_counts_or_weighs_has_a_range_and_its_default_lies_within(settings):
    free = {"scale_depth", "angles", "fps", "range_dm"}  # checked with what they belong to
    for item in dataclasses.fields(settings):
        if item.type not in (int, float, int | None, float | None, list[int], list[float]) or item.name in free:
            continue
        low, high = item.metadata["minimum"], item.metadata["maximum"]
        assert low is not None or item.metadata["choices"], f"{settings.__name__}.{item.name}"
        value = item.default_factory() if item.default is dataclasses.MISSING else item.default
        for number in value if isinstance(value, list) else [value]:
            assert number is None or (low or -math.inf) <= number <= (math.inf if high is None else high), item.name


@pytest.mark.parametrize("settings", EVERY)
def test_help_has_groups_and_ranges(settings):
    text = build_parser(settings, "text").format_help()
    for item in dataclasses.fields(settings):
        if not item.metadata["positional"]:
            assert item.metadata["group"] in GROUPS, f"{settings.__name__}.{item.name}"
    if any(item.name == "batch_size" for item in dataclasses.fields(settings)):
        assert "at least 1" in text or "at least 2" in text


@pytest.mark.parametrize("settings", LOADING.values())
def test_what_is_loaded_is_a_checkpoint(settings):
    names = {item.name for item in dataclasses.fields(settings)}
    assert "checkpoint" in names and not names & {"resume", "model", "reconstructor", "mode_of_device", "name"}


@pytest.mark.parametrize("spelling", ["--checkpoint", "-c", "-r", "--resume"])
@pytest.mark.parametrize("script", LOADING)
def test_old_spellings_of_a_checkpoint(script, spelling, capsys):
    if script is eval_recon3d and spelling == "-r":
        pytest.skip("the papers' evaluations of meshes know -c alone")
    assert script.main([spelling, "some/model", "--dry-run"]) == 0
    assert "some/model" in capsys.readouterr().out


@pytest.mark.parametrize("flags", [["--model", "x"], ["--checkpoint", "x"], ["-r", "x"], ["-c", "x"]])
def test_old_spellings_of_the_demos_model(flags, capsys):
    assert demo.main([*flags, "--dry-run"]) == 0
    assert '"model": "x"' in capsys.readouterr().out


@pytest.mark.parametrize("flags", [["--mode", "gpu"], ["--mode=gpu"], ["-m", "gpu"], ["--device", "cuda"]])
def test_the_mesh_demos_device(flags, capsys):
    assert demo.main(["--task", "mesh", *flags, "--name", "V2", "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert '"device": "cuda"' in printed and '"suffix": "V2"' in printed
