"""The similarity that carries points onto points, in closed form (Umeyama 1991)."""

import torch
from torch import Tensor

from geometry.rotations import nearest_rotation


def similarity(
    source: Tensor, target: Tensor, weights: Tensor | None = None, scaled: bool = True
) -> tuple[Tensor, ...]:
    """Closed-form motion that carries points onto points (Umeyama 1991).

    Args: source, target (B, N, 3); weights (N,) or (B, N); scaled: False for a rigid motion.
    Returns: scale (B,), rotation (B, 3, 3), translation (B, 3): target ≈ scale · R p + t.
    """
    weights = torch.ones_like(source[..., 0]) if weights is None else weights.expand(source.shape[:2]).to(source)
    share = (weights / weights.sum(1, keepdim=True))[..., None]
    centre, goal = (source * share).sum(1), (target * share).sum(1)
    a, b = source - centre[:, None], target - goal[:, None]
    cross = (b * share).mT @ a
    rotation = nearest_rotation(cross)
    scale = torch.ones_like(cross[:, 0, 0])
    if scaled:
        scale = (rotation * cross).sum((1, 2)) / (a.square() * share).sum((1, 2))
    return scale, rotation, goal - scale[:, None] * (rotation @ centre[..., None])[..., 0]


def moved(points: Tensor, motion: tuple[Tensor, ...]) -> Tensor:
    """(B, N, 3) points after a `similarity`."""
    scale, rotation, translation = motion
    return scale[:, None, None] * points @ rotation.mT + translation[:, None]


def similarity_matrices_2d(source: Tensor, target: Tensor) -> Tensor:
    """Least-squares similarities of the plane that carry (B, N, 2) onto (N, 2), never mirrored, as (B, 2, 3) matrices.

    The optimum of Umeyama 1991 in two dimensions, without singular values, so that its gradient is finite: the two
    singular values of a planar similarity are equal, and the gradient of an SVD is not defined there.
    """
    centre, goal = source.mean(1), target.mean(0)
    source, target = source - centre[:, None], target - goal
    spread = source.square().sum((1, 2)).clamp_min(1e-6)
    along = (source * target).sum((1, 2)) / spread
    across = (source[..., 0] * target[:, 1] - source[..., 1] * target[:, 0]).sum(1) / spread
    linear = torch.stack([torch.stack([along, -across], 1), torch.stack([across, along], 1)], 1)
    return torch.cat([linear, goal[:, None] - linear @ centre[..., None]], 2)
