"""Every command of README.md, run in the order of the page on drawings."""

import importlib
import json
import re
import shlex
from pathlib import Path

import pytest
from PIL import Image

from common.pretrained import PRETRAINED
from datasets.synthetic import faces as synthetic
from datasets.synthetic.depth import write_dataset as write_depths
from geometry.schemes import IBUG_68, scheme_to_dict

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "README.md").read_text()
# the page's numbers of epochs and repetitions, made small
SHORT = {
    "--epochs 50": "--epochs 3", "--epochs 150": "--epochs 4", "--epochs 250": "--epochs 5", "--epochs 350": "--epochs 6",
    "--epochs 200": "--epochs 4", "--epochs 60": "--epochs 4", "--repeat 20": "--repeat 1", "00050": "00003",
    "--train-count 50": "--train-count 2", "--count 200": "--count 2",
}


# and what makes the commands of DepthNet and 3DMM regression small
SMALL = {
    "train_depthnet.py": ["--epochs", "1", "-b", "16", "--device", "cpu"],
    "train_facewarp_cyclegan.py": ["--epochs", "1", "--base", "8", "--blocks", "1", "--size", "32", "--device", "cpu"],
    "warp_face.py": [],
    "train_3dmm.py": ["--epochs", "1", "-b", "2", "--device", "cpu"],
    "train_recon3d.py": ["--epochs", "1", "-b", "1", "--device", "cpu"],
}


def commands():
    blocks = "\n".join(re.findall(r"```bash\n(.*?)```", TEXT, re.S)).replace("\\\n", " ")
    lines = [line.split(" #")[0].strip() for line in blocks.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def test_make_targets_are_what_ci_runs():
    script = (ROOT / ".ci" / "run").read_text()
    wanted = [c for c in commands() if c.startswith("make ")]
    assert wanted == ["make demo", "make test"]
    assert all(f"\n{command}" in script for command in wanted)


@pytest.fixture(scope="module")
def place(drawn, tmp_path_factory):
    """A machine with drawn datasets, a folder of photos, a scheme and the page's file names."""
    from skimage.data import astronaut

    folder = tmp_path_factory.mktemp("readme")
    keys = ("w300", "vggface2", "affectnet", "wlp300")
    lines = [f"{key} = {drawn(key, 12)[0]}" for key in keys]
    write_depths(folder / "faw", train=64, valid=8, per_pose=3)
    lines.append(f"threedfaw = {folder / 'faw'}")
    (folder / "local_config.ini").write_text("[Paths]\ndata = data\noutputs = out\n" + "\n".join(lines))
    (folder / "my_scheme.json").write_text(json.dumps(scheme_to_dict(IBUG_68)))
    (folder / "path/to").mkdir(parents=True)
    (folder / "path/to/photos").symlink_to(drawn("folder", 30)[0])
    (folder / "folder_of_photos").mkdir()
    for name in ("photo.jpg", "crop.jpg", "folder_of_photos/other.jpg"):
        Image.fromarray(astronaut()).save(folder / name)
    return folder


def test_every_command_runs(place, monkeypatch):
    monkeypatch.chdir(place)
    monkeypatch.setattr(synthetic, "BATCH", 2)
    monkeypatch.setattr(synthetic, "FACES", {"train": 4, "test": 2})
    ran = []
    for command in commands():
        words = shlex.split(command.replace(".venv/bin/python", "python"))
        if words[0] == "make":
            continue
        assert words[0] == "python", f"unknown kind of command: {command}"
        for long, short in SHORT.items():
            command = command.replace(long, short)
        arguments = shlex.split(command)[2:]
        if words[1] == "-m":
            assert importlib.import_module(words[2]).main(arguments[1:]) == 0, command
            continue
        if words[1] in SMALL:
            arguments += SMALL[words[1]]
        elif words[1] != "demo.py" and not words[1].startswith("eval"):
            arguments += ["-b", "2", "--val-count", "2"] + (["--train-count", "2"] if "--train-count" not in arguments else [])
            arguments += ["-i", "128"] if "-r" not in arguments else []
        if "landmarks_300w" in command and not (PRETRAINED / "landmarks_300w").exists():
            pytest.fail("the bundled model is missing")
        assert importlib.import_module(Path(words[1]).stem).main(arguments) == 0, command
        ran.append(words[1])
    assert set(ran) >= {"demo.py", "eval_landmarks.py", "train_aae_unsupervised.py", "train_aae_landmarks.py"}


def test_inline_smoke_command_is_tested():
    script = re.search(r"SMOKE=1 (exps/\S+\.sh)", TEXT).group(1)
    assert (ROOT / script).exists(), "tests/scripts/test_exps.py runs every script of exps/"


def test_page_is_complete():
    assert "TODO" not in TEXT and "@" + "RESULTS" not in TEXT
    assert (ROOT / re.search(r"!\[.*?\]\((.*?)\)", TEXT).group(1)).exists()
    for path in re.findall(r"`((?:docs|exps|geometry|pretrained|landmarks|depthnet|benchmarks)/[\w./]+)`", TEXT):
        assert (ROOT / path).exists(), path
