"""Scans as truth: a head of the model itself is found at 0 mm, views and landmarks agree, real scans where they are."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import eval_recon3d
from common.files.meshes import Mesh
from datasets.readers.scans import Scan, read_scans
from metrics.meshes import Surface, now_errors_mm
from morphable.open import load_face_model
from recon3d.scores.scan_views import ScanRenderer, with_landmarks
from recon3d.scores.scans import SEVEN


@pytest.fixture(scope="module")
def model():
    return load_face_model("head")


@pytest.fixture(scope="module")
def scan(model):
    """A head of the model in cm, turned and shifted, as a scan that knows its landmarks and units."""
    shape = model.shape(0.5 * torch.ones(1, model.sizes[0]))
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    vertices = shape[0].double().numpy() @ turn.T * 10 + [3, 2, 1]
    points = model.points(shape, "ibug68")[0].double().numpy() @ turn.T * 10 + [3, 2, 1]
    return shape[0].double().numpy(), Scan("turned", Mesh(vertices, model.triangles.numpy()), points, 0.1)


def test_scans_are_turned_upright_and_keep_their_size(model, scan):
    shape, turned = scan
    placed = turned.placed(model)
    middle = shape.mean(0) - placed.mesh.vertices.mean(0)
    assert np.abs(placed.mesh.vertices + middle - shape).max() < 0.12  # dm, turned by little, for its face is another
    assert np.ptp(placed.mesh.vertices, axis=0).max() == pytest.approx(np.ptp(shape, axis=0).max(), rel=0.05)
    marks = placed.landmarks[SEVEN]
    mine = model.points(torch.from_numpy(shape).float()[None], "ibug68")[0].double().numpy()[SEVEN]
    errors = now_errors_mm(placed.mesh.vertices, marks, Surface(shape, model.triangles.numpy()), mine)
    assert len(errors) > 500 and errors.max() < 0.01
    jawless = replace(turned, landmarks=np.where(np.arange(68)[:, None] < 17, np.nan, turned.landmarks))
    assert np.isnan(jawless.placed(model).landmarks[:17]).all()


def test_views_show_the_landmarks_where_they_are(model, scan):
    """A landmark's pixel is that of a dot painted there: the texture is red around the nose tip alone."""
    placed = scan[1].placed(model)
    tip = placed.landmarks[30]
    red = np.linalg.norm(placed.mesh.vertices[placed.mesh.triangles].mean(1) - tip, axis=1) < 0.06
    uv = np.array([[0.25, 0.5], [0.75, 0.5]])
    texture = np.zeros((8, 8, 3), np.uint8)
    texture[:, :4, 2], texture[:, 4:, 0] = 255, 255
    mesh = replace(placed.mesh, uv=uv, uv_triangles=np.repeat(red[:, None].astype(int), 3, 1), texture=texture)
    views = ScanRenderer(replace(placed, mesh=mesh)).views(5)
    assert len(views) == 5 and [view.angles_deg[1] for view in views] == [0, -20, 20, -40, 40]
    for view in views:
        away = np.hypot(*(np.stack(np.meshgrid(*[np.arange(256) + 0.5] * 2)) - view.landmarks[30][:, None, None]))
        red = view.image[..., 0].astype(float) / (view.image.sum(-1) + 1)
        assert np.median(red[away < 2]) > 0.8 and np.median(red[(away > 9) & (away < 14)]) < 0.8


def test_landmarks_are_lifted_onto_the_surface(model, scan):
    placed = scan[1].placed(model)
    bare = Scan("bare", placed.mesh, None, None)
    vertices = placed.mesh.vertices
    scale = 3.2 / np.ptp(vertices, axis=0).max()
    middle = (vertices.min(0) + vertices.max(0)) / 2

    def find(picture):
        seen = (placed.landmarks - middle) * scale
        return seen[:, :2] * [1, -1] * (600 / (10 - seen[:, 2:])) + 128

    found = with_landmarks(bare, find)
    inner = slice(17, 68)
    assert np.abs(found.landmarks - placed.landmarks)[inner].max() < 0.05  # dm; the jaw is seen edge-on
    with pytest.raises(ValueError, match="no face is found"):
        with_landmarks(bare, lambda picture: None)


def test_a_folder_without_scans_is_refused(tmp_path, capsys):
    assert eval_recon3d.main(["-c", "reconstructor", "--benchmark", "scans", "--images", str(tmp_path)]) == 2
    assert "holds none of the scans flame_fitting_scan, lee_perry_smith, menpo_james" in capsys.readouterr().err


def test_real_scans(shared_data, tmp_path, model):
    folder = shared_data / "scans3d"
    if not folder.is_dir():
        pytest.skip("no scans beside the other data")
    scans = read_scans(folder)
    assert [scan.name for scan in scans] == ["flame_fitting_scan", "lee_perry_smith", "menpo_james"]
    for scan in scans:
        if scan.landmarks is not None:
            placed = scan.placed(model)
            mine = model.points(model.mean, "ibug68").numpy()
            assert np.nanmean(np.linalg.norm(placed.landmarks - mine, axis=1)) < 0.12  # dm: upright, in their own size
            view = ScanRenderer(placed).views(1)[0]
            assert view.image.std() > 20
    arguments = ["-c", "reconstructor", "--benchmark", "scans", "--images", str(folder), "--count", "3"]
    assert eval_recon3d.main([*arguments, "--json", str(tmp_path / "s.json")]) == 0
    found = json.loads((tmp_path / "s.json").read_text())
    assert found["n"] == 9 and set(found["scans"]) == {scan.name for scan in scans}
    assert found["similarity_mm"]["R-Net"] < 2.2 and found["now_mm"]["R-Net"] < 2.2
    low, high = found["similarity_mm_interval"]["R-Net"]
    assert low < found["similarity_mm"]["R-Net"] < high
