"""Generators on meshes: the mesh and texture generator of Lin et al. 2020 (and GCN_ResNet), CoMA's autoencoder, a
critic.
"""

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from networks.graph import ACTIVATIONS, ChebyshevConvolution, GraphBlock, GraphLevels, OnMesh, initialise_as_authors

INITIALISATIONS = ("he", "authors")


@dataclass(frozen=True)
class GeneratorConfig:
    """Shape of a `GraphGenerator`.

    Attributes:
        features: Z, length of the feature vector.  channels: of the signal to be refined, its first three are what
            comes out.
        width: factor on all widths (Lin et al.'s --wide is 2).  activation: relu (GCN_ResNet) or elu (Lin et al.).
        initialisation: "he" or "authors" (normal 0.1).  zero_head: begin with an output of 0 everywhere.
        rectified: whether the activation also ends the branches, as the authors have it. With three channels each and
            ReLU some are dead (output 0, gradient 0) from the start or die in training; without it none can.
    """

    features: int
    channels: int = 3
    width: int = 1
    activation: str = "relu"
    initialisation: str = "he"
    zero_head: bool = False
    rectified: bool = True

    def __post_init__(self) -> None:
        if self.features < 1 or self.channels < 1 or self.width < 1:
            raise ValueError(
                f"features, channels and width are at least 1, not {(self.features, self.channels, self.width)}."
            )
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"unknown activation '{self.activation}'; choose {' or '.join(ACTIVATIONS)}.")
        if self.initialisation not in INITIALISATIONS:
            raise ValueError(f"unknown initialisation '{self.initialisation}'; choose {' or '.join(INITIALISATIONS)}.")

    def to_dict(self) -> dict:
        """JSON-ready."""
        return asdict(self)


class GraphGenerator(OnMesh):
    """Decoder of a feature vector and refiner of a signal, joined by one convolution and tanh.

    17,249,140 parameters at 3,840 features and the Basel face's pyramid 35,709 … 140 of GCN_ResNet. Needs five levels.
    """

    def __init__(self, config: GeneratorConfig, levels: GraphLevels) -> None:
        super().__init__(levels)
        if len(levels.sizes) != 5:
            raise ValueError(f"the generator needs a pyramid of five levels, not {len(levels.sizes)}.")
        self.config = config
        act, one, two = config.activation, 16 * config.width, 32 * config.width
        self.fc = nn.Linear(config.features, levels.sizes[4] * two)
        self.decoder = nn.ModuleList(GraphBlock(*io, act) for io in ((two, one), (one, one), (one, one)))
        self.decoder.append(GraphBlock(one, 3, act, config.rectified))
        self.enter = GraphBlock(config.channels, one, act)
        self.coarse = nn.ModuleList([GraphBlock(one, two, act), GraphBlock(two, two, act)])
        self.leave = nn.ModuleList([GraphBlock(two, one, act), GraphBlock(one, 3, act, config.rectified)])
        self.head = ChebyshevConvolution(6, 3)
        self._initialise()

    def _initialise(self) -> None:
        if self.config.initialisation == "authors":
            initialise_as_authors(self)
        else:
            nn.init.kaiming_normal_(self.fc.weight)
            nn.init.zeros_(self.fc.bias)
        if self.config.zero_head:
            nn.init.zeros_(self.head.weight)

    def decode(self, features: Tensor) -> Tensor:
        """(B, Z) → (N, B, 3) signal of the features alone."""
        activation = ACTIVATIONS[self.config.activation]
        coarse = activation(self.fc(features)).view(len(features), self.levels.sizes[4], -1)
        signal = coarse.transpose(0, 1)
        for step, block in zip((3, 2, 1, 0), self.decoder):
            signal = block(self.up(signal, step), self.levels.filters[step])
        return signal

    def refine(self, signal: Tensor) -> Tensor:
        """(N, B, channels) → (N, B, 3) signal of the input alone, one level down and up again."""
        fine, coarse = self.levels.filters[:2]
        signal = self.down(self.enter(signal, fine), 0)
        for block in self.coarse:
            signal = block(signal, coarse)
        signal = self.up(signal, 0)
        for block in self.leave:
            signal = block(signal, fine)
        return signal

    def forward(self, features: Tensor, signal: Tensor) -> Tensor:
        """(B, Z) features, (B, N, channels) signal → (B, N, 3) within −1 … 1."""
        joined = torch.cat([self.decode(features), self.refine(signal.transpose(0, 1).contiguous())], 2)
        return torch.tanh(self.head(joined, self.levels.filters[0])).transpose(0, 1)


class MeshAutoencoder(OnMesh):
    """CoMA (Ranjan et al. 2018): convolution and down-sampling per level to a code, and back. Input and output
    standardised.

    Args: levels; code: length; widths per step from fine to coarse, one fewer than the levels.
    """

    def __init__(self, levels: GraphLevels, code: int = 8, widths: tuple[int, ...] = (16, 16, 16, 32)) -> None:
        super().__init__(levels)
        if len(widths) != len(levels.sizes) - 1:
            raise ValueError(f"{len(levels.sizes)} levels need {len(levels.sizes) - 1} widths, not {len(widths)}.")
        self.code_size, self.widths = code, tuple(widths)
        ins = (3, *widths[:-1])
        self.encoder = nn.ModuleList(ChebyshevConvolution(*io) for io in zip(ins, widths))
        self.encoder_bias = nn.ParameterList(nn.Parameter(torch.zeros(w)) for w in widths)
        self.to_code = nn.Linear(levels.sizes[-1] * widths[-1], code)
        self.from_code = nn.Linear(code, levels.sizes[-1] * widths[-1])
        outs = tuple(reversed(widths))
        self.decoder = nn.ModuleList(ChebyshevConvolution(*io) for io in zip((outs[0], *outs[:-1]), outs))
        self.decoder_bias = nn.ParameterList(nn.Parameter(torch.zeros(w)) for w in outs)
        self.head = ChebyshevConvolution(outs[-1], 3)

    def encode(self, signal: Tensor) -> Tensor:
        """(B, N, 3) → (B, code)."""
        rows = signal.transpose(0, 1).contiguous()
        for step, (convolution, bias) in enumerate(zip(self.encoder, self.encoder_bias)):
            rows = self.down(F.relu(convolution(rows, self.levels.filters[step]) + bias), step)
        return self.to_code(rows.transpose(0, 1).flatten(1))

    def decode(self, code: Tensor) -> Tensor:
        """(B, code) → (B, N, 3)."""
        rows = F.relu(self.from_code(code)).view(len(code), self.levels.sizes[-1], -1).transpose(0, 1)
        for depth, (convolution, bias) in enumerate(zip(self.decoder, self.decoder_bias)):
            step = len(self.widths) - 1 - depth
            rows = F.relu(convolution(self.up(rows, step), self.levels.filters[step]) + bias)
        return self.head(rows, self.levels.filters[0]).transpose(0, 1)

    def forward(self, signal: Tensor) -> Tensor:
        """(B, N, 3) → (B, N, 3)."""
        return self.decode(self.encode(signal))


class FaceCritic(nn.Module):
    """Critic of Lin et al. 2020 on 224² pictures: six convolutions with max pooling between, 7 × 7 to one score.

    Args: norm: "none", or "batch" as the authors have it, though that makes the gradient penalty depend on the batch.
    Raises: ValueError for another norm.
    """

    def __init__(self, norm: str = "none") -> None:
        super().__init__()
        if norm not in ("batch", "none"):
            raise ValueError(f"unknown critic norm '{norm}'; choose batch or none.")
        widths, layers = (3, 16, 32, 64, 128, 256, 512), []
        for i, (channels, filters) in enumerate(zip(widths, widths[1:])):
            size = 1 if i == 0 else 3
            layers.append(nn.Conv2d(channels, filters, size, padding=size // 2))
            layers.append(nn.BatchNorm2d(filters) if norm == "batch" else nn.Identity())
            layers.append(nn.LeakyReLU(0.2))
            if i < 5:
                layers.append(nn.MaxPool2d(2))
        self.main = nn.Sequential(*layers, nn.Conv2d(512, 1, 7))

    def forward(self, pictures: Tensor) -> Tensor:
        """(B, 3, 224, 224) → (B,) scores, without bounds."""
        return self.main(pictures).flatten(1).mean(1)
