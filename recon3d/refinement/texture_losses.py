"""Inputs and losses of texture refinement (Lin et al. 2020, "Towards High-Fidelity 3D Face Reconstruction from
In-the-Wild Images Using Graph Convolutional Networks", CVPR 2020). Colours are 0 … 1 unless a line says otherwise.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from morphable.model import FaceModel
from training.penalties import interpolation_penalty

HIDDEN_WEIGHT = 0.3  # of invisible vertices in the projection loss
SIGNAL_CHANNELS = 7


@dataclass(frozen=True)
class TextureBatch:
    """What texture refinement sees and is judged by, of B faces.

    Attributes:
        features: (B, Z) of frozen networks.  albedo: (B, N, 3) the face model's.
        photo: (B, 3, H, W).  skin: (B, H, W) 0 … 1, eroded so that hair and background stay out.
        screen: (B, N, 3) x, y down px and depth.  normals: (B, N, 3) posed.  shading: (B, N, 3) light on each vertex.
    """

    features: Tensor
    albedo: Tensor
    photo: Tensor
    skin: Tensor
    screen: Tensor
    normals: Tensor
    shading: Tensor


@dataclass(frozen=True)
class TextureWeights:
    """Weights within the rendering part; the published ones."""

    identity: float = 0.2
    symmetry: float = 0.5
    variance: float = 0.01
    adversarial: float = 1e-3


def rendering_and_reference(epoch: float) -> tuple[float, float]:
    """(λ_ren, λ_ref) = clip(0.2 · epoch, 0, 1), clip(1 − λ_ren, 0.2, 1): first imitate the face model, then the
    photo.
    """
    rendering = min(max(0.2 * epoch, 0.0), 1.0)
    return rendering, min(max(1 - rendering, 0.2), 1.0)


def sample_nearest(picture: Tensor, screen: Tensor) -> Tensor:
    """Colours of the pixels that vertices fall into: (B, C, H, W), (B, N, ≥ 2) px → (B, N, C); 0 outside."""
    _, channels, height, width = picture.shape
    x, y = (screen[..., i].detach().floor().long() for i in (0, 1))
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    flat = y.clamp(0, height - 1) * width + x.clamp(0, width - 1)
    values = picture.flatten(2).gather(2, flat[:, None].expand(-1, channels, -1))
    return (values * inside[:, None]).transpose(1, 2)


def visibility(batch: TextureBatch) -> Tensor:
    """(B, N, 1) 0 … 1: skin probability under each vertex that faces the camera, else 0."""
    return sample_nearest(batch.skin[:, None], batch.screen) * (batch.normals[..., 2:] > 0)


def texture_signal(batch: TextureBatch) -> Tensor:
    """(B, N, 7) input of the generator: albedo and photo colour in −1 … 1, visibility."""
    colours = sample_nearest(batch.photo, batch.screen)
    return torch.cat([2 * batch.albedo - 1, 2 * colours - 1, visibility(batch)], -1)


def texture_terms(refined: Tensor, batch: TextureBatch, model: FaceModel) -> dict[str, Tensor]:
    """Unweighted terms of refined albedo (B, N, 3) that need no picture.

    l_reference: L1 to the model's albedo.  l_projection: L1 of the lit colour, to the photo at visible vertices and, by
        0.3, to
    the model's lit colour at others.  l_symmetry: L1 to the mirrored albedo (0 for a model without symmetry).
    l_variance: variance of the albedo over the skin (0 for a model without that region).
    """
    visible = visibility(batch)
    photo = sample_nearest(batch.photo, batch.screen)
    lit = refined * batch.shading
    seen, hidden = visible * (lit - photo).abs(), (1 - visible) * (lit - batch.albedo * batch.shading).abs()
    terms = {
        "l_reference": (refined - batch.albedo).abs().mean(),
        "l_projection": (seen + HIDDEN_WEIGHT * hidden).mean(),
        "l_symmetry": refined.new_zeros(()),
        "l_variance": refined.new_zeros(()),
    }
    if model.symmetry is not None:
        terms["l_symmetry"] = (refined - refined[:, model.symmetry]).abs().mean()
    if "skin" in model.regions:
        share = model.regions["skin"] / model.regions["skin"].sum()
        mean = torch.einsum("n,bnc->bc", share, refined)
        terms["l_variance"] = torch.einsum("n,bnc->bc", share, (refined - mean[:, None]).square()).mean()
    return terms


def seen_error(albedo: Tensor, batch: TextureBatch) -> Tensor:
    """L1 distance of lit colours (B, N, 3) to the photo, mean over the vertices that it shows."""
    visible = visibility(batch)
    gap = (albedo * batch.shading - sample_nearest(batch.photo, batch.screen)).abs()
    return (visible * gap).sum() / (3 * visible.sum()).clamp_min(1)


def weighted_sum(terms: dict[str, Tensor], weights: TextureWeights, epoch: float) -> Tensor:
    """λ_ref l_reference + λ_ren (l_projection + weighted l_identity, l_symmetry, l_variance, l_adversarial where they
    are).
    """
    rendering, reference = rendering_and_reference(epoch)
    parts = {"identity": weights.identity, "symmetry": weights.symmetry, "variance": weights.variance}
    parts["adversarial"] = weights.adversarial
    total = terms["l_projection"]
    for name, weight in parts.items():
        if f"l_{name}" in terms:
            total = total + weight * terms[f"l_{name}"]
    return reference * terms["l_reference"] + rendering * total


def identity_distance(found: Tensor, truth: Tensor) -> Tensor:
    """Mean 1 − cosine of features (B, D)."""
    return (1 - F.cosine_similarity(found, truth, dim=-1)).mean()


def critic_loss(critic: nn.Module, real: Tensor, fake: Tensor, penalty: float = 10.0) -> Tensor:
    """D(fake) − D(real) + penalty · mean (‖∇ D(x̃)‖₂ − 1)² with x̃ between both (Gulrajani et al. 2017).

    Args: real, fake (B, 3, H, W).
    """
    distance = critic(fake.detach()).mean() - critic(real).mean()
    return distance + penalty * interpolation_penalty(critic, real, fake)
