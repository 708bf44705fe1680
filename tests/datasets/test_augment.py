"""Augmentation: random numbers, geometry, degradations."""

import numpy as np
import pytest
import torch
from skimage.transform import AffineTransform

from datasets.augment import (
    LEVELS,
    Augmentation,
    BatchTransform,
    hash_uniform,
    sample_matrices,
    transform_points,
    warp,
)
from geometry.schemes import IBUG_68


def test_hash_is_uniform_and_independent():
    numbers = hash_uniform(3, 5, torch.arange(20_000), 0, 7)
    assert numbers.min() >= 0 and numbers.max() < 1
    counts = torch.histc(numbers.flatten(), 20, 0, 1) / numbers.numel() * 20
    assert (counts - 1).abs().max() < 0.055, "4.5 standard deviations of a bin of 7,000"
    assert np.abs(np.corrcoef(numbers.T) - np.eye(7)).max() < 0.03
    assert np.abs(np.corrcoef(numbers[:-1, 0], numbers[1:, 0])[0, 1]) < 0.03


def test_hash_depends_on_its_arguments_alone():
    order = torch.tensor([4, 0, 9])
    assert torch.equal(hash_uniform(1, 2, order, 0, 3), hash_uniform(1, 2, torch.arange(10), 0, 3)[order])
    base = hash_uniform(1, 2, order, 0, 3)
    for other in ((2, 2, 0), (1, 3, 0), (1, 2, 1), (1, 10**12, 0)):
        assert not torch.equal(base, hash_uniform(other[0], other[1], order, other[2], 3))


@pytest.mark.parametrize("level", range(8))
def test_matrices_are_those_of_skimage(level):
    uniform = hash_uniform(0, 0, torch.arange(16), 0, 6)
    matrices = sample_matrices(LEVELS[level], uniform, 91, 64, torch.zeros(16, dtype=torch.bool))
    for u, matrix in zip(uniform.numpy().astype(np.float64), matrices.numpy(), strict=True):
        limits = LEVELS[level]
        low, high = limits.scale
        shift = np.round((2 * u[1:3] - 1) * limits.translation * 91)
        affine = AffineTransform(
            scale=low + u[3:5] * (high - low),
            rotation=np.radians((2 * u[0] - 1) * limits.rotation_deg),
            shear=(np.radians((2 * u[5] - 1) * limits.shear_deg), 0),
        ).params[:2, :2]
        centre = np.array([45.5, 45.5])
        # skimage's shear is a tangent factor since 0.20, ours an angle as in the papers' version: equal for small
        # angles
        assert np.abs(affine - matrix[:, :2]).max() < 5e-3
        np.testing.assert_allclose(matrix[:, :2] @ centre + matrix[:, 2], centre - 13 + shift, atol=1e-4)


def test_warp_puts_a_dot_where_points_go():
    y, x = torch.meshgrid(torch.arange(91) + 0.5, torch.arange(91) + 0.5, indexing="ij")
    truth = torch.tensor([50.3, 41.7])
    dot = torch.exp(-((x - truth[0]) ** 2 + (y - truth[1]) ** 2) / 18)
    uniform = hash_uniform(7, 0, torch.arange(12), 0, 6)
    flip = torch.arange(12) % 2 == 0
    matrices = sample_matrices(LEVELS[5], uniform, 91, 64, flip)
    moved = transform_points(matrices, truth.expand(12, 1, 2))[:, 0]
    warped = warp(dot.expand(12, 3, 91, 91), matrices, 64)[:, 0]
    rows, columns = torch.meshgrid(torch.arange(64) + 0.5, torch.arange(64) + 0.5, indexing="ij")
    weights = warped.clamp_min(0.02) - 0.02
    found = (
        torch.stack([(weights * columns).sum((1, 2)), (weights * rows).sum((1, 2))], 1) / weights.sum((1, 2))[:, None]
    )
    assert (found - moved).abs().max() < 0.1


def make_batch(count=6):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 3, 91, 91), generator=generator, dtype=torch.uint8)
    landmarks = torch.rand(count, 68, 2, generator=generator) * 64 + 13
    return images, landmarks, torch.ones(count, 68), torch.arange(count)


def test_level_0_without_flip_is_the_centre_crop():
    exact = BatchTransform(64, None)(*make_batch())
    level_0 = BatchTransform(64, None, None, Augmentation(0, flip=0.0))(*make_batch())
    assert torch.allclose(exact.images, level_0.images, atol=1e-5)
    assert torch.allclose(exact.landmarks, level_0.landmarks, atol=1e-4)


def test_flip_mirrors_image_and_landmarks_together():
    images, landmarks, visible, indices = make_batch()
    visible[:, 36] = 0
    plain = BatchTransform(64, None)(images, landmarks, visible, indices)
    flipped = BatchTransform(64, None, IBUG_68.flip_permutation, Augmentation(0, flip=1.0))(
        images, landmarks, visible, indices
    )
    # R − S is odd, so the mirror of the padded crop moves the inner one by a pixel
    assert torch.allclose(flipped.images[..., 1:], plain.images.flip(-1)[..., :-1], atol=1e-4)
    mirrored = plain.landmarks[:, IBUG_68.flip_permutation] * torch.tensor([-1.0, 1.0]) + torch.tensor([65.0, 0.0])
    assert torch.allclose(flipped.landmarks, mirrored, atol=1e-3)
    assert (flipped.visibility[:, 45] == 0).all() and (flipped.visibility[:, 36] == 1).all()


@pytest.mark.parametrize("kind", ["occlusion", "colour", "blur", "jpeg"])
def test_degradations_change_only_the_chosen(kind):
    images = make_batch(40)
    plain = BatchTransform(64, None, None, Augmentation(0, flip=0.0))(*images).images
    changed = BatchTransform(64, None, None, Augmentation(0, flip=0.0, **{kind: 0.5}))(*images).images
    difference = (changed - plain).abs().amax(dim=(1, 2, 3))
    share = (difference > 1e-3).float().mean()
    assert 0.2 < share < 0.8
    assert changed.min() >= -1e-6 and changed.max() <= 1 + 1e-6


def test_draws_repeat_for_the_same_seed_and_step_only():
    transform = BatchTransform(64, None, IBUG_68.flip_permutation, Augmentation(4, occlusion=0.5), seed=1)
    first, again, later = transform(*make_batch(), 3), transform(*make_batch(), 3), transform(*make_batch(), 4)
    assert torch.equal(first.images, again.images) and not torch.equal(first.images, later.images)


def test_depth_scales_with_the_affine():
    points = torch.rand(1, 5, 3)
    matrix = torch.tensor([[[2.0, 0, 1], [0, 2.0, 1]]])
    assert torch.allclose(transform_points(matrix, points)[..., 2], 2 * points[..., 2])


def test_unknown_level():
    with pytest.raises(ValueError, match="0..8"):
        Augmentation(9)
