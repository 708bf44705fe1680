"""Published sizes; seeds side by side are the same as seeds alone; gradients reach everything."""

import pytest
import torch

from networks.aae import count_parameters
from networks.aign import (
    AIGN,
    AIGNConfig,
    AIGNDiscriminator,
    AIGNGenerator,
    convolve_maps,
    keypoint_maps,
    rotation_from_sines,
)
from networks.depthnet import Critic, DepthGenerator, DepthNet, DepthNetConfig, lift


def test_published_parameter_counts():
    assert count_parameters(DepthGenerator(DepthNetConfig())) == 970_178
    assert count_parameters(DepthGenerator(DepthNetConfig(learn_m=True))) == 971_210
    assert count_parameters(Critic(1)) == 564_993
    assert count_parameters(AIGNGenerator()) == 9_720_253


def plain_copy(net, seed):
    """The same weights in torch's own layers."""
    layers = []
    for module in [*net.g.trunk, net.g.depth]:
        kind = type(module).__name__
        if kind == "StackedLinear":
            layer = torch.nn.Linear(module.weight.shape[1], module.weight.shape[2])
            layer.weight.data, layer.bias.data = (
                module.weight[seed].detach().T.clone(),
                module.bias[seed].detach().clone(),
            )
        elif kind == "StackedBatchNorm":
            layer = torch.nn.BatchNorm1d(module.weight.shape[1])
            layer.weight.data, layer.bias.data = (
                module.weight[seed].detach().clone(),
                module.bias[seed].detach().clone(),
            )
        else:
            layer = torch.nn.ReLU()
        layers.append(layer)
    return torch.nn.Sequential(*layers)


@pytest.mark.parametrize("training", [True, False])
def test_stacked_seeds_are_independent_networks(training):
    net = DepthNet(DepthNetConfig(seeds=3))
    plain = [plain_copy(net, seed) for seed in range(3)]
    source, target = torch.rand(3, 10, 66, 2), torch.rand(3, 10, 66, 2)
    x = torch.cat([source[..., 0], source[..., 1], target[..., 0], target[..., 1]], dim=-1)
    net(source, target), [p(row) for p, row in zip(plain, x, strict=True)]  # moves the running statistics of both
    net.train(training)
    depth, affine = net(source, target)
    wanted = torch.stack([p.train(training)(row) for p, row in zip(plain, x, strict=True)])
    torch.testing.assert_close(depth, wanted, rtol=1e-4, atol=1e-5)
    assert affine is None


@pytest.mark.parametrize(
    "config",
    [
        DepthNetConfig(2, learn_m=True, critic=True, critic_norm="layer"),
        DepthNetConfig(1, source_only=True, critic=True),
    ],
)
def test_gradients_reach_every_parameter(config):
    net = DepthNet(config)
    source, target = torch.rand(config.seeds, 8, 66, 2), torch.rand(config.seeds, 8, 66, 2)
    depth, affine = net(source, target)
    score = net.d(lift(source, depth))
    assert depth.shape == (config.seeds, 8, 66) and score.shape == (config.seeds, 8)
    # squared, because the sum over a normalised batch is constant
    total = score.square().sum() + (0 if affine is None else affine.square().sum())
    total.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


def test_heatmaps_follow_the_points_and_are_cut_at_edges():
    points = torch.tensor([[[0.5, 0.25], [0.0, 0.0], [0.999, 0.999]]])
    maps = keypoint_maps(points)[0]
    assert maps.shape == (3, 128, 128)
    assert maps[0].sum().item() == pytest.approx(1, abs=1e-5)
    assert divmod(int(maps[0].argmax()), 128) == (31, 63)  # the published patch peaks one pixel up and left
    bell = torch.exp(-torch.arange(-3.0, 5.0).square() / 2)
    cut = bell[4:].sum() / bell.sum(), bell[:5].sum() / bell.sum()  # what a corner leaves of the patch
    torch.testing.assert_close(maps[1:].sum(dim=(1, 2)), torch.stack(cut).square())


def test_convolution_without_maps_is_that_of_the_maps():
    points = torch.rand(3, 66, 2, dtype=torch.float64) * 1.2 - 0.1  # some patches are cut, some lie outside
    # corners, even and odd pixels
    points[0, :5] = torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0], [0.5, 0.25], [0.504, 0.246]])
    weight, bias = torch.randn(7, 66, 3, 3, dtype=torch.float64), torch.randn(7, dtype=torch.float64)
    weight.requires_grad_(), bias.requires_grad_()
    wanted = torch.nn.functional.conv2d(keypoint_maps(points).double(), weight, bias, stride=2, padding=1)
    ours = convolve_maps(points, weight, bias)
    torch.testing.assert_close(ours, wanted, rtol=0, atol=1e-6)
    direction = torch.randn_like(wanted)
    gradients = (torch.autograd.grad((out * direction).sum(), (weight, bias)) for out in (ours, wanted))
    for mine, reference in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-5, atol=1e-5)


def test_generator_is_the_same_by_both_ways():
    net, points = AIGNGenerator().eval(), torch.rand(2, 66, 2)
    for ours, wanted in zip(net(points), net(points, "reference"), strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-4, atol=1e-5)


def test_aign_shapes_and_rotation():
    angles = torch.rand(5, 3)
    values = torch.stack([f(angles[:, i]) for i in range(3) for f in (torch.sin, torch.cos)], dim=1)
    rotation = rotation_from_sines(values)
    torch.testing.assert_close(rotation @ rotation.mT, torch.eye(3).expand(5, 3, 3), atol=1e-5, rtol=0)
    net = AIGN(AIGNConfig(seeds=2))
    points, projection = net(torch.rand(2, 3, 66, 2))
    assert points.shape == (2, 3, 3, 66) and projection.shape == (2, 3, 66, 2)
    for spectral in (False, True):
        assert AIGNDiscriminator(spectral)(points[0]).shape == (3,)
