"""What a writer writes its reader reads back, for any content."""

import csv
import io
import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from common.files.arrays import read_npy, read_npz
from common.files.atomic import write_file
from common.files.images import image_size, read_image
from common.files.meshes import Mesh, read_obj, read_ply, write_obj, write_ply
from common.files.pictures import save_picture
from common.files.points import format_pts, read_json_points, read_pts, read_text
from common.files.tables import read_csv, read_records

COORDINATES = st.floats(-9999, 9999, width=32)
POINTS = arrays(np.float32, st.tuples(st.integers(1, 98), st.just(2)), elements=COORDINATES)
PICTURES = arrays(np.uint8, st.tuples(st.integers(1, 24), st.integers(1, 24), st.just(3)))
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Z")), min_size=1)
few = settings(max_examples=20, deadline=None)


@few
@given(points=POINTS)
def test_landmarks(tmp_path_factory, points):
    path = tmp_path_factory.mktemp("a") / "a.pts"
    write_file(path, format_pts(points))
    np.testing.assert_allclose(read_pts(path, len(points)), points, atol=2e-3)


@few
@given(points=POINTS, continuous=st.booleans())
def test_json_landmarks(tmp_path_factory, points, continuous):

    path = tmp_path_factory.mktemp("a") / "a.json"
    write_file(path, json.dumps({"landmarks": points.tolist()} | ({"convention": "continuous"} if continuous else {})))
    np.testing.assert_allclose(read_json_points(path), points + (0 if continuous else 0.5), rtol=1e-6)


@few
@given(image=PICTURES)
def test_pictures(tmp_path_factory, image):
    path = tmp_path_factory.mktemp("a") / "a.png"
    save_picture(path, image)
    np.testing.assert_array_equal(read_image(path), image)
    assert image_size(path) == image.shape[1::-1]


@few
@given(turn=st.integers(1, 8), size=st.tuples(st.integers(1, 9), st.integers(1, 9)))
def test_turned_photos_have_the_size_that_the_header_says(tmp_path_factory, turn, size):
    path = tmp_path_factory.mktemp("a") / "a.jpg"
    exif = Image.Exif()
    exif[0x0112] = turn
    Image.new("RGB", size).save(path, exif=exif)
    assert read_image(path).shape[1::-1] == image_size(path) == (size if turn < 5 else size[::-1])


@few
@given(array=arrays(np.float32, st.tuples(st.integers(0, 5), st.integers(1, 5)), elements=COORDINATES))
def test_arrays(tmp_path_factory, array):
    folder = tmp_path_factory.mktemp("a")
    np.save(folder / "a.npy", array)
    np.savez(folder / "a.npz", a=array, b=-array)
    np.testing.assert_array_equal(read_npy(folder / "a.npy"), array)
    np.testing.assert_array_equal(read_npz(folder / "a.npz", ("b",))[0], -array)


@few
@given(data=st.data(), count=st.integers(3, 12), binary=st.booleans())
def test_meshes(tmp_path_factory, data, count, binary):
    folder = tmp_path_factory.mktemp("a")
    vertices = data.draw(arrays(np.float64, (count, 3), elements=COORDINATES))
    triangles = data.draw(
        arrays(np.int64, st.tuples(st.integers(1, 9), st.just(3)), elements=st.integers(0, count - 1))
    )
    mesh = Mesh(vertices, triangles)
    write_ply(folder / "a.ply", mesh, binary)
    write_obj(folder / "a.obj", mesh)
    for read in (read_ply(folder / "a.ply"), read_obj(folder / "a.obj")):
        np.testing.assert_allclose(read.vertices, vertices, rtol=1e-5, atol=1e-4)
        np.testing.assert_array_equal(read.triangles, triangles)


@few
@given(names=st.lists(NAMES, min_size=1))
def test_tables_and_text(tmp_path_factory, names):

    folder = tmp_path_factory.mktemp("a")
    write_file(folder / "a.json", json.dumps([{"image": name} for name in names]))
    assert [record["image"] for record in read_records(folder / "a.json", ("image",))] == names
    buffer = io.StringIO()
    csv.writer(buffer).writerows([["image"], *([name] for name in names)])
    write_file(folder / "a.csv", buffer.getvalue())
    assert [row["image"] for _, row in read_csv(folder / "a.csv", ("image",))] == names
    write_file(folder / "a.txt", "\n".join(names))
    assert read_text(folder / "a.txt") == "\n".join(names)
