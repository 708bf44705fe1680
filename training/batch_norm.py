"""Batch norm over the samples of all processes, on any backend: PyTorch's own SyncBatchNorm needs a GPU."""

import torch
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce


class _Synchronised:
    """Mixed into a batch norm: in training its statistics are those of all processes' samples, gradients included."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, …) → the same, normalised; every process must bring as many samples."""
        if not self.training:
            return super().forward(x)
        places = [axis for axis in range(x.dim()) if axis != 1]
        shape = [1, -1] + [1] * (x.dim() - 2)
        world = torch.distributed.get_world_size()
        values = x.float()
        mean = all_reduce(values.mean(places)) / world
        centred = values - mean.view(shape)
        variance = all_reduce(centred.square().mean(places)) / world  # in a second pass: differences of squares cancel
        self._track(mean.detach(), variance.detach(), world * x.numel() // x.shape[1])
        normal = centred * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            normal = normal * self.weight.view(shape) + self.bias.view(shape)
        return normal.to(x.dtype)

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor, count: int) -> None:
        if not self.track_running_stats:
            return
        self.num_batches_tracked.add_(1)
        momentum = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean), momentum)
        self.running_var.lerp_((variance * (count / max(1, count - 1))).to(self.running_var), momentum)


class SynchronisedBatchNorm1d(_Synchronised, nn.BatchNorm1d):
    """Over (B, C) or (B, C, L)."""


class SynchronisedBatchNorm2d(_Synchronised, nn.BatchNorm2d):
    """Over (B, C, H, W)."""


_KINDS = {nn.BatchNorm1d: SynchronisedBatchNorm1d, nn.BatchNorm2d: SynchronisedBatchNorm2d}


def synchronise_batch_norm(networks: nn.Module) -> int:
    """Turn all batch norms into synchronised ones where they stand: parameters, buffers and names stay.

    Returns: how many there were.
    """
    found = [module for module in networks.modules() if type(module) in _KINDS]
    for module in found:
        module.__class__ = _KINDS[type(module)]
    return len(found)
