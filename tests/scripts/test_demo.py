"""The demo: files for every kind, names that never collide, one sentence for bad input."""

import csv
import json
from pathlib import Path

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


def visible(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.name != ".faces-results"}


def test_demo_writes_everything_for_the_astronaut(place, tmp_path):
    assert demo.main(place) == 0
    assert visible(tmp_path / "out/demo/landmarks") == {"astronaut", "faces.csv"}
    out = tmp_path / "out/demo/landmarks/astronaut"
    endings = ("_overlay.png", "_tiles.png", "_heatmaps.png", ".pts", ".json")
    assert visible(out) == {f"astronaut{ending}" for ending in endings}
    assert Image.open(out / "astronaut_tiles.png").size == (3 * 256, 256), "a direct network has no reconstruction"
    content = json.loads((out / "astronaut.json").read_text())
    points = read_pts(out / "astronaut.pts", 68)
    np.testing.assert_allclose(points, content["faces"][0]["landmarks"], atol=2e-3)
    np.testing.assert_allclose(read_json_points(out / "astronaut.json"), points, atol=2e-3)
    with (tmp_path / "out/demo/landmarks/faces.csv").open() as table:
        (row,) = csv.DictReader(table)
    assert (row["input"], row["task"], row["face"]) == ("astronaut", "landmarks", "0")
    np.testing.assert_allclose([float(row["x0"]), float(row["y0"])], points[0], atol=2e-3)
    assert content["schema"] == "faces/1" and content["tasks"] == {"landmarks": {"model": "landmarks_fast"}}
    assert sorted(content["files"]) == sorted(f"astronaut/astronaut{ending}" for ending in endings[:4])


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
    assert visible(tmp_path / "r") == {"face", "face-2"}


def test_demo_goes_on_after_a_failure(place, tmp_path, astronaut, capsys):
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(astronaut).save(folder / "good.png")
    Image.fromarray(np.zeros((90, 90, 3), np.uint8)).save(folder / "empty.png")
    (folder / "cut.jpg").write_bytes(b"\xff\xd8\xff")
    assert demo.main([*place, str(folder), "--save", "pts"]) == 2
    assert "1 of 3 inputs gave no result" in capsys.readouterr().err
    assert (tmp_path / "out/demo/landmarks/good/good.pts").exists()


def test_a_photo_without_a_face_is_said_and_no_error(place, tmp_path, capsys):
    Image.fromarray(np.zeros((90, 90, 3), np.uint8)).save(tmp_path / "empty.png")
    assert demo.main([*place, str(tmp_path / "empty.png")]) == 0
    assert "no face found" in capsys.readouterr().out
    assert json.loads((tmp_path / "out/demo/landmarks/empty/empty.json").read_text())["faces"] == []
    assert visible(tmp_path / "out/demo/landmarks/empty") == {"empty.json"}
    assert visible(tmp_path / "out/demo/landmarks") == {"empty"}
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
    points = read_pts(tmp_path / "out/demo/landmarks/astronaut/astronaut.pts", 68)
    np.testing.assert_allclose(points[36:42].mean(axis=0), [205, 107], atol=12)
    np.testing.assert_allclose(points[42:48].mean(axis=0), [245, 107], atol=12)


def test_faces_of_one_photo_do_not_overwrite_another_photo(place, tmp_path, astronaut):
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(np.concatenate([astronaut, astronaut], axis=1)).save(folder / "a.png")
    for name in ("a_0.png", "b.png", "B.jpg"):
        Image.fromarray(astronaut).save(folder / name)
    assert demo.main([*place, str(folder), "--save", "pts,json", "--flat"]) == 0
    names = sorted(visible(tmp_path / "out/demo/landmarks"))
    assert len([n for n in names if n.endswith(".pts")]) == 5
    assert len({n.casefold() for n in names}) == len(names) == 5 + 4
    table = json.loads((tmp_path / "out/demo/landmarks/a-2.json").read_text())
    assert len(table["faces"]) == 2 and table["convention"] == "continuous"
    assert [face["files"] for face in table["faces"]] == [["a-2_0.pts"], ["a-2_1.pts"]]


def test_own_results_are_replaced_and_files_of_others_are_not(place, tmp_path, capsys):
    out = tmp_path / "out/demo/landmarks"
    for _ in range(2):
        assert demo.main([*place, "--save", "json,csv"]) == 0
    assert visible(out) == {"astronaut", "faces.csv"} and visible(out / "astronaut") == {"astronaut.json"}
    (out / "astronaut/astronaut.pts").write_text("mine")
    capsys.readouterr()
    assert demo.main([*place, "--save", "json,pts"]) == 2
    assert "astronaut.pts: not written by this program" in capsys.readouterr().err
    assert (out / "astronaut/astronaut.pts").read_text() == "mine"
    assert visible(out / "astronaut") == {"astronaut.json", "astronaut.pts"}, "no temporary folder is left"


def test_resume_skips_what_is_there(place, tmp_path, astronaut, capsys):
    photos, out = tmp_path / "photos", tmp_path / "out/demo/landmarks"
    (photos / "below").mkdir(parents=True)
    Image.fromarray(astronaut).save(photos / "one.png")
    arguments = [*place, "--save", "json,csv,pts", "--batch-size", "2", "--resume", str(photos)]
    assert demo.main(arguments) == 0
    before = (out / "one/one.json").stat().st_mtime_ns
    Image.fromarray(astronaut[:, ::-1]).save(photos / "below/two.png")
    (photos / "cut.jpg").write_bytes(b"cut")
    capsys.readouterr()
    assert demo.main(arguments) == 2
    assert "1 of 3 inputs were done before" in capsys.readouterr().out
    assert (out / "one/one.json").stat().st_mtime_ns == before
    with (out / "faces.csv").open() as table:
        assert sorted(row["input"] for row in csv.DictReader(table)) == ["one", "two"]
    (out / "one/one.pts").unlink()
    (photos / "cut.jpg").unlink()
    assert demo.main(arguments) == 0
    assert (out / "one/one.pts").is_file() and "1 of 2 inputs were done" in capsys.readouterr().out
    assert demo.main([*arguments, "--box", "150,40,150,150"]) == 0
    assert "done before" not in capsys.readouterr().out, "other options, other results"
    assert demo.main([*place, str(photos), "--save", "pts", "--resume"]) == 2
    assert "add json to --save" in capsys.readouterr().err


def test_results_are_no_inputs(place, tmp_path, astronaut, capsys):
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.fromarray(astronaut).save(photos / "one.png")
    for _ in range(2):
        assert demo.main([*place, str(photos), "--out", str(photos), "--save", "overlay"]) == 0
        assert capsys.readouterr().out.count("1 face") == 1


def test_pictures_are_as_large_as_asked(place, tmp_path, astronaut):
    Image.fromarray(astronaut).resize((1100, 1100)).save(tmp_path / "large.png")
    kinds = ["--save", "overlay,json", "--max-side", "300"]
    assert demo.main([*place, str(tmp_path / "large.png"), *kinds]) == 0
    assert Image.open(tmp_path / "out/demo/landmarks/large/large_overlay.png").size == (300, 300)
    assert json.loads((tmp_path / "out/demo/landmarks/large/large.json").read_text())["size"] == [1100, 1100]


def test_half_precision_finds_the_same_face(place, tmp_path):
    points = []
    for precision in ("no", "bf16"):
        out = ["--out", str(tmp_path / precision)]
        assert demo.main([*place, "--save", "pts", "--flat", "--precision", precision, *out]) == 0
        points.append(read_pts(tmp_path / precision / "astronaut.pts", 68))
    ways = np.linalg.norm(points[0] - points[1], axis=1)
    assert 0 < ways.mean() < 1.0


def test_out_that_is_no_folder(place, tmp_path, capsys):
    (tmp_path / "file").write_text("kept")
    assert demo.main([*place, "--out", str(tmp_path / "file")]) == 2
    assert "no folder that results can be written to" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "kept"


def test_a_result_that_cannot_be_written_fails_its_photo_only(place, tmp_path, astronaut, capsys):
    (tmp_path / "out/demo/landmarks/first/first.json").mkdir(parents=True)
    for name in ("first", "second"):
        Image.fromarray(astronaut).save(tmp_path / f"{name}.png")
    arguments = [str(tmp_path / "first.png"), str(tmp_path / "second.png"), "--save", "json,csv"]
    assert demo.main([*place, *arguments]) == 2
    assert "1 of 2" in capsys.readouterr().err
    assert (tmp_path / "out/demo/landmarks/second/second.json").is_file()
    table = (tmp_path / "out/demo/landmarks/faces.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in table] == ["input", "second"]


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
        ("depth", {"astronaut_depth.png", "astronaut_depth.csv", "astronaut.json"}),
        ("rotate", {"astronaut_rotate.gif", "astronaut_rotate.png", "astronaut.json"}),
    ):
        assert demo.main([*place, "--task", task, "--out", str(tmp_path / task)]) == 0
        assert visible(tmp_path / task / "astronaut") == names
    rows = np.loadtxt(tmp_path / "depth/astronaut/astronaut_depth.csv", delimiter=",")
    assert rows.shape == (68, 3) and abs(rows[:, 2].mean()) < 0.1
    assert rows[27:36, 2].max() < rows[[0, 1, 15, 16], 2].min(), "the nose is nearer than the ears"
    strip = np.array(Image.open(tmp_path / "rotate/astronaut/astronaut_rotate.png"))
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
