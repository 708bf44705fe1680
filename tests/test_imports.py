"""The house rules that a linter does not know: imports run downwards, small files, nothing licensed."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLOORS = {  # a package imports packages of lower floors only, and neighbours not at all
    "common": 0,
    "geometry": 0,
    "networks": 1,
    "metrics": 1,
    "morphable": 1,
    "training": 1,
    "datasets": 2,
    "drawing": 2,
    "video": 3,
    "landmarks": 4,
    "depthnet": 5,
    "recon3d": 5,
    "batch": 6,
    "webpage": 6,
    "export": 6,
    "tasks": 7,
}
RECON3D = {  # and inside recon3d likewise
    "identity": 0,
    "fitting": 0,
    "head": 1,
    "regression": 1,
    "reconstruction": 2,
    "refinement": 3,
    "inference": 4,
    "scores": 5,
}
SCRIPTS = {path.stem for path in ROOT.glob("*.py")}


def imported(path: Path) -> set[str]:
    """Modules that a file imports, and those that its strings name, as `importlib` and `monkeypatch` take them."""
    names = set()
    tree = ast.parse(path.read_text())
    documentation = _docstrings(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            if re.match(r"[a-z_]\w*(\.\w+)+(:\w+)?$", node.value) and _is_module(node.value):
                names.add(node.value)
    return names


def _is_module(name: str) -> bool:
    place = ROOT.joinpath(*name.split(":")[0].split(".")[:2])
    return place.is_dir() or place.with_suffix(".py").is_file()


def _docstrings(tree: ast.AST) -> set[int]:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return {
        id(n.body[0].value) for n in ast.walk(tree) if isinstance(n, documented) and ast.get_docstring(n) is not None
    }


@pytest.mark.parametrize("package", FLOORS)
def test_imports_run_downwards(package):
    for path in (ROOT / package).rglob("*.py"):
        for name in imported(path):
            top = name.split(".")[0]
            assert top not in SCRIPTS, f"{path} imports the script {name}"
            assert top == package or FLOORS.get(top, -1) < FLOORS[package], f"{path} imports {name}"


def test_other_methods_take_only_the_finder_and_the_detector_of_landmarks():
    for package in ("depthnet", "recon3d"):
        for path in (ROOT / package).rglob("*.py"):
            wrong = {
                n
                for n in imported(path)
                if n.startswith("landmarks.") and n.split(".")[1] not in ("finder", "detector")
            }
            assert not wrong, f"{path} imports {wrong}"


@pytest.mark.parametrize("part", RECON3D)
def test_imports_inside_recon3d_run_downwards(part):
    assert {p.name for p in (ROOT / "recon3d").iterdir() if p.is_dir() and p.name != "__pycache__"} == set(RECON3D)
    for path in (ROOT / "recon3d" / part).rglob("*.py"):
        for name in imported(path):
            if name.startswith("recon3d."):
                other = name.split(".")[1]
                assert other == part or RECON3D[other] < RECON3D[part], f"{path} imports {name}"


def test_packages_import_nothing():
    for path in sources():
        if path.name == "__init__.py" and path.parent.name != "faces":  # the public names, imported when asked for
            assert not imported(path), f"{path} imports {imported(path)}"


@pytest.mark.parametrize("module, most", [("landmarks.detector", 40), ("recon3d.regression.regressor", 55)])
def test_inference_imports_no_training_code(module, most):
    code = f"import sys, {module}; print(*sorted(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    names = run.stdout.split()
    tops = {name.split(".")[0] for name in names}
    assert not tops & {"training", "tensorboard", "numba", "accelerate"}
    ours = [name for name in names if name.split(".")[0] in FLOORS]
    assert len(ours) <= most, f"{len(ours)} of our modules: {ours}"


def sources():
    return [p for p in ROOT.glob("**/*.py") if not {".venv", "data", "outputs"} & set(p.relative_to(ROOT).parts)]


def test_no_cuda_calls_and_no_exit_in_libraries():
    for path in sources():
        if "tests" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                assert node.func.attr != "cuda", f"{path}:{node.lineno}: choose the device through common.runtime"
                if node.func.attr == "exit" and path.parent != ROOT:
                    last = ast.parse(path.read_text()).body[-1]
                    assert isinstance(last, ast.If) and last.lineno < node.lineno, (
                        f"{path}:{node.lineno}: sys.exit outside main"
                    )


def test_modules_say_what_they_are_for():
    for path in sources():
        assert ast.get_docstring(ast.parse(path.read_text())), f"{path} has no docstring"


def test_public_functions_are_documented():
    for package in FLOORS:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                    assert ast.get_docstring(node), f"{path}:{node.lineno}: {node.name} has no docstring"


def test_no_large_files_outside_their_folders():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.exists() and path.stat().st_size > 2**20:
            assert name.startswith(("pretrained/", "morphable/assets/")), f"{name} is over 1 MiB"
