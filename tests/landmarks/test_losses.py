"""Losses against closed forms, loops and float64 gradients."""

import math

import pytest
import torch
from torch import nn

from common.errors import ConfigError
from landmarks.losses import (
    AdaptiveWingLoss,
    PerceptualLoss,
    StructuralLoss,
    discriminator_loss,
    generator_loss,
    heatmap_l2,
    load_vgg19,
    pixel_l1,
    pixel_l2,
)
from networks.discriminators import ImageDiscriminator
from training.penalties import interpolation_penalty


def test_pixel_losses():
    x = torch.zeros(2, 3, 8, 8)
    assert float(pixel_l1(x + 0.1, x)) == pytest.approx(25.5) and float(pixel_l2(x + 0.1, x)) == pytest.approx(0.01)


def test_structural_loss_fast_equals_reference_and_loop():
    x, y = torch.rand(2, 3, 40, 44), torch.rand(2, 3, 40, 44)
    fast, slow = StructuralLoss().per_image(x, y), StructuralLoss(impl="reference").per_image(x, y)
    assert torch.allclose(fast, slow, atol=1e-6)
    offsets = torch.arange(-15, 16, dtype=torch.float64)
    taps = torch.exp(-(offsets**2) / (2 * 1.5**2))
    window = torch.outer(taps, taps) / taps.sum() ** 2
    values = []
    for channel in range(3):
        for i in range(10):
            for j in range(14):
                a, b = (v[0, channel, i : i + 31, j : j + 31].double() for v in (x, y))
                ma, mb = (window * a).sum(), (window * b).sum()
                va, vb = (window * a * a).sum() - ma**2, (window * b * b).sum() - mb**2
                values.append((2 * ((window * a * b).sum() - ma * mb) + 0.03**2) / (va + vb + 0.03**2))
    assert float(fast[0]) == pytest.approx(1 - float(sum(values) / len(values)), abs=1e-5)
    assert float(StructuralLoss()(x, x)) == pytest.approx(0, abs=1e-6)


def test_structural_loss_does_not_depend_on_a_black_pixel():
    x, y = torch.rand(1, 3, 40, 40), torch.rand(1, 3, 40, 40)
    before = StructuralLoss()(x - 0.4, y - 0.4)
    y[0, 0, 20, 20] = -0.2
    assert abs(float(StructuralLoss()(x - 0.4, y - 0.4) - before)) < 0.05


def test_structural_loss_of_a_small_image():
    with pytest.raises(ValueError, match="31"):
        StructuralLoss()(torch.rand(1, 3, 20, 20), torch.rand(1, 3, 20, 20))


@pytest.mark.parametrize("y", [0.0, 0.5, 1.0])
def test_adaptive_wing_is_continuous_and_smooth_at_theta(y):
    loss, target, h = AdaptiveWingLoss(), torch.tensor([y], dtype=torch.float64), 1e-6
    sides = [loss.elementwise(target + 0.5 + s, target) for s in (-h, h)]
    assert abs(float(sides[1] - sides[0])) < 1e-4
    slopes = []
    for s in (-1e-4, 1e-4):
        output = (target + 0.5 + s).float().requires_grad_()
        loss.elementwise(output, target.float()).sum().backward()
        slopes.append(float(output.grad))
    assert slopes[0] == pytest.approx(slopes[1], rel=2e-3)


def test_adaptive_wing_closed_form():
    loss, target, d = AdaptiveWingLoss(), torch.tensor([0.3]), 0.2
    assert float(loss.elementwise(target + d, target)) == pytest.approx(14 * math.log1p(0.2 ** (2.1 - 0.3)), rel=1e-5)
    power = 2.1 - 0.3
    slope = 14 * power * 0.5 ** (power - 1) / (1 + 0.5**power)
    offset = 0.5 * slope - 14 * math.log1p(0.5**power)
    assert float(loss.elementwise(target + 0.9, target)) == pytest.approx(slope * 0.9 - offset, rel=1e-5)


def test_adaptive_wing_gradient_is_finite_at_zero():
    output = torch.zeros(1, 1, 4, 4, requires_grad=True)
    AdaptiveWingLoss()(output, torch.zeros(1, 1, 4, 4)).backward()
    assert torch.isfinite(output.grad).all()


def test_adaptive_wing_weights_the_neighbourhood_of_peaks():
    target = torch.zeros(1, 1, 9, 9)
    target[..., 4, 4] = 1
    output = torch.full_like(target, 0.1)
    plain, weighted = AdaptiveWingLoss(weighted=False), AdaptiveWingLoss()
    elements = plain.elementwise(output, target)
    mask = torch.zeros(9, 9)
    mask[3:6, 3:6] = 1
    assert float(weighted(output, target)) == pytest.approx(float((elements * (10 * mask + 1)).mean()) * 300, rel=1e-5)


def test_heatmap_l2_with_visibility():
    output, target = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)
    assert float(heatmap_l2(output, target)) == pytest.approx(float((output - target).square().mean()) * 300, rel=1e-5)
    visible = torch.tensor([[1.0, 0, 1], [0, 0, 1]])
    expected = torch.stack([(output - target)[i, k].square().mean() for i, k in ((0, 0), (0, 2), (1, 2))]).mean() * 300
    assert float(heatmap_l2(output, target, visible)) == pytest.approx(float(expected), rel=1e-5)
    assert float(heatmap_l2(output, target, torch.zeros(2, 3))) == 0


def test_gan_losses_are_the_logarithms():
    real, fake = torch.randn(9), torch.randn(9)
    p, q = real.sigmoid(), fake.sigmoid()
    assert float(discriminator_loss(real, fake)) == pytest.approx(
        float(-(p.log().mean() + (1 - q).log().mean())), rel=1e-5
    )
    assert float(generator_loss(fake)) == pytest.approx(float(-q.log().mean()), rel=1e-5)
    assert math.isfinite(float(generator_loss(torch.tensor([-1e4]))))


def test_gradient_penalty_of_a_linear_critic():
    class Linear(nn.Module):
        def forward(self, x):
            return 2.0 * x.flatten(1)[:, 0] + 1.5 * x.flatten(1)[:, 5]

    penalty = interpolation_penalty(Linear(), torch.rand(4, 3, 4, 4), torch.rand(4, 3, 4, 4))
    assert float(penalty) == pytest.approx((2.5 - 1) ** 2, rel=1e-5)


def test_gradient_penalty_trains_the_critic():
    critic = ImageDiscriminator("none")
    interpolation_penalty(critic, torch.rand(2, 3, 128, 128), torch.rand(2, 3, 128, 128)).backward()
    assert all(p.grad is not None for n, p in critic.named_parameters())


def test_perceptual_loss_needs_weights_from_a_path(tmp_path):
    with pytest.raises(ConfigError, match="vgg19-dcbb9e9d.pth"):
        PerceptualLoss(tmp_path / "none.pth")


def test_perceptual_loss(tmp_path):
    from torchvision.models import vgg19

    full = vgg19(weights=None)
    tensors = {k: v for k, v in full.state_dict().items() if k.startswith("features.")}
    torch.save(tensors, tmp_path / "vgg.pth")
    features = load_vgg19(tmp_path / "vgg.pth", 9)
    assert len(features) == 9 and torch.equal(features[0].weight, full.features[0].weight)
    loss = PerceptualLoss(tmp_path / "vgg.pth", (3, 8), (0.5, 0.4, 0.3))
    x = torch.rand(1, 3, 64, 64, requires_grad=True)
    assert float(loss(x, x.detach())) == pytest.approx(0, abs=1e-6)
    shifted = (x.detach() + 0.1).clamp(0, 1)
    loss(x, shifted).backward()
    assert x.grad.abs().sum() > 0 and not any(p.requires_grad for p in loss.parameters())
