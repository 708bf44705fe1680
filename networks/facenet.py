"""Inception-ResNet-v1 (Szegedy et al. 2017) as FaceNet uses it: the identity network of Deep3D's perceptual term.

Parameter names follow the widespread `facenet-pytorch`, so that its files load.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ConvUnit(nn.Module):
    """Convolution without bias, batch norm (eps 1e-3), ReLU."""

    def __init__(self, ins: int, outs: int, kernel: int | tuple[int, int], stride: int = 1, padding=0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(ins, outs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outs, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, ins, H, W) → (B, outs, H', W')."""
        return F.relu(self.bn(self.conv(x)))


class Residual(nn.Module):
    """Parallel branches, joined by a 1 × 1 convolution and added, scaled, to the input."""

    def __init__(self, channels: int, branches: list[nn.Module], joined: int, scale: float, relu: bool = True) -> None:
        super().__init__()
        self.count, self.scale, self.relu = len(branches), scale, relu
        for i, branch in enumerate(branches):
            setattr(self, f"branch{i}", branch)
        self.conv2d = nn.Conv2d(joined, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        joined = torch.cat([getattr(self, f"branch{i}")(x) for i in range(self.count)], 1)
        x = x + self.scale * self.conv2d(joined)
        return F.relu(x) if self.relu else x


class Reduction(nn.Module):
    """Parallel branches of stride 2, the last a maximum, side by side."""

    def __init__(self, branches: list[nn.Module]) -> None:
        super().__init__()
        self.count = len(branches) + 1
        for i, branch in enumerate([*branches, nn.MaxPool2d(3, 2)]):
            setattr(self, f"branch{i}", branch)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C', (H − 3)/2 + 1, …)."""
        return torch.cat([getattr(self, f"branch{i}")(x) for i in range(self.count)], 1)


def _block35() -> Residual:
    branches = [
        ConvUnit(256, 32, 1),
        nn.Sequential(ConvUnit(256, 32, 1), ConvUnit(32, 32, 3, padding=1)),
        nn.Sequential(ConvUnit(256, 32, 1), ConvUnit(32, 32, 3, padding=1), ConvUnit(32, 32, 3, padding=1)),
    ]
    return Residual(256, branches, 96, 0.17)


def _block17() -> Residual:
    deep = nn.Sequential(
        ConvUnit(896, 128, 1), ConvUnit(128, 128, (1, 7), padding=(0, 3)), ConvUnit(128, 128, (7, 1), padding=(3, 0))
    )
    return Residual(896, [ConvUnit(896, 128, 1), deep], 256, 0.10)


def _block8(scale: float = 0.20, relu: bool = True) -> Residual:
    deep = nn.Sequential(
        ConvUnit(1792, 192, 1), ConvUnit(192, 192, (1, 3), padding=(0, 1)), ConvUnit(192, 192, (3, 1), padding=(1, 0))
    )
    return Residual(1792, [ConvUnit(1792, 192, 1), deep], 384, scale, relu)


class InceptionResNetV1(nn.Module):
    """(B, 3, S, S) RGB as (value − 127.5) / 128, S 160 or 224 → (B, outputs) bottleneck, not normalised.

    Args: outputs: 128 in Deep3D's network (20170512-110547), 512 in later ones.
    """

    def __init__(self, outputs: int = 128) -> None:
        super().__init__()
        self.conv2d_1a = ConvUnit(3, 32, 3, 2)
        self.conv2d_2a = ConvUnit(32, 32, 3)
        self.conv2d_2b = ConvUnit(32, 64, 3, padding=1)
        self.maxpool_3a = nn.MaxPool2d(3, 2)
        self.conv2d_3b = ConvUnit(64, 80, 1)
        self.conv2d_4a = ConvUnit(80, 192, 3)
        self.conv2d_4b = ConvUnit(192, 256, 3, 2)
        self.repeat_1 = nn.Sequential(*(_block35() for _ in range(5)))
        self.mixed_6a = Reduction(
            [
                ConvUnit(256, 384, 3, 2),
                nn.Sequential(ConvUnit(256, 192, 1), ConvUnit(192, 192, 3, padding=1), ConvUnit(192, 256, 3, 2)),
            ]
        )
        self.repeat_2 = nn.Sequential(*(_block17() for _ in range(10)))
        self.mixed_7a = Reduction(
            [
                nn.Sequential(ConvUnit(896, 256, 1), ConvUnit(256, 384, 3, 2)),
                nn.Sequential(ConvUnit(896, 256, 1), ConvUnit(256, 256, 3, 2)),
                nn.Sequential(ConvUnit(896, 256, 1), ConvUnit(256, 256, 3, padding=1), ConvUnit(256, 256, 3, 2)),
            ]
        )
        self.repeat_3 = nn.Sequential(*(_block8() for _ in range(5)))
        self.block8 = _block8(1.0, relu=False)
        self.dropout = nn.Dropout(0.2)
        self.last_linear = nn.Linear(1792, outputs, bias=False)
        self.last_bn = nn.BatchNorm1d(outputs, eps=1e-3)

    def pooled(self, images: Tensor) -> Tensor:
        """(B, 1792) features before the bottleneck, one of the two inputs of GCN-ResNet."""
        x = self.conv2d_2b(self.conv2d_2a(self.conv2d_1a(images)))
        x = self.conv2d_4b(self.conv2d_4a(self.conv2d_3b(self.maxpool_3a(x))))
        x = self.mixed_7a(self.repeat_2(self.mixed_6a(self.repeat_1(x))))
        return self.block8(self.repeat_3(x)).mean((2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """Bottleneck features."""
        return self.last_bn(self.last_linear(self.dropout(self.pooled(images))))
