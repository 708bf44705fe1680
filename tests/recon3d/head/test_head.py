"""The embedded head: small, whole, symmetric, with landmarks where annotators put them; and how it is built."""

import json

import numpy as np
import pytest
import torch

from common.errors import DataError
from geometry.cameras import weak_perspective
from geometry.mesh.contour import silhouette_choice
from geometry.mesh.normals import vertex_normals
from geometry.rotations import rotation_from_euler
from geometry.schemes import SCHEMES
from morphable import gallery
from morphable.model import EMBEDDED_HEAD, FaceModel
from recon3d.head.build_head import ASSETS, build
from recon3d.head.makehuman import Targets, find_data, read_base_mesh, read_target
from recon3d.head.shapes import catmull_clark, midpoint_subdivision, principal_components, split_quads


@pytest.fixture(scope="module")
def head():
    return FaceModel.load(EMBEDDED_HEAD)


def test_size_and_provenance(head):
    assert EMBEDDED_HEAD.stat().st_size <= 12 * 2**20
    assert head.sizes == (80, 52, 40) and "CC0" in head.licence and "MakeHuman" in head.licence
    assert len(head.expression_names) == 52 and {"jawOpen", "eyeBlinkLeft", "tongueOut"} <= set(head.expression_names)


def test_triangles_are_whole_and_face_outwards(head):
    corners = head.mean[head.triangles]
    area = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).norm(dim=-1)
    assert (area > 0).float().mean() > 0.999
    edges = torch.cat([head.triangles[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 0))]).sort(1).values
    _, counts = edges.unique(dim=0, return_counts=True)
    assert counts.max() == 2, "no edge has three sides"
    normals = vertex_normals(head.mean[None], head.triangles)[0]
    forehead = head.points(head.mean, "ibug68")[27]
    nearest = (head.mean - forehead).norm(dim=-1).argmin()
    assert normals[nearest, 2] > 0.5


def test_symmetry_is_an_involution_on_most_vertices(head):
    mirrored = head.mean * torch.tensor([-1.0, 1, 1])
    assert (mirrored[head.symmetry] - head.mean).norm(dim=-1).median() < 0.005
    assert (head.symmetry[head.symmetry] == torch.arange(head.num_vertices)).float().mean() > 0.98


@pytest.mark.parametrize("scheme", ["ibug68", "wflw98"])
def test_landmarks_match_the_scheme(head, scheme):
    points = head.points(head.mean, scheme)
    assert len(points) == SCHEMES[scheme].num_points
    known = SCHEMES[scheme]
    right, left = (points[list(corners)].mean(0) for corners in (known.right_eye_corners, known.left_eye_corners))
    assert 0.5 < float(left[0] - right[0]) < 0.75, "eyes are 6 cm apart, the subject's right eye on the left"
    chin = points[known.chin]
    assert chin[1] < points[:, 1].min() + 0.02 and abs(float(chin[0])) < 0.02


def test_blinking_closes_the_eye_and_opening_the_jaw_the_mouth(head):
    def points(name):
        weights = torch.zeros(1, 52)
        weights[0, head.expression_names.index(name)] = 1
        return head.points(head.shape(torch.zeros(1, 1), weights), "ibug68")[0]

    neutral = head.points(head.mean, "ibug68")
    opening = [p[[37, 38]].mean(0)[1] - p[[40, 41]].mean(0)[1] for p in (neutral, points("eyeBlinkRight"))]
    assert opening[1] < 0.4 * opening[0]
    mouth = [p[62, 1] - p[66, 1] for p in (neutral, points("jawOpen"))]
    assert mouth[0] < 0.05 and mouth[1] > 0.2


def test_texture_coordinates_lie_in_the_square_and_islands_do_not_fold(head):
    assert head.uv.min() >= 0 and head.uv.max() <= 1
    corners = head.uv[head.uv_triangles]
    (ax, ay), (bx, by) = (corners[:, 1] - corners[:, 0]).unbind(-1), (corners[:, 2] - corners[:, 0]).unbind(-1)
    area = ax * by - ay * bx
    seen = head.regions["face"][head.triangles].amin(1) > 0.9
    assert (area[seen] > 0).float().mean() > 0.9, "only nostrils, ears and lids fold over"


def test_contour_lines_begin_at_the_jaw(head):
    jaw = head.landmarks["ibug68"].nearest_vertices[:17]
    assert torch.equal(head.contour[:, 0], jaw)
    rotation = rotation_from_euler(torch.deg2rad(torch.tensor([[0.0, 0, 0], [0, 50, 0], [0, -50, 0]])))
    index, moved = silhouette_choice(head.mean[head.contour].expand(3, -1, -1, -1), rotation)
    assert not moved[0].any() and (index[0] == 0).all()
    assert moved[1].sum() == moved[2].sum() == 8 and not (moved[1] & moved[2]).any()
    screen = weak_perspective(head.mean, rotation, torch.ones(3), torch.zeros(3, 2))
    for face in (1, 2):
        rows = moved[face].nonzero()[:, 0]
        slid = screen[face, head.contour[rows, index[face, rows]], 0]
        assert (slid.abs() >= screen[face, head.contour[rows, 0], 0].abs() - 1e-6).all()


def test_catmull_clark_of_a_cube_is_the_known_one():
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
    quads = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
    matrix, fine = catmull_clark(quads, 8)
    points = matrix @ corners
    assert points.shape == (26, 3) and fine.shape == (24, 4)
    np.testing.assert_allclose(np.abs(points[:8]), 5 / 9, atol=1e-12)  # the published corner of a subdivided cube
    np.testing.assert_allclose(np.sort(np.abs(points[8:20]), 1), [[0, 0.75, 0.75]] * 12, atol=1e-12)
    np.testing.assert_allclose(np.asarray(matrix.sum(1)).ravel(), 1)
    linear, _ = midpoint_subdivision(quads, 8)
    np.testing.assert_allclose(np.sort(np.abs((linear @ corners)[8:20]), 1), [[0, 1, 1]] * 12)
    assert split_quads(quads).shape == (12, 3)


def test_principal_components_rebuild_their_samples():
    samples = np.random.default_rng(0).normal(size=(40, 5, 3))
    mean, basis, share = principal_components(samples, 15)
    assert share == pytest.approx(1)
    np.testing.assert_allclose(
        (basis.reshape(15, 15) @ basis.reshape(15, 15).T), np.cov(samples.reshape(40, -1).T), atol=1e-10
    )
    np.testing.assert_allclose(mean, samples.mean(0))


def test_makehuman_files_are_read(tmp_path):
    with pytest.raises(DataError, match="pip download"):
        find_data(tmp_path)
    target = tmp_path / "a.target"
    target.write_text("# comment\n1 .5 0 -1\n")
    np.testing.assert_array_equal(read_target(target, 3), [[0, 0, 0], [0.5, 0, -1], [0, 0, 0]])
    folder = tmp_path / "mpfb2" / "targets" / "nose"
    folder.mkdir(parents=True)
    for name in ("nose-scale-decr", "nose-scale-incr", "nose-move-in", "nose-move-out", "nose-move-up", "nose-round"):
        (folder / f"{name}.target.gz").write_bytes(b"")
    pairs = Targets(tmp_path, np.arange(3), 3).modifiers("nose")
    assert ("nose/nose-scale-decr", "nose/nose-scale-incr") in pairs and (
        "nose/nose-move-in",
        "nose/nose-move-out",
    ) in pairs
    assert (None, "nose/nose-move-up") in pairs and (None, "nose/nose-round") in pairs and len(pairs) == 4


def test_landmark_table_names_three_vertices_each():
    table = json.loads((ASSETS / "head_landmarks.json").read_text())
    assert {name: len(rows) for name, rows in table.items()} == {"ibug68": 68, "wflw98": 98}
    for rows in table.values():
        assert all(len(v) == len(w) == 3 and sum(w) == pytest.approx(1, abs=1e-3) for v, w in rows)


@pytest.mark.slow
def test_built_again_it_is_the_committed_one(head, monkeypatch):
    """Mesh, expressions and regions do not depend on how many people are drawn; identities only need to be of their
    size.
    """
    try:
        data = find_data()
    except DataError as error:
        pytest.skip(str(error))
    monkeypatch.setattr("recon3d.head.build_head.PEOPLE", 100)
    built = build(data)
    assert torch.equal(built.triangles, head.triangles)
    torch.testing.assert_close(built.expression, head.expression, atol=1e-3, rtol=1e-2)
    assert read_base_mesh(data).vertices.shape == (19158, 3)


def test_gallery_draws_heads_expressions_and_landmarks(tmp_path, head, capsys):
    assert gallery.random_heads(head, 48).shape == (384, 384, 3)
    assert gallery.landmark_views(head, "ibug68", 128).shape == (128, 640, 3)
    assert gallery.texture_layout(head, 128).std() > 10
    assert (
        gallery.main(["--model", "nothing_here", "--out", str(tmp_path)]) == 2
        and "nothing_here" in capsys.readouterr().err
    )
