"""Reconstruction with a mesh refiner: which one is taken, what files hold, the candidates of the evaluation."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import loadmat

import demo
import eval_recon3d
from common.checkpoint import save_snapshot
from common.config import read_local_config
from common.errors import CheckpointError
from common.files.meshes import read_obj
from morphable.model import EMBEDDED_HEAD, FaceModel
from recon3d.inference import reconstructor as module
from recon3d.inference.reconstructor import Reconstructor
from recon3d.reconstruction.coefficients import config_for
from recon3d.reconstruction.models import ReconstructionNet
from recon3d.reconstruction.renderer import FaceRenderer
from recon3d.refinement.frozen import FrozenNetworks
from recon3d.refinement.pyramid import build_pyramid
from recon3d.refinement.refiner import MeshRefiner, RefinerConfig
from recon3d.scores.candidates import candidates
from tests.recon3d.drawn_photos import draw_photos
from tests.recon3d.refinement.shapes import grid

NAMES = ["mean face", "landmark fit", "fit to detected points", "R-Net, own colours", "R-Net", "R-Net+GCN"]


@pytest.fixture(scope="module")
def model():
    return FaceModel.load(EMBEDDED_HEAD)


@pytest.fixture(scope="module")
def place(tmp_path_factory, model):
    """Photos with points, a reconstructor "r" and refiners "g" (fits), "far" (of another R-Net), "sheet" (another
    mesh).
    """
    folder = tmp_path_factory.mktemp("refined")
    draw_photos(folder, 3, prepared=False)
    torch.manual_seed(0)
    net = ReconstructionNet(config_for(model, "mobilenet_half"), "head").eval()
    snapshots = folder / "data/models/snapshots"
    save_snapshot(snapshots / "r", net.state_dict(), net.describe())
    refiner = MeshRefiner(RefinerConfig(512), build_pyramid(model.mean, model.triangles), "head")
    torch.nn.init.normal_(refiner.network.head.weight, std=0.3)
    inputs = {"inputs": FrozenNetworks(net, FaceRenderer(model, net.camera), name="r").describe(None)}
    save_snapshot(snapshots / "g", refiner.state_dict(), refiner.describe() | inputs)
    other = {"inputs": inputs["inputs"] | {"rnet": "q", "rnet_digest": "0"}}
    save_snapshot(snapshots / "far", refiner.state_dict(), refiner.describe() | other)
    sheet = MeshRefiner(RefinerConfig(512), build_pyramid(*grid(40)), "sheet")
    save_snapshot(snapshots / "sheet", sheet.state_dict(), sheet.describe() | inputs)
    return folder


@pytest.fixture
def local(place):
    return read_local_config(place / "x.ini")


def photo_and_points(place, i=0):
    from common.files.points import read_pts
    from datasets.alignment import five_of_68

    points = read_pts(place / f"photos/face{i}.pts").astype(np.float64)
    return np.array(Image.open(place / f"photos/face{i}.png")), five_of_68(points)


def test_refined_shapes_are_what_the_refiner_says(place, local):
    photo, five = photo_and_points(place)
    plain = Reconstructor.from_pretrained("r", local, refiner="none").reconstruct([photo], [five])
    whole = Reconstructor.from_pretrained("r", local, refiner="g")
    faces = whole.reconstruct([photo], [five])
    assert faces.refined and not plain.refined and plain.pca is plain.geometry
    assert torch.equal(faces.pca.shape, plain.geometry.shape)
    crops = torch.from_numpy(faces.images).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        features = whole.net.network.with_features(crops)[1]
        expected = whole.refiner(features, plain.geometry.shape)
    assert torch.allclose(faces.geometry.shape, expected, atol=1e-5)
    assert (faces.geometry.shape - faces.pca.shape).abs().max() > 1e-3
    person = whole.as_one_person(whole.reconstruct([photo, photo], [five, five]))
    assert torch.allclose(person.geometry.shape[0], faces.geometry.shape[0], atol=1e-5)


def test_the_bundled_refiner_is_taken_unless_told_otherwise(place, local, tmp_path, monkeypatch):
    for name, bundled in (("r", "r"), ("g", "r_gcn")):
        shutil.copytree(place / "data/models/snapshots" / name, tmp_path / bundled)
    monkeypatch.setattr(module, "PRETRAINED", tmp_path)
    monkeypatch.setattr("common.checkpoint.PRETRAINED", tmp_path)
    assert Reconstructor.from_pretrained("r", local).refiner is not None
    assert Reconstructor.from_pretrained("r", local, refiner="none").refiner is None


def test_files_hold_the_refined_mesh_and_the_face_models(place):
    common = [
        "--task",
        "reconstruct",
        "--config",
        str(place / "x.ini"),
        "-c",
        "r",
        "--landmarks-from",
        str(place / "photos"),
    ]
    photo = str(place / "photos/face1.png")
    for name in ("g", "none"):
        save = ["--save", "mat,obj,glb,strip", "--out", str(place / name)]
        assert demo.main([*common, photo, "--refiner", name, *save]) == 0
    refined, plain = (loadmat(place / name / "face1/face1.mat") for name in ("g", "none"))
    assert "face_shape_pca" not in plain
    assert np.allclose(refined["face_shape_pca"], plain["face_shape"], atol=1e-6)
    assert np.abs(refined["face_shape"] - plain["face_shape"]).max() > 1e-3
    assert np.allclose(refined["lm_68p_pca"], plain["lm_68p"], atol=1e-4)
    mesh = read_obj(place / "g/face1/face1_mesh.obj")
    assert np.abs(mesh.vertices - refined["face_shape"]).max() < 1e-4
    assert Image.open(place / "g/face1/face1_strip.png").size == (5 * 224, 224)


def test_evaluation_compares_all(place):
    base = ["--config", str(place / "x.ini"), "-c", "r", "--json", str(place / "s.json"), "--count", "2"]
    assert eval_recon3d.main([*base, "--benchmark", "synthetic", "--refiner", "g"]) == 0
    found = json.loads((place / "s.json").read_text())
    for measure in ("vertex_mm", "nme_all", "photo_all"):
        assert list(found[measure]) == NAMES and min(found[measure].values()) > 0
    assert found["nme"] == found["nme_all"]["R-Net+GCN"] != found["nme_all"]["R-Net"]
    photos = ["--benchmark", "photos", "--images", str(place / "photos")]
    assert eval_recon3d.main([*base, *photos, "--refiner", "g"]) == 0
    found = json.loads((place / "s.json").read_text())
    assert list(found["photo_all"]) == NAMES and found["photo"] == found["photo_all"]["R-Net+GCN"]
    assert eval_recon3d.main([*base, *photos, "--refiner", "none"]) == 0
    assert list(json.loads((place / "s.json").read_text())["nme_all"]) == NAMES[:5]


def test_photometric_error_of_known_colours(place, local, model):
    """A candidate drawn over itself has none, one in other colours has their distance."""
    photo, five = photo_and_points(place)
    faces = Reconstructor.from_pretrained("r", local).reconstruct([photo], [five])
    found = candidates(faces, faces.geometry.landmarks)["R-Net"]
    own = faces.renderer.picture(faces.geometry, faces.colours).colours
    assert found.photometric_errors(model, own) == pytest.approx(
        1e-3, abs=1e-4
    )  # the square root of the loss's epsilon
    moved = own + torch.tensor([0.3, 0.0, 0.4])
    assert found.photometric_errors(model, moved) == pytest.approx(0.5, abs=1e-3)


def test_light_fitted_to_the_mean_face_is_better_than_none(place, local, model):
    photo, five = photo_and_points(place)
    faces = Reconstructor.from_pretrained("r", local).reconstruct([photo], [five])
    pictures = torch.from_numpy(faces.images).float() / 255
    inside = faces.geometry.landmarks
    found = candidates(faces, inside)["mean face"]
    from dataclasses import replace

    dark = replace(found, colours=0.2 * found.colours)
    assert found.photometric_errors(model, pictures) < dark.photometric_errors(model, pictures)


def test_refiners_that_do_not_fit_are_refused(place, local, capsys):
    photo = str(place / "photos/face1.png")
    base = ["--task", "reconstruct", "--config", str(place / "x.ini"), "-c", "r", photo]
    cases = {
        "far": "trained behind another reconstructor (q)",
        "sheet": "choose the face model that it was trained with",
        "r": "not a mesh refiner",
        "nothing": "no model 'nothing'",
    }
    for name, message in cases.items():
        assert demo.main([*base, "--refiner", name]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ") and message in error and "Traceback" not in error
    with pytest.raises(CheckpointError, match="another reconstructor"):
        Reconstructor.from_pretrained("r", local, refiner="far")
