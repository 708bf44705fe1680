"""What a user may name by mistake or malice: pipes, devices, renamed formats, impossible names, far coordinates."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.checkpoint import read_config
from common.config import read_local_config
from common.errors import CheckpointError, ConfigError, DataError, MeshFileError
from common.files.arrays import read_npy, read_npz
from common.files.images import image_size, read_image
from common.files.meshes import read_ply
from common.files.points import read_json_points, read_pts
from datasets.photos import parse_box
from tasks.inputs import find_inputs

READERS = [
    read_image,
    image_size,
    read_pts,
    read_json_points,
    read_npy,
    lambda path: read_npz(path, ("a",)),
    read_local_config,
]


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("kind", ["fifo", "device", "folder", "long", "nul", "missing", "bytes"])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path, read, kind):
    path = {
        "fifo": tmp_path / "a.png",
        "device": Path("/dev/zero"),
        "folder": tmp_path,
        "long": tmp_path / ("a" * 5000),
        "nul": tmp_path / "a\0b",
        "missing": tmp_path / "none",
        "bytes": tmp_path / os.fsdecode(b"caf\xe9"),
    }[kind]
    if kind == "fifo":
        os.mkfifo(path)
    with pytest.raises((DataError, ConfigError)) as caught:
        read(path)
    assert len(str(caught.value)) < 400 and "\n" not in str(caught.value)


def test_pipes_and_impossible_names_are_refused_without_a_look_inside(tmp_path):
    os.mkfifo(tmp_path / "a.jpg")
    (tmp_path / ".half.png").write_bytes(b"a rest")
    for name, text in ((tmp_path, "holds no photos"), (tmp_path / "a.jpg", "no such photo")):
        with pytest.raises(DataError, match=text):
            find_inputs([str(name)])
    for name in ("a" * 5000, "a\0b"):
        with pytest.raises(DataError):
            find_inputs([name])


def test_renamed_postscript_starts_no_program(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a program was started")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    (tmp_path / "a.jpg").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"
    )
    for read in (read_image, image_size):
        with pytest.raises(DataError, match="a.jpg: not a readable image"):
            read(tmp_path / "a.jpg")


@pytest.mark.parametrize("kind", ["ICO", "DDS", "ICNS", "TGA"])
def test_formats_that_are_no_photos_are_refused(tmp_path, kind):
    Image.new("RGBA", (64, 64)).save(tmp_path / "a.png", format=kind)
    with pytest.raises(DataError, match="a.png: not a readable image"):
        read_image(tmp_path / "a.png")


def test_coordinates_and_boxes_that_no_photo_has(tmp_path):
    (tmp_path / "a.pts").write_text("version: 1\nn_points: 1\n{\n1e8 1e8\n}\n")
    with pytest.raises(DataError, match="a.pts:4: .*beyond 1,000,000 px"):
        read_pts(tmp_path / "a.pts")
    (tmp_path / "a.json").write_text('{"landmarks": [[1e8, 1]]}')
    with pytest.raises(DataError, match="beyond 1,000,000 px"):
        read_json_points(tmp_path / "a.json")
    for text in ("0,0,2e6,2e6", "-1e6,0,10,10", "0,0,1e9,1e9"):
        with pytest.raises(DataError, match="--box .*beyond 20,000 px"):
            parse_box(text)


def test_a_byte_order_mark_is_read_over(tmp_path):
    (tmp_path / "a.pts").write_bytes("\ufeffversion: 1\nn_points: 1\n{\n1 2\n}\n".encode())
    assert np.allclose(read_pts(tmp_path / "a.pts"), [[0.5, 1.5]])


@pytest.mark.parametrize("value", ["~\0", "a\0b"])
def test_nul_in_the_configuration(tmp_path, value):
    (tmp_path / "a.ini").write_text(f"[Paths]\ndata = {value}\n")
    with pytest.raises(ConfigError, match=r"\[Paths\] data holds a NUL"):
        read_local_config(tmp_path / "a.ini")


@pytest.mark.parametrize("head", [
    "element vertex 1", "format ascii 1.0\nelement vertex 99999999999999999999\nproperty float x\nproperty float y\n"
    "property float z\nelement face 1\nproperty list uchar int vertex_indices",
    "format ascii 1.0\nelement vertex -1\nelement face 1\nproperty list uchar int vertex_indices",
])  # fmt: skip
def test_ply_headers_that_lie(tmp_path, head):
    (tmp_path / "a.ply").write_text(f"ply\n{head}\nend_header\n0 0 0\n")
    with pytest.raises(MeshFileError, match="a.ply: not a PLY"):
        read_ply(tmp_path / "a.ply")


def test_a_config_that_is_nested_without_end(tmp_path):
    (tmp_path / "config.json").write_text("[" * 200_000)
    with pytest.raises(CheckpointError, match="config.json: not a snapshot"):
        read_config(tmp_path)
