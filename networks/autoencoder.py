"""Encoder Q and decoder P of 3FabRec: a ResNet-18 variant and its mirror image.

Child names are those of the authors' checkpoints, so that `saae.mdl` loads without renaming.
"""

import torch
import torch.nn as nn
from torch import Tensor

from networks.blocks import DownBlock, UpBlock, initialise, make_activation

INPUT_SIZES = (128, 256, 512)


def _check_size(input_size: int) -> None:
    if input_size not in INPUT_SIZES:
        raise ValueError(f"input size {input_size} is not one of {', '.join(map(str, INPUT_SIZES))} px")


class ResNetEncoder(nn.Module):
    """Stem, stages of two basic blocks, global average pool, linear. Used by Q and by the depth head.

    Args:
        in_channels, out_features: of the whole network.
        input_size: 128, 256 or 512; decides how many stages precede `layer1` so that the last map of Q is 4×4×512.
    """

    def __init__(self, in_channels: int, out_features: int, input_size: int, activation: str) -> None:
        super().__init__()
        _check_size(input_size)
        self.conv1 = nn.Conv2d(in_channels, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.activation = make_activation(activation)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        stages = {128: ["layer1"], 256: ["layer0", "layer1"], 512: ["layer0", "layer01", "layer1"]}[input_size]
        plan = [(name, 64, 64, 1 if i == 0 else 2) for i, name in enumerate(stages)]
        plan += [("layer2", 64, 128, 2), ("layer3", 128, 256, 2), ("layer4", 256, 512, 2)]
        for name, before, channels, stride in plan:
            blocks = [DownBlock(before, channels, stride, activation), DownBlock(channels, channels, 1, activation)]
            self.add_module(name, nn.Sequential(*blocks))
        self.stages = [name for name, *_ in plan]
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(512, out_features)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, S, S) → (B, out_features), linear output."""
        x = self.maxpool(self.activation(self.bn1(self.conv1(x))))
        for name in self.stages:
            x = getattr(self, name)(x)
        return self.fc(torch.flatten(self.avgpool(x), 1))


class Encoder(ResNetEncoder):
    """Q in the paper: image → latent z. 11,379,491 parameters at 256 px, z = 99."""

    def __init__(self, input_size: int = 256, z_dim: int = 99, activation: str = "relu") -> None:
        super().__init__(3, z_dim, input_size, activation)


class Decoder(nn.Module):
    """P in the paper: latent z → image in (−1, 1) (tanh; images are mean-subtracted). 10,868,096 parameters at 256
    px.
    """

    def __init__(self, input_size: int = 256, z_dim: int = 99, activation: str = "relu") -> None:
        super().__init__()
        _check_size(input_size)
        self.fc = nn.Linear(z_dim, 512)
        self.conv1 = nn.ConvTranspose2d(512, 512, 4, 1, 0, bias=False)
        self.bn1 = nn.BatchNorm2d(512)
        self.activation = make_activation(activation)
        widths = [512, 256, 128, 64, 64] + [64] * {128: 0, 256: 1, 512: 2}[input_size]
        self.num_layers = len(widths) - 1
        for i in range(self.num_layers):
            self.add_module(f"layer{i + 1}", nn.Sequential(UpBlock(widths[i], widths[i + 1], activation)))
        self.lin = nn.ConvTranspose2d(64, 3, 4, 2, 1, bias=False)
        initialise(self)

    def seed_features(self, z: Tensor) -> Tensor:
        """(B, z_dim) → x1 (B, 256, 8, 8), the map after layer1, which is all that the landmark head needs."""
        x = self.fc(z)[:, :, None, None]
        return self.layer1(self.activation(self.bn1(self.conv1(x))))

    def image(self, x1: Tensor) -> Tensor:
        """x1 (B, 256, 8, 8) → (B, 3, S, S)."""
        x = x1
        for i in range(1, self.num_layers):
            x = getattr(self, f"layer{i + 1}")(x)
        return torch.tanh(self.lin(x))

    def forward(self, z: Tensor) -> Tensor:
        """(B, z_dim) → (B, 3, S, S)."""
        return self.image(self.seed_features(z))
