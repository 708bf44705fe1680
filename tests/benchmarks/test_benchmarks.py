"""Every benchmark runs without arguments or private data, and prints the same table."""

import importlib

import numpy as np
import pytest
import torch

from benchmarks import __main__ as benchmarks
from benchmarks import landmarks


@pytest.fixture(autouse=True)
def threads():
    """A benchmark sets the number of threads."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", benchmarks.NAMES)
def test_smoke(name, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where no local_config.ini and no data lie
    assert benchmarks.main([name, "--smoke", "--threads", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("machine: ") and lines[1].startswith("versions: torch ")
    table = [[cell.strip() for cell in line.split("|")] for line in lines if line.count("|") == 3]
    assert table[0] == ["what", "ours", "reference", "ratio"] and len(table) > 1
    for what, ours, reference, ratio in table[1:]:
        assert what and float(ours.split()[0]) >= 0
        assert bool(ratio) <= bool(reference), f"{what}: a ratio without its reference"


@pytest.mark.parametrize("name", benchmarks.NAMES)
def test_help(name, capsys):
    with pytest.raises(SystemExit) as stop:
        importlib.import_module(f"benchmarks.{name}").main(["--help"])
    assert stop.value.code == 0 and "--smoke" in capsys.readouterr().out


def test_unknown_name_lists_the_names(capsys):
    assert benchmarks.main(["nothing"]) == 2
    assert "landmarks" in capsys.readouterr().err


def test_the_references_gaussians_are_3fabrecs():
    """A 35 × 35 template at the rounded place, cut at the border; nothing where it lies outside."""
    points = np.array([[40.4, 60.5], [3.2, 125.0], [400.0, 20.0]])
    maps = landmarks.reference_gaussians(points, landmarks.gaussian_template())
    assert [np.unravel_index(m.argmax(), m.shape) for m in maps[:2]] == [(61, 40), (125, 3)]
    assert maps[0].max() == maps[1].max() == 1 and not maps[2].any()
    rows, columns = np.nonzero(maps[0])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (43, 77, 22, 56)
