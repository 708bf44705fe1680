"""Published parameter counts, shapes, gradients and overfitting of the parameter regressors and their blocks."""

import pytest
import torch

from networks.aae import count_parameters
from networks.attention import ASPP, CBAM, AttentionTransformer, ReplayAttention, SqueezeExcitation
from networks.faceboxes import FaceBoxes
from networks.mobilenet import MobileNetV1
from networks.mobilenet_v3 import MobileNetV3
from networks.radan import RADAN
from networks.regressors import ARCHITECTURES, RegressorConfig, build_regressor
from networks.resnet22 import ResNet22


def test_published_counts():
    assert count_parameters(RADAN()) == 57_098_742
    assert count_parameters(MobileNetV1(1.0)) == 3_270_526  # 3.27 M
    assert count_parameters(MobileNetV1(0.5)) == 850_398  # 0.85 M
    assert count_parameters(ResNet22()) == 18_449_246  # 18.45 M
    assert count_parameters(ReplayAttention(256)) == 2_959_220  # 2.96 M
    assert count_parameters(ReplayAttention(512)) == 11_832_964  # 11.8 M
    assert count_parameters(AttentionTransformer(512)) == 7_836_704  # 7.84 M
    assert count_parameters(FaceBoxes()) == 1_007_330  # 1.007 M, as the published weights hold


@pytest.mark.parametrize("block", [SqueezeExcitation, CBAM, ReplayAttention, AttentionTransformer])
def test_blocks_keep_the_shape_and_train(block):
    module = block(32)
    x = torch.randn(2, 32, 15, 15, requires_grad=True)
    y = module(x)
    assert y.shape == x.shape
    y.square().sum().backward()
    assert not [n for n, p in module.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]


def test_replay_attention_against_its_equations():
    module = ReplayAttention(16).eval()
    x = torch.randn(1, 16, 8, 8)
    attended = module.attention(x)
    weights = torch.sigmoid(module.replay(attended)).repeat_interleave(2, 2).repeat_interleave(2, 3)
    expected = module.fuse(torch.cat([module.fit(x) * weights, attended, x], dim=1))
    assert torch.allclose(module(x), expected, atol=1e-6)


@pytest.mark.parametrize("norm", [False, True])
def test_aspp_views_have_their_reach(norm):
    module = ASPP(8, 4, rates=(3, 6), norm=norm).eval()
    assert module(torch.randn(1, 8, 15, 15)).shape == (1, 4, 15, 15)
    for view, reach in zip(module.views, (0, 3, 6), strict=True):
        x = torch.randn(1, 8, 15, 15, requires_grad=True)
        (view[0] if norm else view)(x)[0, :, 7, 7].sum().backward()
        columns = x.grad.abs().sum(dim=(0, 1, 2)).nonzero()[:, 0].tolist()
        assert columns == sorted({7 - reach, 7, 7 + reach})


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_architecture_with_landmark_head(arch):
    width = 0.25 if arch == "mobilenet" else 1.0
    network = build_regressor(RegressorConfig(arch, width, identity=20, expression=7, landmarks=5))
    images = torch.randn(2, 3, 120, 120)
    parameters, landmarks = network.with_landmarks(images)
    assert parameters.shape == (2, 12 + 20 + 7) and landmarks.shape == (2, 5, 2)
    (parameters.square().sum() + landmarks.square().sum()).backward()
    without = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not without
    with torch.inference_mode():
        network.eval()
        assert torch.allclose(network(images), network.with_landmarks(images)[0])


def test_landmark_head_orders_all_x_before_all_y():
    network = MobileNetV1(0.25, landmarks=4).eval()
    with torch.no_grad():
        network.fc_lm.weight.zero_()
        network.fc_lm.bias.copy_(torch.arange(8.0))
    _, landmarks = network.with_landmarks(torch.zeros(1, 3, 120, 120))
    assert landmarks[0].tolist() == [[0, 4], [1, 5], [2, 6], [3, 7]]


def test_networks_without_the_head_say_so():
    with pytest.raises(ValueError, match="no landmark head"):
        MobileNetV1(0.25).with_landmarks(torch.zeros(1, 3, 120, 120))
    with pytest.raises(ValueError, match="unknown architecture 'vgg'"):
        build_regressor(RegressorConfig("vgg"))
    with pytest.raises(ValueError, match="unknown mode"):
        MobileNetV3("tiny")


def test_replay_plugs_into_mobilenet():
    plain, replayed = MobileNetV1(0.5), MobileNetV1(0.5, replay=(4, 10))
    extra = count_parameters(ReplayAttention(128)) + count_parameters(ReplayAttention(256))
    assert count_parameters(replayed) - count_parameters(plain) == extra
    assert replayed.eval()(torch.randn(1, 3, 120, 120)).shape == (1, 62)


OVERFITTED = {
    "mobilenet": lambda: MobileNetV1(0.25),
    "mobilenet_replay": lambda: MobileNetV1(0.25, replay=(2,)),
    "mobilenet_v3": lambda: MobileNetV3("small"),
}


@pytest.mark.parametrize("name", OVERFITTED)
def test_one_batch_can_be_overfitted(name):
    network = OVERFITTED[name]()
    images, wanted = torch.randn(4, 3, 64, 64), torch.randn(4, 62)
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    losses = []
    for _ in range(40):
        loss = (network(images) - wanted).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.05 * losses[0]
