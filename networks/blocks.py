"""Residual blocks and initialisation shared by the autoencoder's networks."""

import math

import torch.nn as nn
from torch import Tensor

PIXEL_MEAN = (0.518, 0.418, 0.361)  # RGB, of faces; subtracted after division by 255, no division by a deviation
ACTIVATIONS = ("relu", "leaky_relu")


def make_activation(name: str) -> nn.Module:
    """'relu' (3FabRec) or 'leaky_relu' with slope 0.1 (ParFace-Net). Raises: ValueError for another name."""
    if name == "relu":
        return nn.ReLU(inplace=True)
    if name == "leaky_relu":
        return nn.LeakyReLU(0.1, inplace=True)
    raise ValueError(f"unknown activation '{name}'; choose one of: {', '.join(ACTIVATIONS)}")


def initialise(module: nn.Module) -> None:
    """Every Conv2d ~ N(0, sqrt(2 / (k·k·out_channels))), batch norm 1 and 0; the rest keeps PyTorch's defaults."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(
                layer.weight, 0, math.sqrt(2 / (layer.kernel_size[0] * layer.kernel_size[1] * layer.out_channels))
            )
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)


class DownBlock(nn.Module):
    """ResNet basic block: conv 3×3 (stride) – BN – act – conv 3×3 – BN, plus shortcut, act."""

    def __init__(self, in_channels: int, channels: int, stride: int, activation: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.activation = make_activation(activation)
        self.downsample = None
        if stride != 1 or in_channels != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) → (B, channels, H/stride, W/stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.activation(self.bn1(self.conv1(x)))
        return self.activation(self.bn2(self.conv2(x)) + shortcut)


class UpBlock(nn.Module):
    """Inverse basic block: transposed conv 4×4 s2 – BN – act – conv 3×3 – BN, plus transposed-conv shortcut, act."""

    def __init__(self, in_channels: int, channels: int, activation: str) -> None:
        super().__init__()
        self.conv1 = nn.ConvTranspose2d(in_channels, channels, 4, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.activation = make_activation(activation)
        self.upsample = nn.Sequential(
            nn.ConvTranspose2d(in_channels, channels, 4, 2, 1, bias=False), nn.BatchNorm2d(channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) → (B, channels, 2H, 2W)."""
        shortcut = self.upsample(x)
        x = self.activation(self.bn1(self.conv1(x)))
        return self.activation(self.bn2(self.conv2(x)) + shortcut)
