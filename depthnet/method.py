"""DepthNet for the loop: generator step, critic step, penalty step, in the published order."""

import contextlib
from collections.abc import Callable

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from common.runtime import apply_gradients
from depthnet.losses import gradient_penalty, target_error
from depthnet.models import model_config
from depthnet.pairs import PairSampler, PositionBatch
from depthnet.settings import TrainSettings
from networks.aign import AIGN
from networks.depthnet import lift
from training.loop import EpochPosition

Evaluation = Callable[[nn.Module, int], dict[str, float]]


def make_adam(module: nn.Module, settings: TrainSettings) -> torch.optim.Adam:
    """One fused Adam; every seed's weights are updated by themselves because Adam works number by number."""
    return torch.optim.Adam(
        module.parameters(), settings.lr, (settings.beta1, settings.beta2), weight_decay=settings.l2_decay, fused=True
    )


class KeypointMethod:
    """What DepthNet and AIGN share before the loop.

    Args: evaluation (networks, epoch) → numbers.
    """

    stage = "depthnet"

    def __init__(
        self,
        networks: nn.Module,
        settings: TrainSettings,
        accelerator: Accelerator,
        sampler: PairSampler,
        evaluation: Evaluation,
        description: dict,
    ) -> None:
        self.networks, self.settings, self.accelerator = networks, settings, accelerator
        self.sampler, self.evaluation, self.description = sampler, evaluation, description
        self.optimizers: dict[str, torch.optim.Optimizer] = {}

    def evaluate(self, epoch: int) -> dict[str, float]:
        """Scores on validation pairs; `score` is the keypoint error's mean over seeds."""
        self.networks.eval()
        scores = self.evaluation(self.networks, epoch)
        self.networks.train()
        return scores

    def pictures(self, epoch: int) -> dict[str, np.ndarray]:
        """None: figures are made by eval_depthnet.py."""
        return {}

    def config(self) -> dict:
        """See `model_config`."""
        return model_config(self.networks, **self.description)

    def step_line(self, means: dict[str, float]) -> str:
        """All terms."""
        return "  ".join(f"{name}={value:.4e}" for name, value in means.items())


class DepthNetMethod(KeypointMethod):
    """DepthNet with or without critic; terms are means over seeds."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        self.optimizers["g"] = make_adam(self.networks.g, self.settings)
        self.g, self.d = self.networks.g, self.networks.d
        if self.d is not None:
            self.optimizers["d"] = make_adam(self.networks.d, self.settings)
        if self.settings.compile:
            mode = "reduce-overhead" if self.accelerator.device.type == "cuda" else "default"
            self.g = torch.compile(self.g, mode=mode)

    def training_step(self, batch: PositionBatch, step: int, epoch: EpochPosition) -> dict[str, Tensor]:
        """One update of all seeds."""
        s, pairs = self.settings, self.sampler(epoch.number, batch.indices)
        source = pairs.source + s.jitter * torch.randn_like(pairs.source) if s.jitter else pairs.source
        frame = self.networks.g.frame(source)
        depth, affine = self.g(source, pairs.targets[:, :, 0], frame)
        error = target_error(pairs, depth, affine, s.use_l1, s.sigma, s.detach)
        loss = s.lamb * error.sum()
        terms = {"l2": error.detach().mean()}
        if s.w_depth:
            supervised = (depth - pairs.depth).square().mean(dim=(1, 2))
            loss = loss + s.w_depth * supervised.sum()
            terms["depth"] = supervised.detach().mean()
        if self.d is not None and step % s.update_g_every == 0:
            loss = loss - self._frozen(lift(pairs.source, depth, frame)).sum()
        self.accelerator.backward(loss)
        apply_gradients(self.optimizers["g"], self.accelerator)
        terms["loss"] = loss.detach()
        if self.d is not None:
            real, fake = (lift(pairs.source, z, frame) for z in (pairs.depth, depth.detach()))
            terms |= self._critic_step(real, fake)
        return terms

    def _frozen(self, lifted: Tensor) -> Tensor:
        """Critic's mean score per seed without gradients of its weights."""
        self.d.requires_grad_(False)
        score = self.d(lifted).mean(dim=1)
        self.d.requires_grad_(True)
        return score

    def _critic_step(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        # one batch norm batch each, as published
        real_score, fake_score = self.d(real).mean(dim=1), self.d(fake).mean(dim=1)
        self.accelerator.backward((fake_score - real_score).sum())
        apply_gradients(self.optimizers["d"], self.accelerator)
        terms = {"d_real": real_score.detach().mean(), "d_fake": fake_score.detach().mean()}
        if self.settings.dnorm:
            penalty = gradient_penalty(self.d, real)
            self.accelerator.backward(self.settings.dnorm * penalty.sum())
            apply_gradients(self.optimizers["d"], self.accelerator)
            terms["d_norm"] = penalty.detach().mean()
        return terms


class AIGNMethod(KeypointMethod):
    """AIGN with the least-squares adversarial loss, repaired: upstream's cross entropy ran on unbounded scores."""

    stage = "aign"

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        networks: AIGN = self.networks
        self.optimizers = {"g": make_adam(networks.g, self.settings), "d": make_adam(networks.d, self.settings)}

    def _autocast(self) -> contextlib.AbstractContextManager:
        enabled = self.settings.precision == "bf16"
        return torch.autocast(self.accelerator.device.type, torch.bfloat16, enabled=enabled)

    def training_step(self, batch: PositionBatch, step: int, epoch: EpochPosition) -> dict[str, Tensor]:
        """One update of all seeds, whose sources are the batch."""
        s, pairs = self.settings, self.sampler(epoch.number, batch.indices)
        with self._autocast():
            points, projection = self.networks(pairs.source)
        error = (projection - pairs.source).abs().mean(dim=(1, 2, 3))
        self.networks.d.requires_grad_(False)
        adversarial = torch.stack([(d(p) - 1).square().mean() for d, p in zip(self.networks.d, points, strict=True)])
        self.networks.d.requires_grad_(True)
        loss = s.lamb * error.sum() + adversarial.sum()
        self.accelerator.backward(loss)
        apply_gradients(self.optimizers["g"], self.accelerator)
        real = torch.cat([pairs.source.mT, pairs.depth[:, :, None]], dim=2)
        critic = self._critic_step(real, points.detach())
        return {"l1": error.detach().mean(), "g_adv": adversarial.detach().mean(), "loss": loss.detach(), **critic}

    def _critic_step(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        scores = [(d(r), d(f)) for d, r, f in zip(self.networks.d, real, fake, strict=True)]
        loss = torch.stack([(r - 1).square().mean() + f.square().mean() for r, f in scores])
        self.accelerator.backward(loss.sum())
        apply_gradients(self.optimizers["d"], self.accelerator)
        terms = {"d_loss": loss.detach().mean()}
        if self.settings.dnorm:
            parts = zip(self.networks.d, real, strict=True)
            penalty = torch.cat([gradient_penalty(lambda x, d=d: d(x[0])[None], r.flatten(1)[None]) for d, r in parts])
            self.accelerator.backward(self.settings.dnorm * penalty.sum())
            apply_gradients(self.optimizers["d"], self.accelerator)
            terms["d_norm"] = penalty.detach().mean()
        return terms
