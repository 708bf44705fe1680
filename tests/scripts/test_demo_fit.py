"""demo.py --task fit: a file for every kind, several faces in one picture, one sentence for bad input."""

import json

import numpy as np
import pytest
import trimesh
from PIL import Image

import demo
from common.files.points import format_pts
from drawing.surfaces import read_depth

# eye centres, nose tip, mouth corners of the astronaut, 0-based, read off the photo
ASTRONAUT_FIVE = "205 107\n245 107\n224 128\n208 151\n246 150\n"


@pytest.fixture(scope="module")
def astronaut():
    from skimage.data import astronaut

    return astronaut()[:300, 60:400]


@pytest.fixture
def place(tmp_path):
    """Arguments for a demo in a folder of its own."""
    (tmp_path / "x.ini").write_text(f"[Paths]\noutputs = {tmp_path / 'out'}\n")
    return ["--config", str(tmp_path / "x.ini"), "--task", "fit", "--texture-size", "64"]


def test_fit_writes_everything_for_the_astronaut(place, tmp_path, capsys):
    assert demo.main(place) == 0
    out = tmp_path / "out/demo/fit/astronaut"
    pictures = ("overlay", "strip", "depth", "depth_coloured", "pncc", "normals", "pose", "texture", "mesh")
    files = {f"astronaut_{name}.png" for name in pictures} | {
        f"astronaut_mesh.{s}" for s in ("obj", "mtl", "ply", "glb")
    }
    assert {p.name for p in out.glob("[!.]*")} == files | {"astronaut.json"}
    (face,) = json.loads((out / "astronaut.json").read_text())["faces"]
    assert (
        max(map(abs, face["pose_deg"].values())) < 12 and face["error_percent_of_box"] < 2.5 and len(face["gamma"]) == 3
    )
    assert {name: len(part) for name, part in face["parameters"].items()} == {
        "translation": 2,
        "identity": 80,
        "expression": 52,
    }
    depth = read_depth(out / "astronaut_depth.png")
    row, column = np.unravel_index(np.nanargmin(depth), depth.shape)
    assert np.hypot(column - 224, row - 128) < 20  # the nose tip is nearest
    for suffix in ("obj", "ply", "glb"):
        mesh = trimesh.load(out / f"astronaut_mesh.{suffix}", force="mesh", process=False)
        assert len(mesh.faces) == 10712
    assert Image.open(out / "astronaut_strip.png").size == (4 * 384, 384)


def test_several_faces_share_one_picture(place, tmp_path, astronaut):
    both = np.concatenate([astronaut, astronaut], axis=1)
    Image.fromarray(both).save(tmp_path / "two.png")
    kinds = ["--save", "json,depth,obj", "--photometric", "0"]
    assert demo.main([*place, str(tmp_path / "two.png"), *kinds]) == 0
    faces = json.loads((tmp_path / "out/demo/fit/two/two.json").read_text())["faces"]
    assert len(faces) == 2 and "gamma" not in faces[0]
    assert [face["files"] for face in faces] == [["two/two_0_mesh.obj"], ["two/two_1_mesh.obj"]]
    depth = read_depth(tmp_path / "out/demo/fit/two/two_depth.png")
    assert np.isfinite(depth[:, :340]).any() and np.isfinite(depth[:, 340:]).any()
    assert {p.name for p in (tmp_path / "out/demo/fit/two").glob("*.obj")} == {"two_0_mesh.obj", "two_1_mesh.obj"}


def test_five_points_of_a_file(place, tmp_path, astronaut):
    Image.fromarray(astronaut).save(tmp_path / "a.png")
    rows = [f"{float(x) - 60} {y}" for x, y in (line.split() for line in ASTRONAUT_FIVE.splitlines())]
    (tmp_path / "a.txt").write_text("\n".join(rows))
    arguments = ["--landmarks-from", str(tmp_path), "--save", "json,overlay", "--flat", "--out", str(tmp_path)]
    assert demo.main([*place, str(tmp_path / "a.png"), *arguments]) == 0
    (face,) = json.loads((tmp_path / "a.json").read_text())["faces"]
    assert max(map(abs, face["pose_deg"].values())) < 20 and face["error_percent_of_box"] < 5
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), astronaut)  # results never replace photos


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (format_pts(np.zeros((68, 2)) + [[50, 60]]), "lie on one line"),
        (format_pts(np.arange(8).reshape(4, 2)), "4 landmarks; a fit takes 68, 98, 5"),
        ("version: 1\n", "not a .pts file"),
        (None, "holds no a.pts, .json or .txt"),
    ],
)
def test_bad_landmark_files(place, tmp_path, astronaut, text, message, capsys):
    Image.fromarray(astronaut).save(tmp_path / "a.png")
    (tmp_path / "points").mkdir()
    if text is not None:
        (tmp_path / "points/a.pts").write_text(text)
    assert demo.main([*place, str(tmp_path / "a.png"), "--landmarks-from", str(tmp_path / "points")]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--save", "tiles"], "unknown kind 'tiles'"),
        (["--model-3d", "bust"], "no face model 'bust'"),
        (["--landmarks-from", "nowhere"], "--landmarks-from nowhere: no such folder"),
        (["--box", "1,2"], "four numbers"),
        (["nowhere.jpg"], "no such photo"),
    ],
)
def test_bad_options(place, arguments, message, capsys):
    assert demo.main([*place, *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_photo_without_a_face(place, tmp_path, capsys):
    Image.fromarray(np.zeros((90, 90, 3), np.uint8)).save(tmp_path / "empty.png")
    assert demo.main([*place, str(tmp_path / "empty.png")]) == 0
    assert "no face found" in capsys.readouterr().out


def test_models_without_68_points_are_one_sentence(place, tmp_path, capsys):
    """As FLAME without its landmark embedding, and Surrey, which knows 50 of them."""
    from dataclasses import replace

    from morphable.open import load_face_model

    head = load_face_model("head")
    replace(head, name="bare", landmarks={"wflw98": head.landmarks["wflw98"]}, contour=None).save(
        tmp_path / "bare.safetensors"
    )
    assert demo.main([*place, "--model-3d", str(tmp_path / "bare.safetensors")]) == 2
    error = capsys.readouterr().err
    assert "has no 68 landmarks" in error and "it has: wflw98" in error and "Traceback" not in error
