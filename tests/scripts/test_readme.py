"""Every command and Python block of README.md and docs/, run in the order of the pages on drawings.

A command that needs licensed or external data says so in a trailing comment ("# needs …"); it is run with --dry-run,
or, where a module has no such flag, its flags are looked up in the source. Benchmarks take minutes and are only looked
up too.
"""

import importlib
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.__main__ import NAMES as BENCHMARKS
from common.pretrained import PRETRAINED
from datasets.synthetic import faces as synthetic
from datasets.synthetic.depth import write_dataset as write_depths
from geometry.schemes import IBUG_68, scheme_to_dict

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
# training.md before the pages that continue its sessions
FIRST = [README, ROOT / "docs/training.md", ROOT / "docs/data.md"]
PAGES = FIRST + sorted(p for p in (ROOT / "docs").rglob("*.md") if p not in FIRST)
# the pages' numbers of epochs and repetitions, made small
SHORT = {
    "--epochs 50": "--epochs 3",
    "--epochs 150": "--epochs 4",
    "--epochs 250": "--epochs 5",
    "--epochs 350": "--epochs 6",
    "--epochs 200": "--epochs 4",
    "--epochs 60": "--epochs 4",
    "--repeat 20": "--repeat 1",
    "00050": "00003",
    "--train-count 50": "--train-count 2",
    "--count 200": "--count 2",
    "--seeds 5": "--seeds 2",
}


# and what makes the other trainings, and the drawn keypoints, small
SMALL = {
    "train_depthnet.py": ["--epochs", "1", "-b", "16", "--device", "cpu"],
    "train_facewarp_cyclegan.py": ["--epochs", "1", "--base", "8", "--blocks", "1", "--size", "32", "--device", "cpu"],
    "warp_face.py": [],
    "app.py": ["--dry-run"],  # it serves until it is stopped; tests/webpage opens the page
    "train_3dmm.py": ["--epochs", "1", "-b", "2", "--device", "cpu"],
    "train_recon3d.py": ["--epochs", "1", "-b", "1", "--device", "cpu"],
    "datasets.synthetic.depth": ["--train", "8", "--valid", "4", "--per-pose", "1"],
}
WITHOUT_PYTHON = ("make",)


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.S)


def commands(page: Path) -> list[tuple[str, bool]]:
    """Commands of a page, and whether they need what is not at hand."""
    lines = "\n".join(blocks(page, "bash")).replace("\\\n", " ").splitlines()
    parts = [line.partition(" #") for line in lines if line.strip() and not line.startswith("#")]
    return [(" ".join(command.split()), " needs " in comment) for command, _, comment in parts]


def all_commands() -> dict[str, bool]:
    """Commands of all pages, each once."""
    found: dict[str, bool] = {}
    for page in PAGES:
        for command, needs in commands(page):
            found[command] = needs or found.get(command, False)
    return found


def test_make_targets_are_what_ci_runs():
    script = (ROOT / ".ci" / "run").read_text()
    wanted = [c for c, _ in commands(README) if c.startswith("make ")]
    assert wanted == ["make demo", "make test"]
    assert all(f"\n{command}" in script for command in wanted)


@pytest.fixture(scope="module")
def place(drawn, tmp_path_factory):
    """A machine with drawn datasets, a folder of photos, a scheme and the pages' file names."""
    from skimage.data import astronaut

    folder = tmp_path_factory.mktemp("readme")
    keys = ("w300", "vggface2", "affectnet", "wlp300")
    lines = [f"{key} = {drawn(key, 12)[0]}" for key in keys]
    write_depths(folder / "faw", train=64, valid=8, per_pose=3)
    lines.append(f"threedfaw = {folder / 'faw'}")
    (folder / "local_config.ini").write_text("[Paths]\ndata = data\noutputs = out\n" + "\n".join(lines))
    (folder / "my_scheme.json").write_text(json.dumps(scheme_to_dict(IBUG_68)))
    (folder / "path/to").mkdir(parents=True)
    (folder / "path/to/photos").symlink_to(drawn("folder", 12)[0])
    (folder / "folder_of_photos").mkdir()
    for name in ("photo.jpg", "crop.jpg", "folder_of_photos/other.jpg"):
        Image.fromarray(astronaut()).save(folder / name)
    return folder


def module_of(words: list[str]):
    """The module of a command, and its arguments."""
    if words[1] == "-m":
        module = importlib.import_module(words[2])
        return importlib.import_module(f"{words[2]}.__main__") if hasattr(module, "__path__") else module, words[3:]
    return importlib.import_module(Path(words[1]).stem), words[2:]


def look_up(words: list[str]) -> None:
    """The flags of a command without running it: --dry-run where the module has it, else each must stand in its
    source.
    """
    if words[1:3] == ["-m", "benchmarks"]:
        assert words[3] in BENCHMARKS
        source, arguments = (ROOT / "benchmarks" / f"{words[3]}.py").read_text(), words[4:]
    else:
        module, arguments = module_of(words)
        source = Path(module.__file__).read_text()
        if "run_script" in source:
            assert module.main([*arguments, "--dry-run"]) == 0, words
            return
    flags = [word for word in arguments if word.startswith("--")]
    assert all(f'"{flag}"' in source for flag in flags), words


def test_every_command_runs(place, monkeypatch):
    monkeypatch.chdir(place)
    monkeypatch.setattr(synthetic, "BATCH", 2)
    monkeypatch.setattr(synthetic, "FACES", {"train": 4, "test": 2})
    assert (PRETRAINED / "landmarks_300w").exists(), "the bundled model is missing"
    ran = []
    for command, needs in all_commands().items():
        for long, short in SHORT.items():
            command = command.replace(long, short)
        words = shlex.split(command)
        if words[0] in WITHOUT_PYTHON:
            continue
        assert words[0] == "python", f"unknown kind of command: {command}"
        if needs or words[1:3] == ["-m", "benchmarks"]:
            look_up(words)
            continue
        module, arguments = module_of(words)
        name = words[2] if words[1] == "-m" else words[1]
        if name in SMALL:
            arguments += SMALL[name]
        elif words[1].startswith("train_"):
            arguments += ["-b", "2", "--val-count", "2"] + (
                ["--train-count", "2"] if not {"--train-count", "data/shards/rendered"} & {*arguments} else []
            )
            arguments += ["-i", "128"] if "-r" not in arguments else []
        assert module.main(arguments) == 0, command
        ran.append(name)
    scripts = {p.name for p in ROOT.glob("*.py")} - {"setup.py"}
    assert scripts <= {*ran}, f"no page shows {scripts - {*ran}}"


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python")], ids=lambda p: p.stem)
def test_python_blocks_run(page, place, monkeypatch):
    monkeypatch.chdir(place)
    names: dict = {}
    for block in blocks(page, "python"):
        exec(compile(block, str(page), "exec"), names)
    shapes = {name: value.shape for name, value in names.items() if isinstance(value, np.ndarray)}
    assert shapes.get("landmarks", (68, 2)) == (68, 2) and shapes.get("depth", (68,)) == (68,)


def test_inline_smoke_command_is_tested():
    for page in PAGES:
        for script in re.findall(r"SMOKE=1 (exps/\S+?\.sh)", page.read_text()):
            assert (ROOT / script).exists(), "tests/scripts/test_exps.py runs every script of exps/"


def test_readme_is_a_front_page():
    lines = README.read_text().splitlines()
    assert len(lines) <= 150
    assert max(map(len, lines)) <= 120


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_links_and_paths_exist(page):
    text = page.read_text()
    assert "TODO" not in text and "@" + "RESULTS" not in text
    links = re.findall(r"\]\(([^)#\s]+)\)", text) + re.findall(r"^\[\w+\]: (\S+)$", text, re.M)
    for link in links:
        assert link.startswith("http") or (page.parent / link).exists(), f"{page.name}: {link}"
    folders = "|".join(sorted(p.name for p in ROOT.iterdir() if p.is_dir() and p.name not in ("data", "outputs")))
    for path in re.findall(rf"`((?:{folders.replace('.', '[.]')})/[\w./]*)`", text):
        assert (ROOT / path).exists(), f"{page.name}: {path}"
    for script in re.findall(r"`(\w+\.py)\b[^`]*`", text):
        known = (ROOT / script).exists() or page.name == "upstream.md"
        assert known, f"{page.name}: {script}"
