"""Activation checkpointing: a block keeps its input alone and is computed a second time in the backward pass."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

_WEIGHTED = (nn.Conv2d, nn.ConvTranspose2d, nn.Conv1d, nn.Linear)


class _Recomputed:
    """Mixed into a block of a network."""

    def forward(self, *inputs: Tensor) -> Tensor:
        """As the block's own."""
        if not (self.training and torch.is_grad_enabled()):
            return super().forward(*inputs)
        return checkpoint(
            super().forward, *inputs, use_reentrant=False, context_fn=lambda: (nullcontext(), _quiet_statistics(self))
        )


@contextmanager
def _quiet_statistics(block: nn.Module) -> Iterator[None]:
    """The second pass must not move the running statistics again."""
    norms = [m for m in block.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.num_batches_tracked.sub_(1)


def recompute_blocks(networks: nn.Module) -> int:
    """Turn the elements of all `nn.Sequential` that hold two weight layers or more into recomputed ones, where they
    stand: parameters, buffers and names stay.

    Returns: how many there were.
    """
    found = list(_blocks(networks))
    for block in found:
        block.__class__ = _recomputed(type(block))
    return len(found)


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    """The outermost such elements."""
    for child in module.children():
        if isinstance(module, nn.Sequential) and _layers(child) > 1:
            yield child
        else:
            yield from _blocks(child)


def _layers(module: nn.Module) -> int:
    return sum(isinstance(part, _WEIGHTED) for part in module.modules())


@cache
def _recomputed(kind: type) -> type:
    return type(f"Recomputed{kind.__name__}", (_Recomputed, kind), {})
