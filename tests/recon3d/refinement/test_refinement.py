"""train_recon3d.py --stage gcn: frozen networks, kept views, training, resuming, bad input."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import train_recon3d
from common.checkpoint import read_tensors, save_snapshot
from common.config import read_local_config
from common.errors import CheckpointError
from common.files.points import read_pts
from common.runtime import make_accelerator
from datasets.alignment import five_of_68
from datasets.readers.prepared import write_truth
from geometry.rotations import rotation_from_euler
from morphable.model import EMBEDDED_HEAD, FaceModel
from networks.iresnet import IResNet
from recon3d.inference.reconstructor import Reconstructor
from recon3d.reconstruction.augment import AlignedAugmentation
from recon3d.reconstruction.coefficients import config_for
from recon3d.reconstruction.data import PreparedPhotos, collate, true_shapes
from recon3d.reconstruction.models import LoadedReconstructor, ReconstructionNet, load_reconstructor, save_for_inference
from recon3d.reconstruction.renderer import FaceRenderer
from recon3d.refinement.frozen import FrozenNetworks, digest_of, laid_onto
from recon3d.refinement.refiner import load_refiner
from recon3d.refinement.views import Views, cached_views, compute_views
from tests.recon3d.drawn_photos import draw_photos


@pytest.fixture(scope="module")
def model():
    return FaceModel.load(EMBEDDED_HEAD)


@pytest.fixture(scope="module")
def net(model):
    """An R-Net that says something else about every photo."""
    torch.manual_seed(0)
    net = ReconstructionNet(config_for(model, "mobilenet_half"), "head")
    torch.nn.init.normal_(net.network.final_layers[0].weight, std=0.3)
    return net.eval()


@pytest.fixture(scope="module")
def place(tmp_path_factory, model, net):
    """Four drawn faces, prepared, the first two with their truth, and the reconstructor as session "r"."""
    folder = tmp_path_factory.mktemp("refine")
    faces = draw_photos(folder, 4)
    for i in range(2):
        write_truth(folder / "prepared", f"face{i}", faces.identity[i].numpy(), faces.expression[i].numpy())
    save_snapshot(folder / "data/models/snapshots/r", net.state_dict(), net.describe())
    return folder


@pytest.fixture
def frozen(model, net):
    return FrozenNetworks(net, FaceRenderer(model, net.camera), supervised=True)


@pytest.fixture
def photos(place, model):
    return PreparedPhotos([place / "prepared"], model)


def train(place, *arguments) -> int:
    data = str(place / "prepared")
    common = ["--stage", "gcn", "--rnet", "r", "-b", "2", "-p", "1", "--views", "2"]
    return train_recon3d.main(
        ["--config", str(place / "x.ini"), "--data", data, "--val-data", data, *common, *arguments]
    )


def test_training_writes_numbers_and_strips_and_resumes_exactly(place):
    snapshots = place / "data/models/snapshots"
    constant = ["--schedule", "constant"]  # a cosine would depend on the number of epochs
    assert train(place, "--model_name", "a", "-e", "2", *constant) == 0
    rows = (place / "out/logs/a/scalars.csv").read_text()
    for name in (
        "l_truth",
        "l_shape",
        "l_normal",
        "l_landmark",
        "given_mm",
        "refined_mm",
        "given_nme",
        "refined_nme",
        "score",
    ):
        assert f",val,{name}," in rows
    assert Image.open(place / "out/reports/a/imgs_00002.jpg").size == (5 * 224, 4 * 224)
    board = EventAccumulator(str(place / "out/logs/a")).Reload()
    assert (
        set(("gcn/fc.weight", "gcn/head.weight")) <= set(board.Tags()["histograms"])
        and "imgs" in board.Tags()["images"]
    )
    assert train(place, "--sessionname", "b", "-e", "1", *constant) == 0
    assert train(place, "-r", "b", "-e", "2", *constant) == 0
    whole, resumed = (read_tensors(snapshots / name / "00002/model.safetensors") for name in ("a", "b"))
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    info = load_refiner("a", snapshots).info
    assert info["inputs"]["rnet"] == "r" and info["face_model"] == "head"


def test_training_without_kept_views(place):
    assert train(place, "--sessionname", "live", "-e", "1", "--views", "0", "--train-count", "2") == 0


def test_seeds_generator_and_its_aliases(place, capsys):
    """GCN_ResNet's ±1 dm do not hold the embedded head, and ±6 dm do."""
    data = [
        "--config",
        str(place / "x.ini"),
        "--data_path",
        str(place / "prepared"),
        "--val_data_path",
        str(place / "prepared"),
    ]
    seed = [
        "--stage",
        "gcn",
        "--rnet",
        "r",
        "--generator",
        "seed",
        "--w-truth",
        "0",
        "-b",
        "2",
        "-e",
        "1",
        "--train-count",
        "2",
    ]
    assert train_recon3d.main([*data, *seed]) == 2
    assert "an absolute output only 1.0 dm" in capsys.readouterr().err
    assert train_recon3d.main([*data, *seed, "--range-dm", "6", "--model_name", "seed", "--variant", "tf"]) == 0
    config = json.loads((place / "data/models/snapshots/seed/00001/config.json").read_text())
    assert config["refiner"]["output"] == "absolute" and config["refiner"]["activation"] == "relu"


def test_bad_input_is_one_sentence(place, net, model, capsys):
    snapshots = place / "data/models/snapshots"
    other = ReconstructionNet(config_for(model, "mobilenet_half"), "head")
    save_snapshot(snapshots / "other", other.state_dict(), other.describe())
    assert train(place, "--sessionname", "c", "-e", "1", "--train-count", "2") == 0
    cases = [
        (["--rnet", "nowhere"], "no model 'nowhere'"),
        (["--rnet", "c"], "not a reconstructor"),
        (["-r", "r"], "not a mesh refiner"),
        (["-r", "c", "--rnet", "other"], "trained behind another reconstructor (r)"),
        (["--face-model", "bfm09:/nowhere"], "go on with 'head'"),
    ]
    for arguments, message in cases:
        assert train(place, "-e", "2", *arguments) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert "error: " in error and message in error
    assert train_recon3d.main(["--config", str(place / "x.ini"), "--stage", "gcn"]) == 2
    assert "--rnet: name the reconstructor" in capsys.readouterr().err
    for flag, value, least in (("--views", "-1", 0), ("--width", "0", 1)):
        with pytest.raises(SystemExit) as caught:
            train(place, "-e", "2", flag, value)
        assert caught.value.code == 2
        assert f"{flag}: {value} is out of range: at least {least}" in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        train_recon3d.main(["--stage", "graph"])
    assert caught.value.code == 2


def test_a_term_that_is_not_finite_is_named(place, capsys):
    assert train(place, "--sessionname", "nan", "-e", "1", "--w-normal", "1e39") == 3  # infinite in float32
    error = capsys.readouterr().err
    assert "the loss is not finite" in error and "face" in error


def test_views_are_what_a_step_would_see(frozen, photos, tmp_path):
    accelerator = make_accelerator("cpu")
    moves = AlignedAugmentation()
    views = cached_views(frozen, photos, 3, moves, 7, tmp_path, accelerator)
    raw = collate([(i, photos[i]) for i in range(4)])
    plain, _, _ = frozen.see(raw, 0, AlignedAugmentation.none(), 7)
    asked = views.of(torch.arange(4), None)
    assert torch.allclose(asked.features, plain.features, atol=1e-5) and torch.equal(asked.landmarks, plain.landmarks)
    assert torch.isfinite(asked.truths).all(1).tolist() == [True, True, False, False]
    third, _, _ = frozen.see(raw, 2, moves, 7)
    assert torch.allclose(views.faces[8:].output, third.output, atol=1e-4)
    drawn = torch.cat([views.of(torch.arange(4), step).landmarks[:, 0, 0] for step in range(40)])
    assert len(drawn.unique()) == 12  # every view of every photo comes up
    (file,) = tmp_path.iterdir()
    before = file.stat().st_mtime_ns
    again = cached_views(frozen, photos, 3, moves, 7, tmp_path, accelerator)
    assert torch.equal(again.faces.output, views.faces.output) and file.stat().st_mtime_ns == before
    cached_views(frozen, photos, 3, AlignedAugmentation(flip=0), 7, tmp_path, accelerator)
    assert len(list(tmp_path.iterdir())) == 2


def test_repeated_samples_are_the_same_photos(frozen, photos):
    tensors = compute_views(frozen, photos, 1, AlignedAugmentation.none(), 0)
    known = tensors.pop("known")
    assert known.tolist() == [True, True, False, False]
    from recon3d.refinement.frozen import Seen

    views = Views(Seen(**tensors), 4, 0)
    assert torch.equal(views.of(torch.tensor([1, 5]), 3).output[0], views.of(torch.tensor([1]), None).output[0])


def test_true_shapes_of_mirrored_faces(model):
    truths = torch.cat([torch.randn(2, model.sizes[0]), torch.rand(2, model.sizes[1])], 1)
    truths[1] = torch.nan
    shapes = true_shapes(model, truths, torch.tensor([True, False]))
    plain = model.shape(*truths.split(model.sizes[:2], 1))
    points, other = (model.points(s[0], "ibug68") for s in (plain, shapes))
    assert torch.allclose(other[36], points[45] * torch.tensor([-1.0, 1, 1]), atol=0.02)  # an eye's outer corner
    assert torch.isnan(shapes[1]).all() and torch.isfinite(shapes[0]).all()


def test_refiner_inputs_agree_with_the_renderer(frozen, photos):
    seen, images, _ = frozen.see(collate([(i, photos[i]) for i in range(4)]), 0, AlignedAugmentation.none(), 0)
    ready = frozen.inputs(seen)
    geometry = frozen.renderer.geometry(frozen.net.coefficients(frozen.model, images))
    assert torch.allclose(ready.vertices, geometry.shape, atol=1e-5)
    assert torch.allclose(frozen.landmarks(ready.vertices, ready), geometry.landmarks, atol=1e-3)


def test_a_bundled_network_has_the_same_digest(net, tmp_path):
    save_for_inference(LoadedReconstructor(net, {}, tmp_path), tmp_path / "half")
    half = load_reconstructor(str(tmp_path / "half")).net
    assert digest_of(half) == digest_of(net)
    changed = load_reconstructor(str(tmp_path / "half")).net
    with torch.no_grad():
        changed.network.final_layers[0].bias += 1
    assert digest_of(changed) != digest_of(net)


def test_an_identity_network_adds_to_the_features(place, capsys):
    """Its embedding follows R-Net's; reconstruction loads it from where it was, and nothing goes on without it."""
    snapshots = place / "data/models/snapshots"
    torch.manual_seed(0)
    torch.save(IResNet().state_dict(), place / "r50.pth")
    identity = ["--identity-network", "arcface", "--identity-weights", str(place / "r50.pth")]
    assert train(place, "--sessionname", "id", "-e", "1", "--views", "1", "--train-count", "2", *identity) == 0
    assert load_refiner("id", snapshots).refiner.config.features == 512 + 512
    assert train(place, "-r", "id", "-e", "2", "--views", "1", "--train-count", "2") == 2
    assert "was trained with --identity-network arcface, not off" in capsys.readouterr().err
    local = read_local_config(place / "x.ini")
    reconstructor = Reconstructor.from_pretrained("r", local, refiner="id")
    assert reconstructor.frozen.identity.kind == "arcface"
    photo = np.array(Image.open(place / "photos/face0.png"))
    five = five_of_68(read_pts(place / "photos/face0.pts").astype(np.float64))
    assert torch.isfinite(reconstructor.reconstruct([photo], [five]).geometry.shape).all()
    assert (
        train(place, "--sessionname", "small", "-e", "1", "--views", "1", "--train-count", "2", *identity[:1], "small")
        == 0
    )
    assert Reconstructor.from_pretrained("r", local, refiner="small").frozen.identity.kind == "small"
    (place / "r50.pth").unlink()
    with pytest.raises(CheckpointError, match="r50.pth: cannot be read"):
        Reconstructor.from_pretrained("r", local, refiner="id")


def test_truth_is_compared_after_a_similarity():
    shape, weights = torch.randn(3, 30, 3), torch.rand(30)
    turn = rotation_from_euler(torch.tensor([[0.1, -0.2, 0.3]]).expand(3, -1))
    truth = 1.2 * shape @ turn.mT + 0.4
    truth[1] = torch.nan
    found = laid_onto(truth, shape, weights)
    assert torch.allclose(found[[0, 2]], shape[[0, 2]], atol=1e-5) and found[1].isnan().all()
