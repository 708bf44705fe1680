"""Photos of every kind, hostile names, landmark files."""

import struct
import time
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from common.errors import DataError
from common.files.images import image_size, read_image, safe_join
from common.files.points import format_pts, read_json_points, read_pts

COLOURS = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [200, 200, 200]]], np.uint8).repeat(8, 0).repeat(8, 1)


def save(path, image, **options):
    image.save(path, **options)
    return path


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "CMYK", "1", "LA", "I;16"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    if mode == "I;16":
        image = Image.fromarray(np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16))
    else:
        image = Image.fromarray(COLOURS).convert(mode)
    path = save(tmp_path / ("a.tif" if mode == "CMYK" else "a.png"), image)
    read = read_image(path)
    assert read.shape == (16, 16, 3) and read.dtype == np.uint8
    if mode == "I;16":
        assert read[0, 0, 0] == 0 and read[-1, -1, 0] == 255
    elif mode in ("RGB", "RGBA", "CMYK"):
        assert np.abs(read.astype(int) - COLOURS).max() <= 2


def test_transparent_palette_lies_on_black(tmp_path):
    image = Image.fromarray(np.zeros((4, 4), np.uint8), "P")
    image.putpalette([255, 255, 255] * 256)
    assert read_image(save(tmp_path / "a.png", image, transparency=0)).max() == 0


def test_exif_rotation(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90° clockwise to be upright
    wide = Image.fromarray(np.zeros((10, 30, 3), np.uint8))
    path = save(tmp_path / "a.jpg", wide, exif=exif)
    assert read_image(path).shape == (30, 10, 3) and image_size(path) == (10, 30)


def test_one_pixel(tmp_path):
    assert read_image(save(tmp_path / "a.png", Image.new("RGB", (1, 1)))).shape == (1, 1, 3)


def test_unreadable_files_are_named(tmp_path):
    whole = save(
        tmp_path / "whole.jpg", Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    )
    cut, empty, text = tmp_path / "cut.jpg", tmp_path / "empty.jpg", tmp_path / "text.jpg"
    cut.write_bytes(whole.read_bytes()[:900])
    empty.write_bytes(b"")
    text.write_text("hello")
    for path in (cut, empty, text, tmp_path / "none.jpg"):
        with pytest.raises(DataError, match=path.name):
            read_image(path)


def test_giant_header_is_refused_at_once(tmp_path):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    path = tmp_path / "bomb.png"
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IEND", b""))
    start = time.monotonic()
    with pytest.raises(DataError, match="bomb.png"):
        read_image(path)
    assert time.monotonic() - start < 1


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "C:\\x", "a/../../b", "", "a\0b", "..\\x", "\\\\server\\x"])
def test_names_that_leave_the_folder(tmp_path, name):
    with pytest.raises(DataError):
        safe_join(tmp_path, name)


def test_links_that_leave_the_folder(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link").symlink_to(tmp_path)
    with pytest.raises(DataError, match="link"):
        safe_join(tmp_path / "root", "link/secret.jpg")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(max_size=300))
def test_any_name_stays_inside_or_is_refused(tmp_path, name):
    try:
        path = safe_join(tmp_path, name)
    except DataError:
        return
    assert path.resolve().is_relative_to(tmp_path.resolve())


coordinates = st.floats(-1e4, 1e4, allow_nan=False, width=32)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(points=st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=20))
def test_pts_round_trip(tmp_path, points):
    path = tmp_path / "a.pts"
    path.write_text(format_pts(np.array(points)))
    np.testing.assert_allclose(read_pts(path), np.array(points, np.float32), atol=2e-3)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, 200), value=st.integers(0, 255))
def test_damaged_pts_and_json_raise_only_data_errors(tmp_path, position, value):
    for name, text, read in (
        ("a.pts", format_pts(np.arange(20).reshape(10, 2)), read_pts),
        ("a.json", '{"landmarks": [[1, 2], [3, 4.5]]}', read_json_points),
    ):
        content = bytearray(text.encode())
        content[position % len(content)] = value
        (tmp_path / name).write_bytes(bytes(content))
        try:
            read(tmp_path / name)
        except DataError as error:
            assert name in str(error)


def test_pts_is_one_based(tmp_path):
    (tmp_path / "a.pts").write_text("version: 1\nn_points: 1\n{\n1.0 3.0\n}\n")
    assert read_pts(tmp_path / "a.pts").tolist() == [[0.5, 2.5]]


def test_pts_errors_name_file_and_line(tmp_path):
    path = tmp_path / "a.pts"
    for text, message in (
        ("x", "not a .pts"),
        ("{\n1 2\n3\n}", "a.pts:3"),
        ("{\n1 nan\n}", "a.pts:2.*not finite"),
        ("{\n}", "no landmarks"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=message):
            read_pts(path)


def test_json_conventions(tmp_path):
    path = tmp_path / "a.json"
    for text, expected in (
        ("[[1, 2]]", [1.5, 2.5]),
        ('{"landmarks": [[1, 2]], "convention": "continuous"}', [1, 2]),
        ('{"landmarks": {"points": [[2, 1]]}}', [1.5, 2.5]),
    ):
        path.write_text(text)
        assert read_json_points(path)[0].tolist() == expected
