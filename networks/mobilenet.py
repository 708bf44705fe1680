"""MobileNet-V1 (Howard et al. 2017) as 3DDFA and 3DDFA_V2 use it, optionally with replay attention."""

import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from networks.attention import ReplayAttention
from networks.blocks import initialise
from networks.regressor import Regressor

STEM = 32
# (channels at width 1, stride) of the thirteen depthwise-separable blocks
BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1))


class DepthwiseSeparable(nn.Module):
    """Depthwise 3×3, batch norm, ReLU, pointwise 1×1, batch norm, ReLU."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(in_channels, in_channels, 3, stride, 1, groups=in_channels, bias=False)
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.pointwise = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) → (B, channels, H/stride, W/stride)."""
        x = F.relu(self.bn1(self.depthwise(x)), inplace=True)
        return F.relu(self.bn2(self.pointwise(x)), inplace=True)


class MobileNetV1(Regressor):
    """3.27 M parameters at width 1 and 62 outputs; 0.85 M at 0.5.

    Args: width: factor on all channels (the papers': 2, 1, 0.75, 0.5, 0.25); replay: numbers of blocks (0 … 12) that
        replay attention follows, such as (4, 10).
    """

    def __init__(self, width: float = 1.0, outputs: int = 62, landmarks: int = 0, replay: tuple[int, ...] = ()) -> None:
        channels = [int(c * width) for c, _ in BLOCKS]
        super().__init__(channels[-1], outputs, landmarks)
        stem = int(STEM * width)
        self.conv = nn.Conv2d(3, stem, 3, 2, 1, bias=False)
        self.bn = nn.BatchNorm2d(stem)
        ins = [stem, *channels[:-1]]
        self.blocks = nn.ModuleList(
            DepthwiseSeparable(i, o, s) for i, o, (_, s) in zip(ins, channels, BLOCKS, strict=True)
        )
        self.replay = nn.ModuleDict({str(n): ReplayAttention(channels[n]) for n in replay})
        initialise(self)

    def pooled(self, x: Tensor) -> Tensor:
        """(B, 3, S, S) → (B, 1024·width)."""
        x = F.relu(self.bn(self.conv(x)), inplace=True)
        for number, block in enumerate(self.blocks):
            x = block(x)
            if str(number) in self.replay:
                x = self.replay[str(number)](x)
        return x.mean(dim=(2, 3))
