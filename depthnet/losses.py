"""Losses of DepthNet (Moniz et al. 2018) per seed: keypoints, critic, gradient penalty."""

import torch
from torch import Tensor, nn

from depthnet.pairs import Pairs
from geometry.lifted_affine import apply_affine, keypoint_loss, solve_affine


def target_error(
    pairs: Pairs, depth: Tensor, affine: Tensor | None, absolute: bool = False, ridge: float = 0.0, detach: bool = False
) -> Tensor:
    """Mean error of the target keypoints of every seed (S,).

    Args:
        depth (S, B, 66); affine (S, B, 2, 4), None = the least-squares one.
        absolute: mean absolute instead of squared error; ridge, detach: of the solve, see `solve_affine`.
    """
    source, lifted = pairs.source[:, :, None], depth[:, :, None]
    if affine is None and not absolute and not ridge:  # the envelope theorem makes `detach` the same
        lifted = lifted.expand(*pairs.targets.shape[:-1])
        return keypoint_loss(source, lifted, pairs.targets).mean(dim=(1, 2))
    if affine is None:
        affine = solve_affine(source, lifted.detach() if detach else lifted, pairs.targets, ridge)
    else:
        affine = affine[:, :, None]
    error = apply_affine(affine, source, lifted) - pairs.targets
    return (error.abs() if absolute else error.square()).mean(dim=(1, 2, 3, 4))


def gradient_penalty(critic: nn.Module, real: Tensor) -> Tensor:
    """Mean over the batch of ‖∂ΣD/∂real‖² (S,): zero-centred, on real faces (S, B, 198) alone."""
    real = real.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(critic(real).sum(), real, create_graph=True)
    return gradient.square().sum(dim=2).mean(dim=1)
