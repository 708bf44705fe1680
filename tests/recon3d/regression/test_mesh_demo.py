"""demo.py --task mesh, the ONNX export and what they say to bad input."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import demo
from common.errors import CheckpointError
from common.files.meshes import read_obj, read_ply
from drawing.surfaces import read_depth
from export.__main__ import main as export_main
from networks.regressors import RegressorConfig
from recon3d.regression.models import LoadedRegressor, ParameterRegressor, load_regressor, save_for_inference
from recon3d.regression.params import Whitening
from recon3d.regression.regressor import FaceRegressor
from tests.recon3d.regression.small_models import random_parameters, small_model


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A photo with its box file, an untrained network that answers with the mean face, and a face model."""
    from skimage.data import astronaut

    root = tmp_path_factory.mktemp("mesh")
    Image.fromarray(astronaut()).save(root / "nasa.png")
    (root / "nasa.png.bbox").write_text("1\n0 175 65 280 180\n")
    small_model().save(root / "model.safetensors")
    config = RegressorConfig(width=0.25, landmarks=68)
    model = ParameterRegressor(
        config, Whitening(random_parameters(99).mean(0), torch.full((62,), 1e-3)), "continuous"
    ).eval()
    with torch.no_grad():
        model.mean[:12] = torch.tensor([45.0, 0, 0, 60, 0, 45, 0, 60, 0, 0, 45, 0])
    save_for_inference(LoadedRegressor(model, model.describe(), root), root / "net", half=False)
    return root


def run(workspace, *flags):
    common = ["--task", "mesh", "-c", workspace / "net", "--face-model", workspace / "model.safetensors", "-m", "cpu"]
    return demo.main([str(a) for a in (*common, "--config", ini(workspace), *flags)])


def ini(workspace):
    path = workspace / "local.ini"
    path.write_text(f"[Paths]\noutputs = {workspace}/outputs\n")
    return path


def test_radans_options_and_files(workspace, tmp_path):
    flags = [
        "-f",
        workspace / "nasa.png",
        "--out",
        tmp_path,
        "--dlib_bbox=false",
        "--bbox_init=two",
        "--dump_roi_box=true",
        "--name",
        "RADAN",
    ]
    asked = ["--dump_pose=true", "--dump_depth", "true", "--dump_pncc", "t", "--dump_vertex", "y", "--dump_ply=1"]
    assert run(workspace, *flags, *asked) == 0
    stem = f"{tmp_path}/nasa/nasa"
    points = np.loadtxt(f"{stem}.txt")
    assert points.shape == (3, 68)
    mesh, coloured = read_ply(Path(f"{stem}_mesh.ply")), read_obj(Path(f"{stem}_mesh.obj"))
    assert mesh.vertices.shape == (90, 3) and coloured.colours.shape == (90, 3)
    assert np.allclose(mesh.vertices[:68, :2], np.stack([points[0], 512 - points[1]], 1), atol=2e-3)
    assert np.load(f"{stem}.npy").shape == (90, 3) and np.loadtxt(f"{stem}.roibox").shape == (4,)
    depth = read_depth(Path(f"{stem}_depth.png"))
    assert depth.shape == (512, 512) and torch.isfinite(depth).any()
    for ending in ("pose", "pncc", "RADAN"):
        assert Image.open(f"{stem}_{ending}.png").size == (512, 512)
    (face,) = json.loads(Path(f"{stem}.json").read_text())["faces"]
    assert {name: len(part) for name, part in face["parameters"].items()} == {
        "camera": 12,
        "identity": 40,
        "expression": 10,
    }
    assert {"nasa/nasa.txt", "nasa/nasa.npy", "nasa/nasa.roibox"} <= set(face["files"])


def test_the_pose_adaptive_feature_of_radan(workspace, capsys, tmp_path):
    """On the embedded head: the small model has no face to unroll. Each patch shows the crop around an anchor."""
    flags = ["--task", "mesh", "--config", ini(workspace), "-f", workspace / "nasa.png", "--out", tmp_path]
    flags += ["--dlib_bbox", "0", "--save", "paf"]
    assert demo.main([str(a) for a in (*flags, "--paf_size", "5")]) == 0
    feature = np.asarray(Image.open(tmp_path / "nasa/nasa_paf.png"), dtype=float)
    assert feature.shape == (320, 320, 3) and feature.std() > 20
    assert demo.main([str(a) for a in (*flags, "--paf_size", "4")]) == 2
    assert "give an odd number" in capsys.readouterr().err


def test_options_of_v2(workspace, tmp_path):
    kinds = ["2d_sparse", "2d_dense", "3d", "depth", "pncc", "uv_tex", "pose", "ply", "obj"]
    assert run(workspace, workspace / "nasa.png", "--out", tmp_path, "-o", *kinds) == 0
    drawn = ["overlay", "dense", "shape", "depth_coloured", "pncc_overlay"]
    files = {p.name for p in (tmp_path / "nasa").glob("[!.]*")}
    pictures = {f"nasa_{name}.png" for name in (*drawn, "depth", "pncc", "texture", "pose")}
    assert files == pictures | {"nasa_mesh.ply", "nasa_mesh.obj", "nasa.json"}
    photo = np.asarray(Image.open(workspace / "nasa.png"), dtype=float)
    for name in drawn:
        changed = np.abs(np.asarray(Image.open(tmp_path / f"nasa/nasa_{name}.png"), dtype=float) - photo).max(2) > 60
        assert changed.any() and not changed[:, :80].any()  # the face is drawn on, the border of the photo is not
    pose = json.loads((tmp_path / "nasa/nasa.json").read_text())["faces"][0]["pose_deg"]
    assert set(pose) == {"pitch", "yaw", "roll"}


def test_what_goes_wrong_is_named_and_the_rest_goes_on(workspace, capsys, tmp_path):
    Image.fromarray(np.zeros((80, 80, 3), np.uint8)).save(tmp_path / "black.png")
    flags = ["--out", tmp_path / "out", "-o", "2d_sparse"]
    (tmp_path / "cut.png").write_bytes(b"cut")
    assert run(workspace, tmp_path / "black.png", tmp_path / "cut.png", workspace / "nasa.png", *flags) == 2
    caught = capsys.readouterr()
    assert "1 of 3 inputs gave no result" in caught.err and "no face found" in caught.out
    assert (tmp_path / "out/nasa/nasa_overlay.png").is_file()
    for text, error in (
        ("2\n0 1 2 30 40\n", "which is 1"),
        ("1\n0 a b c d\n", "line 2: expected"),
        ("1\n0 5 5 6 6\n", "smaller than 4 px"),
        ("1\n0 900 900 990 990\n", "outside the 80×80 photo"),
        ("", "which is 0"),
    ):
        (tmp_path / "black.png.bbox").write_text(text)
        assert run(workspace, tmp_path / "black.png", "--dlib_bbox=false", *flags) == 2
        assert error in capsys.readouterr().err
    small_model(8, 3).save(tmp_path / "tiny.safetensors")
    assert run(workspace, workspace / "nasa.png", "--face-model", tmp_path / "tiny.safetensors") == 2
    assert "8 identity and 3 expression components" in capsys.readouterr().err


def test_coefficients_of_another_model_are_refused(workspace, tmp_path):
    model = load_regressor(str(workspace / "net")).model
    model.face_model = "3ddfa"
    with pytest.raises(CheckpointError, match="coefficients of 3DDFA's model, not of small"):
        FaceRegressor(LoadedRegressor(model, {}, tmp_path), small_model(), detector="none")


def test_a_box_at_the_border_is_cut_with_black(workspace, tmp_path):
    (tmp_path / "nasa.png").write_bytes((workspace / "nasa.png").read_bytes())
    (tmp_path / "nasa.png.bbox").write_text("1\n0 -60 -40 90 110\n")
    assert run(workspace, tmp_path / "nasa.png", "--dlib_bbox=false", "--out", tmp_path / "out", "-o", "3d", "obj") == 0


@pytest.mark.parametrize("dense", [False, True])
def test_onnx_equals_pytorch(workspace, tmp_path, dense, capsys):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    flags = [workspace / "net", "--face-model", workspace / "model.safetensors", "--out", tmp_path / "net.onnx"]
    assert export_main([str(f) for f in flags] + (["--dense"] if dense else [])) == 0
    assert "of PyTorch" in capsys.readouterr().out
    session = onnxruntime.InferenceSession(str(tmp_path / "net.onnx"))
    shapes = [o.shape[1:] for o in session.get_outputs()]
    assert shapes[:3] == [[62], [68, 3], [68, 2]] and (not dense or shapes[3] == [90, 3])
    found = session.run(["landmarks"], {"crops": np.zeros((5, 3, 120, 120), np.uint8)})[0]
    assert found.shape == (5, 68, 3)


def test_export_names_what_is_missing(tmp_path, capsys):
    assert export_main([]) == 2 and "name one checkpoint" in capsys.readouterr().err
    assert export_main([str(tmp_path / "none.pth")]) == 2 and "cannot be read" in capsys.readouterr().err
