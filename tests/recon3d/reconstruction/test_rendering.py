"""Camera oracles, iteration 0, and coefficients that come back from a rendered face."""

import pytest
import torch

from geometry.cameras import rigid_transform
from geometry.rotations import rotation_from_euler
from morphable.fit import matched_bases
from morphable.model import EMBEDDED_HEAD, FaceModel
from morphable.open import load_face_model
from networks.coefficient_net import CoefficientNet
from recon3d.reconstruction import losses
from recon3d.reconstruction.coefficients import Coefficients, config_for, held_in_box, split
from recon3d.reconstruction.renderer import Camera, FaceRenderer


@pytest.fixture(scope="module")
def head():
    return FaceModel.load(EMBEDDED_HEAD)


def zeros(model, count=1) -> Coefficients:
    return split(model, torch.zeros(count, sum(model.sizes) + 33))


def test_pose_and_camera_are_deep3d_s():
    rotation = rotation_from_euler(torch.tensor([[0.1, 0.2, 0.3]]), "deep3d")
    posed = rigid_transform(torch.tensor([[[0.3, 0.2, 0.5]]]), rotation, torch.tensor([[0.01, -0.02, 0.03]]))
    assert torch.allclose(posed[0, 0], torch.tensor([0.345044, 0.239695, 0.477553]), atol=1e-6)
    x, y = Camera().landmarks(posed)[0, 0].tolist()
    assert x == pytest.approx(148.77834, abs=1e-4) and 224 - y == pytest.approx(137.54919, abs=1e-4)
    half = Camera.of_size(112).landmarks(posed)[0, 0].tolist()
    assert half == pytest.approx([x / 2, y / 2], abs=1e-4)
    shifted = (
        Camera(half_pixel_shift=True).landmarks(posed)[0, 0].tolist()
    )  # the label is (x − 0.5, 223.5 − y) in the files
    assert shifted[0] - 0.5 == pytest.approx(148.77834, abs=1e-4) and 223.5 - shifted[1] == pytest.approx(
        137.54919, abs=1e-4
    )


def test_iteration_0_draws_the_mean_face_in_the_middle(head):
    network = CoefficientNet(config_for(head, "resnet18")).eval()
    renderer = FaceRenderer(head)
    coefficients = split(head, network(torch.rand(2, 3, 64, 64)))
    geometry = renderer.geometry(coefficients)
    albedo = renderer.albedo(coefficients)
    picture = renderer.picture(geometry, renderer.lit(coefficients, geometry, albedo))
    assert torch.equal(geometry.shape[0], head.mean) and torch.equal(albedo[1], head.albedo_mean)
    lit = renderer.lit(coefficients, geometry, albedo)
    assert torch.allclose(lit, head.albedo_mean * 0.708982, atol=1e-5)  # constant shading without light
    face = picture.face[0].float().mean()
    assert 0.2 < face < 0.45 and picture.mask[0].float().mean() > face  # the Basel front's crop mask covers 0.316
    # the reference five points land where alignment puts those of a photo
    reference = head.five_points[:, :2] * torch.tensor([102.0, -102.0]) + 112
    found = geometry.landmarks[0]
    five = torch.stack([found[[36, 39]].mean(0), found[[42, 45]].mean(0), *found[[30, 48, 54]]])
    assert (five - reference).abs().max() < 5


@pytest.mark.parametrize(("part", "coverage"), [("narrow", 0.44), ("face", 0.60)])
def test_coverage_of_the_scan_based_model_is_the_published_one(shared_data, part, coverage):
    model = load_face_model(f"ict:{shared_data / 'ict_facekit/ict_light.npz'}#{part}")
    renderer = FaceRenderer(model)
    geometry = renderer.geometry(zeros(model))
    picture = renderer.picture(geometry, torch.ones_like(geometry.shape))
    assert float(picture.mask.float().mean()) == pytest.approx(coverage, abs=0.02)  # the head's origin lies elsewhere


def test_wrong_length_is_named(head):
    with pytest.raises(ValueError, match=r"257 coefficients came; .* takes 80\+52\+40\+3\+27\+3"):
        split(head, torch.zeros(1, 257))


def test_the_box_holds_weights_and_lets_them_back_in():
    values = torch.tensor([-0.5, 0.0, 0.4, 1.2], requires_grad=True)
    held_in_box(values).sum().backward()  # a descent step lowers all
    assert values.grad.tolist() == [0.0, 0.0, 1.0, 1.0]
    values.grad = None
    (-held_in_box(values)).sum().backward()
    assert values.grad.tolist() == [-1.0, -1.0, -1.0, 0.0]
    assert held_in_box(values).tolist() == pytest.approx([0, 0, 0.4, 1])


def test_jaw_landmarks_slide_as_those_of_the_fit_do(head):
    coefficients = zeros(head).replaced(angles=torch.tensor([[0.1, 0.6, -0.1]]), identity=torch.randn(1, 80) * 0.5)
    geometry = FaceRenderer(head).geometry(coefficients)
    bases = matched_bases(head, "ibug68", coefficients.identity, coefficients.expression, coefficients.rotation)
    points = bases.points(coefficients.identity, coefficients.expression) @ coefficients.rotation.mT
    assert torch.allclose(geometry.landmarks, Camera().landmarks(points), atol=1e-3)
    fixed = FaceRenderer(head, slide_contour=False).geometry(coefficients).landmarks
    assert (fixed - geometry.landmarks).norm(dim=-1)[0, :17].max() > 3
    assert torch.allclose(fixed[0, 17:], geometry.landmarks[0, 17:])


def test_direct_optimisation_recovers_a_rendered_face(head):
    model = head.truncated(10, 52, 5)
    renderer = FaceRenderer(model, Camera.of_size(112))
    truth = zeros(model).replaced(
        identity=torch.randn(1, 10),
        albedo=torch.randn(1, 5),
        angles=torch.tensor([[0.05, 0.3, -0.1]]),
        translation=torch.tensor([[0.1, -0.05, 0.2]]),
        gamma=torch.randn(1, 1, 9).expand(1, 3, 9) * 0.1,
    )
    goal = renderer.geometry(truth)
    photo = renderer.picture(goal, renderer.lit(truth, goal, renderer.albedo(truth))).colours.detach()
    raw = torch.zeros(1, sum(model.sizes) + 33, requires_grad=True)
    optimizer = torch.optim.Adam([raw], 0.03)
    weights = losses.landmark_weights()
    for _ in range(120):
        optimizer.zero_grad()
        found = split(model, raw)
        geometry = renderer.geometry(found)
        picture = renderer.picture(geometry, renderer.lit(found, geometry, renderer.albedo(found)))
        colour = losses.photometric_loss(picture.colours, photo, picture.face.float())
        (colour * 10 + 0.05 * losses.landmark_loss(geometry.landmarks, goal.landmarks, weights)).backward()
        optimizer.step()
    error = (geometry.landmarks - goal.landmarks).norm(dim=-1).mean().detach()
    pose = (split(model, raw.detach()).pose_deg() - truth.pose_deg()).abs().max()
    assert float(error) < 0.7 and float(pose) < 4 and float(colour.detach()) < 0.035, (error, pose)
    start = renderer.picture(renderer.geometry(zeros(model)), model.albedo_mean[None] * 0.709)
    assert float(losses.photometric_loss(start.colours, photo, start.face.float())) > 0.1
