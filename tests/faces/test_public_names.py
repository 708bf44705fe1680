"""`import faces` in a clone: the public names, and the folders beside it under their long names."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import faces

ROOT = Path(__file__).resolve().parents[2]


def test_editors_and_python_find_the_same_names():
    tree = ast.parse(Path(faces.__file__).read_text())
    (block,) = [n for n in tree.body if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.unparse(n.test)]
    shown = {(node.module, alias.name) for node in block.body for alias in node.names}
    assert shown == {(module, name) for module, names in faces._MODULES.items() for name in names}
    assert sorted(name for _, name in shown) == sorted(faces.__all__)
    for module, name in shown:
        assert getattr(faces, name) is getattr(importlib.import_module(module), name)
    assert set(faces.__all__) <= set(dir(faces))
    with pytest.raises(AttributeError, match="no attribute 'load_models'"):
        faces.load_models  # noqa: B018


def test_long_names_mean_the_same_modules():
    long, short = (importlib.import_module(name) for name in ("faces.geometry.schemes", "geometry.schemes"))
    assert long is short and short.__spec__.name == short.__name__ == "geometry.schemes"
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("faces.geometry.no_such_module")
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("faces.numpy")


@pytest.fixture
def other(tmp_path):
    """Runs Python where another `datasets` comes first, and this clone later."""
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets/__init__.py").write_text("")

    def run(*arguments: str) -> subprocess.CompletedProcess:
        start = f"import sys; sys.path.append({str(ROOT)!r}); "
        return subprocess.run(
            [sys.executable, "-c", start + arguments[0]], cwd=tmp_path, capture_output=True, text=True
        )

    return run


def test_the_folders_of_a_clone_are_found_before_others(other):
    run = other("import faces.datasets.crop; print(faces.datasets.crop.__file__)")
    assert Path(run.stdout.strip()) == ROOT / "datasets/crop.py", run.stderr


def test_another_package_of_the_same_name_is_told(other):
    run = other("import datasets, faces")
    assert run.returncode and run.stderr.splitlines()[-1].startswith("ImportError: ") and "pip install" in run.stderr


def test_modules_run_under_their_long_names():
    command = [sys.executable, "-m", "faces.datasets.commands.convert", "--help"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0 and "300wlp" in run.stdout, run.stderr
