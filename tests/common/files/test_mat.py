"""MATLAB files: what datasets hold is read, what is damaged is refused before scipy can crash on it."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from common.errors import DataError
from common.files.mat import read_mat_file
from common.files.points import format_pts
from datasets.registry import build_dataset
from datasets.synthetic.layouts import save_photo

CONTENT = {
    "points": np.arange(12.0).reshape(3, 4),
    "small": np.array([[7]], np.uint8),
    "text": "photo.jpg",
    "cells": np.array(["a.jpg", "bb.jpg"], dtype=object),
    "boxes": np.array(
        [{"imgName": "a.jpg", "box": np.arange(4.0)}, {"imgName": "b.jpg", "box": np.arange(4.0)}], dtype=object
    ),
    "empty": np.zeros((0, 3)),
}


@pytest.mark.parametrize("compressed", [False, True])
def test_all_kinds_of_variables_are_read(tmp_path, compressed):
    savemat(tmp_path / "a.mat", CONTENT, do_compression=compressed)
    content = read_mat_file(tmp_path / "a.mat")
    np.testing.assert_array_equal(content["points"], CONTENT["points"])
    assert content["text"] == "photo.jpg" and list(content["cells"]) == ["a.jpg", "bb.jpg"]
    assert content["boxes"][1]["imgName"] == "b.jpg" and content["small"] == 7


@pytest.mark.parametrize(("position", "value"), [(145, 8), (184, 0), (184, 40), (185, 1), (185, 255)])
def test_bytes_that_crash_scipy_are_refused(tmp_path, position, value):
    """Array flags that claim an imaginary part, and content of a type that does not exist: `loadmat` ends the
    process.
    """
    savemat(tmp_path / "a.mat", {"pt3d_68": np.ones((3, 68))})
    damaged = bytearray((tmp_path / "a.mat").read_bytes())
    damaged[position] = value
    (tmp_path / "a.mat").write_bytes(damaged)
    with pytest.raises(DataError, match="a.mat"):
        read_mat_file(tmp_path / "a.mat")


@pytest.mark.parametrize("compressed", [False, True])
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.integers(100, 3000), st.integers(0, 255)), min_size=1, max_size=4),
    keep=st.integers(0, 9000),
)
def test_damaged_files_raise_only_data_errors(tmp_path, compressed, changes, keep):
    path = tmp_path / "a.mat"
    savemat(path, CONTENT, do_compression=compressed)
    content = bytearray(path.read_bytes())
    for position, value in changes:
        content[position % len(content)] = value
    path.write_bytes(content[:keep] if keep < len(content) else content)
    try:
        read_mat_file(path)
    except DataError as error:
        assert "a.mat" in str(error)


def test_sizes_and_kinds_that_no_annotation_has(tmp_path):
    path = tmp_path / "a.mat"
    savemat(path, {"zeros": np.zeros((2000, 500))}, do_compression=True)
    with pytest.raises(DataError, match="too large"):
        read_mat_file(path, max_bytes=1_000_000)
    savemat(path, {"z": np.array([1 + 2j])})
    with pytest.raises(DataError, match="complex"):
        read_mat_file(path)
    savemat(path, {"z": np.ones(3)}, format="4")
    with pytest.raises(DataError, match="MATLAB 5"):
        read_mat_file(path)
    with pytest.raises(DataError, match=r"none\.mat"):
        read_mat_file(tmp_path / "none.mat")


def test_300w_box_file_with_a_broken_box(tmp_path, drawn):
    face = drawn("w300")[1][0]
    save_photo(tmp_path / "images/train/afw/a.jpg", face.image)
    (tmp_path / "images/train/afw/a.pts").write_text(format_pts(face.landmarks))
    (tmp_path / "Bounding Boxes").mkdir()
    for box, message in ((np.arange(3.0), "four finite"), (np.array([0, 0, np.nan, 9]), "four finite")):
        records = np.array([{"imgName": "a.jpg", "bb_detector": box, "bb_ground_truth": box}], dtype=object)
        savemat(tmp_path / "Bounding Boxes/bounding_boxes_afw.mat", {"bounding_boxes": records})
        with pytest.raises(DataError, match=message):
            build_dataset("w300", tmp_path, "train", 64, "bb_ground_truth")
