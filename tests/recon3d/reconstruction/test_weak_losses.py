"""Every loss term against its closed form, with finite gradients where both pictures agree."""

import math

import pytest
import torch

from recon3d.reconstruction import losses
from recon3d.reconstruction.augment import AlignedAugmentation, augment


def test_photometric_is_the_attended_mean_of_distances():
    photo = torch.zeros(1, 2, 2, 3)
    rendered = torch.tensor([[[[0.3, 0.0, 0.4], [1.0, 1.0, 1.0]], [[0.0, 0.0, 0.0], [0.0, 0.6, 0.8]]]])
    attention = torch.tensor([[[1.0, 0.0], [0.5, 2.0]]])
    expected = (1.0 * 0.5 + 0.5 * 0 + 2.0 * 1.0) / 3.5
    assert float(losses.photometric_loss(rendered, photo, attention, 0)) == pytest.approx(expected)
    assert float(losses.photometric_loss(rendered, photo, attention / 10, 0)) == pytest.approx(0.25)  # Σm < 1


def test_photometric_gradient_is_finite_where_pictures_agree():
    rendered = torch.zeros(1, 2, 2, 3, requires_grad=True)
    losses.photometric_loss(rendered, torch.zeros(1, 2, 2, 3), torch.ones(1, 2, 2)).backward()
    assert torch.isfinite(rendered.grad).all()


def test_landmarks_weigh_nose_and_inner_lips_twenty_times():
    weights = losses.landmark_weights()
    assert float(weights.sum()) == 57 + 11 * 20
    truth = torch.zeros(2, 68, 2)
    found = truth.clone()
    found[0, 0] = torch.tensor([3.0, 4.0])
    found[1, 30] = torch.tensor([1.0, 0.0])
    assert float(losses.landmark_loss(found, truth, weights)) == pytest.approx((25 + 20) / (68 * 2))


def test_l1_of_landmarks_counts_coordinates_alike():
    truth = torch.zeros(2, 68, 2)
    found = truth.clone()
    found[0, 30] = torch.tensor([3.0, -4.0])
    assert float(losses.landmark_l1(found, truth)) == pytest.approx(7 / (2 * 68 * 2))


def test_perceptual_is_one_minus_cosine():
    a, b = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[1.0, 1.0], [0.0, 5.0]])
    assert float(losses.perceptual_loss(a, b)) == pytest.approx((1 - math.sqrt(0.5)) / 2)
    assert float(losses.perceptual_loss(a, a * 3, clamp=True)) == pytest.approx(0, abs=1e-6)


def test_regularisers():
    a, b, c = torch.full((2, 3), 2.0), torch.full((2, 2), 1.0), torch.full((2, 4), 3.0)
    assert float(losses.coefficient_loss(a, b, c)) == pytest.approx(12 + 0.8 * 2 + 0.017 * 36)
    albedo = torch.tensor([[[0.0, 0, 0], [1.0, 0, 0], [9.0, 9, 9]]])
    assert float(losses.reflectance_loss(albedo, torch.tensor([1.0, 1.0, 0.0]))) == pytest.approx(0.25)
    gamma = torch.zeros(1, 3, 9)
    gamma[0, 0, 0] = 3.0  # mean 1: deviations 2, −1, −1
    assert float(losses.gamma_loss(gamma)) == pytest.approx(6 / 27)
    assert float(losses.box_loss(torch.tensor([[-0.5, 0.5, 1.5, 1.0]]))) == pytest.approx(0.125)


def test_shape_loss_counts_known_faces_alone_in_mm():
    found, weights = torch.zeros(3, 2, 3, requires_grad=True), torch.tensor([3.0, 1.0])
    truth = torch.full((3, 2, 3), torch.nan)
    assert float(losses.shape_loss(found.detach(), truth, weights)) == 0
    truth[1] = torch.tensor([[0.03, 0, 0.04], [0, 0, 0.01]])  # 5 mm and 1 mm
    loss = losses.shape_loss(found, truth, weights)
    assert loss.item() == pytest.approx((3 * 5 + 1) / 4)
    loss.backward()
    assert torch.isfinite(found.grad).all() and not found.grad[[0, 2]].any() and found.grad[1].any()


@pytest.mark.parametrize("name", ["photometric", "perceptual", "reflectance"])
def test_gradients(name):
    torch.manual_seed(1)
    kind = {"dtype": torch.float64}
    other, weights = torch.rand(1, 3, 2, 3, **kind), torch.rand(1, 3, 2, **kind)
    functions = {
        "photometric": lambda x: losses.photometric_loss(x, other, weights),
        "perceptual": lambda x: losses.perceptual_loss(x.flatten(1), other.flatten(1)),
        "reflectance": lambda x: losses.reflectance_loss(x.flatten(1, 2), weights.flatten()),
    }
    assert torch.autograd.gradcheck(functions[name], torch.rand(1, 3, 2, 3, **kind, requires_grad=True))


def test_augmentation_moves_picture_mask_and_landmarks_together():
    size, count = 64, 6
    points = torch.rand(count, 68, 2) * 30 + 17
    points[:, 8] = torch.tensor([30.5, 34.5])  # the chin has no mirror partner
    images = torch.zeros(count, 3, size, size, dtype=torch.uint8)
    images[:, :, 33:36, 29:32] = 255
    indices = torch.arange(count)
    moved, mask, found, _ = augment(images, images[:, :1], points, indices, 5, AlignedAugmentation(), seed=2)
    grid = torch.arange(size) + 0.5
    mass = mask[:, 0] / mask[:, 0].sum((1, 2), keepdim=True)
    centre = torch.stack([(mass.sum(1) * grid).sum(1), (mass.sum(2) * grid).sum(1)], 1)
    assert (centre - found[:, 8]).abs().max() < 0.2 and torch.equal(moved[:, :1], mask)
    again = augment(images[2:3], images[2:3, :1], points[2:3], indices[2:3], 5, AlignedAugmentation(), seed=2)
    assert torch.allclose(again[2], found[2:3])  # depends on the sample, not on the batch
    still = augment(images, images[:, :1], points, indices, 5, AlignedAugmentation.none())
    assert torch.equal(still[2], points) and torch.equal(still[0], images / 255)
    _, _, flipped, mirrored = augment(images, images[:, :1], points, indices, 0, AlignedAugmentation(0, 0, 0, 1.0))
    assert mirrored.all()
    assert torch.allclose(flipped[:, 36, 0], size - points[:, 45, 0], atol=1e-4)  # left and right eye change places
