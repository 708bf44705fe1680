"""Detection, the library's front door and the demo."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

import demo
from datasets.detect import DlibDetector, landmark_square
from datasets.errors import DataError
from datasets.points import read_json_points, read_pts
from geometry.heatmaps import render_heatmaps
from geometry.schemes import IBUG_68
from landmarks.detector import LandmarkDetector, as_rgb
from landmarks.models import LoadedModel, load_model, model_config, save_for_inference
from networks.aae import AAE, AAEConfig
from training.checkpoint import CheckpointError


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory):
    """Folder with an untrained model 'random'."""
    folder = tmp_path_factory.mktemp("models") / "data/models/snapshots"
    torch.manual_seed(0)
    networks = AAE(AAEConfig(128, num_landmarks=68))
    model = LoadedModel(networks, IBUG_68, "lm_ground_truth", model_config(networks, IBUG_68, "lm_ground_truth"), folder)
    save_for_inference(model, folder / "random")
    return folder


@pytest.fixture(scope="module")
def astronaut():
    from skimage.data import astronaut

    return astronaut()


def test_dlib_finds_the_astronaut(astronaut):
    (found,) = DlibDetector()(astronaut)
    centre = (found.box[:2] + found.box[2:]) / 2
    assert np.abs(centre - [224, 115]).max() < 25 and 70 < found.box[2] - found.box[0] < 140
    grown, side = landmark_square(found.box)
    assert np.abs(grown - centre).max() < 10 and side > 100


def test_dlib_finds_nothing_in_noise():
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    assert DlibDetector()(noise) == []


def test_points_return_to_the_photo_exactly(snapshots, astronaut, monkeypatch):
    """A network that marks fixed places of the crop must come out at their places of the photo, through both passes."""
    detector = LandmarkDetector.from_pretrained("random", snapshots, flip=False, passes=1)
    wanted = torch.rand(68, 2, generator=torch.Generator().manual_seed(1)) * 100 + 14
    maps = render_heatmaps(wanted, 128, 7.0)
    monkeypatch.setattr(detector.networks.LMH, "forward", lambda x1, decoder: maps.expand(len(x1), -1, -1, -1))
    faces = detector(astronaut, boxes=[np.array([150.0, 40, 300, 190]), np.array([10.0, 10, 110, 120])])
    assert len(faces) == 2
    for face in faces:
        np.testing.assert_allclose(face.crop.apply(face.landmarks), wanted.numpy(), atol=1e-2)
    expected = np.array([150, 40]) + wanted.numpy() / 128 * 150
    np.testing.assert_allclose(faces[0].landmarks, expected, atol=2e-2)


def test_one_batch_for_all_photos_equals_one_by_one(snapshots, astronaut):
    detector = LandmarkDetector.from_pretrained("random", snapshots)
    photos = [astronaut, astronaut[:, ::-1].copy()]
    together = detector.detect_batch(photos)
    for photo, faces in zip(photos, together, strict=True):
        alone = detector(photo)
        assert len(alone) == len(faces) == 1
        np.testing.assert_allclose(alone[0].landmarks, faces[0].landmarks, atol=0.05)


def test_grey_rgba_and_wrong_arrays(snapshots, astronaut):
    grey = astronaut[..., 0]
    assert as_rgb(grey).shape == astronaut.shape
    assert (as_rgb(np.dstack([astronaut, grey])) == astronaut).all()
    for wrong in (astronaut.astype(float), np.zeros((3, 4, 5, 6), np.uint8)):
        with pytest.raises(DataError, match="uint8"):
            as_rgb(wrong)
    detector = LandmarkDetector.from_pretrained("random", snapshots, detector="none")
    assert len(detector(grey)) == 1


def test_models_without_head_and_unknown_detectors(snapshots, tmp_path):
    networks = AAE(AAEConfig(128))
    bare = LoadedModel(networks, None, "bb_ground_truth", {}, tmp_path)
    with pytest.raises(CheckpointError, match="no landmark head"):
        LandmarkDetector(bare)
    with pytest.raises(DataError, match="dlib, none"):
        LandmarkDetector(load_model("random", snapshots), detector="mtcnn")


@pytest.fixture
def place(snapshots, tmp_path):
    """Arguments for a demo in a folder of its own with the untrained model."""
    (tmp_path / "x.ini").write_text(f"[Paths]\ndata = {snapshots.parents[1]}\noutputs = {tmp_path / 'out'}\n")
    return ["--config", str(tmp_path / "x.ini"), "--model", "random"]


def test_demo_writes_everything_for_the_astronaut(place, tmp_path):
    assert demo.main(place) == 0
    out = tmp_path / "out/demo"
    names = {p.name for p in out.iterdir()}
    endings = ("_overlay.png", "_tiles.png", "_heatmaps.png", ".pts", ".json")
    assert names == {f"astronaut{ending}" for ending in endings} | {"landmarks.csv"}
    assert Image.open(out / "astronaut_tiles.png").size == (5 * 256, 256)
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
    arguments = [str(tmp_path / "a"), str(tmp_path / "b" / "*.png"), "--box", "150,40,150,150", "--save", "json", "--out"]
    assert demo.main([*place, *arguments, str(tmp_path / "r")]) == 0
    assert {p.name for p in (tmp_path / "r").iterdir()} == {"face.json", "face-2.json"}


def test_demo_goes_on_after_a_failure(place, tmp_path, astronaut, capsys):
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(astronaut).save(folder / "good.png")
    Image.fromarray(np.zeros((90, 90, 3), np.uint8)).save(folder / "empty.png")
    (folder / "cut.jpg").write_bytes(b"\xff\xd8\xff")
    assert demo.main([*place, str(folder), "--save", "pts"]) == 2
    assert "2 of 3 photos gave no result" in capsys.readouterr().err
    assert (tmp_path / "out/demo/good.pts").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.jpg"], "no such photo"),
        (["--save", "gif"], "unknown kind 'gif'"),
        (["--box", "1,2,3"], "four numbers"),
        (["--box", "0,0,-5,5"], "above 0"),
        (["--box", "9000,0,50,50"], "outside"),
        (["--task", "juggle"], "unknown --task 'juggle'"),
        (["--model", "none"], "no model 'none'"),
    ],
)
def test_demo_with_bad_input(place, arguments, message, capsys):
    assert demo.main([*place, *arguments]) == 2
    assert message in capsys.readouterr().err


def test_demo_on_an_empty_folder(place, tmp_path, capsys):
    (tmp_path / "none").mkdir()
    assert demo.main([*place, str(tmp_path / "none")]) == 2
    assert "holds no photos" in capsys.readouterr().err
