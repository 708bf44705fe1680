"""Blocks of graph networks on meshes: Chebyshev convolution, residual block, steps between the levels of a pyramid.

Signals lie as (N, B, C) throughout, see `geometry.mesh.sparse`; matrices are constants of the mesh, held as buffers.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from geometry.mesh.sparse import SparseMatrix, chebyshev_filter, sparse_product

ORDER = 6  # terms T_0 … T_5 of the polynomial ("chebyshev5")
RESIDUAL_GAIN = 0.1
ACTIVATIONS = {"relu": F.relu, "elu": F.elu}


@dataclass(frozen=True)
class GraphLevels:
    """The constants of a mesh pyramid that networks need.

    Attributes: filters, per level (n_i, n_i) rescaled Laplacian L − 1, eigenvalues −1 … 1; kept, per step (n_{i+1},)
        int64 ids; up, per step (n_i, n_{i+1}).
    """

    filters: tuple[SparseMatrix, ...]
    kept: tuple[Tensor, ...]
    up: tuple[SparseMatrix, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """n_0, n_1, …"""
        return tuple(matrix.shape[0] for matrix in self.filters)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> "GraphLevels":
        """The constants elsewhere or at another precision."""
        filters, up = ([m.to(device, dtype) for m in group] for group in (self.filters, self.up))
        return GraphLevels(tuple(filters), tuple(ids.to(device) for ids in self.kept), tuple(up))


class OnMesh(nn.Module):
    """A module with the constants of a pyramid, which follow it from device to device and are no part of its
    weights.
    """

    def __init__(self, levels: GraphLevels) -> None:
        super().__init__()
        self.levels = levels

    def _apply(self, function, recurse: bool = True) -> "OnMesh":
        moved = super()._apply(function, recurse)
        probe = function(torch.empty(0, dtype=self.levels.filters[0].rows.dtype))  # says where and at which precision
        moved.levels = self.levels.to(probe.device, probe.dtype)
        return moved

    def up(self, signal: Tensor, step: int) -> Tensor:
        """(n_{i+1}, B, C) → (n_i, B, C)."""
        return sparse_product(self.levels.up[step], signal)

    def down(self, signal: Tensor, step: int) -> Tensor:
        """(n_i, B, C) → (n_{i+1}, B, C)."""
        return signal.index_select(0, self.levels.kept[step])


class ChebyshevConvolution(nn.Module):
    """Σ_k T_k(L − 1) x W_k without bias (Defferrard et al. 2016); order 1 is a linear layer per vertex.

    Args: channels, filters; order K ≥ 1. Initial weights are He-normal over all K · channels inputs.
    """

    def __init__(self, channels: int, filters: int, order: int = ORDER) -> None:
        super().__init__()
        if order < 1:
            raise ValueError(f"a Chebyshev filter has at least one term, not {order}.")
        self.weight = nn.Parameter(torch.randn(order, channels, filters) * math.sqrt(2 / (order * channels)))

    def forward(self, signal: Tensor, laplacian: SparseMatrix) -> Tensor:
        """(N, B, channels) → (N, B, filters); laplacian (N, N): L − 1."""
        if len(self.weight) == 1:
            return signal @ self.weight[0]
        return chebyshev_filter(laplacian, signal, self.weight)


class GraphBlock(nn.Module):
    """Residual block of Lin et al. 2020: y = act(Ch(act(Ch(x) + b₁)) + s + b₂), s = x, or Ch_1(x) where the widths
    differ.

    Args: channels, filters; activation, a name in ACTIVATIONS; last: whether the outer one is there.
    The second convolution begins at a tenth of He's weights, so that a deep stack begins close to its shortcuts.
    """

    def __init__(self, channels: int, filters: int, activation: str = "relu", last: bool = True) -> None:
        super().__init__()
        self.conv1 = ChebyshevConvolution(channels, filters)
        self.conv2 = ChebyshevConvolution(filters, filters)
        with torch.no_grad():
            self.conv2.weight *= RESIDUAL_GAIN
        self.shortcut = None if channels == filters else ChebyshevConvolution(channels, filters, order=1)
        self.bias1, self.bias2 = nn.Parameter(torch.zeros(filters)), nn.Parameter(torch.zeros(filters))
        self.activation, self.last = ACTIVATIONS[activation], last

    def forward(self, signal: Tensor, laplacian: SparseMatrix) -> Tensor:
        """(N, B, channels) → (N, B, filters)."""
        shortcut = signal if self.shortcut is None else self.shortcut(signal, laplacian)
        hidden = self.activation(self.conv1(signal, laplacian) + self.bias1)
        out = self.conv2(hidden, laplacian) + shortcut + self.bias2
        return self.activation(out) if self.last else out


def initialise_as_authors(network: nn.Module) -> None:
    """Weights ~ N(0, 0.1) cut at two standard deviations, biases 0.1: how GCN_ResNet and CoMA begin."""
    for name, parameter in network.named_parameters():
        if name.rsplit(".", 1)[-1].startswith("bias"):
            nn.init.constant_(parameter, 0.1)
        else:
            nn.init.trunc_normal_(parameter, std=0.1, a=-0.2, b=0.2)
