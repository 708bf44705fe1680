"""Similarities against the ones that made the points, a NumPy oracle, and float64 gradients."""

import numpy as np
import pytest
import torch

from geometry.rotations import rotation_from_euler
from geometry.similarity import moved, similarity, similarity_matrices_2d


def test_the_motion_that_made_the_points_is_found():
    generator = torch.Generator().manual_seed(3)
    points = torch.randn(4, 20, 3, generator=generator, dtype=torch.float64)
    rotation = rotation_from_euler(torch.randn(4, 3, generator=generator, dtype=torch.float64))
    scale = torch.tensor([0.5, 1.0, 2.0, 3.0], dtype=torch.float64)
    shift = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    target = moved(points, (scale, rotation, shift))
    found = similarity(points, target)
    for value, truth in zip(found, (scale, rotation, shift), strict=True):
        assert torch.allclose(value, truth, atol=1e-12)


def test_noisy_and_mirrored_points_agree_with_numpy():
    rng = np.random.default_rng(0)
    for mirrored in (1.0, -1.0):
        source = rng.normal(size=(12, 3))
        target = source * [mirrored, 1, 1] + 0.3 * rng.normal(size=(12, 3))
        a, b = source - source.mean(0), target - target.mean(0)
        u, values, vt = np.linalg.svd(b.T @ a)
        sign = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
        rotation = (u * sign) @ vt
        scale = (values * sign).sum() / (a**2).sum()
        found = similarity(torch.from_numpy(source)[None], torch.from_numpy(target)[None])
        assert float(found[0]) == pytest.approx(scale)
        np.testing.assert_allclose(found[1][0].numpy(), rotation, atol=1e-12)
        rigid = similarity(torch.from_numpy(source)[None], torch.from_numpy(target)[None], scaled=False)
        assert float(rigid[0]) == 1


def test_weights_leave_points_out():
    points = torch.randn(1, 8, 3, dtype=torch.float64)
    target = 2 * points + 1
    target[0, 0] += 5
    weights = torch.ones(8)
    weights[0] = 0
    scale, _, shift = similarity(points, target, weights)
    assert torch.allclose(scale, torch.tensor([2.0], dtype=torch.float64)) and torch.allclose(
        shift, torch.ones(1, 3).double()
    )


def test_similarities_of_the_plane():
    angle, source = 0.4, torch.randn(3, 5, 2, dtype=torch.float64)
    turn = torch.tensor([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    target = 1.7 * source[0] @ turn.T + torch.tensor([3.0, -2.0])
    matrix = similarity_matrices_2d(source, target)[0]
    assert torch.allclose(matrix[:, :2], 1.7 * turn) and torch.allclose(
        matrix[:, 2], torch.tensor([3.0, -2.0]).double()
    )
    assert torch.autograd.gradcheck(lambda s: similarity_matrices_2d(s, target), source.requires_grad_(True))
