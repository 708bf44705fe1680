"""Gradient penalties of critics."""

from collections.abc import Callable

import torch
from torch import Tensor

Critic = Callable[[Tensor], Tensor]


def input_gradient(critic: Critic, inputs: Tensor) -> Tensor:
    """Gradient of the critic's summed scores with respect to its inputs (B, …), itself differentiable in the
    weights.
    """
    inputs = inputs.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(critic(inputs).sum(), inputs, create_graph=True)
    return gradient


def interpolation_penalty(critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
    """mean (‖∇ D(x̃)‖₂ − 1)², x̃ = αX + (1 − α)X̂, α ~ U(0, 1) per image (Gulrajani et al. 2017, eq. 3), in float32.

    Args: real, fake (B, C, H, W).
    """
    with torch.autocast(real.device.type, enabled=False):
        alpha = torch.rand(len(real), 1, 1, 1, device=real.device)
        gradient = input_gradient(critic, alpha * real.float() + (1 - alpha) * fake.float())
        norm = (gradient.flatten(1).square().sum(1) + 1e-12).sqrt()
        return (norm - 1).square().mean()
