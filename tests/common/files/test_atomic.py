"""Files appear whole or not at all."""

import os
import stat

import pytest

from common.files.atomic import replacing, write_file


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_behind(tmp_path):
    path = tmp_path / "deep/er/a.txt"
    assert write_file(path, "eins\r\nzwei ü") == path
    assert path.read_bytes() == "eins\r\nzwei ü".encode()
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        assert temporary.suffix == ".txt" and temporary.parent == path.parent
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
