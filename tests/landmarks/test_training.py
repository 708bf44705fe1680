"""The stages' phases before the loop."""

import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import landmarks.training as training
import train_aae_landmarks
import train_aae_landmarks_3d
import train_aae_unsupervised
from common.config import LocalConfig
from common.errors import ConfigError
from common.runtime import make_accelerator
from datasets.augment import BatchTransform
from datasets.loader import RawBatch
from datasets.registry import build_dataset
from geometry.schemes import generic_scheme
from landmarks.autoencoder import AutoencoderMethod
from landmarks.data import held_out_split
from landmarks.evaluation import evaluate_dataset
from landmarks.landmark_training import DepthMethod, LandmarkMethod
from landmarks.models import LoadedModel
from landmarks.settings import DepthSettings, EvalSettings, LandmarkSettings, UnsupervisedSettings
from networks.aae import AAE, AAEConfig
from training.loop import EpochPosition


@pytest.fixture
def local(drawn, tmp_path):
    paths = {"w300": drawn("w300")[0], "data": tmp_path / "data", "outputs": tmp_path / "out"}
    return LocalConfig(None, paths, {})


def settings_of(kind, **changes):
    return dataclasses.replace(
        kind(), **({"input_size": 128, "device": "cpu", "crop_source": "lm_ground_truth"} | changes)
    )


def test_a_new_discriminator_is_the_same_on_all_processes(local, monkeypatch):
    """What `synchronise` sends to all processes is what is trained."""
    sent, trained = [], []
    monkeypatch.setattr(training, "synchronise", lambda networks, _: sent.append(networks.D.main[0].weight.clone()))

    def keep(run, method, faces, session):
        trained.append(method.networks.D.main[0].weight)

    monkeypatch.setattr(train_aae_unsupervised, "run_loop", keep)
    settings = settings_of(UnsupervisedSettings, dataset_train=["w300"], dataset_val=["w300"], with_gan=True)
    for reset in (False, True):
        train_aae_unsupervised.train_autoencoder(dataclasses.replace(settings, reset=reset), local)
    assert torch.equal(sent[0], trained[0]) and torch.equal(sent[1], trained[1])
    assert not torch.equal(sent[0], sent[1]), "it is another discriminator"


def test_a_depth_stage_refuses_depths_that_are_all_the_same(local, monkeypatch, drawn, tmp_path):
    """It would learn to answer with nothing, and its error would look small."""
    root = tmp_path / "flat"
    shutil.copytree(drawn("wlp300")[0], root)
    path = root / "csv/300wLP_anno_tr.json"
    records = json.loads(path.read_text())
    for record in records[:2]:
        record["landmarks"] = [[x, y, 0.0] for x, y, _ in record["landmarks"]]
    path.write_text(json.dumps(records))
    monkeypatch.setattr(train_aae_landmarks_3d, "run_loop", lambda *_: None)
    flat = LocalConfig(None, local.paths | {"wlp300": root}, {})
    settings = settings_of(DepthSettings, crop_source="bb_ground_truth")
    with pytest.raises(ConfigError, match="one depth for all landmarks.*--landmarks points.npz"):
        train_aae_landmarks_3d.train_landmarks_3d(settings, flat)
    for record in records:
        record["landmarks"] = [[x, y] for x, y, _ in record["landmarks"]]
    path.write_text(json.dumps(records))
    with pytest.raises(ConfigError, match="has no depth of landmarks"):
        train_aae_landmarks_3d.train_landmarks_3d(settings, flat)


def test_stages_validate_on_faces_that_they_do_not_train_on(local, monkeypatch, drawn):
    """Without --dataset-val and --test-split, of the datasets that are trained on and no other."""
    seen = []
    for script in (train_aae_landmarks, train_aae_landmarks_3d, train_aae_unsupervised):
        monkeypatch.setattr(script, "run_loop", lambda _, method, faces, session: seen.append((method, faces)))
    paths = local.paths | {"wlp300": drawn("wlp300", 12)[0], "celeba": drawn("celeba", 12)[0]}
    local, box = LocalConfig(None, paths, {}), {"crop_source": "bb_ground_truth", "show": False}
    train_aae_unsupervised.train_autoencoder(settings_of(UnsupervisedSettings, dataset_train=["celeba"], **box), local)
    train_aae_landmarks.train_landmarks(settings_of(LandmarkSettings, dataset=["wlp300"], **box), local)
    train_aae_landmarks_3d.train_landmarks_3d(settings_of(DepthSettings, **box), local)
    for method, faces in seen:
        loader = method.validation[0]
        held_out = {loader.dataset.dataset.name(i) for i in range(len(loader.dataset))}
        trained = {faces.name(i) for i in range(len(faces))}
        assert held_out and trained and not held_out & trained
    assert [held_out_split(key) for key in ("w300", "vggface2", "wlp300", "some/folder")] == [
        "full",
        "test",
        "val",
        "val",
    ]


def test_imagenet_weights_start_what_is_new_and_only_that(tmp_path):
    """Also the depth head on a resumed model, as in ParFace-Net; where nothing is new they are refused."""
    from torchvision.models import resnet18

    weights = tmp_path / "resnet18.pth"
    theirs = resnet18(weights=None).state_dict()
    torch.save(theirs, weights)
    old = LoadedModel(AAE(AAEConfig(128, num_landmarks=5)), None, "", {}, tmp_path)
    settings = settings_of(DepthSettings, init_weights=weights, resume="old")
    run = training.Run(make_accelerator("cpu"), settings, LocalConfig(None, {}, {}), old)
    grown = training.make_networks(run, depth_head=True)
    name = "layer4.1.conv2.weight"
    assert torch.equal(grown.LMH_3D.state_dict()[name], theirs[name])
    assert torch.equal(grown.Q.state_dict()[name], old.networks.Q.state_dict()[name])
    with pytest.raises(ConfigError, match="--init-weights: old brings all"):
        training.make_networks(run)


@pytest.mark.parametrize("kind", [LandmarkSettings, DepthSettings])
def test_compile_compiles_what_every_stage_runs(kind):
    networks = AAE(AAEConfig(128, num_landmarks=5, depth_head=kind is DepthSettings))
    method = LandmarkMethod if kind is LandmarkSettings else DepthMethod
    compiled = method(networks, kind(), make_accelerator("cpu"), None, generic_scheme(5), {}).compilable
    assert networks.Q in compiled and networks.LMH in compiled
    assert kind is LandmarkSettings or networks.LMH_3D in compiled


def autoencoder(**options):
    settings = UnsupervisedSettings(print_every=1, **options)
    norm = "none" if settings.with_wgan_gp else "batch"
    networks = AAE(AAEConfig(128, normalize=False, discriminator_norm=norm))
    return AutoencoderMethod(networks, settings, make_accelerator("cpu"), BatchTransform(128, None), {})


def test_a_critic_without_bound_does_not_outweigh_the_pixels():
    """Its weight by default; a given one is kept."""
    assert [autoencoder(**o).w_adv for o in ({"with_gan": True}, {"with_wgan_gp": True})] == [1.0, 0.001]
    assert autoencoder(with_wgan_gp=True, w_adv=0.1).w_adv == 0.1


def test_the_autoencoders_line_is_3fabrecs():
    method = autoencoder(with_ssim_loss=True, with_zgan=False)
    images = (torch.rand(2, 3, 182, 182) * 255).byte()
    batch = RawBatch(images, torch.zeros(2, 0, 2), torch.zeros(2, 0), torch.arange(2))
    terms = {name: float(value) for name, value in method.training_step(batch, 0, EpochPosition(0, 0, 1)).items()}
    number = r"-?\d+\.\d{3}"
    wanted = (
        rf"l={number}  l_rec={number} l_ssim={number}\((-?\d\.\d\d)\) l_lmrec=-1\.000 l_lmssim=-1\.00 z_mu=["
        rf" -]\d\.\d{{3}} "
        rf"l_D_z={number} l_E={number} l_D={number}\({number}/{number}\) l_G={number}\({number}/{number}\)"
    )
    found = re.fullmatch(wanted, method.step_line(terms))
    assert found and float(found[1]) == pytest.approx(terms["ssim"], abs=0.006) and -1 < terms["ssim"] < 1


def test_the_mean_shape_of_the_labels_stands_beside_every_score(local, drawn, monkeypatch):
    """Of three labels; scored by hand on the test photos."""
    described = []
    monkeypatch.setattr(train_aae_landmarks, "run_loop", lambda _, method, *__: described.append(method.config()))
    settings = settings_of(LandmarkSettings, phases=["train"], train_count=3)
    train_aae_landmarks.train_landmarks(settings, local)
    dataset = build_dataset("w300", drawn("w300")[0], "train", 128, "lm_ground_truth")
    centred = [dataset.make_crop(a).centre(128).apply(a.landmarks) / 128 for a in dataset.annotations[:3]]
    wanted = np.mean(centred, axis=0)
    shape = described[0]["mean_shape"]
    assert shape["faces"] == 3
    np.testing.assert_allclose(shape["points"], wanted, atol=1e-4)
    networks = AAE(AAEConfig(128, num_landmarks=68)).eval()
    test = build_dataset("w300", drawn("w300")[0], "common", 128, "lm_ground_truth")
    model = LoadedModel(networks, test.scheme, "lm_ground_truth", described[0], Path("few"))
    report, _ = evaluate_dataset(model, test, EvalSettings(), make_accelerator("cpu"), progress=False)
    truths = [test.make_crop(a).centre(128).apply(a.landmarks) for a in test.annotations]
    errors = [np.linalg.norm(128 * wanted - t, axis=1).mean() / np.linalg.norm(t[36] - t[45]) * 100 for t in truths]
    name = "mean shape of the 3 training faces"
    assert report.summary()["controls"][name] == pytest.approx(np.mean(errors), rel=1e-3)
    assert report.block().splitlines()[-1] == f"control, {name}: NME {np.mean(errors):6.3f}"
