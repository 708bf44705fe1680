"""R-Net and the identity networks: published sizes, zero heads, gradients everywhere."""

import pytest
import torch

from networks.coefficient_net import CoefficientNet, CoefficientNetConfig
from networks.facenet import InceptionResNetV1
from networks.iresnet import IResNet


def count(module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_published_parameter_counts():
    # torchvision's backbones without their classifier, plus 257 linear outputs
    assert count(CoefficientNet(CoefficientNetConfig("resnet50"))) == 25_557_032 - 2_049_000 + 257 * 2049
    assert count(CoefficientNet(CoefficientNetConfig("resnet18"))) == 11_689_512 - 513_000 + 257 * 513
    assert count(InceptionResNetV1(512)) == 23_482_624  # facenet-pytorch, with its 512-d bottleneck
    assert count(InceptionResNetV1()) == 23_482_624 - 384 * 1792 - 2 * 384
    assert count(IResNet()) == 43_590_848  # InsightFace r50


def test_the_landmark_trunk_keeps_places_and_begins_at_zero():
    network = CoefficientNet(CoefficientNetConfig("landmark_trunk", 7, 5, 0)).eval()
    coefficients, features = network.with_features(torch.rand(1, 3, 224, 224))
    assert coefficients.shape == (1, 7 + 5 + 33) and not coefficients.any() and features.shape == (1, 4 * 4 * 96)
    assert count(network.backbone) == 6_326_352


@pytest.mark.parametrize("one_head", [False, True])
def test_iteration_0_gives_zero_for_any_picture_and_sizes_follow_the_model(one_head):
    network = CoefficientNet(CoefficientNetConfig("resnet18", 7, 5, 0, one_head)).eval()
    coefficients, features = network.with_features(torch.rand(2, 3, 64, 64))
    assert coefficients.shape == (2, 7 + 5 + 33) and not coefficients.any() and features.shape == (2, 512)


def test_a_gradient_reaches_every_parameter():
    network = CoefficientNet(CoefficientNetConfig("resnet18", 4, 3, 2))
    for head in network.final_layers:
        torch.nn.init.normal_(head.weight, std=0.1)
    network(torch.rand(2, 3, 64, 64)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_a_frozen_backbone_stays_as_it_is():
    network = CoefficientNet(CoefficientNetConfig("mobilenet_half", 4, 3, 2))
    heads = network.freeze_backbone()
    before = {name: tensor.clone() for name, tensor in network.backbone.state_dict().items()}
    network.train()(torch.rand(2, 3, 64, 64)).sum().backward()
    assert {id(p) for p in heads} == {id(p) for p in network.parameters() if p.grad is not None}
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.backbone.state_dict().items())
    with pytest.raises(ValueError, match="part of its backbone"):
        CoefficientNet(CoefficientNetConfig("mobilenet_half", one_head=True)).freeze_backbone()


def test_unknown_backbone():
    with pytest.raises(ValueError, match="unknown backbone 'vgg'"):
        CoefficientNet(CoefficientNetConfig("vgg"))


def test_identity_networks_take_their_sizes():
    facenet = InceptionResNetV1().eval()
    sizes = []
    for module in (facenet.conv2d_4b, facenet.mixed_6a, facenet.mixed_7a):
        module.register_forward_hook(lambda _m, _i, out: sizes.append(out.shape[-1]))
    with torch.no_grad():
        for side in (160, 224):
            assert facenet(torch.zeros(1, 3, side, side)).shape == (1, 128)
        assert IResNet().eval()(torch.zeros(1, 3, 112, 112)).shape == (1, 512)
    assert sizes == [17, 8, 3, 25, 12, 5]  # of FaceNet at 160 and 224 px
