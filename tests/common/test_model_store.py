"""Weights that a package lacks come from a folder or a server once, are compared with the list, and are kept."""

import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from common import checkpoint, pretrained
from common.checkpoint import resolve_snapshot
from common.config import read_local_config
from common.errors import CheckpointError
from common.pretrained import PRETRAINED, model_entry

NAME = "identity"  # the smallest
ENTRY = model_entry(NAME)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package without weights, in whose folder a program runs; gives the function that writes its ini file."""
    folder = tmp_path / "package"
    (folder / NAME).mkdir(parents=True)
    shutil.copyfile(PRETRAINED / NAME / "config.json", folder / NAME / "config.json")
    for module in (pretrained, checkpoint):
        monkeypatch.setattr(module, "PRETRAINED", folder)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))

    def configure(text: str) -> None:
        (tmp_path / "local_config.ini").write_text(f"[Models]\n{text}\n")

    return configure


def the_cached(tmp_path):
    return list((tmp_path / "cache/faces").glob("*"))


def test_weights_are_fetched_from_a_folder_once(package, tmp_path):
    shutil.copytree(PRETRAINED / NAME, tmp_path / "mirror" / NAME)
    package("url = mirror/")
    folder = resolve_snapshot(NAME)
    assert the_cached(tmp_path) == [folder] and (folder / "config.json").is_file()
    assert (folder / "model.safetensors").read_bytes() == (PRETRAINED / NAME / "model.safetensors").read_bytes()
    shutil.rmtree(tmp_path / "mirror")
    assert resolve_snapshot(NAME) == folder


def test_weights_are_fetched_from_a_server(package, tmp_path):
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=PRETRAINED))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        package(f"url = http://127.0.0.1:{server.server_port}\ncache = kept")
        assert resolve_snapshot(NAME).parent == tmp_path / "kept"
        package(f"url = http://127.0.0.1:{server.server_port}/other")
        with pytest.raises(CheckpointError, match=r"other/identity/model.safetensors: cannot be fetched \(.*url in"):
            resolve_snapshot(NAME)
    finally:
        server.shutdown()
        server.server_close()
    assert the_cached(tmp_path) == []


def test_a_damaged_copy_in_the_cache_is_replaced(package, tmp_path):
    package(f"url = {PRETRAINED}")
    weights = resolve_snapshot(NAME) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    assert (resolve_snapshot(NAME) / "model.safetensors").read_bytes()[-1:] != b"x"
    assert len(the_cached(tmp_path)) == 1
    weights.unlink()
    package("url =")
    with pytest.raises(
        CheckpointError, match="identity: its weights are for research use only and not in the package;"
    ):
        resolve_snapshot(NAME)


@pytest.mark.parametrize("content", [b"other", (PRETRAINED / ENTRY.file).read_bytes() + b"x" * 9])
def test_other_files_are_refused_and_leave_nothing(content, package, tmp_path):
    (tmp_path / "mirror" / NAME).mkdir(parents=True)
    (tmp_path / "mirror" / ENTRY.file).write_bytes(content)
    package("url = mirror")
    if content.startswith(b"other"):
        with pytest.raises(CheckpointError, match=r"is not the published identity \(its SHA-256 differs\)"):
            resolve_snapshot(NAME)
        assert the_cached(tmp_path) == []
    else:  # what follows the listed number of bytes is not read
        assert (resolve_snapshot(NAME) / "model.safetensors").stat().st_size == ENTRY.bytes


def test_a_cache_that_cannot_be_written_is_told(package, tmp_path):
    (tmp_path / "file").write_text("")
    package(f"url = {PRETRAINED}\ncache = file/models")
    with pytest.raises(CheckpointError, match="file/models/identity-.*: cannot be written .* set .Models. cache"):
        resolve_snapshot(NAME)


def test_settings_of_the_user_are_read_after_those_beside_the_program(package, tmp_path):
    (tmp_path / "settings/faces").mkdir(parents=True)
    (tmp_path / "settings/faces/local_config.ini").write_text("[Models]\nurl = https://example.org/a/\n")
    assert read_local_config().model_url == "https://example.org/a"
    package("url = here")
    assert read_local_config().model_url == (tmp_path / "here").as_uri()
