"""The running average of a network's weights beside the network that learns."""

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

RAMP = 10  # updates over which the average forgets where training began


class WithAverage(nn.Module):
    """`net` learns, `ema` is the exponential average of its weights and batch-norm statistics, which is what users get.

    The decay rises as (1 + n) / (10 + n) to its final value, or the random weights of the first steps would stay in the
    average
    of a short run: at a decay of 0.999 a fifth of them after 1,600 steps.
    """

    def __init__(self, net: nn.Module, decay: float) -> None:
        """Raises: ValueError for a decay outside 0 … 1."""
        if not 0 <= decay < 1:
            raise ValueError(f"decay {decay} of the average is not within 0 … 1")
        super().__init__()
        self.net = net
        self.decay = decay
        self.ema = AveragedModel(net, use_buffers=True)
        self.ema.requires_grad_(False)

    @torch.no_grad()
    def update(self) -> None:
        """Take the weights after one more step into the average; the first time they become it.

        `AveragedModel.update_parameters` does so too, but waits for the device twice to learn whether it is the first.
        """
        number = self.ema.n_averaged
        share = 1 - torch.clamp((1 + number) / (RAMP + number), max=self.decay)
        share = torch.where(number == 0, torch.ones_like(share), share)
        for old, new in zip(self.averaged.state_dict().values(), self.net.state_dict().values(), strict=True):
            if old.is_floating_point():
                old.lerp_(new, share.to(old))
            else:
                old.copy_(new)
        number.add_(1)

    @property
    def averaged(self) -> nn.Module:
        """The network with the averaged weights."""
        return self.ema.module
