"""What the smoke runs of exps/ share."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.scripts.fork_server import write_client


@pytest.fixture(scope="session")
def smoke_folder(tmp_path_factory):
    """One folder for all smoke runs, so that data are drawn and the autoencoder is trained once, as in earnest."""
    return tmp_path_factory.mktemp("smoke")


@pytest.fixture(scope="session")
def python(tmp_path_factory):
    """The interpreter of the scripts: a fork server, which loads PyTorch once for all their commands."""
    folder = tmp_path_factory.mktemp("python")
    address = folder / "socket"
    server = subprocess.Popen([sys.executable, str(Path(__file__).with_name("fork_server.py")), str(address)])
    try:
        for _ in range(600):
            if address.exists() or server.poll() is not None:
                break
            time.sleep(0.1)
        assert address.exists(), "the fork server did not start"
        yield write_client(folder / "python", str(address))
    finally:
        server.terminate()
        server.wait()
