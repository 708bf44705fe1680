"""train_recon3d.py, checkpoints, importer and inference on drawn faces."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import loadmat
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import demo
import eval_recon3d
import train_recon3d
from common.checkpoint import read_tensors
from common.errors import CheckpointError, DataError
from common.files.meshes import read_obj
from common.files.points import read_pts
from datasets.alignment import five_of_68
from datasets.readers.prepared import write_truth
from datasets.synthetic.faces import embedded_faces
from morphable.model import EMBEDDED_HEAD, FaceModel
from networks.coefficient_net import CoefficientNet, CoefficientNetConfig
from networks.iresnet import IResNet
from recon3d.fitting.photometric import skin_weights
from recon3d.identity.features import TEMPLATE_112, load_identity, template_matrices
from recon3d.inference.reconstructor import Reconstructor
from recon3d.reconstruction import prepare as prepare_recon3d
from recon3d.reconstruction.coefficients import config_for
from recon3d.reconstruction.models import ReconstructionNet, import_deep3d, load_reconstructor
from recon3d.regression.models import load_regressor
from tests.recon3d.drawn_photos import draw_photos


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A machine with four drawn faces, prepared: (folder, arguments)."""
    folder = tmp_path_factory.mktemp("weak")
    draw_photos(folder, 4)
    return folder


@pytest.fixture(scope="module")
def session(place):
    """Two epochs in one go."""
    assert train(place, "--sessionname", "a", "-e", "2") == 0
    return place / "data/models/snapshots"


def train(place, *arguments) -> int:
    data = str(place / "prepared")
    small = ["--backbone", "resnet18", "-b", "2", "-p", "1", "--train-count", "2", "--val-count", "2"]
    return train_recon3d.main(
        ["--config", str(place / "x.ini"), "--data", data, "--val-data", data, *small, *arguments]
    )


def test_training_writes_numbers_strips_and_snapshots_and_resumes_exactly(place, session):
    rows = (place / "out/logs/a/scalars.csv").read_text()
    for name in ("photo", "lm", "reg", "reflectance", "gamma", "box", "nme"):
        assert f",val,{name}," in rows
    strip = Image.open(place / "out/reports/a/imgs_00002.jpg")
    assert strip.size == (4 * 224, 2 * 224)
    assert list((place / "out/logs/a").glob("events*"))
    board = EventAccumulator(str(place / "out/logs/a")).Reload()
    assert (
        set(("id_coeff", "ex_coeff", "tex_coeff")) <= set(board.Tags()["histograms"])
        and "imgs" in board.Tags()["images"]
    )
    assert train(place, "--sessionname", "b", "-e", "1") == 0
    assert train(place, "-r", "b", "-e", "2") == 0
    whole, resumed = (read_tensors(session / name / "00002/model.safetensors") for name in ("a", "b"))
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)


def test_a_small_backbone_begins_with_a_regressors_weights_and_learns_true_shapes(place):
    data = place / "supervised"
    shutil.copytree(place / "prepared", data)
    model = FaceModel.load(EMBEDDED_HEAD)
    faces = embedded_faces(140, seed=5).batch(0, 4)
    for i in range(3):
        write_truth(data, f"face{i}", faces.identity[i].numpy(), faces.expression[i].numpy())
    rest = [
        "--config",
        str(place / "x.ini"),
        "--data",
        str(data),
        "--sessionname",
        "m",
        "-b",
        "4",
        "-e",
        "1",
        "--lr",
        "1e-9",
    ]
    assert train_recon3d.main([*rest, "--backbone", "landmark_trunk", "--init-path", "regressor_120"]) == 0
    old = load_regressor("regressor_120").model.network.state_dict()
    new = load_reconstructor("m", place / "data/models/snapshots").net.network.backbone.state_dict()
    assert torch.allclose(old["stages.3.0.conv1.weight"], new["stages.3.0.conv1.weight"], atol=1e-6)
    rows = [line.split(",") for line in (place / "out/logs/m/scalars.csv").read_text().splitlines()]
    (shape,) = {float(row[-1]) for row in rows if "shape" in row and "train" in row}
    weights = skin_weights(model)
    gaps = (model.shape(faces.identity[:3], faces.expression[:3]) - model.mean).norm(dim=-1)
    assert shape == pytest.approx(
        100 * float((gaps @ weights).mean() / weights.sum()), rel=1e-3
    )  # the heads start at zero


def test_bad_training_input_is_one_sentence(place, capsys):
    config = ["--config", str(place / "x.ini")]
    cases = [
        ([], "--data: name folders"),
        (["--data", str(place)], "neither lm"),
        (["--data", str(place / "prepared"), "--face-model", "bfm09:/nowhere"], "go on with 'head'"),
        (["--data", str(place / "prepared"), "--identity-network", "arcface"], "needs --identity-weights"),
    ]
    for arguments, message in cases:
        assert train_recon3d.main([*config, *arguments]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ") and message in error and "Traceback" not in error


def reconstruct(place) -> list[str]:
    points = ["--landmarks-from", str(place / "photos")]
    return ["--task", "reconstruct", "--config", str(place / "x.ini"), "-c", "a", *points]


def test_reconstruct_writes_the_published_fields_and_maps_back(place, session):
    out = place / "results/face1"
    photo = place / "photos/face1.png"
    arguments = reconstruct(place)
    assert demo.main([*arguments, str(photo), "--out", str(out.parent)]) == 0
    fields = loadmat(out / "face1.mat")
    vertices = 5431
    shapes = {
        "cropped_img": (224, 224, 3),
        "recon_img": (224, 224, 4),
        "coeff": (1, 205),
        "face_shape": (vertices, 3),
        "face_texture": (vertices, 3),
        "face_color": (vertices, 3),
        "lm_68p": (68, 2),
        "lm_5p": (5, 2),
        "id": (1, 80),
        "exp": (1, 52),
        "tex": (1, 40),
        "angle": (1, 3),
        "gamma": (1, 27),
        "trans": (1, 3),
        "lm68": (1, 68, 2),
    }
    assert {name: fields[name].shape for name in shapes} == shapes
    assert set(np.unique(fields["recon_img"][..., 3])) == {0.0, 1.0}
    eyes, chin = fields["lm_68p"][36:48].mean(0), fields["lm_68p"][8]
    assert eyes[1] < chin[1]  # y runs down
    five = five_of_68(read_pts(photo.with_suffix(".pts")))
    assert np.allclose(fields["lm_5p_photo"] + 0.5, five, atol=1e-3)
    width, height, zoom, x, y = fields["trans_params"].ravel()
    in_crop = (fields["lm_68p_photo"] - [x, height - 1 - y]) * zoom + 111.5
    assert np.abs(in_crop - fields["lm_68p"]).max() < 1e-3 and width == 140
    assert np.abs(read_pts(out / "face1.pts") - 0.5 - fields["lm_68p_photo"]).max() < 2e-3
    mesh = read_obj(out / "face1_mesh.obj")
    assert np.abs(mesh.vertices - fields["face_shape"]).max() < 1e-4 and mesh.colours is not None
    assert {"face1_neutral.obj", "face1_mesh.glb", "face1_strip.png", "face1_depth.png"} <= {
        p.name for p in out.iterdir()
    }


def test_one_person_has_one_identity(place, session):
    out = place / "person"
    arguments = reconstruct(place)
    photos = [str(place / f"photos/face{i}.png") for i in range(3)]
    assert demo.main([*arguments, *photos, "--same-person", "--save", "mat,obj", "--flat", "--out", str(out)]) == 0
    files = [loadmat(out / f"face{i}.mat") for i in range(3)]
    assert np.array_equal(files[0]["id"], files[2]["id"]) and not np.array_equal(files[0]["angle"], files[2]["angle"])
    assert np.abs(files[0]["neutral_shape"] - read_obj(out / "person.obj").vertices).max() < 1e-4


def test_evaluation_names_protocol_and_all_candidates(place, session):
    base = ["--config", str(place / "x.ini"), "-c", "a", "--json", str(place / "s.json")]
    assert eval_recon3d.main([*base, "--benchmark", "synthetic", "--count", "2"]) == 0
    result = json.loads((place / "s.json").read_text())
    found = result["vertex_mm"]
    assert set(found) == {"mean face", "landmark fit", "fit to detected points", "R-Net, own colours", "R-Net"}
    assert min(found.values()) > 0.1
    assert eval_recon3d.main([*base, "--benchmark", "photos", "--images", str(place / "photos")]) == 0
    result = json.loads((place / "s.json").read_text())
    assert result["n"] == 4 and "five points: gt" in result["protocol"]["crop"] and result["photo"] > 0


def test_published_checkpoints_are_read(tmp_path):
    config = CoefficientNetConfig("resnet18")
    network = CoefficientNet(config)
    torch.nn.init.normal_(network.final_layers[0].weight)
    torch.save({"net_recon": network.state_dict(), "opt_00": {}}, tmp_path / "epoch_20.pth")
    net = import_deep3d(tmp_path / "epoch_20.pth")
    assert net.half_pixel_shift and net.face_model == "bfm09" and net.config == config
    image = torch.rand(1, 3, 224, 224)
    assert torch.equal(net(image), network.eval()(image))
    assert load_reconstructor(str(tmp_path / "epoch_20.pth")).net.config.outputs == 257
    single = CoefficientNet(CoefficientNetConfig("resnet34", one_head=True))
    torch.save({"net_recon": single.state_dict()}, tmp_path / "fc.pth")
    assert import_deep3d(tmp_path / "fc.pth").config == CoefficientNetConfig("resnet34", one_head=True)
    torch.save({"other": {}}, tmp_path / "bad.pth")
    with pytest.raises(CheckpointError, match="no net_recon"):
        import_deep3d(tmp_path / "bad.pth")


def test_a_network_of_another_model_is_refused(tmp_path, session):
    head = FaceModel.load(EMBEDDED_HEAD)
    net = ReconstructionNet(CoefficientNetConfig("resnet18", 3, 2, 1), "head")
    with pytest.raises(ValueError, match="coefficients came"):
        points = head.five_points[:, :2].numpy() * [30, -30] + 30
        Reconstructor(net, head).reconstruct([np.zeros((60, 60, 3), np.uint8)], [points])
    right = Reconstructor(ReconstructionNet(config_for(head, "resnet18"), "head"), head)
    with pytest.raises(DataError, match="at least 30 px"):
        right.reconstruct([np.zeros((20, 60, 3), np.uint8)], [head.five_points[:, :2].numpy() * [30, -30] + 30])


def test_identity_networks_load_from_a_path_and_align(tmp_path):
    torch.save(IResNet().state_dict(), tmp_path / "r50.pth")
    features = load_identity("arcface", tmp_path / "r50.pth")
    points = torch.rand(1, 68, 2) * 100 + 50
    images = torch.rand(1, 3, 224, 224, requires_grad=True)
    features(images, points).sum().backward()
    assert images.grad.abs().sum() > 0 and not any(p.requires_grad for p in features.network.parameters())
    with pytest.raises(CheckpointError, match="no weights of facenet"):
        load_identity("facenet", tmp_path / "r50.pth")
    template = torch.tensor(TEMPLATE_112)
    turn = torch.tensor([[0.8, -0.6], [0.6, 0.8]]) * 1.7
    matrix = template_matrices((template @ turn.T + 20)[None])[0]
    assert torch.allclose((template @ turn.T + 20) @ matrix[:, :2].T + matrix[:, 2], template, atol=1e-3)


def test_the_seeds_commands(place, session, capsys):
    base = [
        "--config",
        str(place / "x.ini"),
        "--image_dir",
        str(place / "photos"),
        "--landmark_dir",
        str(place / "photos"),
    ]
    own = ["--use_pb", "0", "--pretrain_weights", "a"]
    out = place / "strips"
    assert demo.main(["renderer", *base, *own, "--out_dir", str(out)]) == 0
    names = {f"face{i}{ending}" for i in range(4) for ending in ("_strip.png", ".json")}
    assert {p.name for p in out.glob("[!.]*/[!.]*")} == names
    height, width = np.asarray(Image.open(out / "face0/face0_strip.png")).shape[:2]
    assert height == 224 and width % 224 == 0
    assert demo.main(["obj", *base, *own, "--frame", "canonical"]) == 0
    written = place / "out/demo/reconstruct"
    assert len(list(written.glob("*/*.obj"))) == 8
    canonical = read_obj(written / "face2/face2_mesh.obj").vertices
    mean = FaceModel.load(EMBEDDED_HEAD).mean.numpy()
    assert canonical.shape == mean.shape and np.abs(canonical.mean(0) - mean.mean(0)).max() < 0.3  # unposed, dm
    for arguments, message in (
        (["--use_pb", "0"], "name it with --pretrain_weights"),
        (["--use_pb", "1", "--pretrain_weights", "a"], "--use_pb 1 takes the bundled network"),
        (["--pretrain_weights", "network/FaceReconModel.pb"], "TensorFlow's files are not read"),
    ):
        assert demo.main(["obj", *base, *arguments]) == 2
        assert message in capsys.readouterr().err
    assert demo.main(["--task", "nme"]) == 2 and "reconstruct, all" in capsys.readouterr().err


def test_divergence_names_the_term_and_keeps_the_last_good_state(place, session, capsys, monkeypatch):
    good = (session / "a/00002/model.safetensors").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("recon3d.reconstruction.losses.reflectance_loss", lambda albedo, skin: albedo.sum() * torch.nan)
        assert train(place, "-r", "a", "-e", "3") == 3
    error = capsys.readouterr().err
    assert "the loss is not finite (term: reflectance)" in error and "face0.png" in error and "Traceback" not in error
    with monkeypatch.context() as patch:
        patch.setattr(ReconstructionNet, "forward", lambda net, images: net.network(images) + torch.nan)
        assert train(place, "-r", "a", "-e", "3") == 3
    assert "coefficients cannot be drawn (term: photo" in capsys.readouterr().err
    assert not (session / "a/00003").exists() and (session / "a/00002/model.safetensors").read_bytes() == good


def test_points_of_another_photo_and_swapped_ones_are_refused(place, session, capsys):
    points = place / "points"
    points.mkdir()
    five = five_of_68(read_pts(place / "photos/face0.pts")) - 0.5
    cases = {
        "swapped or mirrored": five[[1, 0, 2, 3, 4]],
        "eyes or mouth corners are swapped": five[[0, 1, 2, 4, 3]],
        "4 landmarks": five[:4],
        "outside the photo of 140": five + 500,
        "nose tip is not between": five[[0, 1, 2, 3, 4]] * 1.0,
    }
    cases["nose tip is not between"][2] += 3 * (five[:2].mean(0) - five[3:].mean(0))
    for message, rows in cases.items():
        (points / "face0.txt").write_text("".join(f"{x} {y}\n" for x, y in rows))
        where = ["--config", str(place / "x.ini"), "-c", "a", "--landmarks-from", str(points)]
        assert demo.main(["obj", str(place / "photos/face0.png"), *where]) == 2
        error = capsys.readouterr().err
        assert message in error and "Traceback" not in error
        photos = ["--images", str(place / "photos"), "--out", str(points / "o")]
        assert prepare_recon3d.main([*photos, "--landmarks", str(points)]) == 2
        assert message in capsys.readouterr().err
    assert prepare_recon3d.main(["--images", str(place / "photos"), "--landmarks", str(place / "none")]) == 2
    assert "no such folder" in capsys.readouterr().err


def test_a_mask_without_skin_is_named(place, capsys):
    folder = place / "masked"
    shutil.copytree(place / "prepared", folder)
    for mask in (folder / "mask").iterdir():
        Image.new("RGB", (224, 224)).save(mask)
    arguments = [
        "--config",
        str(place / "x.ini"),
        "--data",
        str(folder),
        "--backbone",
        "resnet18",
        "-b",
        "2",
        "-e",
        "1",
    ]
    assert train_recon3d.main(arguments) == 2
    assert "marks nothing as skin" in capsys.readouterr().err


def test_the_perceptual_term_works_on_a_fresh_machine(place):
    assert train(place, "--sessionname", "likeness", "-e", "1", "--identity-network", "small") == 0
    rows = (place / "out/logs/likeness/scalars.csv").read_text().splitlines()
    values = [float(row.split(",")[-1]) for row in rows if ",iteration,id," in row]
    assert values and 0.2 < values[0] < 1.5  # the mean face is unlike the photos
