"""The house rules that a linter does not know: imports run downwards, small files, nothing licensed."""

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAYERS = {  # a package may import itself, its own layer's infrastructure and everything below
    "storage": set(),
    "geometry": {"storage"},
    "networks": {"geometry"},
    "metrics": {"geometry"},
    "datasets": {"geometry", "storage"},
    "training": {"storage"},
    "landmarks": {"geometry", "networks", "metrics", "datasets", "storage", "training"},
    "recon3d": {"geometry", "networks", "metrics", "datasets", "storage", "training"},
    "depthnet": {"geometry", "networks", "metrics", "datasets", "storage", "training"},
}


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", LAYERS)
def test_imports_run_downwards(package):
    for path in (ROOT / package).rglob("*.py"):
        wrong = (imported(path) & set(LAYERS)) - LAYERS[package] - {package}
        assert not wrong, f"{path} imports {wrong}"


def sources():
    return [p for p in ROOT.glob("**/*.py") if not {".venv", "data", "outputs"} & set(p.relative_to(ROOT).parts)]


def test_no_cuda_calls_and_no_exit_in_libraries():
    for path in sources():
        if "tests" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                assert node.func.attr != "cuda", f"{path}:{node.lineno}: choose the device through training.runtime"
                if node.func.attr == "exit" and path.parent != ROOT:
                    last = ast.parse(path.read_text()).body[-1]
                    assert isinstance(last, ast.If) and last.lineno < node.lineno, (
                        f"{path}:{node.lineno}: sys.exit outside main"
                    )


def test_modules_say_what_they_are_for():
    for path in sources():
        assert ast.get_docstring(ast.parse(path.read_text())), f"{path} has no docstring"


def test_public_functions_are_documented():
    for package in LAYERS:
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
            assert name.startswith(("pretrained/", "recon3d/assets/")), f"{name} is over 1 MiB"
