"""The closed form against the 8 × 8 pseudo-inverse, finite differences and what is known about the problem."""

import numpy as np
import pytest
import torch

from geometry.lifted_affine import (
    _Residual,
    apply_affine,
    fit_plane,
    fix_gauge,
    free_depth_bound,
    keypoint_loss,
    plane_error,
    solve_affine,
)


@pytest.fixture
def pairs():
    """16 pairs of 66 points that only roughly share a shape, float64."""
    generator = torch.Generator().manual_seed(1)
    shape = torch.randn(16, 66, 3, generator=generator, dtype=torch.float64) * torch.tensor([0.2, 0.25, 0.1])
    source = shape[..., :2] + 0.5
    turned = shape @ torch.linalg.qr(torch.randn(16, 3, 3, generator=generator, dtype=torch.float64))[0]
    target = turned[..., :2] + 0.02 * torch.randn(16, 66, 2, generator=generator, dtype=torch.float64) + 0.4
    return source, shape[..., 2] + 0.3, target


def pseudo_inverse(source, depth, target):
    """Upstream's 132 × 8 system for one pair, solved with float64 pinv: columns m1 m2 m3 m4 m5 m6 tx ty."""
    count = len(source)
    system = np.zeros((2 * count, 8))
    system[0::2, 0:2], system[0::2, 2], system[0::2, 6] = source, depth, 1
    system[1::2, 3:5], system[1::2, 5], system[1::2, 7] = source, depth, 1
    m = np.linalg.pinv(system) @ target.ravel()
    return np.array([[*m[:3], m[6]], [*m[3:6], m[7]]])


def test_solution_is_the_pseudo_inverse(pairs):
    ours = solve_affine(*pairs)
    for i in range(16):
        np.testing.assert_allclose(ours[i], pseudo_inverse(*(part[i].numpy() for part in pairs)), atol=1e-9)
    single = solve_affine(*(part.float() for part in pairs))
    torch.testing.assert_close(single.double(), ours, atol=1e-4, rtol=1e-4)


def test_loss_is_that_of_the_solution_in_both_precisions(pairs):
    source, depth, target = pairs
    wanted = (apply_affine(solve_affine(*pairs), source, depth) - target).square().mean(dim=(-2, -1))
    torch.testing.assert_close(keypoint_loss(*pairs), wanted, rtol=1e-12, atol=0)
    torch.testing.assert_close(keypoint_loss(*(part.float() for part in pairs)).double(), wanted, rtol=2e-5, atol=0)


def test_gradient_is_the_finite_difference(pairs):
    source, depth, target = (part[:3, ::6] for part in pairs)
    fit = fit_plane(source, target)
    z = depth.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda d: _Residual.apply(d, fit.source, fit.gram_inverse, fit.residual), z)
    through_solve = (
        (apply_affine(solve_affine(source, z, target), source, z) - target).square().mean(dim=(-2, -1)).sum()
    )
    (wanted,) = torch.autograd.grad(through_solve, z)
    (ours,) = torch.autograd.grad(keypoint_loss(source, z, target).sum(), z)
    torch.testing.assert_close(ours, wanted, rtol=1e-9, atol=1e-15)


def test_detaching_the_solve_changes_nothing_for_squares(pairs):
    """The envelope theorem: upstream's --detach only matters for the absolute error."""
    source, depth, target = pairs
    z = depth.clone().requires_grad_()
    matrix = solve_affine(source, z.detach(), target)
    (detached,) = torch.autograd.grad((apply_affine(matrix, source, z) - target).square().mean(dim=(-2, -1)).sum(), z)
    (ours,) = torch.autograd.grad(keypoint_loss(source, z, target).sum(), z)
    torch.testing.assert_close(detached, ours, rtol=1e-9, atol=1e-15)


def test_gradient_is_orthogonal_to_the_gauge(pairs):
    source, depth, target = pairs
    z = depth.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(keypoint_loss(source, z, target).sum(), z)
    for direction in (torch.ones_like(depth), source[..., 0], source[..., 1], depth):
        assert ((gradient * direction).sum(dim=-1).abs() < 1e-15).all()


def test_loss_and_gauge_do_not_change_with_the_gauge(pairs):
    source, depth, target = pairs
    other = -2.5 * depth + 0.7 * source[..., 0] - 1.2 * source[..., 1] + 3
    torch.testing.assert_close(keypoint_loss(source, other, target), keypoint_loss(*pairs), rtol=1e-6, atol=0)
    fixed = fix_gauge(source, depth)
    torch.testing.assert_close(fix_gauge(source, other), fixed, rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(fixed.square().sum(dim=-1), torch.ones(16, dtype=torch.float64))


def test_loss_lies_between_its_bounds(pairs):
    source, depth, target = pairs
    loss = keypoint_loss(*pairs)
    assert (loss >= free_depth_bound(source, target) * (1 - 1e-9)).all()
    assert (loss <= plane_error(source, target) * (1 + 1e-9)).all()
    residual = fit_plane(source, target).residual
    best = torch.linalg.svd(residual)[2][:, 0]  # the depth that reaches the bound
    torch.testing.assert_close(keypoint_loss(source, best, target), free_depth_bound(source, target), rtol=1e-9, atol=0)


def test_exact_pairs_are_recovered(pairs):
    source, depth, _ = pairs
    matrix = torch.randn(16, 2, 4, dtype=torch.float64)
    target = apply_affine(matrix, source, depth)
    assert (keypoint_loss(source, depth, target) < 1e-12).all()
    torch.testing.assert_close(solve_affine(source, depth, target), matrix, rtol=1e-8, atol=1e-10)


def test_affine_depth_falls_back_to_the_plane(pairs):
    source, _, target = pairs
    flat = (source[..., 0] * 0.4 - source[..., 1] + 0.1).requires_grad_()
    loss = keypoint_loss(source, flat, target)
    torch.testing.assert_close(loss, plane_error(source, target))
    assert torch.isfinite(torch.autograd.grad(loss.sum(), flat)[0]).all()
    assert (solve_affine(source, flat, target)[..., 2] == 0).all() and (fix_gauge(source, flat.detach()) == 0).all()


def test_collinear_points_give_nan_and_few_points_an_error(pairs):
    source, depth, target = pairs
    line = torch.stack([source[..., 0], 2 * source[..., 0]], dim=-1)
    assert solve_affine(line, depth, target).isnan().any()
    with pytest.raises(ValueError, match="at least 4"):
        solve_affine(source[:, :3], depth[:, :3], target[:, :3])
    with pytest.raises(ValueError, match="do not match"):
        solve_affine(source, depth[:, :60], target)


def test_ridge_is_the_tikhonov_solution(pairs):
    source, depth, target = pairs
    ours = solve_affine(*pairs, ridge=0.05)
    lifted = torch.cat([source, depth[..., None], torch.ones_like(depth)[..., None]], dim=-1).mT
    wanted = target.mT @ lifted.mT @ torch.linalg.inv(lifted @ lifted.mT + 0.05 * torch.eye(4, dtype=torch.float64))
    torch.testing.assert_close(ours, wanted, rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(solve_affine(*pairs, ridge=1e-14), solve_affine(*pairs), rtol=1e-6, atol=1e-8)
