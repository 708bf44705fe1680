"""Fixtures of all tests: drawn datasets, the shared real data where it is there, a quiet and repeatable PyTorch."""

import os
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:  # one process per core, so one thread per process and per script that it starts
    os.environ["OMP_NUM_THREADS"] = "1"

import pytest
import torch

from datasets.synthetic.faces import write_dataset

DATA_VARIABLE = "FACES_TEST_DATA"  # folder of the real photos; without it, the one beside the checkout if it exists


# Smoke runs of experiments whose scripts and options other smoke runs share; minutes together on two cores.
NIGHTLY = (
    "3fabrec_aflw",
    "3fabrec_fewshot_aflw",
    "3fabrec_fewshot_wflw",
    "3fabrec_wflw",
    "depthnet_nogan_sigma",
    "depthnet_source",
    "depthnet_wgan_learnm",
    "depthnet_wgan_sigma",
    "gcn_texture",
    "gpu_campaign",
    "parface_3d",
    "parface_stages",
)


LONG_FILES = ("tests/scripts/", "tests/webpage/", "tests/training/", "tests/faces/", "tests/batch/")


def pytest_addoption(parser):
    """--nightly"""
    parser.addoption("--nightly", action="store_true", help="the longest smoke runs, too: make nightly")


def pytest_collection_modifyitems(config, items):
    """Tests of a GPU are skipped where there is none, and the longest smoke runs without --nightly; long files come
    first, so that no process waits for the last one at the end.
    """
    items.sort(key=lambda item: not item.nodeid.startswith(LONG_FILES))
    if not config.getoption("--nightly"):
        for item in items:
            if item.name in [f"test_smoke[{name}]" for name in NIGHTLY]:
                item.add_marker(pytest.mark.skip(reason="one of the longest smoke runs; run it with --nightly"))
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("cuda"):
                item.add_marker(pytest.mark.skip(reason="no NVIDIA GPU on this machine"))


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
    given = os.environ.get(DATA_VARIABLE)
    folder = Path(given) if given else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        if given:
            pytest.fail(f"{DATA_VARIABLE}={given}: no such folder")
        pytest.skip(f"no real photos on this machine; name their folder in {DATA_VARIABLE}")
    return folder
