"""The generator that Lin et al. 2020 call "normal": CoMA's decoder of features beside a U-shaped refiner of the
signal.
"""

import torch
from torch import Tensor, nn

from networks.graph import ACTIVATIONS, ChebyshevConvolution, GraphLevels, OnMesh
from networks.graph_generators import GeneratorConfig, GraphGenerator

CODE = 512  # bottleneck of the refiner
DECODER, REFINER = (32, 16, 16, 16, 16), (16, 32, 64, 128)  # widths from coarse to fine, and from fine to coarse


class GraphUnet(OnMesh):
    """Plain convolutions without residual blocks; joined as in `GraphGenerator`, by one convolution and tanh.

    The published description names widths, bottleneck and two skips; here these join levels 1 and 2 by concatenation.
    """

    def __init__(self, config: GeneratorConfig, levels: GraphLevels) -> None:
        super().__init__(levels)
        if len(levels.sizes) != 5:
            raise ValueError(f"the generator needs a pyramid of five levels, not {len(levels.sizes)}.")
        self.config, self.activation = config, ACTIVATIONS[config.activation]
        coarse = levels.sizes[4]
        decoder, (a, b, c, d) = ([n * config.width for n in group] for group in (DECODER, REFINER))
        self.fc = nn.Linear(config.features, coarse * decoder[0])
        self.decoder = _convolutions(decoder)
        self.decoder_head = ChebyshevConvolution(decoder[-1], 3)
        self.down_path = _convolutions([config.channels, a, b, c, d])
        self.to_code, self.from_code = nn.Linear(coarse * d, CODE), nn.Linear(CODE, coarse * d)
        self.up_path = nn.ModuleList(_Layer(*io) for io in ((d, d), (d, c), (2 * c, b), (2 * b, a)))
        self.refiner_head = ChebyshevConvolution(a, 3)
        self.head = ChebyshevConvolution(6, 3)
        nn.init.kaiming_normal_(self.fc.weight)
        nn.init.zeros_(self.fc.bias)
        if config.zero_head:
            nn.init.zeros_(self.head.weight)

    def decode(self, features: Tensor) -> Tensor:
        """(B, Z) → (N, B, 3) signal of the features alone."""
        signal = self.activation(self.fc(features)).view(len(features), self.levels.sizes[4], -1).transpose(0, 1)
        for step, layer in zip((3, 2, 1, 0), self.decoder, strict=True):
            signal = self.activation(layer(self.up(signal, step), self.levels.filters[step]))
        return self.decoder_head(signal, self.levels.filters[0])

    def refine(self, signal: Tensor) -> Tensor:
        """(N, B, channels) → (N, B, 3) signal of the input alone, down to a code and up again."""
        skips = []
        for step, layer in enumerate(self.down_path):
            signal = self.activation(layer(signal, self.levels.filters[step]))
            skips.append(signal)
            signal = self.down(signal, step)
        code = self.activation(self.to_code(signal.transpose(0, 1).flatten(1)))
        signal = self.activation(self.from_code(code)).view(len(code), self.levels.sizes[4], -1).transpose(0, 1)
        for step, layer in zip((3, 2, 1, 0), self.up_path, strict=True):
            signal = self.activation(layer(self.up(signal, step), self.levels.filters[step]))
            if step in (1, 2):
                signal = torch.cat([signal, skips[step]], 2)
        return self.refiner_head(signal, self.levels.filters[0])

    def forward(self, features: Tensor, signal: Tensor) -> Tensor:
        """(B, Z) features, (B, N, channels) signal → (B, N, 3) within −1 … 1."""
        joined = torch.cat([self.decode(features), self.refine(signal.transpose(0, 1).contiguous())], 2)
        return torch.tanh(self.head(joined, self.levels.filters[0])).transpose(0, 1)


class _Layer(nn.Module):
    """Chebyshev convolution with bias."""

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        self.conv, self.bias = ChebyshevConvolution(channels, filters), nn.Parameter(torch.zeros(filters))

    def forward(self, signal: Tensor, laplacian) -> Tensor:
        return self.conv(signal, laplacian) + self.bias


def _convolutions(widths: list[int]) -> nn.ModuleList:
    return nn.ModuleList(_Layer(*io) for io in zip(widths, widths[1:]))


GENERATORS = {"resnet": GraphGenerator, "normal": GraphUnet}
