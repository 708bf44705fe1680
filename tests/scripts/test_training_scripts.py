"""The training and evaluation scripts from the command line, on drawings."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import eval_landmarks
import train_aae_landmarks
import train_aae_landmarks_3d
import train_aae_unsupervised
from common.checkpoint import read_state, read_tensors

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["-i", "128", "-b", "2", "-p", "1", "--eval-freq", "1", "--val-count", "3", "--train-count", "4"]


@pytest.fixture(scope="module")
def place(drawn, tmp_path_factory):
    """(config file, snapshots folder) of a machine with drawn datasets."""
    folder = tmp_path_factory.mktemp("place")
    keys = ("w300", "celeba", "wlp300", "vggface2", "affectnet", "aflw20003d", "wflw")
    lines = [f"{key} = {drawn(key, 12)[0]}" for key in keys]
    (folder / "local_config.ini").write_text("[Paths]\ndata = data\noutputs = out\n" + "\n".join(lines))
    return folder / "local_config.ini", folder / "data/models/snapshots"


def call(script, place, *arguments):
    return script.main([*map(str, arguments), "--config", str(place[0])])


@pytest.fixture(scope="module")
def autoencoder(place):
    """A session with one epoch of the first command of 3FabRec's README."""
    code = call(
        train_aae_unsupervised,
        place,
        *SMALL,
        "--sessionname",
        "my_model",
        "--dataset-train",
        "vggface2",
        "affectnet",
        "--dataset-val",
        "vggface2",
        "--epoch",
        "1",
        "--daug",
        "4",
    )
    assert code == 0
    return "my_model/00001"


@pytest.fixture(scope="module")
def landmarks(place, autoencoder):
    """Landmarks on top of it."""
    code = call(
        train_aae_landmarks,
        place,
        *SMALL,
        "-r",
        autoencoder,
        "--sessionname",
        "lms",
        "--dataset",
        "w300",
        "--epochs",
        "2",
        "--test-split",
        "common",
        "--crop-source",
        "lm_ground_truth",
        "--daug",
        "6",
    )
    assert code == 0
    return "lms/00002"


def test_autoencoder_writes_snapshot_logs_and_pictures(place, autoencoder):
    folder = place[1] / autoencoder
    assert {p.name for p in folder.iterdir()} == {"config.json", "model.safetensors", "state.pt"}
    config = json.loads((folder / "config.json").read_text())
    assert config["networks"]["input_size"] == 128 and config["datasets"] == ["vggface2/train", "affectnet/train"]
    pictures = place[0].parent / "out/reports/reconstructions/my_model/val"
    for name in ("reconstructions", "ssim_errors", "random_faces", "interpolations"):
        assert (pictures / f"{name}_00001.jpg").stat().st_size > 1000


def test_gan_and_structural_stages_continue_the_session(place, autoencoder):
    common = ["--dataset-train", "celeba", "--dataset-val", "celeba", *SMALL, "--train-count", "3"]
    assert (
        call(
            train_aae_unsupervised,
            place,
            *common,
            "-r",
            autoencoder,
            "--with-gan",
            "1",
            "--with-gen-loss",
            "1",
            "--epochs",
            "2",
        )
        == 0
    )
    code = call(
        train_aae_unsupervised,
        place,
        *common,
        "-r",
        "my_model/00002",
        "--with-gan",
        "1",
        "--with-ssim-loss",
        "1",
        "--epochs",
        "3",
    )
    assert code == 0 and (place[1] / "my_model/00003").is_dir()


def test_parface_stages(place):
    common = [
        "--dataset-train",
        "celeba",
        "--dataset-val",
        "celeba",
        *SMALL,
        "--normalize",
        "--train-count",
        "3",
        "--activation",
        "leaky_relu",
        "--with-zgan",
        "0",
        "--with-perceptual-loss",
        "0",
        "--update-D-freq",
        "1",
    ]
    assert (
        call(
            train_aae_unsupervised,
            place,
            *common,
            "--sessionname",
            "pf",
            "--with-l1-loss",
            "0",
            "--with-wgan-gp",
            "1",
            "--epochs",
            "1",
        )
        == 0
    )
    assert call(train_aae_unsupervised, place, *common, "-r", "pf/00001", "--with-l1-loss", "1", "--epochs", "2") == 0
    assert call(train_aae_unsupervised, place, *common, "-r", "pf/00002", "--train-decoder", "0", "--epochs", "3") == 0
    before, after = (read_tensors(place[1] / f"pf/0000{i}/model.safetensors") for i in (2, 3))
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"Q"}, "in-domain inversion leaves the decoder alone, its batch-norm statistics too"


def test_resumed_autoencoder_equals_uninterrupted(place):
    common = ["--dataset-train", "celeba", "--phases", "train", *SMALL, "--with-gan", "1", "--daug", "4"]
    assert call(train_aae_unsupervised, place, *common, "--sessionname", "straight", "--epochs", "2") == 0
    assert call(train_aae_unsupervised, place, *common, "--sessionname", "parts", "--epochs", "1") == 0
    assert call(train_aae_unsupervised, place, *common, "-r", "parts/00001", "--epochs", "2") == 0
    a, b = (read_tensors(place[1] / f"{s}/00002/model.safetensors") for s in ("straight", "parts"))
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_validation_changes_no_weight(place, autoencoder):
    before = (place[1] / autoencoder / "model.safetensors").read_bytes()
    assert (
        call(
            train_aae_unsupervised,
            place,
            *SMALL,
            "-r",
            autoencoder,
            "--dataset-train",
            "celeba",
            "--dataset-val",
            "celeba",
            "--eval",
        )
        == 0
    )
    assert (place[1] / autoencoder / "model.safetensors").read_bytes() == before


def test_landmark_training_moves_only_the_head(place, autoencoder, landmarks):
    before, after = (read_tensors(place[1] / name / "model.safetensors") for name in (autoencoder, landmarks))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert not changed and any(name.startswith("LMH.") for name in after)
    assert set(read_state(place[1] / landmarks / "state.pt")["optimizers"]) == {"LMH"}


def test_encoder_fine_tuning_and_extras(place, landmarks):
    code = call(
        train_aae_landmarks,
        place,
        *SMALL,
        "-r",
        "lms",
        "--sessionname",
        "tuned",
        "--train-encoder",
        "1",
        "--epochs",
        "4",
        "--use-adaptive-wing-loss",
        "1",
        "--w-rec",
        "0.1",
        "--w-coords",
        "1",
        "--coords-epochs",
        "1",
        "--test-split",
        "common",
        "--encoder-batchnorm",
        "train",
        "--occ",
        "0.5",
        "--lr-adjust",
        "1",
    )
    assert code == 0
    before, after = (read_tensors(place[1] / name / "model.safetensors") for name in (landmarks, "tuned/00004"))
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"Q", "LMH"}


def test_few_samples_below_the_batch_size(place, autoencoder):
    code = call(
        train_aae_landmarks,
        place,
        "-r",
        autoencoder,
        "--sessionname",
        "few",
        "--train-count",
        "3",
        "--train-seed",
        "1",
        "-b",
        "40",
        "--epochs",
        "2",
        "--repeat",
        "2",
        "--val-count",
        "2",
        "--test-split",
        "common",
    )
    assert code == 0
    position = read_state(place[1] / "few/00002/state.pt")["position"]
    assert position["stage_step"] == 1, "one epoch of 2 × 3 samples is one batch"


def test_depth_head(place, autoencoder):
    lp = [*SMALL, "--dataset", "wlp300", "--dataset-val", "aflw20003d"]
    assert call(train_aae_landmarks, place, *lp, "-r", autoencoder, "--sessionname", "lp", "--epochs", "2") == 0
    code = call(
        train_aae_landmarks_3d,
        place,
        *lp,
        "-r",
        "lp",
        "--sessionname",
        "lp3d",
        "--epochs",
        "3",
        "--test-split",
        "full",
        "--finetune-2d",
        "1",
    )
    assert code == 0
    report = place[0].parent / "3d.json"
    assert (
        call(
            eval_landmarks,
            place,
            "-r",
            "lp3d",
            "--dataset",
            "aflw20003d",
            "--eval-3d",
            "1",
            "--benchmark",
            "--json",
            report,
        )
        == 0
    )
    assert json.loads(report.read_text())["gte"] > 0
    assert call(train_aae_landmarks_3d, place, *SMALL, "-r", "lp", "--dataset", "w300") == 2


def test_evaluation_writes_everything(place, landmarks, capsys):
    out = place[0].parent
    code = call(
        eval_landmarks,
        place,
        "-r",
        landmarks,
        "--dataset",
        "w300",
        "--test-split",
        "common",
        "--json",
        out / "a.json",
        "--csv",
        out / "a.csv",
        "--ced",
        out / "a.png",
        "--flip",
    )
    assert code == 0
    summary = json.loads((out / "a.json").read_text())
    assert (
        summary["n"] == 24 and summary["protocol"]["flip"] is True and summary["protocol"]["crop"] == "lm_ground_truth"
    )
    assert (out / "a.csv").read_text().count("\n") == 25 and (out / "a.png").exists()
    assert (out / "out/results/lms_00002/landmarks.png").exists()


def test_evaluation_never_skips(place, landmarks, drawn, tmp_path):
    import shutil

    root = tmp_path / "w300"
    shutil.copytree(drawn("w300")[0], root)
    (root / "images/test/common/helen/image_0002.jpg").write_bytes(b"broken")
    place[0].with_name("broken.ini").write_text(f"[Paths]\ndata = data\noutputs = out\nw300 = {root}\n")
    code = eval_landmarks.main(
        [
            "-r",
            landmarks,
            "--dataset",
            "w300",
            "--test-split",
            "common",
            "--benchmark",
            "--json",
            str(tmp_path / "b.json"),
            "--config",
            str(place[0].with_name("broken.ini")),
        ]
    )
    summary = json.loads((tmp_path / "b.json").read_text())
    assert code == 0 and summary["n"] == 12
    assert [f["name"] for f in summary["without_prediction"]] == ["test/common/helen/image_0002.jpg"]


BAD = {
    "missing dataset": (train_aae_landmarks, ["--dataset", "aflw"], "AFLW not found"),
    "unknown dataset": (train_aae_landmarks, ["--dataset", "w301"], "unknown dataset 'w301'"),
    "unknown split": (train_aae_landmarks, ["--test-split", "tiny"], "no split 'tiny'"),
    "too many": (train_aae_landmarks, ["--train-count", "4000"], "--train-count 4000"),
    "no model": (eval_landmarks, ["-r", "nothing"], "no model 'nothing'"),
    "model missing": (eval_landmarks, ["--benchmark"], "-r/--resume is missing"),
    "no head": (eval_landmarks, ["-r", "my_model/00001"], "no landmark head"),
    "other scheme": (eval_landmarks, ["-r", "lms", "--dataset", "wflw"], "98 landmarks, the model lms finds 68"),
    "no weights": (train_aae_unsupervised, ["--dataset-train", "celeba", "--with-perceptual-loss", "1"], "vgg19"),
    "no device": (train_aae_landmarks, ["--device", "tpu"], "device 'tpu'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence_and_exit_code_2(place, landmarks, case, capsys):
    script, arguments, message = BAD[case]
    assert call(script, place, *arguments) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ") and message in error


def test_alias_and_dry_run(place):
    command = [sys.executable, "eval_aae_landmarks.py", "-r", "x", "--dry-run", "--config", str(place[0])]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(result.stdout)["checkpoint"] == ["x"]
