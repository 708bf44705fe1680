"""The demo: files for every kind, names that never collide, one sentence for bad input."""

import json

import numpy as np
import pytest
from PIL import Image

import demo
from common.files.points import read_json_points, read_pts


@pytest.fixture(scope="module")
def astronaut():
    from skimage.data import astronaut

    return astronaut()


@pytest.fixture
def place(tmp_path):
    """Arguments for a demo in a folder of its own, with the bundled model."""
    (tmp_path / "x.ini").write_text(f"[Paths]\noutputs = {tmp_path / 'out'}\n")
    return ["--config", str(tmp_path / "x.ini")]


def test_demo_writes_everything_for_the_astronaut(place, tmp_path):
    assert demo.main(place) == 0
    out = tmp_path / "out/demo"
    names = {p.name for p in out.glob("[!.]*")}
    endings = ("_overlay.png", "_tiles.png", "_heatmaps.png", ".pts", ".json")
    assert names == {f"astronaut{ending}" for ending in endings} | {"landmarks.csv"}
    assert Image.open(out / "astronaut_tiles.png").size == (3 * 256, 256), "a direct network has no reconstruction"
    content = json.loads((out / "astronaut.json").read_text())
    points = read_pts(out / "astronaut.pts", 68)
    np.testing.assert_allclose(points, content["faces"][0]["landmarks"], atol=2e-3)
    np.testing.assert_allclose(read_json_points(out / "astronaut.json"), points, atol=2e-3)
    row = (out / "landmarks.csv").read_text().splitlines()[1].split(",")
    np.testing.assert_allclose([float(v) for v in row[7:9]], points[0], atol=2e-3)


def test_demo_on_folder_glob_box_and_same_names(place, tmp_path, astronaut):
    for part in ("a", "b"):
        (tmp_path / part).mkdir()
        Image.fromarray(astronaut).save(tmp_path / part / "face.png")
    arguments = [
        str(tmp_path / "a"),
        str(tmp_path / "b" / "*.png"),
        "--box",
        "150,40,150,150",
        "--save",
        "json",
        "--out",
    ]
    assert demo.main([*place, *arguments, str(tmp_path / "r")]) == 0
    assert {p.name for p in (tmp_path / "r").glob("[!.]*")} == {"face.json", "face-2.json"}


def test_demo_goes_on_after_a_failure(place, tmp_path, astronaut, capsys):
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(astronaut).save(folder / "good.png")
    Image.fromarray(np.zeros((90, 90, 3), np.uint8)).save(folder / "empty.png")
    (folder / "cut.jpg").write_bytes(b"\xff\xd8\xff")
    assert demo.main([*place, str(folder), "--save", "pts"]) == 2
    assert "1 of 3 photos gave no result" in capsys.readouterr().err
    assert (tmp_path / "out/demo/good.pts").exists()


def test_a_photo_without_a_face_is_said_and_no_error(place, tmp_path, capsys):
    Image.fromarray(np.zeros((90, 90, 3), np.uint8)).save(tmp_path / "empty.png")
    assert demo.main([*place, str(tmp_path / "empty.png")]) == 0
    assert "no face found" in capsys.readouterr().out
    assert json.loads((tmp_path / "out/demo/empty.json").read_text())["faces"] == []
    assert [p.name for p in (tmp_path / "out/demo").glob("[!.]*")] == ["empty.json"]
    for task in ("depth", "reconstruct", "fit"):
        assert demo.main([*place, str(tmp_path / "empty.png"), "--task", task]) == 0
        assert "no face found" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.jpg"], "no such photo"),
        (["--save", "gif"], "unknown kind 'gif'"),
        (["--box", "1,2,3"], "four numbers"),
        (["--box", "0,0,-5,5"], "above 0"),
        (["--box", "9000,0,50,50"], "outside"),
        (["--task", "juggle"], "unknown --task 'juggle'"),
        (["--model", "missing"], "no model 'missing'"),
    ],
)
def test_demo_with_bad_input(place, arguments, message, capsys):
    assert demo.main([*place, *arguments]) == 2
    assert message in capsys.readouterr().err


def test_demo_on_an_empty_folder(place, tmp_path, capsys):
    (tmp_path / "none").mkdir()
    assert demo.main([*place, str(tmp_path / "none")]) == 2
    assert "holds no photos" in capsys.readouterr().err


def test_demo_marks_the_eyes_of_the_astronaut(place, tmp_path):
    """The bundled model on a photo that it never saw; places read off the photo by hand."""
    assert demo.main([*place, "--save", "pts"]) == 0
    points = read_pts(tmp_path / "out/demo/astronaut.pts", 68)
    np.testing.assert_allclose(points[36:42].mean(axis=0), [205, 107], atol=12)
    np.testing.assert_allclose(points[42:48].mean(axis=0), [245, 107], atol=12)


def test_faces_of_one_photo_do_not_overwrite_another_photo(place, tmp_path, astronaut):
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(np.concatenate([astronaut, astronaut], axis=1)).save(folder / "a.png")
    for name in ("a_0.png", "b.png", "B.jpg"):
        Image.fromarray(astronaut).save(folder / name)
    assert demo.main([*place, str(folder), "--save", "pts,json"]) == 0
    names = sorted(p.name for p in (tmp_path / "out/demo").glob("[!.]*"))
    assert len([n for n in names if n.endswith(".pts")]) == 5
    assert len({n.casefold() for n in names}) == len(names) == 5 + 4
    table = json.loads((tmp_path / "out/demo/a.json").read_text())
    assert len(table["faces"]) == 2 and table["convention"] == "continuous"


def test_results_are_replaced_and_other_files_kept(place, tmp_path, capsys):
    out = tmp_path / "out/demo"
    out.mkdir(parents=True)
    (out / "astronaut.json").write_text("the user's own")
    assert demo.main([*place, "--save", "json,csv"]) == 2
    assert "astronaut.json: not written by this program" in capsys.readouterr().err
    assert (out / "astronaut.json").read_text() == "the user's own"
    (out / "astronaut.json").unlink()
    for _ in range(2):
        assert demo.main([*place, "--save", "json,csv"]) == 0
    assert json.loads((out / "astronaut.json").read_text())["photo"] == "astronaut"
    assert sorted(p.name for p in out.glob("[!.]*")) == ["astronaut.json", "landmarks.csv"]  # no temporary file is left


def test_out_that_is_no_folder(place, tmp_path, capsys):
    (tmp_path / "file").write_text("kept")
    assert demo.main([*place, "--out", str(tmp_path / "file")]) == 2
    assert "no folder that results can be written to" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "kept"


def test_a_result_that_cannot_be_written_fails_its_photo_only(place, tmp_path, astronaut, capsys):
    (tmp_path / "out/demo/first.json").mkdir(parents=True)
    for name in ("first", "second"):
        Image.fromarray(astronaut).save(tmp_path / f"{name}.png")
    arguments = [str(tmp_path / "first.png"), str(tmp_path / "second.png"), "--save", "json,csv"]
    assert demo.main([*place, *arguments]) == 2
    assert "1 of 2" in capsys.readouterr().err
    assert (tmp_path / "out/demo/second.json").is_file()
    table = (tmp_path / "out/demo/landmarks.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in table] == ["image", "second"]


def test_failures_name_the_photo(place, tmp_path, astronaut, capsys):
    Image.fromarray(astronaut).save(tmp_path / "small.png")
    assert demo.main([*place, str(tmp_path / "small.png"), "--box", "9000,0,50,50"]) == 2
    error = capsys.readouterr().err
    assert error.count("small.png") == 1 and "outside the 512×512 photo" in error


def test_unknown_detector(place, capsys):
    assert demo.main([*place, "--detector", "mtcnn"]) == 2
    assert "yunet, dlib" in capsys.readouterr().err


def test_depth_and_rotation_of_the_astronaut(place, tmp_path):
    for task, names in (
        ("depth", {"astronaut_depth.png", "astronaut_depth.csv"}),
        ("rotate", {"astronaut_rotate.gif", "astronaut_rotate.png"}),
    ):
        assert demo.main([*place, "--task", task, "--out", str(tmp_path / task)]) == 0
        assert {p.name for p in (tmp_path / task).glob("[!.]*")} == names
    rows = np.loadtxt(tmp_path / "depth/astronaut_depth.csv", delimiter=",")
    assert rows.shape == (68, 3) and abs(rows[:, 2].mean()) < 0.1
    assert rows[27:36, 2].max() < rows[[0, 1, 15, 16], 2].min(), "the nose is nearer than the ears"
    strip = np.array(Image.open(tmp_path / "rotate/astronaut_rotate.png"))
    side = strip.shape[0]
    assert strip.shape[1] == 8 * side
    still = strip[:, 4 * side : 5 * side]  # at 0 degrees the face is the photo's
    covered = (still != 60).any(axis=2)
    np.testing.assert_array_equal(still[covered], strip[:, :side][covered])


def test_an_unknown_task_or_model_is_named(place, capsys):
    assert demo.main([*place, "--task", "age"]) == 2
    assert "landmarks, depth, rotate" in capsys.readouterr().err
    assert demo.main([*place, "--task", "depth", "--depth-model", "none"]) == 2
    assert "no model 'none'" in capsys.readouterr().err
