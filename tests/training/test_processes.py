"""`accelerate launch` on this machine: the same curve as one process, one writer, resume with another number."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.training import toy

ROOT = Path(__file__).resolve().parents[2]


def launch(processes, *arguments):
    """Run toy.py on several processes (Gloo); what each of them found."""
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_machines", "1"]
    command += ["--num_processes", str(processes), "--mixed_precision", "no", "--dynamo_backend", "no"]
    command += ["--main_process_port", "0", toy.__file__, "normed", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr[-3000:]
    return [torch.load(arguments[0] / f"rank{rank}.pt", weights_only=True) for rank in range(processes)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """One process with the same global batch, and its folder."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("alone")
    return toy.run_normed(folder, 4), folder


def curve(ranks):
    return torch.tensor([rank["losses"] for rank in ranks]).mean(0)


def assert_same_weights(one, other):
    for name, value in one["weights"].items():
        torch.testing.assert_close(other["weights"][name], value, atol=1e-5, rtol=1e-4, msg=name)


def test_two_processes_then_one(tmp_path, alone):
    """Batch norm sees the samples of both, so curve, weights and statistics are those of one; then one goes on."""
    whole, _ = alone
    ranks = launch(2, tmp_path, 2)
    torch.testing.assert_close(curve(ranks), torch.tensor(whole["losses"][:6]), atol=1e-5, rtol=1e-4)
    assert_same_weights(ranks[0], ranks[1])
    assert ranks[0]["written"] and not ranks[1]["written"], "process 0 alone writes snapshots"
    rest = toy.run_normed(tmp_path, 4, tmp_path / "session/00002")
    torch.testing.assert_close(torch.tensor(rest["losses"]), torch.tensor(whole["losses"][6:]), atol=1e-5, rtol=1e-4)
    assert_same_weights(whole, rest)


@pytest.mark.slow
def test_one_process_then_four(tmp_path, alone):
    whole, folder = alone
    shutil.copytree(folder / "session/00002", tmp_path / "session/00002")
    ranks = launch(4, tmp_path, 4, tmp_path / "session/00002")
    torch.testing.assert_close(curve(ranks), torch.tensor(whole["losses"][6:]), atol=1e-5, rtol=1e-4)
    assert_same_weights(whole, ranks[3])
