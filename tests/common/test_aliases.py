"""Old command lines mean what they meant."""

import os

import pytest

from common.config import parse_settings
from common.errors import ConfigError
from depthnet.settings import EvalSettings as DepthEval
from depthnet.settings import TrainSettings
from landmarks.settings import DepthSettings, EvalSettings, LandmarkSettings, UnsupervisedSettings
from recon3d.reconstruction.settings import ReconstructionSettings
from recon3d.regression.settings import RegressionSettings
from tasks.settings import MeshSettings
from training.settings import warmup_share


@pytest.mark.parametrize(
    ("settings", "flags", "expected"),
    [
        (
            LandmarkSettings,
            "--save-freq 3 --eval_freq=4 ---print-freq 5 --batchsize 6",
            dict(save_every=3, eval_every=4, print_every=5, batch_size=6),
        ),
        (LandmarkSettings, "--lr-adjust --wait 0 --print-freq-eval 9 --st 2", {"schedule": "step", "train_start": 2}),
        (LandmarkSettings, "--lr-adjust 0 --normalize 0", {"schedule": "constant", "normalize": False}),
        (LandmarkSettings, "--dataset-train wflw", {"dataset": ["wflw"]}),
        (UnsupervisedSettings, "--dataset w300", {"dataset_train": ["w300"]}),
        (
            EvalSettings,
            "--dataset-val aflw --normalize --use-adaptive-wing-loss 1 -seed 3 --batchsize-eval 7",
            {"dataset": ["aflw"], "batch_size": 7},
        ),
        (
            TrainSettings,
            "--cpu --name x --no_gan --save_every 2 --batch_size=9",
            {"device": "cpu", "sessionname": "x", "no_gan": True, "save_every": 2, "batch_size": 9},
        ),
        (DepthEval, "--compute_stats --cpu 0 --seed 1", {"compute_stats": True, "device": "auto"}),
        (
            ReconstructionSettings,
            "--data_path a --val_data_path b --model_name m --n_epochs 4 --use_last_fc",
            {"data": ["a"], "val_data": ["b"], "sessionname": "m", "epochs": 4, "one_head": True},
        ),
        (
            RegressionSettings,
            "--snapshot s --base-lr 0.02 --wd 1e-3 --test_initial --warmup 5",
            {"sessionname": "s", "lr": 0.02, "weight_decay": 1e-3, "eval": True, "warmup": 5},
        ),
        (
            MeshSettings,
            "--show_flag false --dlib_landmark --name V2 photo.jpg",
            {"suffix": "V2", "inputs": ["photo.jpg"]},
        ),
    ],
)
def test_old_spellings(settings, flags, expected):
    parsed, _, _ = parse_settings(settings, "text", flags.split())
    assert {name: getattr(parsed, name) for name in expected} == expected


def test_gpu_chooses_what_is_visible(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    parse_settings(DepthSettings, "text", ["--gpu", "1"])
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "1"


def test_what_no_script_knows_is_still_an_error(capsys):
    with pytest.raises(SystemExit):
        parse_settings(MeshSettings, "text", ["--save-freq", "1"])
    assert "--save-freq" in capsys.readouterr().err


def test_warmup_is_a_share_and_from_one_on_epochs():
    assert [warmup_share(value, 50) for value in (-1, 0, 0.1, 5)] == [0, 0, 0.1, 0.1]
    assert warmup_share(0.3, None) == 0.3


def test_a_dry_run_chooses_no_gpu(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    parse_settings(DepthSettings, "text", ["--gpu", "1", "--dry-run"])
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "7"


def test_old_names_in_the_ini_file_are_translated_and_new_ones_outrank_them(tmp_path):
    ini = tmp_path / "x.ini"
    ini.write_text("[Runtime]\nbatchsize = 6\nsave-freq = 3\nsave_every = 4\nlr_adjust = 1\nbase-lr = 0.5\nwait = 1\n")
    settings, _, _ = parse_settings(LandmarkSettings, "text", ["--config", str(ini)])
    assert (settings.batch_size, settings.save_every, settings.schedule, settings.lr) == (6, 4, "step", 0.5)
    ini.write_text("[Runtime]\nmode = gpu\nname = x\n")
    settings, _, _ = parse_settings(MeshSettings, "text", ["--config", str(ini)])
    assert (settings.device, settings.suffix) == ("cuda", "x")
    ini.write_text("[Runtime]\nbatchsize = many\n")
    with pytest.raises(ConfigError, match="batchsize = many"):
        parse_settings(LandmarkSettings, "text", ["--config", str(ini)])


def test_predicted_heatmaps_are_no_ground_truth():
    for settings in (DepthSettings, EvalSettings):
        assert not parse_settings(settings, "text", ["--use-groundtruth", "1", "--use_predicted", "1"])[
            0
        ].use_groundtruth
    assert parse_settings(DepthSettings, "text", ["--use-predicted", "0"])[0].use_groundtruth
