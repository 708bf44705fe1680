"""Trainings on tar shards from the command line: they run, resume to the bit, and say what a sharded set cannot do."""

import pytest
import torch

import train_aae_unsupervised
import train_landmarks_fast
from common.checkpoint import read_tensors
from datasets.commands import pack
from datasets.shards import read_index

FAST = ["--width", "16", "--blocks", "1", "-b", "2", "--test-split", "common", "--val-count", "2", "--device", "cpu"]


@pytest.fixture(scope="module")
def place(drawn, tmp_path_factory):
    """A machine with drawn datasets, and one of them in several tar files."""
    folder = tmp_path_factory.mktemp("sharded")
    root, _ = drawn("w300", 12)
    (folder / "local_config.ini").write_text(f"[Paths]\ndata = data\noutputs = out\nw300 = {root}\n")
    arguments = ["w300", "--from", str(root), "--split", "train", "-i", "128", "--shard-mb", "0.03"]
    assert pack.main([*arguments, "--out", str(folder / "shards")]) == 0
    assert len(read_index(str(folder / "shards")).shards) > 2
    return folder


def fast(place, *arguments):
    config = ["--config", str(place / "local_config.ini")]
    return train_landmarks_fast.main([*config, "--dataset", str(place / "shards"), *FAST, *arguments])


def test_landmarks_train_and_resume_to_the_bit(place):
    validation = ["--dataset-val", "w300", "--schedule", "constant", "--warmup", "0"]
    assert fast(place, "--sessionname", "straight", "-e", "2", *validation) == 0
    assert fast(place, "--sessionname", "parts", "-e", "1", *validation) == 0
    assert fast(place, "-r", "parts", "-e", "2", *validation) == 0
    snapshots = place / "data/models/snapshots"
    one, other = (read_tensors(snapshots / name / "00002/model.safetensors") for name in ("straight", "parts"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_autoencoder_trains(place):
    config = ["--config", str(place / "local_config.ini"), "--dataset-train", str(place / "shards"), "-i", "128"]
    small = ["-b", "2", "-e", "1", "--dataset-val", "w300", "--val-count", "2", "--show", "0", "--device", "cpu"]
    assert train_aae_unsupervised.main([*config, *small, "--sessionname", "aae"]) == 0
    assert (place / "data/models/snapshots/aae/00001/model.safetensors").is_file()


@pytest.mark.parametrize(
    "arguments, told",
    [
        ([], "validation needs a dataset"),
        (["--dataset-val", "w300", "--train-count", "2"], "rows are not chosen from a sharded set"),
        (["--dataset-val", "w300", "-i", "64"], "has crops for --input-size 128"),
        (["--dataset-val", "w300", "-b", "4", "--accumulate", "3"], "--accumulate 3: does not divide the 4"),
    ],
)
def test_what_a_sharded_set_cannot_do_is_one_sentence(place, capsys, arguments, told):
    assert fast(place, "--sessionname", "none", "-e", "1", *arguments) == 2
    assert told in capsys.readouterr().err
