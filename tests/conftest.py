"""Fixtures of all tests: drawn datasets, the shared real data where it is there, a quiet and repeatable PyTorch."""

import os
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:  # one process per core, so one thread per process and per script that it starts
    os.environ["OMP_NUM_THREADS"] = "1"

import pytest
import torch

from datasets.synthetic.faces import write_dataset

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    """Function name → (root, faces) of a drawn dataset, written once."""
    written = {}

    def get(name: str, count: int = 6):
        if (name, count) not in written:
            root = tmp_path_factory.mktemp(f"{name}_{count}")
            written[name, count] = root, write_dataset(name, root, count)
        return written[name, count]

    return get


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real photos; tests that need it are skipped elsewhere."""
    if not SHARED.is_dir():
        pytest.skip("the real photos of ../shared/data are not on this machine")
    return SHARED
