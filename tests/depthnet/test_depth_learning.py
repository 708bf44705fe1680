"""DepthNet, AIGN and the CycleGAN learn in the right direction: every term is measured apart from its own loss."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from common.runtime import make_accelerator
from datasets.readers.threedfaw import Keypoints
from datasets.synthetic.depth import random_faces
from depthnet.method import AIGNMethod, DepthNetMethod
from depthnet.models import seed_weights
from depthnet.pairs import PairSampler, PositionBatch
from depthnet.replacement.domains import Domains
from depthnet.replacement.training import CycleGANMethod, CycleGANSettings
from depthnet.settings import TrainSettings
from networks.aign import AIGN, AIGNConfig
from networks.cyclegan import CycleGAN, CycleGANConfig
from networks.depthnet import DepthNet, DepthNetConfig, lift
from training.loop import EpochPosition

NEVER = 10**6  # steps between updates of what a test holds still


def sampler_of(count=64):
    faces = random_faces(count, 0).astype(np.float32)
    keypoints = Keypoints(faces[..., :2], faces[..., 2], np.arange(count).astype(str), np.full(count, ""))
    return PairSampler(keypoints, torch.device("cpu"), 1, 0, 1)


def freeze(method, name):
    """Hold one optimiser's networks still."""
    method.optimizers[name].param_groups[0]["lr"] = 0.0


def train(method, steps, size):
    for step in range(1, steps + 1):
        method.training_step(PositionBatch(torch.arange(size)), step, EpochPosition(0, 0, 1))


def depthnet(**options):
    settings = TrainSettings(critic_norm="layer", lr=1e-3, **options)
    networks = DepthNet(DepthNetConfig(1, settings.learn_m, settings.source_only, not settings.no_gan, "layer"))
    seed_weights(networks, 0)
    return DepthNetMethod(networks.train(), settings, make_accelerator("cpu"), sampler_of(), None, {})


@torch.no_grad()
def scores(method):
    """Critic's means of true and of predicted depths."""
    pairs = method.sampler(0, torch.arange(64))
    depth = method.networks.g(pairs.source, pairs.targets[:, :, 0])[0]
    return tuple(float(method.networks.d(lift(pairs.source, d)).mean()) for d in (pairs.depth, depth))


def test_depthnets_critic_scores_true_depths_above_predicted_ones():
    method = depthnet(update_g_every=NEVER)
    freeze(method, "g")
    train(method, 20, 64)
    real, fake = scores(method)
    assert real > fake + 0.1


def test_depthnets_generator_raises_the_critics_score():
    method = depthnet(lamb=0.0)
    freeze(method, "d")
    before = scores(method)[1]
    train(method, 20, 64)
    assert scores(method)[1] > before + 1e-3


def test_the_supervised_term_brings_depths_near_the_true_ones():
    method = depthnet(no_gan=True, source_only=True, w_depth=100.0)
    pairs = method.sampler(0, torch.arange(64))

    @torch.no_grad()
    def error():
        return (method.networks.g(pairs.source, pairs.targets[:, :, 0])[0] - pairs.depth).abs().mean()

    before = error()
    train(method, 40, 64)
    assert error() < 0.5 * before


def aign(**options):
    settings = TrainSettings(network="aign", lr=2e-4, **options)
    networks = AIGN(AIGNConfig(1, False))
    seed_weights(networks, 0)
    return AIGNMethod(networks.train(), settings, make_accelerator("cpu"), sampler_of(16), None, {})


@torch.no_grad()
def aign_scores(method):
    """Its discriminator's means of true and of predicted points."""
    pairs, critic = method.sampler(0, torch.arange(8)), method.networks.d[0]
    real = torch.cat([pairs.source.mT, pairs.depth[:, :, None]], dim=2)[0]
    return float(critic(real).mean()), float(critic(method.networks(pairs.source)[0][0]).mean())


def test_aigns_discriminator_scores_true_points_one_and_predicted_ones_zero():
    method = aign()
    freeze(method, "g")
    train(method, 12, 8)
    real, fake = aign_scores(method)
    assert real > fake + 0.2 and abs(real - 1) < abs(fake - 1)


class Flat(torch.nn.Module):
    """Stands in for AIGN: the true keypoints without their depths."""

    def __init__(self, critics):
        super().__init__()
        self.d, self.scale = critics, torch.nn.Parameter(torch.ones(1))

    def forward(self, source):
        return torch.cat([source.mT, torch.zeros_like(source.mT[:, :, :1])], dim=2) * self.scale, source * self.scale


def test_aigns_discriminator_looks_at_the_depths():
    method = aign()
    method.networks = Flat(method.networks.d)
    train(method, 25, 8)
    real, flat = aign_scores(method)
    assert real > flat + 0.1


def test_aigns_generator_brings_the_score_to_one():
    method = aign(lamb=0.0)
    freeze(method, "d")
    before = aign_scores(method)[1]
    train(method, 20, 8)
    assert abs(aign_scores(method)[1] - 1) < 0.9 * abs(before - 1)


def test_aigns_projections_come_near_the_keypoints():
    method = aign(lamb=100.0)
    pairs = method.sampler(0, torch.arange(8))

    @torch.no_grad()
    def error():
        return (method.networks(pairs.source)[1] - pairs.source).abs().mean()

    before = error()
    train(method, 15, 8)
    assert error() < 0.6 * before


def cyclegan(rank=0, **options):
    settings = CycleGANSettings(task="faceswap", lr=2e-3, **options)
    rng = np.random.default_rng(0)
    # A is dark, B is bright
    a, b = rng.integers(0, 100, (16, 3, 32, 32)), rng.integers(150, 255, (16, 3, 32, 32))
    accelerator = SimpleNamespace(device=torch.device("cpu"), process_index=rank) if rank else make_accelerator("cpu")
    torch.manual_seed(0)
    return CycleGANMethod(
        CycleGAN(CycleGANConfig(3, 3, 8, 1)), Domains(a.astype(np.uint8), b.astype(np.uint8)), settings, accelerator, 4
    )


@torch.no_grad()
def cycle_error(method):
    """Mean absolute change of A after A → B → A and of B the other way."""
    a, b = method.batch(torch.arange(4), 0)
    n = method.networks
    return float((n.ba(n.ab(a)) - a).abs().mean() + (n.ab(n.ba(b)) - b).abs().mean())


def test_the_cycle_loss_brings_pictures_back():
    method, without = cyclegan(), cyclegan(lamb=0.0)
    train(method, 20, 4), train(without, 20, 4)
    assert cycle_error(method) < 0.75 * cycle_error(without)


@pytest.mark.parametrize("loss", ["mse", "bce"])
def test_cyclegans_discriminators_tell_real_from_generated(loss):
    method = cyclegan(loss=loss)
    freeze(method, "g")
    train(method, 12, 4)
    n, (a, b) = method.networks, method.batch(torch.arange(4), 0)
    with torch.no_grad():
        assert n.da(a).mean() > n.da(n.ba(b)).mean() + 0.2 and n.db(b).mean() > n.db(n.ab(a)).mean() + 0.2


@pytest.mark.parametrize("loss", ["mse", "bce"])
def test_cyclegans_generators_learn_to_be_taken_for_real(loss):
    method = cyclegan(loss=loss, lamb=0.0)
    freeze(method, "d")
    n, (a, b) = method.networks, method.batch(torch.arange(4), 0)

    @torch.no_grad()
    def scores_of_fakes():
        return float(n.da(n.ba(b)).mean()), float(n.db(n.ab(a)).mean())

    before = scores_of_fakes()
    train(method, 12, 4)
    assert all(new > old + 1e-3 for new, old in zip(scores_of_fakes(), before, strict=True))


def test_every_process_draws_its_own_pictures_of_b():
    drawn = [cyclegan(rank).batch(torch.arange(16), step)[1] for rank in (0, 1) for step in (3, 4)]
    assert torch.equal(drawn[0], cyclegan().batch(torch.arange(16), 3)[1])
    assert not any(torch.equal(drawn[i], drawn[j]) for i in range(4) for j in range(i))
