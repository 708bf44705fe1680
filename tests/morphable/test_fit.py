"""Landmark fitting: known faces come back from their projections, and real photos fit."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from common.errors import DataError
from common.files.points import read_pts
from datasets.crop import square_crop
from geometry.cameras import weak_perspective
from geometry.mesh.contour import silhouette_choice
from geometry.rotations import rotation_from_euler
from morphable.fit import Fit, FitSettings, fit_landmarks, solve_pose
from morphable.open import load_face_model

EXACT = FitSettings(iterations=400, noise=1e-3, identity_weight=1e-4, expression_weight=1e-4, slide_contour=False)
ANGLES = torch.tensor([[5.0, -10, 15], [-20, 40, -30], [10, -60, 0]], dtype=torch.float64)


@pytest.fixture(scope="module")
def head():
    return load_face_model("head").to(dtype=torch.float64)


@pytest.fixture(scope="module")
def small(head):
    """Few enough components for 68 points to determine them."""
    return head.truncated(identity=3, expression=0)


def faces(model, seed: int = 0) -> dict[str, torch.Tensor]:
    """Three faces in known poses and their fixed landmarks (3, 68, 3), z toward the viewer."""
    generator = torch.Generator().manual_seed(seed)
    identity = torch.randn(3, model.sizes[0], generator=generator).double()
    expression = torch.rand(3, model.sizes[1], generator=generator).double() ** 4
    rotation = rotation_from_euler(torch.deg2rad(ANGLES))
    scale = torch.tensor([40.0, 95.5, 300.0], dtype=torch.float64)
    translation = torch.tensor([[100.0, 50], [320, 240], [-30, 900]], dtype=torch.float64)
    screen = weak_perspective(model.shape(identity, expression), rotation, scale, translation)
    points = model.points(screen, "ibug68") * torch.tensor([1.0, 1, -1])
    return {
        "identity": identity,
        "rotation": rotation,
        "scale": scale,
        "translation": translation,
        "screen": screen,
        "landmarks": points,
    }


@pytest.mark.parametrize("dimensions", [2, 3])
def test_known_faces_come_back(small, dimensions):
    truth = faces(small)
    fit = fit_landmarks(small, truth["landmarks"][..., :dimensions], settings=replace(EXACT, iterations=1200))
    torch.testing.assert_close(fit.pose_deg(), ANGLES, atol=2e-3, rtol=0)
    torch.testing.assert_close(fit.scale, truth["scale"], rtol=1e-4, atol=0)
    torch.testing.assert_close(fit.identity, truth["identity"], atol=2e-3, rtol=0)
    distance = (fit.screen(small) - truth["screen"])[..., :2].norm(dim=-1) / truth["scale"][:, None]
    assert distance.max() < 2e-4  # dm
    assert fit.error.max() < 1e-3 and fit.vertices(small).dtype == torch.float64


def test_blendshapes_stay_between_0_and_1_and_help(head):
    truth = faces(head, seed=3)
    fit = fit_landmarks(head, truth["landmarks"][..., :2], settings=FitSettings(slide_contour=False))
    assert fit.expression.min() >= 0 and fit.expression.max() <= 1 and fit.expression.max() > 0.05
    rigid = fit_landmarks(
        head.truncated(expression=0), truth["landmarks"][..., :2], settings=FitSettings(slide_contour=False)
    )
    assert (fit.error < rigid.error).all() and fit.error.max() < 0.6


def test_pose_of_a_known_motion_is_exact(small):
    truth = faces(small)
    points = small.points(small.shape(truth["identity"]), "ibug68")
    observed = truth["landmarks"] * torch.tensor([1.0, -1, 1])
    for dimensions in (2, 3):
        rotation, scale, translation = solve_pose(points, observed[..., :dimensions], torch.ones(3, 68).double())
        torch.testing.assert_close(rotation, truth["rotation"], atol=1e-4, rtol=0)
        torch.testing.assert_close(scale, truth["scale"], rtol=1e-4, atol=0)
        assert (torch.linalg.det(rotation) - 1).abs().max() < 1e-9


def test_points_without_weight_do_not_count(small):
    landmarks = faces(small)["landmarks"][..., :2]
    weights = torch.ones(3, 68)
    weights[:, 20:30] = 0
    spoilt = landmarks.clone()
    spoilt[:, 20:25], spoilt[:, 25:30] = torch.nan, 1e5
    clean, other = (fit_landmarks(small, points, weights=weights, settings=EXACT) for points in (landmarks, spoilt))
    assert torch.equal(clean.identity, other.identity) and torch.equal(clean.rotation, other.rotation)
    torch.testing.assert_close(other.pose_deg(), ANGLES, atol=0.05, rtol=0)


def test_a_wrong_point_of_small_weight_moves_little(small):
    landmarks = faces(small)["landmarks"][..., :2].clone()
    landmarks[:, 30] += 20
    weights = torch.ones(3, 68)
    full = fit_landmarks(small, landmarks, weights=weights, settings=EXACT)
    weights[:, 30] = 1e-3
    light = fit_landmarks(small, landmarks, weights=weights, settings=EXACT)
    off = [(fit.pose_deg() - ANGLES).norm(dim=1) for fit in (light, full)]
    assert (off[0] < 0.1 * off[1]).all()


def test_a_batch_gives_what_single_faces_give(head):
    landmarks = faces(head)["landmarks"][..., :2]
    together = fit_landmarks(head, landmarks)
    for i in range(3):
        alone = fit_landmarks(head, landmarks[i : i + 1])
        for name in ("rotation", "scale", "translation", "identity", "expression", "points", "error"):
            torch.testing.assert_close(
                getattr(alone, name)[0], getattr(together[i : i + 1], name)[0], atol=1e-6, rtol=1e-6
            )


def test_sliding_finds_the_pose_of_a_silhouette(head):
    """Landmarks as annotators mark them at ±55° yaw: without sliding the pose is wrong by much more."""
    angles = torch.tensor([[0.0, 55, 0], [0, -55, 0]], dtype=torch.float64)
    rotation = rotation_from_euler(torch.deg2rad(angles))
    vertices = head.mean.expand(2, -1, -1)
    screen = weak_perspective(vertices, rotation, torch.full((2,), 100.0).double(), torch.zeros(2, 2).double())
    marked = head.points(screen, "ibug68")[..., :2].clone()
    choice, moved = silhouette_choice(vertices[:, head.contour], rotation)
    chosen = head.contour[torch.arange(17), choice]
    seen = screen[..., :2].gather(1, chosen[..., None].expand(-1, -1, 2))
    marked[:, :17] = torch.where(moved[..., None], seen, marked[:, :17])
    assert moved.sum(1).tolist() == [8, 8] and (moved[0] != moved[1]).sum() == 16
    slid = fit_landmarks(head, marked)
    fixed = fit_landmarks(head, marked, settings=FitSettings(slide_contour=False))
    wrong = [(fit.pose_deg() - angles).abs().amax(1) for fit in (slid, fixed)]
    assert wrong[0].max() < 6 and (wrong[0] < wrong[1] / 2).all() and (slid.error < fixed.error).all()


def test_fits_follow_their_photo_into_a_crop(small):
    truth = faces(small)
    fit = fit_landmarks(small, truth["landmarks"][..., :2], settings=EXACT)
    crop = square_crop(np.array([60.0, 90.0]), 250, 128, angle_rad=0.6)
    moved = fit.moved(torch.from_numpy(crop.matrix).expand(3, 2, 3))
    expected = torch.from_numpy(crop.apply(fit.screen(small).numpy()))
    torch.testing.assert_close(moved.screen(small), expected, atol=1e-8, rtol=0)
    back = moved.moved(torch.from_numpy(crop.inverse_matrix).expand(3, 2, 3))
    torch.testing.assert_close(back.rotation, fit.rotation, atol=1e-12, rtol=0)


def spoil(**changes) -> dict:
    """Arguments of a fit of one face, changed."""
    grid = torch.stack([torch.arange(68.0) % 9, torch.arange(68.0) // 9], -1)[None]
    return {"landmarks": grid, "scheme": "ibug68"} | changes


FEW = torch.zeros(1, 68)
FEW[0, :3] = 1
LINE = torch.arange(68.0)[None, :, None].expand(1, 68, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (spoil(weights=FEW), "face 0: 3 landmarks; a fit needs at least 4"),
        (spoil(landmarks=LINE), "face 0: the landmarks lie on one line"),
        (spoil(landmarks=torch.zeros(1, 68, 2)), "face 0: the landmarks lie on one line"),
        (spoil(landmarks=torch.full((1, 68, 2), torch.nan)), "not a finite number"),
        (spoil(landmarks=torch.zeros(1, 5, 2)), "needs \\(B, 68, 2 or 3\\)"),
        (spoil(landmarks=torch.zeros(68, 2)), "needs \\(B, 68, 2 or 3\\)"),
        (spoil(scheme="aflw19"), "no landmarks 'aflw19'; it has: "),
    ],
)
def test_bad_landmarks(head, arguments, message):
    with pytest.raises(DataError, match=message):
        fit_landmarks(head, **arguments)


def lfpw(shared_data) -> torch.Tensor:
    files = sorted((shared_data / "300w/images/test/common/lfpw").glob("*.pts"))
    return torch.from_numpy(np.stack([read_pts(path, 68) for path in files]))


@pytest.mark.parametrize("source", ["head", "ict"])
def test_real_photos_fit(shared_data, source):
    """Issue 3: 68-point error normalised by the box at most 2.5 %; measured 1.32 with the head, 1.27 with ICT."""
    model = load_face_model("head" if source == "head" else f"ict:{shared_data / 'ict_facekit/ict_light.npz'}")
    landmarks = lfpw(shared_data)
    fit = fit_landmarks(model, landmarks)
    assert len(landmarks) == 224
    assert 0.3 < fit.error.mean() < 2.5


def test_yaw_has_the_sign_of_3ddfa_labels(shared_data):
    """Published 3DDFA_V2 fits of the same photos: yaw is asin of entry (2, 0) of r1, r2, r1 × r2, with AFLW2000-3D's
    sign.
    """
    labels = np.load(shared_data / "pseudo3d/tddfa_v2_mb05_fits.npz")
    rows = np.flatnonzero(np.char.startswith(labels["image"], "300w/images/test/common/lfpw"))
    affine = labels["params"][rows, :12].reshape(-1, 3, 4)[:, :2, :3]
    affine /= np.linalg.norm(affine, axis=2, keepdims=True)
    expected = np.degrees(np.arcsin(np.cross(affine[:, 0], affine[:, 1])[:, 0]))
    paths = [shared_data.joinpath(labels["image"][row]).with_suffix(".pts") for row in rows]
    landmarks = torch.from_numpy(np.stack([read_pts(path, 68) for path in paths]))
    yaw = fit_landmarks(load_face_model("head"), landmarks).pose_deg()[:, 1].numpy()
    turned = np.abs(expected) > 15
    assert turned.sum() > 40 and (np.sign(yaw[turned]) == np.sign(expected[turned])).all()
    assert np.median(np.abs(yaw - expected)) < 6


def test_a_fit_is_a_value(small):
    fit = fit_landmarks(small, faces(small)["landmarks"][..., :2])
    part = fit[torch.tensor([True, False, True])]
    assert isinstance(part, Fit) and torch.equal(part.scale, fit.scale[[0, 2]])
