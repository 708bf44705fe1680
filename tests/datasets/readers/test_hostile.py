"""Damaged and hostile annotation files: whatever comes, only DataError escapes, and soon."""

import io
import json
import tarfile
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from common.errors import DataError
from common.files.images import image_size, read_image, safe_join
from common.files.points import read_json_points, read_pts
from common.files.tables import numbers, read_csv, read_records
from common.files.tar import index_tar

FUZZ = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
edits = st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=5)


def damage(content: bytes, changes: list, keep: int) -> bytes:
    damaged = bytearray(content)
    for position, value in changes:
        damaged[position % len(damaged)] = value
    return bytes(damaged[: keep % len(damaged) + 1]) if keep < 3000 else bytes(damaged)


def tar_bytes(names=("a/b.jpg", "ü" * 120 + ".jpg")) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size = 10
            archive.addfile(entry, io.BytesIO(b"0123456789"))
    return buffer.getvalue()


def photo_bytes(kind: str) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (12, 12, 3), np.uint8)).save(buffer, kind, exif=exif)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
@FUZZ
@given(changes=edits, keep=st.integers(0, 6000))
def test_damaged_photos(tmp_path, kind, changes, keep):
    path = tmp_path / f"x.{kind}"
    path.write_bytes(damage(photo_bytes(kind), changes, keep))
    for read in (read_image, image_size):
        try:
            read(path)
        except DataError as error:
            assert path.name in str(error)


@FUZZ
@given(changes=edits, keep=st.integers(0, 6000))
def test_damaged_tars(tmp_path, changes, keep):
    path = tmp_path / "x.tar"
    path.write_bytes(damage(tar_bytes(), changes, keep))
    try:
        spans = index_tar(path)
    except DataError as error:
        assert path.name in str(error)
    else:
        assert all(offset >= 0 and size >= 0 for offset, size in spans.values())


@FUZZ
@given(changes=edits, keep=st.integers(0, 6000))
def test_damaged_tables(tmp_path, changes, keep):
    record = json.dumps({"img_path": "a.jpg", "landmarks": [[1.5, 2]] * 5}) + "\n"
    for name, text, read in (
        ("x.ljson", record * 3, lambda p: read_records(p, ("img_path", "landmarks"))),
        ("x.csv", 'image_path,x1\na.jpg,1\n"b",2\n', lambda p: list(read_csv(p, ("image_path", "x1")))),
    ):
        path = tmp_path / name
        path.write_bytes(damage(text.encode(), changes, keep))
        try:
            read(path)
        except DataError as error:
            assert path.name in str(error)


def test_index_finds_the_bytes_and_refuses_names_that_leave(tmp_path):
    path = tmp_path / "x.tar"
    path.write_bytes(tar_bytes())
    offset, size = index_tar(path)["a/b.jpg"]
    assert path.read_bytes()[offset : offset + size] == b"0123456789"
    for name in ("../x", "/x", "a/../../x"):
        path.write_bytes(tar_bytes((name,)))
        with pytest.raises(DataError, match="leaves"):
            index_tar(path)


def test_tar_links_are_no_photos(tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            entry = tarfile.TarInfo("link.jpg")
            entry.type, entry.linkname = kind, "/etc/passwd"
            archive.addfile(entry)
    assert index_tar(tmp_path / "x.tar") == {}


def test_tar_with_a_negative_size_ends_at_once(tmp_path):
    """CVE-2025-8194: Python's tarfile walks in circles over such an archive."""
    content = bytearray(tar_bytes(("a.jpg", "b.jpg")))
    start = 1024  # header of the second member
    content[start + 124 : start + 136] = b"\xff" * 10 + (-1024 & 0xFFFF).to_bytes(2, "big")
    content[start + 148 : start + 156] = b" " * 8
    content[start + 148 : start + 156] = b"%06o\0 " % sum(content[start : start + 512])
    (tmp_path / "x.tar").write_bytes(bytes(content))
    begun = time.monotonic()
    with pytest.raises(DataError, match="x.tar"):
        index_tar(tmp_path / "x.tar")
    assert time.monotonic() - begun < 1


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "[[1, 1" + "0" * 5000 + "]]", "[[1, 1" + "0" * 400 + "]]", "[[1, 1e40]]", "null"]
)
def test_json_that_is_too_deep_or_too_large(tmp_path, text):
    path = tmp_path / "x.json"
    path.write_text(text)
    for read in (read_json_points, lambda p: read_records(p, ("img_path",))):
        with pytest.raises(DataError, match=r"x\.json"):
            read(path)


def test_coordinates_beyond_float32(tmp_path):
    path = tmp_path / "x.pts"
    path.write_text("{\n1e300 2\n}\n")
    with pytest.raises(DataError, match=r"x\.pts:2.*not finite"):
        read_pts(path)
    for values in ([10**400], [1e300], ["a"], [[1, 2]], None):
        with pytest.raises(DataError, match="here"):
            numbers(values, (1,), "here")


def test_csv_with_a_giant_field(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n" + "x" * 200_000 + ",1\n")
    with pytest.raises(DataError, match=r"x\.csv"):
        list(read_csv(tmp_path / "x.csv", ("a",)))


@pytest.mark.parametrize("name", ["a\ud800", "a" * 5000, "a/" * 3000])
def test_names_that_no_file_system_takes(tmp_path, name):
    with pytest.raises(DataError):
        safe_join(tmp_path, name)
