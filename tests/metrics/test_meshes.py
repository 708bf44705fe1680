"""Mesh distances: invariance to what the protocols align away, closed forms for what they measure."""

import numpy as np
import pytest
import torch

from geometry.rotations import rotation_from_euler
from metrics import meshes


@pytest.fixture
def sheet():
    """A bulging grid, (400, 3) dm, and its triangles."""
    x, y = np.meshgrid(np.linspace(-0.8, 0.8, 20), np.linspace(-0.9, 0.9, 20))
    vertices = np.stack([x, y, 0.5 - 0.3 * x**2 - 0.2 * y**2 + 0.05 * np.sin(5 * x) * y], 2).reshape(-1, 3)
    corner = (np.arange(19)[:, None] * 20 + np.arange(19)).reshape(-1)
    triangles = np.concatenate(
        [np.stack([corner, corner + 1, corner + 21], 1), np.stack([corner, corner + 21, corner + 20], 1)]
    )
    return meshes.Surface(vertices, triangles)


def motion(scale=1.0, angle=0.05, shift=(0.02, -0.03, 0.01)):
    rotation = rotation_from_euler(torch.tensor([[angle, -angle, angle]], dtype=torch.float64))
    return torch.tensor([scale], dtype=torch.float64), rotation, torch.tensor([shift], dtype=torch.float64)


def apply(points, how):
    return meshes.moved(torch.from_numpy(points)[None], how)[0].numpy()


def test_vertex_errors_forget_similarities_but_not_shape(sheet):
    truth = torch.from_numpy(sheet.vertices)[None]
    turned = meshes.moved(truth, motion(1.2, 0.6, (1.0, 2.0, 3.0)))
    assert float(meshes.vertex_errors_mm(turned, truth)) < 1e-9
    assert float(meshes.vertex_errors_mm(turned, truth, scaled=False)) > 3
    changed = truth.clone()
    changed[0, 210, 2] += 0.1  # 10 mm at one of 400, the fit spreads half of it
    assert float(meshes.vertex_errors_mm(changed, truth)) == pytest.approx(0.05, rel=0.1)
    weights = torch.ones(400, dtype=torch.float64)
    weights[210] = 0
    assert float(meshes.vertex_errors_mm(changed, truth, weights)) < 1e-9


def test_nearest_points_of_a_triangle_in_all_regions():
    corners = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    points = np.array(
        [[0.2, 0.2, 1], [-1, -1, 0], [2, -0.5, 0], [-0.5, 3, 0], [0.5, -1, 0], [-1, 0.5, 2], [1.0, 1.0, 0]]
    )
    expected = [[0.2, 0.2, 0], [0, 0, 0], [1, 0, 0], [0, 1, 0], [0.5, 0, 0], [0, 0.5, 0], [0.5, 0.5, 0]]
    found, normals = meshes.Surface(corners, np.array([[0, 1, 2]])).nearest(points)
    assert np.allclose(found, expected) and np.allclose(normals, [0, 0, 1])


def test_the_nearest_triangle_may_have_a_far_centre():
    """Many small triangles are near by their centres, but the point lies over one large triangle."""
    large = np.array([[0.0, 0, 0], [100, 0, 0], [0, 100, 0]])
    small = np.array([[1.0, 1, 1], [1.1, 1, 1], [1, 1.1, 1]])
    vertices = np.concatenate([large, *[small + [0.01 * i, 0, 0.01 * i] for i in range(30)]])
    triangles = np.arange(len(vertices)).reshape(-1, 3)
    found, _ = meshes.Surface(vertices, triangles).nearest(np.array([[1.0, 1.0, 0.02]]))
    assert np.allclose(found, [[1, 1, 0]])


def test_the_scan_is_cut_to_the_face(sheet):
    marks = sheet.vertices[[22, 30, 37, 210, 205, 350, 377]]
    far = np.concatenate([sheet.vertices, sheet.vertices + [0, 0, -3.0]])  # a back of the head that no mesh has
    errors = meshes.now_errors_mm(far, marks, sheet, marks)
    assert len(errors) == meshes.face_crop(sheet.vertices, marks).sum() and errors.max() < 1e-3
    with pytest.raises(ValueError, match="units"):
        meshes.now_errors_mm(sheet.vertices + 500, marks, sheet, marks)


def test_the_scale_of_a_similarity_is_found_by_icp_too(sheet):
    """Landmarks that are marked too far apart spoil the scale of the first alignment; ICP repairs it."""
    marks = sheet.vertices[[22, 30, 37, 210, 205, 350, 377]]
    middle = marks.mean(0)
    errors = meshes.now_errors_mm(sheet.vertices, marks, sheet, middle + 0.97 * (marks - middle))
    assert errors.mean() < 0.2


def test_icp_finds_a_small_motion(sheet):
    moved = apply(sheet.vertices, motion(1.03))
    before = meshes.point_to_plane_mm(moved, sheet).mean()
    after = meshes.point_to_plane_mm(meshes.icp(moved, sheet), sheet).mean()
    assert before > 1 and after < 0.1 * before
    assert meshes.micc_error_mm(moved, sheet, sheet.vertices[210]) < 0.3


def test_point_to_plane_of_an_offset_along_the_normal(sheet):
    nearest, normals = sheet.nearest(sheet.vertices[sheet.triangles].mean(1))
    lifted = nearest + 0.01 * normals
    assert meshes.point_to_plane_mm(lifted, sheet) == pytest.approx(1.0, rel=0.05)  # 0.01 dm


def test_now_aligns_by_seven_landmarks_then_rigidly(sheet):
    marks = sheet.vertices[[22, 30, 37, 210, 205, 350, 377]]
    scan = apply(sheet.vertices, motion(1.0, 0.7, (3.0, 2.0, 1.0)))
    scan_marks = apply(marks, motion(1.0, 0.7, (3.0, 2.0, 1.0)))
    errors = meshes.now_errors_mm(scan, scan_marks, meshes.Surface(sheet.vertices * 1.1, sheet.triangles), marks * 1.1)
    assert errors.max() < 1e-3
    metrical = meshes.now_errors_mm(
        scan, scan_marks, meshes.Surface(sheet.vertices * 1.1, sheet.triangles), marks * 1.1, metrical=True
    )
    assert metrical.mean() > 0.5
    summary = meshes.now_summary([np.array([1.0, 2.0]), np.array([3.0, 10.0])])
    assert summary["median"] == 2.5 and summary["mean"] == 4


def test_wrong_units_are_named(sheet):
    with pytest.raises(ValueError, match="check units"):
        meshes.micc_error_mm(sheet.vertices, meshes.Surface(sheet.vertices * 100, sheet.triangles), np.full(3, 500.0))
