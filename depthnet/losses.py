"""Losses of DepthNet (Moniz et al. 2018) per seed: keypoints, critic, gradient penalty."""

from torch import Tensor

from depthnet.pairs import Pairs
from geometry.lifted_affine import apply_affine, keypoint_loss, solve_affine
from training.penalties import Critic, input_gradient


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


def gradient_penalty(critic: Critic, real: Tensor) -> Tensor:
    """Mean over the batch of ‖∂ΣD/∂real‖² (S,): zero-centred, on real faces (S, B, 198) alone."""
    return input_gradient(critic, real).square().sum(dim=2).mean(dim=1)
