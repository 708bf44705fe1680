"""The loss terms of Deng et al. 2019 as pure functions, and their published weights.

Colours are 0 … 1, landmarks px of the 224² crop. Every term is a scalar without its weight; `Weights` holds those.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from geometry.schemes import NOSE_AND_INNER_LIPS_68
from geometry.units import MM_PER_DM

LANDMARKS = 68
HEAVY_WEIGHT = 20.0
# The TF code takes a bare square root, whose gradient is infinite where both pictures agree; PyTorch's adds this.
COLOUR_EPS = 1e-6


@dataclass(frozen=True)
class Weights:
    """Weights of the terms and, inside the regulariser, of its parts; TF and PyTorch versions agree on all of them."""

    photo: float = 1.92
    landmark: float = 1.6e-3
    perceptual: float = 0.2
    coefficient: float = 3e-4
    identity: float = 1.0
    expression: float = 0.8
    albedo: float = 1.7e-2
    reflectance: float = 5.0
    gamma: float = 10.0
    box: float = 10.0  # ours: on blendshape weights outside 0 … 1
    shape: float = 0.1  # ours: per mm, on rendered faces


def landmark_weights(device: torch.device | str = "cpu") -> Tensor:
    """(68,) 1, and 20 on ridge and tip of the nose and on the inner lips."""
    weights = torch.ones(LANDMARKS, device=device)
    weights[list(NOSE_AND_INNER_LIPS_68)] = HEAVY_WEIGHT
    return weights


def photometric_loss(rendered: Tensor, photo: Tensor, attention: Tensor, eps: float = COLOUR_EPS) -> Tensor:
    """Σ m ‖I − Î‖₂ / max(Σ m, 1) over all pixels of the batch.

    Args: rendered, photo (B, H, W, 3); attention m (B, H, W), face mask times skin probability, without gradient.
    """
    attention = attention.detach()
    distance = ((rendered - photo).square().sum(-1) + eps).sqrt()
    return (attention * distance).sum() / attention.sum().clamp_min(1)


def landmark_loss(found: Tensor, truth: Tensor, weights: Tensor) -> Tensor:
    """Σ w ‖p − g‖² / (68 B): found, truth (B, 68, 2) px; weights (68,)."""
    return (weights * (found - truth).square().sum(-1)).sum() / (found.shape[0] * found.shape[1])


def landmark_l1(found: Tensor, truth: Tensor) -> Tensor:
    """Mean absolute distance of coordinates, found, truth (B, 68, 2) px; single wrong points weigh less."""
    return (found - truth).abs().mean()


def perceptual_loss(found: Tensor, truth: Tensor, clamp: bool = False) -> Tensor:
    """Mean of 1 − cosine of two sets of features (B, D); clamp: not below 0, as the TF code has it."""
    distance = 1 - F.cosine_similarity(found, truth, dim=-1)
    return (distance.clamp_min(0) if clamp else distance).mean()


def coefficient_loss(identity: Tensor, expression: Tensor, albedo: Tensor, weights: Weights = Weights()) -> Tensor:
    """(w_α Σ α² + w_β Σ β² + w_τ Σ τ²) / B of coefficients (B, K) in units of their prior's deviation."""
    sums = (
        weights.identity * identity.square().sum(),
        weights.expression * expression.square().sum(),
        weights.albedo * albedo.square().sum(),
    )
    return sum(sums) / len(identity)


def reflectance_loss(albedo: Tensor, skin: Tensor) -> Tensor:
    """Mean squared distance of albedo (B, V, 3) from its own mean over the skin (V,): Σ m ‖T − T̄‖² / (B Σ m)."""
    weights = skin / skin.sum()
    mean = torch.einsum("v,bvc->bc", weights, albedo)
    return ((albedo - mean[:, None]).square().sum(-1) * weights).sum(1).mean()


def gamma_loss(gamma: Tensor) -> Tensor:
    """Light should be nearly white: mean of (γ − mean over RGB)², gamma (B, 3, 9)."""
    return (gamma - gamma.mean(1, keepdim=True)).square().mean()


def shape_loss(found: Tensor, truth: Tensor, weights: Tensor) -> Tensor:
    """Mean distance in mm of unposed vertices (B, V, 3) dm, weighted by (V,), over the faces whose truth is not NaN."""
    known = torch.isfinite(truth).flatten(1).all(1)
    distance = (found - torch.where(known[:, None, None], truth, found.detach())).norm(dim=-1)
    return MM_PER_DM * ((distance @ weights) * known).sum() / (weights.sum() * known.sum().clamp_min(1))


def box_loss(weights: Tensor) -> Tensor:
    """Mean squared distance of blendshape weights from 0 … 1."""
    return (weights - weights.clamp(0, 1)).square().mean()
