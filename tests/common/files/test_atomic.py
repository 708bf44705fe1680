"""Files appear whole or not at all."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from common.files import atomic
from common.files.atomic import publish_folder, replacing, write_file

ROOT = Path(__file__).resolve().parents[3]


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_behind(tmp_path):
    path = tmp_path / "deep/er/a.txt"
    assert write_file(path, "eins\r\nzwei ü") == path
    assert path.read_bytes() == "eins\r\nzwei ü".encode()
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        assert temporary.suffix == ".tmp" and temporary.parent == path.parent
        raise RuntimeError
    with replacing(path):
        pass  # nothing was written
    assert path.read_bytes() == "eins\r\nzwei ü".encode() and os.listdir(path.parent) == ["a.txt"]
    with replacing(path) as temporary:
        temporary.write_bytes(b"new")
        assert path.read_bytes() != b"new"
    assert path.read_bytes() == b"new" and os.listdir(path.parent) == ["a.txt"]


def test_permissions_follow_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        write_file(tmp_path / "a.bin", b"1")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a.bin").stat().st_mode) == 0o640


def test_what_a_killed_program_leaves_is_swept_by_the_next_one(tmp_path):
    code = "import sys, os; from common.files.atomic import replacing\nwith replacing(sys.argv[1]) as t:\n"
    code += "    t.write_text('half'); os.kill(os.getpid(), 9)"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "x.png")], env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert left.suffix == ".tmp", "a reader of photos would take .png"
    mine = tmp_path / ".mine.old"
    mine.write_text("of the user")
    write_file(tmp_path / "y.txt", "1")
    assert sorted(os.listdir(tmp_path)) == [".mine.old", "y.txt"]


def test_writers_that_live_are_not_swept(tmp_path):
    with replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("1")
        atomic._swept.discard(tmp_path.resolve())
        write_file(tmp_path / "b.txt", "2")
        assert temporary.exists()


def test_names_as_long_as_a_file_system_takes_and_not_utf8(tmp_path):
    for name in ("a" * 251 + ".txt", "ä" * 120 + ".txt", os.fsdecode(b"caf\xe9.txt")):
        write_file(tmp_path / name, "1")
        assert (tmp_path / name).read_text() == "1"


@pytest.mark.parametrize("swap", [True, False])
def test_a_folder_replaces_another(tmp_path, swap, monkeypatch):
    if not swap:
        monkeypatch.setattr(atomic, "_swap", lambda one, other: False)
    for name in ("new", "old"):
        write_file(tmp_path / name / "a.txt", name)
    publish_folder(tmp_path / "new", tmp_path / "old")
    assert (tmp_path / "old/a.txt").read_text() == "new"
    assert not (tmp_path / ".old.previous").exists()


def test_the_file_reaches_the_disk_before_its_name(tmp_path, monkeypatch):
    calls = []
    rename, sync = os.replace, os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (calls.append("sync"), sync(handle))[1])
    monkeypatch.setattr(os, "replace", lambda a, b: (calls.append("rename"), rename(a, b))[1])
    write_file(tmp_path / "a.txt", "1")
    assert calls == ["sync", "rename", "sync"]
