"""The wheel is built, installed in a folder of its own, and used outside the clone, beside another `datasets`."""

import ast
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from common.pretrained import PRETRAINED, model_entries
from faces.commands import EXTRAS

ROOT = Path(__file__).resolve().parents[2]
NOT_INSTALLED = {"benchmarks", "tests", "exps", "setup.py"}
MOST_BYTES = 7 * 2**20


def pip(*arguments: str, cwd: Path) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    run = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """The wheel of the tracked and new files, built in a copy: a build writes beside its sources."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    run = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True)
    if run.returncode:
        pytest.skip("not a git checkout")
    folder = tmp_path_factory.mktemp("wheel")
    for name in run.stdout.splitlines():
        if name.split("/")[0] not in NOT_INSTALLED - {"setup.py"} and (ROOT / name).is_file():
            place = folder / "clone" / name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, place)
    pip("wheel", ".", "--no-deps", "--no-build-isolation", "--no-index", "-w", "..", cwd=folder / "clone")
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="session")
def installed(wheel):
    """A folder with the installed wheel, to be put before the environment's own packages."""
    folder = wheel.parent / "site"
    pip("install", "--no-deps", "--no-index", "--target", str(folder), str(wheel), cwd=wheel.parent)
    return folder


@pytest.fixture
def outside(installed, tmp_path, monkeypatch):
    """Runs a program in a folder outside the clone, beside Hugging Face's `datasets`, without the extras' packages."""
    (tmp_path / "others").mkdir()
    (tmp_path / "others/datasets.py").write_text('__version__ = "hugging face"\n')
    for name in ("skimage", "pytest", *(module for modules in EXTRAS.values() for module in modules)):
        text = f"raise ModuleNotFoundError(\"No module named '{name}'\", name='{name}')\n"
        (tmp_path / f"others/{name}.py").write_text(text)
    (tmp_path / "work").mkdir()
    paths = os.pathsep.join(map(str, (installed, tmp_path / "others")))
    environment = os.environ | {"PYTHONPATH": paths, "XDG_CACHE_HOME": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    environment["XDG_CONFIG_HOME"] = str(tmp_path / "settings")

    def run(*command: str) -> subprocess.CompletedProcess:
        command = [sys.executable, *command]
        return subprocess.run(command, cwd=tmp_path / "work", env=environment, capture_output=True, text=True)

    return run


def test_the_wheel_has_one_import_name_and_only_free_weights(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {"faces", f"{wheel.name.rsplit('-', 3)[0]}.dist-info"}
    assert wheel.stat().st_size < MOST_BYTES
    assert "faces/py.typed" in names and "faces/pretrained/models.json" in names
    for entry in model_entries():
        if entry.bundled and not entry.file.startswith(".."):
            free = "research" not in entry.licence
            assert (f"faces/pretrained/{entry.file}" in names) == free, f"{entry.name} is licensed '{entry.licence}'"
            assert f"faces/pretrained/{entry.name}/README.md" in names


def test_every_module_is_there_and_finds_its_own(installed):
    sources = {
        path.relative_to(ROOT)
        for path in (*ROOT.glob("*.py"), *(p for f in ROOT.glob("*/__init__.py") for p in f.parent.rglob("*.py")))
        if path.relative_to(ROOT).parts[0] not in NOT_INSTALLED
    }
    built = {path.relative_to(installed / "faces") for path in (installed / "faces").rglob("*.py")}
    assert {Path(*p.parts[1:]) if p.parts[0] == "faces" else p for p in sources} == built
    own = {path.parts[0].removesuffix(".py") for path in sources} - {"faces"}
    for path in (installed / "faces").rglob("*.py"):
        text = path.read_text()
        for module in imported_modules(ast.parse(text)):
            assert module.split(".")[0] not in own, f"{path} imports {module}"
            if module.startswith("faces."):
                place = installed.joinpath(*module.split("."))
                assert place.with_suffix(".py").is_file() or place.is_dir(), f"{path} imports {module}"
        wrong = re.search(rf"python -m (?:{'|'.join(own)})\b|python \w+\.py", text)
        assert wrong is None, f"{path} tells of '{wrong and wrong[0]}', which only a clone has"


def imported_modules(tree: ast.AST) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.append(node.module)
    return found


USE = """
import importlib
import sys
from pathlib import Path
import datasets
import faces

assert "torch" not in sys.modules and datasets.__version__ == "hugging face"
from faces import list_models, load_model, read_image
from faces.datasets.crop import Crop

image = read_image(sys.argv[1])
assert "landmarks_fast" in list_models()
(found,) = load_model("yunet")(image)
assert found.points.shape == (5, 2)
assert datasets.__version__ == "hugging face" and sys.modules["faces.datasets"] is not datasets
try:
    load_model("landmarks_fast")
    raise SystemExit("weights for research only are in the wheel")
except faces.UserError as error:
    assert "[Models] url" in str(error)
Path("local_config.ini").write_text(f"[Models]\\nurl = {sys.argv[2]}\\n")
for name in ("landmarks_fast", "depthnet_gan", "regressor_120", "head", "reconstructor"):
    model = load_model(name, device="cpu")
    (face,) = model(image)
    assert face.landmarks.shape[0] == 68 and type(model).__module__.startswith("faces."), name
for task in ("landmarks", "depth", "rotate", "mesh", "fit", "reconstruct"):
    importlib.import_module(f"faces.tasks.{task}")
"""


def test_a_program_outside_the_clone_uses_it_beside_other_datasets(outside, tmp_path):
    from PIL import Image
    from skimage.data import astronaut

    Image.fromarray(astronaut()).save(tmp_path / "work/photo.png")
    run = outside("-c", USE, "photo.png", str(PRETRAINED))
    assert run.returncode == 0, run.stderr
    fetched = {path.name.rsplit("-", 1)[0] for path in (tmp_path / "cache/faces").iterdir()}
    assert {"landmarks_fast", "reconstructor", "albedo_photos"} <= fetched and "head" not in fetched


def test_console_commands(installed, outside, tmp_path):
    commands = {path.name: str(path) for path in (installed / "bin").iterdir()}
    scripts = {path.stem for path in ROOT.glob("*.py")} - {"setup", "eval_aae_landmarks"}
    names = {f"faces-{script.replace('_', '-')}" for script in scripts if not script.startswith("eval_")}
    assert set(commands) == names - {"faces-model-zoo", "faces-warp-face"} | {
        "faces-models",
        "faces-warp",
        "faces-eval",
    }
    run = outside(commands["faces-models"])
    assert run.returncode == 0 and "landmarks_300w" in run.stdout, run.stderr
    assert outside(commands["faces-eval"], "hair").returncode == 2
    run = outside(commands["faces-eval"], "landmarks", "--help")
    assert run.returncode == 2 and "pip install 'faces-in-pytorch[train]'" in run.stderr, run.stderr
    for name in EXTRAS["train"]:
        (tmp_path / f"others/{name}.py").unlink()
    run = outside(commands["faces-eval"], "landmarks", "--help")
    assert run.returncode == 0 and "usage: faces-eval landmarks" in run.stdout, run.stderr
