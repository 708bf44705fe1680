"""DepthNet's multilayer perceptrons; every weight has a leading dimension of seeds, so several runs train as one.

Keypoints come as (S, B, K, 2); S runs of different seeds, B samples. With S = 1 this is the published network.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn as nn
from torch import Tensor

from geometry.face_template import template_depth
from geometry.spectral_depth import moment_factor, spectral_depth

POINTS = 66
TRUNK = (512, 512, 512, 256, 256, 256, 128)
CRITIC = (512, 512, 256, 256)
NORMS = ("batch", "layer", "none")
BASES = ("none", "template", "spectral")
RANK = 16  # of the spectral base: its depths agree with the full moment's to a cosine of 0.9999
RESIDUAL = 0.15  # unit of what is learnt on top of a base, of the face's spread


class StackedLinear(nn.Module):
    """S independent linear layers. weight (S, in, out), bias (S, out).

    The weight lies transposed to PyTorch's, so that its gradient needs no copy (a third of a training step on a CPU).
    """

    def __init__(self, seeds: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(seeds, inputs, outputs))
        self.bias = nn.Parameter(torch.empty(seeds, outputs))
        bound = inputs**-0.5  # PyTorch's default for linear layers
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """(S, B, in) → (S, B, out)."""
        return torch.baddbmm(self.bias[:, None], x, self.weight)


class StackedBatchNorm(nn.Module):
    """S independent 1D batch norms: every seed's batch is normalised by itself. weight, bias, running_* (S, F)."""

    def __init__(self, seeds: int, features: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(seeds, features))
        self.bias = nn.Parameter(torch.zeros(seeds, features))
        self.register_buffer("running_mean", torch.zeros(seeds, features))
        self.register_buffer("running_var", torch.ones(seeds, features))
        self.eps, self.momentum = eps, momentum

    def forward(self, x: Tensor) -> Tensor:
        """(S, B, F) → the same."""
        seeds, batch, features = x.shape
        flat = x.transpose(0, 1).reshape(batch, seeds * features)  # one call for all seeds
        out = nn.functional.batch_norm(
            flat,
            self.running_mean.view(-1),
            self.running_var.view(-1),
            self.weight.view(-1),
            self.bias.view(-1),
            self.training,
            self.momentum,
            self.eps,
        )
        return out.view(batch, seeds, features).transpose(0, 1)


class StackedLayerNorm(nn.Module):
    """S independent layer norms. weight, bias (S, F)."""

    def __init__(self, seeds: int, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(seeds, features))
        self.bias = nn.Parameter(torch.zeros(seeds, features))

    def forward(self, x: Tensor) -> Tensor:
        """(S, B, F) → the same."""
        return nn.functional.layer_norm(x, x.shape[-1:]) * self.weight[:, None] + self.bias[:, None]


def _hidden(seeds: int, inputs: int, widths: tuple[int, ...], norm: str) -> nn.Sequential:
    """Linear, normalisation and ReLU for every width."""
    if norm not in NORMS:
        raise ValueError(f"unknown normalisation '{norm}'; choose one of: {', '.join(NORMS)}")
    layers: list[nn.Module] = []
    for width in widths:
        layers.append(StackedLinear(seeds, inputs, width))
        if norm != "none":
            layers.append(StackedBatchNorm(seeds, width) if norm == "batch" else StackedLayerNorm(seeds, width))
        layers.append(nn.ReLU())
        inputs = width
    return nn.Sequential(*layers)


@dataclass(frozen=True)
class DepthNetConfig:
    """What rebuilds a DepthNet.

    Attributes:
        seeds: independent runs side by side.  learn_m: predict the affine instead of solving for it.
        source_only: g does not see the target, so its depth cannot carry it.  critic: has an adversary.  critic_norm:
            in it.
        base: depth that g's is added to: none, template (the template in the face's pose) or spectral (closed form).
        trunk: False leaves the base alone, nothing to learn.
    """

    seeds: int = 1
    learn_m: bool = False
    source_only: bool = False
    critic: bool = False
    critic_norm: str = "batch"
    base: str = "none"
    trunk: bool = True


class Frame(NamedTuple):
    """Faces as networks with a base see them: points (…, 66, 2) centred with spread 1, base depth (…, 66), and the unit
    (…) of what is added to it.
    """

    points: Tensor
    base: Tensor
    unit: Tensor


def centre(points: Tensor) -> tuple[Tensor, Tensor]:
    """(…, 66, 2) → the same with mean 0 and root mean square distance 1, and that distance (…)."""
    centred = points - points.mean(dim=-2, keepdim=True)
    spread = centred.square().sum(dim=-1).mean(dim=-1).sqrt()
    return centred / spread[..., None, None], spread


class BaseDepth(nn.Module):
    """A depth without training: right way round and of the right size, which keypoints alone cannot teach a network."""

    def __init__(self, seeds: int, kind: str) -> None:
        super().__init__()
        self.kind = kind
        # of the training faces, see `geometry.spectral_depth.moment_factor`
        self.register_buffer("factor", torch.zeros(seeds, POINTS, RANK) if kind == "spectral" else None)

    def set_faces(self, points: Tensor) -> None:
        """Take the training faces (N, 66, 2) that a spectral base is made of; no depths."""
        self.factor.copy_(moment_factor(points, RANK))

    @torch.no_grad()
    def forward(self, source: Tensor) -> Tensor:
        """(S, B, 66, 2) → (S, B, 66) without mean."""
        if self.kind == "template":
            depth = template_depth(source.double())
        else:
            depth = spectral_depth(source.double(), self.factor.double()[:, None])
        return (depth - depth.mean(dim=-1, keepdim=True)).to(source)


class DepthGenerator(nn.Module):
    """g: eight linear layers ("shallowd5"). 970,178 parameters; 971,210 with the second head for the affine
    ("learnm").
    """

    def __init__(self, config: DepthNetConfig) -> None:
        super().__init__()
        if config.base not in BASES or (config.base == "none" and not config.trunk):
            raise ValueError(f"unknown base '{config.base}' or no base and no trunk; choose one of: {', '.join(BASES)}")
        inputs = POINTS * (2 if config.source_only else 4)
        self.seeds, self.source_only = config.seeds, config.source_only
        self.base = None if config.base == "none" else BaseDepth(config.seeds, config.base)
        self.trunk = _hidden(config.seeds, inputs, TRUNK, "batch") if config.trunk else None
        self.depth = StackedLinear(config.seeds, TRUNK[-1], POINTS) if config.trunk else None
        self.affine = StackedLinear(config.seeds, TRUNK[-1], 8) if config.learn_m else None
        for module in self.modules():
            if isinstance(module, StackedLinear):
                nn.init.normal_(module.weight, 0, 0.02)
            elif isinstance(module, StackedBatchNorm):
                nn.init.normal_(module.weight, 1, 0.02)

    def forward(self, source: Tensor, target: Tensor, frame: Frame | None = None) -> tuple[Tensor, Tensor | None]:
        """source, target (S, B, 66, 2) in units of the image sides → depth (S, B, 66), affine (S, B, 2, 4) or None.

        The affine's rows are [m1 m2 m3 tx] and [m4 m5 m6 ty]. Args: frame of the source, where it is known already.
        """
        if self.base is not None:
            frame = self.frame(source) if frame is None else frame
            if self.trunk is None:
                return frame.base, None
            source, target = frame.points, target if self.source_only else centre(target)[0]
        parts = [source] if self.source_only else [source, target]
        features = self.trunk(torch.cat([part.mT.flatten(-2) for part in parts], dim=-1))
        affine = None if self.affine is None else self.affine(features).unflatten(-1, (2, 4))
        depth = self.depth(features)
        return depth if self.base is None else frame.base + frame.unit[..., None] * depth, affine

    def frame(self, source: Tensor) -> Frame | None:
        """Of faces (S, B, 66, 2); None without base."""
        if self.base is None:
            return None
        points, spread = centre(source)
        return Frame(points, self.base(source), RESIDUAL * spread)


class Critic(nn.Module):
    """D on (z, x, y) of one face. 564,993 parameters with batch norm."""

    def __init__(self, seeds: int, norm: str = "batch") -> None:
        super().__init__()
        self.trunk = _hidden(seeds, 3 * POINTS, CRITIC, norm)
        self.score = StackedLinear(seeds, CRITIC[-1], 1)

    def forward(self, lifted: Tensor) -> Tensor:
        """(S, B, 198) rows [z; x; y] → (S, B) unbounded scores, higher is more real."""
        return self.score(self.trunk(lifted))[..., 0]


class DepthNet(nn.Module):
    """Generator g and, for adversarial training, critic d."""

    def __init__(self, config: DepthNetConfig) -> None:
        super().__init__()
        self.config = config
        self.g = DepthGenerator(config)
        self.d = Critic(config.seeds, config.critic_norm) if config.critic else None

    def forward(self, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor | None]:
        """See `DepthGenerator`."""
        return self.g(source, target)


def lift(source: Tensor, depth: Tensor, frame: Frame | None = None) -> Tensor:
    """source (…, K, 2), depth (…, K) → (…, 3 K): the critic's input [z; x; y].

    Args: frame: with a base, z is what differs from it, all in units of 1, and true and predicted depths alike, so the
        critic tells scale and sign.
    """
    if frame is not None:
        source, depth = frame.points, (depth - frame.base) / frame.unit[..., None]
    return torch.cat([depth, source[..., 0], source[..., 1]], dim=-1)
