"""The methods learn in the right direction: every term moves what it is there for, measured apart from its own loss."""

import dataclasses

import pytest
import torch

from common.runtime import make_accelerator
from datasets.augment import Augmentation, BatchTransform
from datasets.loader import RawBatch
from geometry.heatmaps import render_heatmaps
from geometry.schemes import generic_scheme
from landmarks.autoencoder import AutoencoderMethod
from landmarks.inference import predict, predict_heatmaps
from landmarks.landmark_training import DepthMethod, LandmarkMethod
from landmarks.losses import StructuralLoss
from landmarks.settings import DepthSettings, LandmarkSettings, UnsupervisedSettings
from networks.aae import AAE, AAEConfig
from training.loop import EpochPosition

POINTS = 5
SCHEME = generic_scheme(POINTS)
TRANSFORM = BatchTransform(128, None, SCHEME.flip_permutation, Augmentation(0, flip=0.0))
NEVER = 10**6  # steps between updates of what a test holds still


@pytest.fixture
def batch():
    """Four smooth pictures, five points each at depths from −20 to 20 px."""
    coarse = torch.rand(4, 3, 6, 6)
    images = torch.nn.functional.interpolate(coarse, (182, 182), mode="bilinear").mul(255).byte()
    points = torch.cat([torch.rand(4, POINTS, 2) * 90 + 46, torch.rand(4, POINTS, 1) * 40 - 20], dim=2)
    return RawBatch(images, points, torch.ones(4, POINTS), torch.arange(4))


def crops(batch):
    return TRANSFORM(batch.images, batch.landmarks, batch.visibility, batch.indices)


def train(method, batch, steps):
    for step in range(1, steps + 1):
        method.training_step(batch, step, EpochPosition(step, 0, 1))


def autoencoder(**options):
    """A method whose terms are off but for those of the options."""
    off = {"with_zgan": False, "w_rec": 0.0, "lr": 1e-3, "update_D_freq": NEVER, "update_E_freq": NEVER}
    settings = dataclasses.replace(UnsupervisedSettings(), **(off | options))
    networks = AAE(AAEConfig(128, normalize=False, discriminator_norm="none" if settings.with_wgan_gp else "batch"))
    return AutoencoderMethod(networks, settings, make_accelerator("cpu"), TRANSFORM, {})


@torch.no_grad()
def rebuilt(method, batch):
    """Pictures and their reconstructions as training makes them."""
    images = crops(batch).images
    return images, method.networks.P(method.networks.Q(images))


@pytest.mark.parametrize("l1", [True, False])
def test_reconstructions_come_near_their_pictures(batch, l1):
    method = autoencoder(w_rec=1.0 if l1 else 100.0, with_l1_loss=l1)
    images, before = rebuilt(method, batch)
    train(method, batch, 8)
    assert (rebuilt(method, batch)[1] - images).abs().mean() < 0.8 * (before - images).abs().mean()


def test_the_structural_term_raises_the_structural_similarity(batch):
    method, similarity = autoencoder(with_ssim_loss=True), StructuralLoss()
    images, before = rebuilt(method, batch)
    train(method, batch, 8)
    after = rebuilt(method, batch)[1]
    assert similarity.map(after, images).mean() > similarity.map(before, images).mean() + 0.05


def test_the_latent_discriminator_learns_which_latents_are_drawn(batch):
    """Mean logit of the prior's draws above that of the encoder's latents."""
    method = autoencoder(with_zgan=True, train_encoder=False)
    z = method.networks.Q(crops(batch).images).detach()
    train(method, batch, 24)
    critic = method.networks.D_z.eval()
    assert critic(torch.randn(200, 99)).mean() > critic(z).mean() + 1


def test_the_encoder_learns_to_fool_the_latent_discriminator(batch):
    method = autoencoder(with_zgan=True, lr_latent=1e-12)
    networks = method.networks

    @torch.no_grad()
    def score():
        return networks.D_z.lin3(
            torch.relu(networks.D_z.lin2(torch.relu(networks.D_z.lin1(networks.Q(crops(batch).images)))))
        ).mean()

    before = score()
    train(method, batch, 12)
    assert score() > before + 0.1


@pytest.mark.parametrize("wasserstein", [False, True])
def test_the_image_discriminator_scores_photos_above_reconstructions(batch, wasserstein):
    steps, lr = (4, 4e-4) if wasserstein else (10, 4e-3)  # a critic has no bound and would swing
    method = autoencoder(with_gan=not wasserstein, with_wgan_gp=wasserstein, update_D_freq=1, lr=lr)
    images, fakes = rebuilt(method, batch)
    train(method, batch, steps)
    critic = method.networks.D
    assert critic(images).mean() > critic(fakes).mean() + 0.05


@pytest.mark.parametrize("wasserstein", [False, True])
def test_the_autoencoder_learns_to_raise_the_score_of_its_pictures(batch, wasserstein):
    method = autoencoder(
        with_gan=not wasserstein, with_wgan_gp=wasserstein, update_E_freq=1, with_gen_loss=not wasserstein
    )
    critic, fakes = method.networks.D, rebuilt(method, batch)[1]
    before = float(critic(fakes).mean())
    train(method, batch, 6)
    assert float(critic(rebuilt(method, batch)[1]).mean()) > before + 1e-3


def test_the_gradient_penalty_brings_gradients_to_one(batch):
    """A critic that is far too steep becomes flatter."""
    method = autoencoder(with_wgan_gp=True, update_D_freq=1)
    with torch.no_grad():
        method.networks.D.main[-2].weight.mul_(3000)

    def steepness():
        images = crops(batch).images.requires_grad_()
        return float(torch.autograd.grad(method.networks.D(images).sum(), images)[0].flatten(1).norm(dim=1).mean())

    before = steepness()
    train(method, batch, 8)
    assert before > 10 and steepness() < 0.8 * before


def landmark_method(kind, settings, **config):
    networks = AAE(AAEConfig(128, normalize=False, num_landmarks=POINTS, **config))
    return kind(networks, settings, make_accelerator("cpu"), TRANSFORM, SCHEME, {})


@pytest.mark.parametrize("wing", [False, True])
def test_heatmaps_rise_where_the_points_are(batch, wing):
    settings = LandmarkSettings(print_every=NEVER, lr_heatmaps=1e-3, use_adaptive_wing_loss=wing)
    method = landmark_method(LandmarkMethod, settings)
    data = crops(batch)
    wanted = render_heatmaps(data.landmarks[..., :2], 128, settings.sigma)

    @torch.no_grad()
    def heatmaps():
        return predict_heatmaps(method.networks, data.images)[1]

    before = (heatmaps() - wanted).square().mean()
    train(method, batch, 10)
    after = heatmaps()
    assert (after * wanted).sum() / wanted.sum() > after.mean() + 0.003, "higher at the points than elsewhere"
    assert wing or (after - wanted).square().mean() < before


def test_coordinates_read_off_z_come_near_the_points(batch):
    settings = LandmarkSettings(
        print_every=NEVER, lr_heatmaps=3e-3, lr=1e-3, train_encoder=True, encoder_batchnorm="train", coords_epochs=NEVER
    )
    method = landmark_method(LandmarkMethod, settings, coords_head=True)
    method.networks.Q.train()
    data = crops(batch)

    @torch.no_grad()
    def error():
        return (
            (predict(method.networks, data.images, readout="coords").landmarks - data.landmarks[..., :2]).abs().mean()
        )

    before = error()
    train(method, batch, 20)
    assert error() < 0.4 * before


@pytest.mark.parametrize("predicted", [False, True])
def test_depths_learn_to_point_toward_the_viewer(batch, predicted):
    """The predicted z of `predict` is the annotations', from their mean, in crop px."""
    settings = DepthSettings(print_every=NEVER, lr_heatmaps=1e-3, use_groundtruth=not predicted, finetune_2d=predicted)
    method = landmark_method(DepthMethod, settings, depth_head=True)
    data = crops(batch)
    wanted = data.landmarks[..., 2] - data.landmarks[..., 2].mean(dim=1, keepdim=True)
    train(method, batch, 12)
    maps = render_heatmaps(data.landmarks[..., :2], 128, settings.sigma)
    with torch.no_grad():
        networks = method.networks
        if predicted:
            maps = predict_heatmaps(networks, data.images)[1]
        found = networks.LMH_3D(maps, networks.Q(data.images)) * 128
    assert torch.corrcoef(torch.stack([found.flatten(), wanted.flatten()]))[0, 1] > 0.5
    assert (found - wanted).abs().mean() < 0.8 * wanted.abs().mean(), "nearer than no depth at all"
