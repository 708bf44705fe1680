"""MobileNet-V3 small and large (Howard et al. 2019) with 3DDFA_V2's ends: 1280-channel last layer, SE without
biases.
"""

import math

import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from networks.attention import SqueezeExcitation
from networks.regressor import Regressor

LAST_CHANNELS = 1280
# kernel, expansion, channels, squeeze-and-excitation, h-swish (else ReLU), stride: tables 1 and 2 of the paper
_LARGE = (
    (3, 16, 16, False, False, 1),
    (3, 64, 24, False, False, 2),
    (3, 72, 24, False, False, 1),
    (5, 72, 40, True, False, 2),
    (5, 120, 40, True, False, 1),
    (5, 120, 40, True, False, 1),
    (3, 240, 80, False, True, 2),
    (3, 200, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 480, 112, True, True, 1),
    (3, 672, 112, True, True, 1),
    (5, 672, 160, True, True, 2),
    (5, 960, 160, True, True, 1),
    (5, 960, 160, True, True, 1),
)
_SMALL = (
    (3, 16, 16, True, False, 2),
    (3, 72, 24, False, False, 2),
    (3, 88, 24, False, False, 1),
    (5, 96, 40, True, True, 2),
    (5, 240, 40, True, True, 1),
    (5, 240, 40, True, True, 1),
    (5, 120, 48, True, True, 1),
    (5, 144, 48, True, True, 1),
    (5, 288, 96, True, True, 2),
    (5, 576, 96, True, True, 1),
    (5, 576, 96, True, True, 1),
)
_MODES = {"large": (_LARGE, 960), "small": (_SMALL, 576)}


def _scaled(channels: int, width: float) -> int:
    """channels · width, rounded up to a multiple of 8."""
    return math.ceil(channels * width / 8) * 8


class InvertedResidual(nn.Module):
    """1×1 expansion, depthwise k×k, optional SE before the activation, linear 1×1; shortcut where the shape stays."""

    def __init__(self, ins: int, hidden: int, outs: int, kernel: int, stride: int, se: bool, swish: bool) -> None:
        super().__init__()
        activation = nn.Hardswish if swish else nn.ReLU
        self.shortcut = stride == 1 and ins == outs
        self.layers = nn.Sequential(
            nn.Conv2d(ins, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            activation(),
            nn.Conv2d(hidden, hidden, kernel, stride, kernel // 2, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden),
            SqueezeExcitation(hidden, 4, hard=True) if se else nn.Identity(),
            activation(),
            nn.Conv2d(hidden, outs, 1, bias=False),
            nn.BatchNorm2d(outs),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, ins, H, W) → (B, outs, H/stride, W/stride)."""
        return x + self.layers(x) if self.shortcut else self.layers(x)


class MobileNetV3(Regressor):
    """Args: mode: small or large; width: factor on all channels. Raises: ValueError for another mode."""

    def __init__(self, mode: str = "small", width: float = 1.0, outputs: int = 62, landmarks: int = 0) -> None:
        if mode not in _MODES:
            raise ValueError(f"unknown mode '{mode}' of MobileNet-V3; choose one of: {', '.join(_MODES)}.")
        last = _scaled(LAST_CHANNELS, width) if width > 1 else LAST_CHANNELS
        super().__init__(last, outputs, landmarks)
        table, last_conv = _MODES[mode]
        channels, last_conv = 16, _scaled(last_conv, width)
        self.stem = nn.Sequential(nn.Conv2d(3, channels, 3, 2, 1, bias=False), nn.BatchNorm2d(channels), nn.Hardswish())
        blocks = []
        for kernel, hidden, outs, se, swish, stride in table:
            outs = _scaled(outs, width)
            blocks.append(InvertedResidual(channels, _scaled(hidden, width), outs, kernel, stride, se, swish))
            channels = outs
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(
            nn.Conv2d(channels, last_conv, 1, bias=False), nn.BatchNorm2d(last_conv), nn.Hardswish()
        )
        self.last = nn.Linear(last_conv, last)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out")
            elif isinstance(layer, nn.Linear) and layer is not self.last:
                nn.init.normal_(layer.weight, 0, 0.01)

    def pooled(self, x: Tensor) -> Tensor:
        """(B, 3, S, S) → (B, 1280)."""
        return F.hardswish(self.last(self.head(self.blocks(self.stem(x))).mean(dim=(2, 3))))
