"""Rotations against published oracles, round trips, gimbal lock."""

import math

import pytest
import torch

from geometry.rotations import CONVENTIONS, euler_from_rotation, nearest_rotation, rotation_from_euler

GENERATOR = torch.Generator().manual_seed(0)


def test_deep3d_matches_the_published_oracle():
    # Deep3D's row-vector matrix of (0.1, 0.2, 0.3); ours acts on columns and is its transpose
    rows = [[0.936293, 0.289629, -0.198669], [-0.275096, 0.956425, 0.097843], [0.218351, -0.036957, 0.975170]]
    ours = rotation_from_euler(torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64), "deep3d")
    torch.testing.assert_close(ours.T, torch.tensor(rows, dtype=torch.float64), atol=1e-6, rtol=0)


def test_aflw2000_is_the_product_of_its_three_matrices():
    p, y, r = 0.3, -0.7, 0.2
    rx = torch.tensor([[1, 0, 0], [0, math.cos(p), math.sin(p)], [0, -math.sin(p), math.cos(p)]])
    ry = torch.tensor([[math.cos(y), 0, -math.sin(y)], [0, 1, 0], [math.sin(y), 0, math.cos(y)]])
    rz = torch.tensor([[math.cos(r), math.sin(r), 0], [-math.sin(r), math.cos(r), 0], [0, 0, 1]])
    torch.testing.assert_close(rotation_from_euler(torch.tensor([p, y, r])), rx @ ry @ rz)


def test_3ddfa_is_how_3ddfa_reads_its_matrix():
    rotation = nearest_rotation(torch.randn(50, 3, 3, generator=GENERATOR, dtype=torch.float64))
    pitch, yaw, roll = euler_from_rotation(rotation, "3ddfa").unbind(-1)
    torch.testing.assert_close(yaw, torch.asin(rotation[:, 2, 0]))
    torch.testing.assert_close(pitch, torch.atan2(rotation[:, 2, 1], rotation[:, 2, 2]))
    torch.testing.assert_close(roll, torch.atan2(rotation[:, 1, 0], rotation[:, 0, 0]))


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_angles_come_back(convention):
    angles = (torch.rand(500, 3, generator=GENERATOR, dtype=torch.float64) * 2 - 1) * torch.tensor([3.14, 1.57, 3.14])
    rotation = rotation_from_euler(angles, convention)
    torch.testing.assert_close(rotation @ rotation.mT, torch.eye(3, dtype=torch.float64).expand(500, 3, 3))
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(500, dtype=torch.float64))
    torch.testing.assert_close(euler_from_rotation(rotation, convention), angles, atol=1e-9, rtol=0)


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("side", [-1, 1])
def test_gimbal_lock_gives_the_same_rotation_with_roll_zero(convention, dtype, side):
    angles = torch.tensor([[0.4, side * math.pi / 2, -0.9], [-2.0, side * math.pi / 2, 1.1]], dtype=dtype)
    rotation = rotation_from_euler(angles, convention)
    found = euler_from_rotation(rotation.clone().requires_grad_(), convention)
    again = rotation_from_euler(found.detach(), convention)
    torch.testing.assert_close(again, rotation, atol=4e-6 if dtype == torch.float32 else 1e-12, rtol=0)
    torch.testing.assert_close(
        found[:, 1].detach().abs(), torch.full((2,), math.pi / 2, dtype=dtype), atol=1e-6, rtol=0
    )
    assert found[:, 2].abs().max() == 0


def test_the_gradient_is_finite_in_gimbal_lock_and_right_elsewhere():
    locked = torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]], requires_grad=True)
    euler_from_rotation(locked).sum().backward()
    assert locked.grad.isfinite().all()
    rotation = nearest_rotation(torch.randn(4, 3, 3, generator=GENERATOR, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(euler_from_rotation, rotation)


def test_nearest_rotation_of_scaled_mirrored_and_noisy_matrices():
    rotation = rotation_from_euler(torch.tensor([[0.2, -0.5, 0.9]], dtype=torch.float64))
    torch.testing.assert_close(nearest_rotation(rotation * 0.0005), rotation)
    mirrored = nearest_rotation(rotation * torch.tensor([1.0, 1.0, -0.1], dtype=torch.float64))
    torch.testing.assert_close(torch.linalg.det(mirrored), torch.ones(1, dtype=torch.float64))
    noisy = rotation + 0.1 * torch.randn(1, 3, 3, generator=GENERATOR, dtype=torch.float64)
    best = (nearest_rotation(noisy) - noisy).norm()
    for _ in range(200):
        other = rotation_from_euler(torch.rand(3, generator=GENERATOR, dtype=torch.float64) * 6)
        assert (other - noisy).norm() >= best


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="unknown convention .* 'xyz'; choose one of aflw2000"):
        rotation_from_euler(torch.zeros(3), "xyz")
    with pytest.raises(ValueError, match="pitch, yaw and roll"):
        rotation_from_euler(torch.zeros(2))
    with pytest.raises(ValueError, match=r"not \(\.\.\., 3, 3\)"):
        euler_from_rotation(torch.zeros(3, 4))
