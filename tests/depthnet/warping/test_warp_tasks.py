"""warp_face.py: files in FaceWarper's formats, rotations, movies, the server, and one sentence for bad input."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

import warp_face
from common.errors import DataError
from common.pretrained import PRETRAINED
from datasets.synthetic.depth import draw_face, random_faces
from depthnet.lifting import (
    Lifter,
    animation_angles,
    axis_rotation,
    calibrate,
    fit_affines,
    layout_of,
    mirror,
    rotation_affines,
    turned_keypoints,
)
from depthnet.models import load_model
from depthnet.warping.faces import depth_in_sides
from depthnet.warping.facewarper import read_numbers, serve
from geometry.face_template import to_66, to_68
from networks.depthnet import DepthNet, DepthNetConfig
from video.movies import write_movie

EXACT = ("--source-depth", "--save-plots", "0")
SIZES = {"source": (160, 120), "target": (200, 240)}


@pytest.fixture(scope="module")
def lifter():
    return Lifter(load_model("depthnet_gan", PRETRAINED))


@pytest.fixture
def place(tmp_path):
    """Two drawn faces with depths in pictures that are not square, and the flags to find them."""
    for seed, (name, (width, height)) in enumerate(SIZES.items()):
        face = random_faces(1, seed, (-20, 20))[0] * np.array([width, height, (width + height) / 2])
        Image.fromarray(draw_face(face, width, height)).save(tmp_path / f"{name}.png")
        unit = np.column_stack([face[:, :2], face[:, 2] / ((width + height) / 2)])
        np.savetxt(tmp_path / f"{name}.txt", unit, fmt="%.6f", delimiter=" ")
    (tmp_path / "x.ini").write_text(f"[Paths]\noutputs = {tmp_path / 'out'}\n")
    return tmp_path


def run(place, action, *more, names=("source", "target"), separator=" "):
    flags = ["--config", str(place / "x.ini"), "--kpt-file-separator", separator, "--device", "cpu"]
    flags += ["--src-kpts-file", str(place / "source.txt")]
    if "target" in names:
        flags += ["--tgt-kpts-file", str(place / "target.txt")]
    return warp_face.main([action, *(str(place / f"{name}.png") for name in names), *flags, *more])


def numbers(path):
    return np.array([[float(word) for word in line.split()] for line in path.read_text().splitlines()])


@pytest.mark.parametrize("size", ["tgt", "src", "90x130"])
def test_export_lands_on_the_target(place, size):
    """Affine · keypoints is the least-squares target in output pixels, for pictures that are not square."""
    out = place / "export"
    assert run(place, "export", "--output-dir", str(out), "--output-size", size, "--whole-pixels", "0", *EXACT) == 0
    for part in ("keypoints", "depth", "affine"):
        assert (out / part / "target.png.txt").read_text().endswith("\n")
    points, depth, affine = (numbers(out / part / "target.png.txt") for part in ("keypoints", "depth", "affine"))
    assert points.shape == (68, 2) and depth.shape == (68, 1) and affine.shape == (2, 4)
    wanted = SIZES["target"] if size == "tgt" else SIZES["source"] if size == "src" else (90, 130)
    assert (
        Image.open(out / "source/target.png.png").size == wanted == Image.open(out / "tgt_images/target.png.png").size
    )
    moved = np.column_stack([points, depth]) @ affine[:, :3].T + affine[:, 3]
    target = numbers(place / "target.txt")[:, :2] * np.array(wanted) / np.array(SIZES["target"])
    assert np.abs(to_66(moved) - target).mean() < 0.02 * wanted[0]
    assert (out / "expected_result").is_dir()


def test_exported_folder_can_be_rendered(place, capsys):
    out = place / "export"
    assert run(place, "export", "--output-dir", str(out), "--save-plots", "0") == 0
    assert (
        numbers(out / "keypoints/target.png.txt").astype(int).tolist()
        == numbers(out / "keypoints/target.png.txt").tolist()
    )
    flags = ["--config", str(place / "x.ini"), "--results", str(place / "r"), "--mode", "compat"]
    assert warp_face.main(["dataset", str(out), *flags]) == 0
    assert np.array(Image.open(place / "r/target.png.png")).shape == (*SIZES["target"][::-1], 4)
    (out / "affine/target.png.txt").write_text("1 2\n")
    assert warp_face.main(["dataset", str(out), *flags]) == 2
    assert "target.png.txt" in capsys.readouterr().err


def test_depths_of_a_file_may_be_in_sides_or_pixels(place):
    """The same face with depths in sides, in pixels, and in another unit that is given; whatever the output size."""
    sides = numbers(place / "source.txt")
    side = sum(SIZES["source"]) / 2
    written = []
    for unit, more in ((1, ()), (side, ()), (7, ("--scale-depth", "7"))):
        np.savetxt(place / "source.txt", sides * np.array([1, 1, unit]), fmt="%.8f", delimiter=" ")
        for size in ("tgt", "src"):
            out = place / f"{unit}{size}"
            assert run(place, "export", "--output-dir", str(out), "--output-size", size, *EXACT, *more) == 0
            written.append(numbers(out / "depth/target.png.txt"))
    for i in (0, 1):
        np.testing.assert_allclose(written[2 + i], written[i], atol=1e-4)
        np.testing.assert_allclose(written[4 + i], written[i], atol=1e-4)
    np.testing.assert_allclose(depth_in_sides(sides[:, 2], SIZES["source"], 0).max(), 1)


def test_animation_has_the_published_number_of_frames(place):
    assert len(animation_angles(0.785, -0.785)) == 78 + 157
    out = place / "animation"
    flags = ["--output-dir", str(out), "--angles", "10", "-10", "--source-depth"]
    assert run(place, "export-animation", *flags, names=("source",)) == 0
    count = len(animation_angles(np.deg2rad(10), -np.deg2rad(10)))
    assert len(list((out / "affine").iterdir())) == count and (out / "source/src.png").exists()
    first = numbers(out / "affine/000000.txt")
    np.testing.assert_allclose(first, [[1, 0, 0, 0], [0, 1, 0, 0]], atol=1e-6)
    assert run(place, "export-animation", "--rotate-source", "0", *flags[:-1]) == 0
    assert run(place, "export-animation", "--rotate-about", "origin", *flags, names=("source",)) == 0
    affine = numbers(out / f"affine/{count // 4:06d}.txt")
    np.testing.assert_allclose(affine[:, 3], 0, atol=1e-6)
    assert abs(affine[0, 2]) > 0.01


def test_plots_of_an_export(place):
    """Five plots and 100 steps for one target; by default none for several."""
    out = place / "one"
    assert run(place, "export", "--output-dir", str(out), "--output-size", "90x130") == 0
    names = {"src_kpts.png", "tgt_kpts.png", "src_3d.png", "tgt_3d.png", "pred_kpts.png"}
    assert {path.name for path in (out / "plots").iterdir()} == names
    steps = sorted((out / "plot_warp").iterdir())
    assert [path.name for path in steps] == [f"{i:06d}.png" for i in range(100)]
    first, middle, last = (np.array(Image.open(steps[i])).astype(int) for i in (0, 50, 99))
    assert first.shape == last.shape and (first != middle).any() and (middle != last).any()
    flags = [
        "--config",
        str(place / "x.ini"),
        "--kpt-file-separator",
        " ",
        "--src-kpts-file",
        str(place / "source.txt"),
    ]
    flags += ["--tgt-kpts-dir", str(place), "--source-depth"]
    pictures = [str(place / f"{name}.png") for name in ("source", "source", "target")]
    assert warp_face.main(["export", *pictures, *flags, "--output-dir", str(place / "several")]) == 0
    assert len(list((place / "several/affine").iterdir())) == 2 and not (place / "several/plots").exists()


def test_plots_of_an_animation(place):
    flags = ["--angles", "3", "3", "--save-plots", "--output-dir"]
    count = len(animation_angles(np.deg2rad(3), np.deg2rad(3)))
    assert run(place, "export-animation", *flags, str(place / "a"), names=("source",)) == 0
    assert len(list((place / "a/plot_source").iterdir())) == count and not (place / "a/plot_target").exists()
    assert run(place, "export-animation", "--rotate-source", "0", *flags, str(place / "b")) == 0
    assert all(len(list((place / "b" / name).iterdir())) == count for name in ("plot_source", "plot_target"))


def test_rotations_turn_about_the_face(place):
    points, depth = np.random.default_rng(0).random((66, 2)) * 100, np.random.default_rng(1).random(66) * 50
    quarter = turned_keypoints(points, depth, "z", np.array([np.pi / 2]))[0]
    centred = points - points.mean(axis=0)
    np.testing.assert_allclose(
        quarter - points.mean(axis=0), np.column_stack([-centred[:, 1], centred[:, 0]]), atol=1e-9
    )
    for axis in "xyz":
        rotation = axis_rotation(axis, 0.3)
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        moved = turned_keypoints(points, depth, axis, np.array([0.7]))[0]
        np.testing.assert_allclose(moved.mean(axis=0), points.mean(axis=0), atol=1e-9)
    assert rotation_affines(points, depth, "y", np.zeros(3)).shape == (3, 2, 4)


@pytest.mark.parametrize("name", ["a.gif", "a.mp4", "a.png"])
def test_movies_can_be_read_again(place, name):
    assert (
        run(place, "rotate", "--angles", "8", "-8", "--source-depth", "--out", str(place / name), names=("source",))
        == 0
    )
    count = len(animation_angles(np.deg2rad(8), -np.deg2rad(8)))
    if name == "a.png":
        assert len(list(place.glob("a_*.png"))) == count
        return
    movie = cv2.VideoCapture(str(place / name))
    read = 0
    while movie.read()[0]:
        read += 1
    assert count - 2 <= read <= count  # a .gif joins equal neighbours


def test_warp_shows_the_source_on_the_target(place):
    assert run(place, "warp", "--onto", "target", "--out", str(place / "w.png")) == 0
    ours, target = (np.array(Image.open(place / name)).astype(int) for name in ("w.png", "target.png"))
    points = numbers(place / "target.txt")[:, :2]
    box = np.zeros(ours.shape[:2], bool)
    box[int(points[:, 1].min()) : int(points[:, 1].max()), int(points[:, 0].min()) : int(points[:, 0].max())] = True
    assert (np.abs(ours - target).max(axis=2) > 3)[box].mean() > 0.1
    assert (ours == target).all(axis=2)[~cv2.dilate(box.astype(np.uint8), np.ones((25, 25))).astype(bool)].all()
    assert run(place, "warp", "--onto", "transparent", "--out", str(place / "t.png")) == 0
    assert set(np.unique(np.array(Image.open(place / "t.png"))[..., 3])) == {0, 255}


def test_depths_do_not_depend_on_place_and_size(lifter):
    points = random_faces(1, 3, (0, 20))[0, :, :2] * 300
    near = lifter.photo_depth(points)
    np.testing.assert_allclose(lifter.photo_depth(points * 2 + np.array([500, 40])), 2 * near, rtol=1e-3, atol=1e-2)
    assert near[27:36].mean() < near[[0, 1, 2, 14, 15, 16]].mean(), "the nose is nearer than the ends of the jaw line"
    assert lifter.photo_depth(to_68(points)).shape == (68,)


@pytest.mark.parametrize("config", [DepthNetConfig(), DepthNetConfig(learn_m=True)])
def test_affines_to_targets_are_in_pixels(lifter, config):
    """The predicted affine is carried from layout to pixels; the solved one is the best there."""
    model = load_model("depthnet_gan", PRETRAINED)
    ours = Lifter(type(model)(DepthNet(config).eval(), "depthnet", model.config, model.folder))
    source, targets = random_faces(1, 0)[0, :, :2] * 200, random_faces(3, 1)[..., :2] * 350 + 20
    depths, affines = ours.to_targets(source, targets)
    moved = (
        source @ affines[:, :, :2].transpose(0, 2, 1)
        + depths[..., None] * affines[:, None, :, 2]
        + affines[:, None, :, 3]
    )
    if not config.learn_m:
        np.testing.assert_allclose(affines, fit_affines(source, depths, targets))
        return
    (own, _), (others, scales) = ours.standard(source), ours.standard(targets)
    z, m = ours.depths(own, others)
    there = own @ m[:, :, :2].transpose(0, 2, 1) + z[..., None] * m[:, None, :, 2] + m[:, None, :, 3]
    wanted = (there - ours.centre) / scales[:, None, None] + targets.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(moved, wanted, atol=1e-6)


def test_calibration_brings_scale_and_sign(lifter):
    model = load_model("depthnet_gan", PRETRAINED)
    faces = random_faces(8, 0)
    points, depth = faces[..., :2], faces[..., 2]
    factor = calibrate(model, points, depth)
    assert calibrate(model, points, -3 * depth) == pytest.approx(-3 * factor)
    model.config["depth_scale"] = factor
    ours = np.stack([Lifter(model).photo_depth(face) for face in points])
    true = depth - depth.mean(axis=1, keepdims=True)
    assert (ours * true).sum() == pytest.approx((ours * ours).sum(), rel=1e-6)


def test_layout_and_mirror():
    faces = random_faces(5, 0)[..., :2]
    layout = layout_of(faces)
    assert 0.1 < layout["spread"] < 0.5
    np.testing.assert_allclose(mirror(mirror(faces, 0.4), 0.4), faces)


def test_server_speaks_the_protocol(place, shared_data, monkeypatch):
    root = shared_data / "facewarper/dataset_example"
    name = "000001_crop"
    paths = [
        root / "source" / f"{name}.png",
        *(root / part / f"{name}.txt" for part in ("keypoints", "depth", "affine")),
    ]
    line = " ".join(map(str, [*paths, place / "result.png"]))
    out = io.StringIO()
    failed = serve([line + "\n", "one two\n", line.replace("source", "nothing") + "\n"], out, "compat")
    answers = out.getvalue().splitlines()
    assert answers.count("ready") == 4 and failed == 2 and sum(a.startswith("error: ") for a in answers) == 2
    expected = np.array(Image.open(root / f"expected_result/{name}.png")).astype(int)
    assert np.abs(np.array(Image.open(place / "result.png")).astype(int) - expected).max() <= 1
    (place / "result.png").unlink()
    monkeypatch.setattr("sys.stdin", io.StringIO(line + "\n"))
    assert warp_face.main(["serve", "--config", str(place / "x.ini")]) == 0
    assert np.abs(np.array(Image.open(place / "result.png")).astype(int) - expected).max() <= 1, (
        "the server's own pixels"
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["fly"], "unknown action"),
        (["warp", "a.png"], "warp SOURCE TARGET"),
        (["dataset", "nowhere"], "no such folder"),
        (["rotate", "a.png", "--angles", "400"], "no such file"),
        (["frontalise"], "frontalise PHOTO"),
        (["export", "source.png", "."], "holds no .png"),
        (["export", "source.png", "b.png", "c.png", "--tgt-kpts-file", "k"], "--tgt-kpts-dir"),
        (["warp", "source.png", "target.png", "--repair", "x"], "--onto target"),
        (["warp", "source.png", "target.png", "--repair", "x", "--onto", "target"], "no model 'x'"),
    ],
)
def test_bad_actions(place, capsys, arguments, says):
    (place / "empty").mkdir()
    there = {name: str(place / name) for name in ("source.png", "target.png")} | {".": str(place / "empty")}
    keypoints = ["--src-kpts-file", str(place / "source.txt"), "--kpt-file-separator", " "]
    if "--repair" in arguments:
        keypoints += ["--tgt-kpts-file", str(place / "target.txt")]
    arguments = [there.get(word, word) for word in arguments]
    assert warp_face.main([*arguments, *keypoints, "--config", str(place / "x.ini")]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "flags", "says"),
    [
        (None, ["--kpt-file-separator", ","], "kpt-file-separator"),
        ("1 2\n" * 60, [], "60 rows"),
        ("1 2 nan\n" * 66, [], "not finite"),
        ("".join(f"{i} {i}\n" for i in range(66)), [], "one line"),
        ("".join(f"{900 + i} {i * i}\n" for i in range(66)), [], "lie outside"),
        ("".join(f"{i % 9 * 9} {i}\n" for i in range(66)), ["--source-depth"], "third column of depths"),
        ("".join(f"{i % 9 * 9} {i} 0\n" for i in range(66)), ["--source-depth"], "all in the keypoint file are 0"),
        (None, ["--source-depth", "--scale-depth", "-1"], "--scale-depth"),
        (None, ["--output-size", "big"], "--output-size"),
        (None, ["--angles", "500"], "--angles"),
        (None, ["--out", "movie.avi", "--source-depth"], "unknown kind of file"),
        (None, ["--onto", "transparent", "--out", "a.gif", "--source-depth"], "--onto transparent"),
    ],
)
def test_bad_input_gets_one_sentence(place, capsys, text, flags, says):
    if text is not None:
        (place / "source.txt").write_text(text)
    action = "warp" if "--output-size" in flags else "rotate"
    names = ("source", "target") if action == "warp" else ("source",)
    assert run(place, action, *flags, names=names) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ") and says in error


def test_numbers_of_the_wrong_shape(tmp_path):
    path = tmp_path / "a.txt"
    for text, says in (("1 2\n", "1 rows where 2"), ("1 2\n3\n", ":2: 1 columns"), ("1 a\n2 3\n", "expected numbers")):
        path.write_text(text)
        with pytest.raises(DataError, match=says):
            read_numbers(path, 2, 2)
    with pytest.raises(DataError, match="unknown kind"):
        write_movie(tmp_path / "a.bmp", [np.zeros((4, 4, 3), np.uint8)])
