"""A small identity network: a ResNet of basic blocks on 112 px crops, closed by MobileFaceNet's global depthwise
layer.
"""

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

INPUT_PX = 112
_STAGES = 4  # each halves the side: 112 → 56 → 28 → 14 → 7 px
_LAST_PX = INPUT_PX // 2**_STAGES


@dataclass(frozen=True)
class FaceEmbeddingConfig:
    """All that is needed to rebuild the network."""

    width: int = 32  # channels of the stem, a multiple of 16; the last two stages have 2 and 4 times as many
    blocks: int = 2  # of each of the three residual stages
    hidden: int = 512  # channels before the depthwise layer
    outputs: int = 128  # length of the features

    def __post_init__(self) -> None:
        # oneDNN's channels-last gradients of an 8-channel stem write past their memory (seen with torch 2.15)
        if self.width < 16 or self.width % 16:
            raise ValueError(f"width {self.width} of an identity network is no multiple of 16.")

    def to_dict(self) -> dict:
        """JSON-ready fields."""
        return asdict(self)


class GlobalDepthwise(nn.Module):
    """A depthwise convolution as large as its input, written as the weighted sum that it is: conv2d is far slower
    here.
    """

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels, 1, size, size) * (2 / size**2) ** 0.5)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, size, size) → (B, C)."""
        return (x * self.weight[:, 0]).sum((2, 3))


class FaceEmbedding(nn.Module):
    """(B, 3, 112, 112) RGB −1 … 1 → (B, outputs) features, not normalised. 0.85 M parameters as configured by default.

    The depthwise 7×7 layer weighs places instead of averaging them, as the corners of a crop say little (Chen et al.
    2018).
    """

    def __init__(self, config: FaceEmbeddingConfig = FaceEmbeddingConfig()) -> None:
        from torchvision.models.resnet import BasicBlock  # takes a second, and few who import this file build one

        super().__init__()
        self.config = config
        self.stem = nn.Sequential(
            nn.Conv2d(3, config.width, 3, 2, 1, bias=False), nn.BatchNorm2d(config.width), nn.ReLU(True)
        )
        stages, ins = [], config.width
        for outs in (config.width, 2 * config.width, 4 * config.width):
            shortcut = nn.Sequential(nn.Conv2d(ins, outs, 1, 2, bias=False), nn.BatchNorm2d(outs))
            stages.append(BasicBlock(ins, outs, 2, shortcut))
            stages += [BasicBlock(outs, outs) for _ in range(config.blocks - 1)]
            ins = outs
        self.stages = nn.Sequential(*stages)
        self.expand = nn.Sequential(
            nn.Conv2d(ins, config.hidden, 1, bias=False), nn.BatchNorm2d(config.hidden), nn.ReLU(True)
        )
        self.places = GlobalDepthwise(config.hidden, _LAST_PX)
        self.norm = nn.BatchNorm1d(config.hidden)
        self.fc = nn.Linear(config.hidden, config.outputs, bias=False)
        self.features = nn.BatchNorm1d(config.outputs)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out")

    def forward(self, images: Tensor) -> Tensor:
        """Features."""
        x = self.expand(self.stages(self.stem(images)))
        return self.features(self.fc(self.norm(self.places(x))))


class CosineClassifier(nn.Module):
    """One direction per person: (B, D) features → (B, people) cosines."""

    def __init__(self, features: int, people: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(people, features) * features**-0.5)

    def forward(self, features: Tensor) -> Tensor:
        """Cosines, −1 … 1."""
        return F.linear(F.normalize(features), F.normalize(self.weight))
