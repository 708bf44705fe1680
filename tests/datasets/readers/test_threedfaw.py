"""3DFAW's layout: a round trip to .npz, and one clear sentence for every kind of bad file."""

import shutil

import numpy as np
import pytest
import torch

from common.errors import DataError
from datasets.readers.threedfaw import LIST_FILE, load_split, main, prepare, read_keypoints, read_list, read_split
from datasets.synthetic.depth import random_faces, write_dataset
from geometry.face_template import TEMPLATE_66, TRIANGLES_68, template_depth, to_66, to_68, yaw_deg


@pytest.fixture(scope="module")
def faw(tmp_path_factory):
    root = tmp_path_factory.mktemp("faw")
    write_dataset(root, train=24, valid=8, per_pose=3)
    return root


@pytest.fixture
def copy(faw, tmp_path):
    shutil.copytree(faw, tmp_path / "faw")
    return tmp_path / "faw"


def test_round_trip_from_csv_to_arrays(faw, tmp_path):
    splits = prepare(faw, tmp_path)
    truth = random_faces(24, 0)
    with np.load(tmp_path / "train.npz", allow_pickle=False) as train:
        assert train["y_keypts"].dtype == np.float32 and train["z_keypts"].shape == (24, 66)
        np.testing.assert_allclose(train["y_keypts"], truth[..., :2], atol=1e-5)
        np.testing.assert_allclose(train["z_keypts"], truth[..., 2], atol=1e-5)
    again = load_split(faw, tmp_path, "test")
    assert [list(again.poses).count(p) for p in ("left", "center", "right")] == [3, 3, 3]
    np.testing.assert_array_equal(again.points, splits["test"].points)
    assert set(again.ids).isdisjoint(load_split(faw, tmp_path, "valid").ids)


def test_a_file_without_a_final_newline_keeps_its_last_row(tmp_path):
    (tmp_path / "a.csv").write_text("1,2\n3,4\n5,6.5")
    assert read_keypoints(tmp_path / "a.csv").tolist() == [[1, 2], [3, 4], [5, 6.5]]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1 2 3\n4 5 6\n", "separator"),
        ("1,2,3\n4,5\n", ":2: 2 columns"),
        ("1,2\n3,4\n", "depth is missing"),
        ("1,2,nan\n4,5,6\n", ":1: .*not finite"),
        ("", "expected"),
        ("a,b,c\n", "not numbers"),
        ("1,2,3\n" * 3, "3 rows where 2"),
    ],
)
def test_bad_keypoint_files(tmp_path, text, says):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=says) as error:
        read_keypoints(path, ",", (3,), 2)
    assert str(error.value).startswith(str(path))


def test_one_bad_file_among_many_is_named_and_skipped(copy, tmp_path, capsys):
    bad = copy / "train_lm" / "syn_000003_lm.csv"
    bad.write_text("1,2,3\n")
    faces = read_split(copy, "train")
    assert len(faces) == 23 and "syn_000003" not in faces.ids and str(bad) in faces.skipped[0]
    assert main([str(copy), "--out", str(tmp_path / "npz")]) == 0
    assert "1 files skipped" in capsys.readouterr().out
    with pytest.warns(UserWarning, match="syn_000003"):
        load_split(copy, tmp_path / "cache", "train")


def test_many_bad_files_stop(copy, capsys):
    for i in range(5):
        (copy / "train_lm" / f"syn_{i:06d}_lm.csv").write_text("1,2,3\n")
    assert main([str(copy)]) == 2
    assert "5 of 24 files cannot be used" in capsys.readouterr().err


def test_unusable_faces_are_named(copy):
    path = copy / "train_lm" / "syn_000000_lm.csv"
    path.write_text("".join(f"{i},{2 * i},0\n" for i in range(66)))
    assert "one line" in read_split(copy, "train").skipped[0]
    path.write_text("".join(f"{5000 + i},{i * i},0\n" for i in range(66)))
    assert "do not belong together" in read_split(copy, "train").skipped[0]
    (copy / "train_img" / "syn_000000.jpg").write_bytes(b"no image")
    assert "not a readable image" in read_split(copy, "train").skipped[0]


def test_empty_and_missing_folders(tmp_path):
    with pytest.raises(DataError, match="not found"):
        read_split(tmp_path, "train")
    (tmp_path / "train_lm").mkdir()
    with pytest.raises(DataError, match="holds no"):
        read_split(tmp_path, "train")


def test_bad_lists(tmp_path):
    path = tmp_path / LIST_FILE
    path.write_text("a,valid\nb,test,up\n")
    with pytest.raises(DataError, match=":2: expected"):
        read_list(path)


def test_without_a_list_the_poses_are_our_own(copy):
    (copy / LIST_FILE).unlink()
    test, valid = read_split(copy, "test"), read_split(copy, "valid")
    assert set(test.ids).isdisjoint(valid.ids) and len(test) + len(valid) == 17
    assert set(test.poses) <= {"left", "center", "right"} and (valid.poses == "").all()


def test_template_mesh_and_conversion():
    points = to_68(TEMPLATE_66)
    np.testing.assert_array_equal(to_66(points), TEMPLATE_66)
    corners = points[TRIANGLES_68][..., :2]
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    assert TRIANGLES_68.shape == (107, 3) and (np.sign(area) == np.sign(area[0])).all()
    edges = {tuple(sorted(edge)) for t in TRIANGLES_68.tolist() for edge in zip(t, t[1:] + t[:1], strict=True)}
    assert len(edges) == 174 and len(set(TRIANGLES_68.ravel())) == 68


def test_template_pose_is_recovered():
    left, right = random_faces(20, 1, (-40, -30)), random_faces(20, 1, (30, 40))
    assert (yaw_deg(torch.from_numpy(left[..., :2])) < -15).all() and (
        yaw_deg(torch.from_numpy(right[..., :2])) > 15
    ).all()
    depth = template_depth(torch.from_numpy(left[..., :2]))
    truth = torch.from_numpy(left[..., 2])
    assert np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(depth, truth, strict=True)]) > 0.95
