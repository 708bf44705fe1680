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
