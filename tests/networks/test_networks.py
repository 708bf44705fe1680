"""Published parameter counts, shapes, gradients."""

import pytest
import torch

from networks.aae import AAE, AAEConfig, count_parameters
from networks.autoencoder import Decoder, Encoder
from networks.discriminators import ImageDiscriminator
from networks.landmark_heads import DepthHead, LandmarkHead

COUNTS = {128: (11_227_299, 10_699_776), 256: (11_379_491, 10_868_096), 512: (11_531_683, 11_036_416)}


@pytest.mark.parametrize("size", COUNTS)
def test_published_counts_and_shapes(size):
    networks = AAE(AAEConfig(size, num_landmarks=68, depth_head=True)).eval()
    assert (count_parameters(networks.Q), count_parameters(networks.P)) == COUNTS[size]
    assert count_parameters(networks.D_z) == 1_102_001 and count_parameters(networks.D) == 1_743_744
    assert count_parameters(networks.LMH_3D) == 11_877_892
    seen = {}
    networks.Q.layer4.register_forward_hook(lambda *a: seen.update(last=a[2].shape))
    with torch.inference_mode():
        z = networks.Q(torch.randn(1, 3, size, size))
        x1 = networks.P.seed_features(z)
        heatmaps = networks.LMH(x1, networks.P)
        assert networks.P(z).shape == (1, 3, size, size) and z.shape == (1, 99)
        assert seen["last"] == (1, 512, 4, 4) and x1.shape == (1, 256, 8, 8)
        assert heatmaps.shape == (1, 68, 128, 128)
        assert networks.LMH_3D(heatmaps, z).shape == (1, 68)
        assert networks.D(torch.randn(1, 3, size, size)).shape == (1,)


@pytest.mark.parametrize(("points", "count"), [(19, 830_464), (68, 880_640), (84, 897_024), (98, 911_360)])
def test_landmark_head_counts(points, count):
    assert count_parameters(LandmarkHead(points)) == count


def test_discriminator_averages_a_5_by_5_map():
    discriminator = ImageDiscriminator().eval()
    image = torch.randn(2, 3, 256, 256)
    maps = discriminator.main[:-1](image)
    assert maps.shape == (2, 1, 5, 5)
    assert torch.allclose(discriminator(image), maps.mean(dim=(1, 2, 3)))


def test_depth_head_fast_equals_reference():
    head = DepthHead(7, 11).eval()
    heatmaps, z = torch.rand(2, 7, 128, 128), torch.randn(2, 11)
    assert torch.allclose(head(heatmaps, z), head(heatmaps, z, impl="reference"), atol=1e-4)


def test_gradient_reaches_every_parameter():
    networks = AAE(AAEConfig(128, num_landmarks=5, depth_head=True, coords_head=True))
    images = torch.randn(2, 3, 128, 128)
    z = networks.Q(images)
    heatmaps = networks.LMH(networks.P.seed_features(z), networks.P)
    outputs = [
        networks.P(z),
        heatmaps,
        networks.LMH_3D(heatmaps, z),
        networks.D_z(z),
        networks.D(images),
        networks.coords(z),
    ]
    sum(o.square().sum() for o in outputs).backward()
    without = [n for n, p in networks.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not without


def test_activation_is_part_of_the_configuration():
    relu, leaky = Encoder(128), Encoder(128, activation="leaky_relu")
    leaky.load_state_dict(relu.state_dict())
    x = torch.randn(2, 3, 128, 128)
    assert not torch.allclose(relu.eval()(x), leaky.eval()(x))


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match="128, 256, 512"):
        Encoder(1024)
    with pytest.raises(ValueError, match="activation"):
        Decoder(128, activation="gelu")
    with pytest.raises(ValueError, match="norm"):
        ImageDiscriminator("instance")


def test_tanh_output_is_bounded():
    assert Decoder(128).eval()(torch.randn(1, 99) * 50).abs().max() <= 1
