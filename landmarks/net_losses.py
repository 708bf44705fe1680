"""Losses of the direct landmark network: likelihoods that teach it where points are and how sure it can be."""

import torch
from torch import Tensor

from landmarks.losses import weighted_mean
from networks.landmark_net import LandmarkReadouts, Located


def laplace_nll(located: Located, truth: Tensor, weights: Tensor) -> Tensor:
    """−log of the radial Laplace density exp(−d/b)/b², but for constants; d = |point − truth|.

    located: points (B, K, 2) with scales (B, K); truth (B, K, 2) in half crop sides; weights (B, K). → scalar.
    """
    distance = (located.points - truth).square().sum(-1).add(1e-12).sqrt()
    nll = distance * torch.exp(-located.log_scales) + 2 * located.log_scales
    return weighted_mean(nll, weights)


def readout_loss(readouts: LandmarkReadouts, truth: Tensor, weights: Tensor) -> dict[str, Tensor]:
    """The likelihood of every read-out by name, and their sum `loss`."""
    terms = {f"l_{name}": laplace_nll(located, truth, weights) for name, located in readouts._asdict().items()}
    return terms | {"loss": sum(terms.values())}


def confidence(log_scales: Tensor, tolerance: float = 0.1) -> Tensor:
    """Probability that a point lies within that many half crop sides of the truth: 1 − (1 + r/b)·exp(−r/b), r the
    tolerance.

    log_scales: any shape. The default is about a tenth of the distance between the eyes.
    """
    ratio = tolerance * torch.exp(-log_scales)
    return 1 - (1 + ratio) * torch.exp(-ratio)
