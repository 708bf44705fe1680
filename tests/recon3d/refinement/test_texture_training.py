"""train_recon3d.py --stage gcn_texture: inputs, training with the critic, resuming, reconstruction in the refined
albedo.
"""

import json

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import loadmat

import demo
import eval_recon3d
import train_recon3d
from common.checkpoint import read_tensors, save_snapshot
from morphable.model import EMBEDDED_HEAD, FaceModel
from recon3d.reconstruction.augment import AlignedAugmentation
from recon3d.reconstruction.coefficients import config_for
from recon3d.reconstruction.data import PreparedPhotos, collate
from recon3d.reconstruction.models import ReconstructionNet
from recon3d.reconstruction.renderer import FaceRenderer
from recon3d.refinement.frozen import FrozenNetworks
from recon3d.refinement.texture_inputs import inner_skin
from recon3d.refinement.texture_refiner import load_texture_refiner
from recon3d.refinement.texture_training import TexturePreparation
from tests.recon3d.drawn_photos import draw_photos


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("texture")
    model = FaceModel.load(EMBEDDED_HEAD)
    draw_photos(folder, 2)
    torch.manual_seed(0)
    net = ReconstructionNet(config_for(model, "mobilenet_half"), "head")
    save_snapshot(folder / "data/models/snapshots/r", net.state_dict(), net.describe())
    return folder


def train(place, *arguments) -> int:
    data = str(place / "prepared")
    common = ["--stage", "gcn_texture", "--rnet", "r", "-b", "2", "-p", "1", "--val_data_path", data]
    return train_recon3d.main(["--config", str(place / "x.ini"), "--data_path", data, *common, *arguments])


@pytest.fixture(scope="module")
def session(place):
    assert train(place, "--model_name", "a", "-e", "2") == 0
    return place / "data/models/snapshots"


def test_training_writes_numbers_and_strips_and_resumes_exactly(place, session):
    rows = (place / "out/logs/a/scalars.csv").read_text()
    for name in ("l_reference", "l_projection", "l_symmetry", "l_variance", "given_photo", "refined_photo", "score"):
        assert f",val,{name}," in rows
    assert Image.open(place / "out/reports/a/imgs_00002.jpg").size == (5 * 224, 2 * 224)
    assert train(place, "--sessionname", "b", "-e", "1") == 0
    assert train(place, "-r", "b", "-e", "2") == 0
    whole, resumed = (read_tensors(session / name / "00002/model.safetensors") for name in ("a", "b"))
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)


def test_a_critic_is_stored_and_goes_on(place, session):
    assert train(place, "--sessionname", "gan", "-e", "1", "--gan") == 0
    before = load_texture_refiner("gan", session)
    assert any(name.startswith("critic.main") for name in before.others)
    assert train(place, "-r", "gan", "-e", "2", "--gan", "--lr", "0") == 0
    after = load_texture_refiner("gan", session)
    name = "critic.main.0.weight"
    assert after.info["epoch"] == 2 and torch.equal(after.others[name], before.others[name])


def test_lins_normal_layout_is_stored_with_its_weights(place, session):
    assert train(place, "--sessionname", "normal", "-e", "1", "--layout", "normal") == 0
    stored = load_texture_refiner("normal", session)
    assert stored.network.layout == "normal" and hasattr(stored.network.network, "up_path")


def test_wrong_snapshots_are_refused(place, session, capsys):
    assert train(place, "-r", "r", "-e", "3") == 2
    assert "not a texture refiner" in capsys.readouterr().err
    other = ReconstructionNet(config_for(FaceModel.load(EMBEDDED_HEAD), "mobilenet_half"), "head")
    save_snapshot(session / "other", other.state_dict(), other.describe())
    assert train(place, "-r", "a", "-e", "3", "--rnet", "other") == 2
    assert "trained behind another reconstructor (r)" in capsys.readouterr().err


def test_inner_skin_is_that_of_opencv():
    mask = np.zeros((64, 80), np.uint8)
    cv2.circle(mask, (30, 30), 25, 255, -1)
    mask[28:31, 28:31] = 0  # a hole, which is closed
    mask[:, 78:] = 255
    ellipse = [cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (n, n)) for n in (5, 9)]
    expected = cv2.erode(cv2.dilate(mask, ellipse[0]), ellipse[1], iterations=2) > 0
    found = inner_skin(torch.from_numpy(mask)[None, None] / 255)[0].numpy() > 0
    assert np.array_equal(found, expected) and found.any()


def test_shading_times_albedo_is_what_the_renderer_draws(place):
    model = FaceModel.load(EMBEDDED_HEAD)
    net = ReconstructionNet(config_for(model, "mobilenet_half"), "head")
    torch.nn.init.normal_(net.network.final_layers[4].weight, std=0.05)  # light
    frozen = FrozenNetworks(net, FaceRenderer(model, net.camera))
    raw = collate([(i, PreparedPhotos([place / "prepared"], model)[i]) for i in range(2)])
    ready = TexturePreparation(frozen, AlignedAugmentation(), 0)(raw, None)
    coefficients = net.coefficients(model, raw.images / 255)
    geometry = frozen.renderer.geometry(coefficients)
    lit = frozen.renderer.lit(coefficients, geometry, ready.albedo)
    assert torch.allclose(ready.albedo * ready.shading, lit, atol=1e-5)


def test_refined_albedo_colours_results_and_evaluation(place, session):
    base = ["--config", str(place / "x.ini"), "-c", "r", "--texture", "a"]
    files = ["--landmarks-from", str(place / "photos"), "--save", "mat,strip", "--out", str(place / "results")]
    assert demo.main(["--task", "reconstruct", *base, *files, str(place / "photos/face0.png")]) == 0
    fields = loadmat(place / "results/face0/face0.mat")
    assert np.abs(fields["face_texture"] - fields["face_texture_pca"]).max() > 1
    assert Image.open(place / "results/face0/face0_strip.png").size == (5 * 224, 224)
    photos = ["--benchmark", "photos", "--images", str(place / "photos"), "--json", str(place / "s.json")]
    assert eval_recon3d.main([*base, *photos]) == 0
    found = json.loads((place / "s.json").read_text())
    assert list(found["photo_all"])[-2:] == ["R-Net", "R-Net+texture"]
    assert found["nme_all"]["R-Net"] == found["nme"] and found["photo"] != found["photo_all"]["R-Net"]
