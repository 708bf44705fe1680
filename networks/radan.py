"""RADAN (Zhou et al. 2022): PyConvResNet-50 with replay attention, attention transformers, SE and three heads."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from networks.attention import AttentionTransformer, ReplayAttention, SqueezeExcitation
from networks.regressor import Regressor

EXPANSION = 4
HIDDEN = 512
# blocks, planes, then (kernel, groups, share of the planes) of the pyramid that stands in for the 3×3 convolution
STAGES = (
    (3, 64, ((3, 1, 4), (5, 4, 4), (7, 8, 4), (9, 16, 4))),
    (4, 128, ((3, 1, 4), (5, 4, 4), (7, 8, 2))),
    (6, 256, ((3, 1, 2), (5, 4, 2))),
    (3, 512, ((3, 1, 1),)),
)


class PyramidalConv(nn.Module):
    """Parallel convolutions of several kernel sizes, concatenated (Duta et al. 2020).

    Args: levels: (kernel, groups, divisor) each; a level gives planes // divisor channels.
    """

    def __init__(self, planes: int, levels: tuple[tuple[int, int, int], ...], stride: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            nn.Conv2d(planes, planes // part, kernel, stride, kernel // 2, groups=groups, bias=False)
            for kernel, groups, part in levels
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, planes, H, W) → (B, planes, H/stride, W/stride)."""
        return torch.cat([level(x) for level in self.levels], dim=1)


class Bottleneck(nn.Module):
    """1×1, pyramidal, 1×1; where the shape changes the shortcut is max-pooling, 1×1, batch norm."""

    def __init__(self, ins: int, planes: int, levels: tuple[tuple[int, int, int], ...], stride: int) -> None:
        super().__init__()
        outs = planes * EXPANSION
        self.conv1 = nn.Conv2d(ins, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = PyramidalConv(planes, levels, stride)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, outs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outs)
        self.shortcut = nn.Identity()
        if stride != 1:
            pool = nn.MaxPool2d(3, stride, 1)
            self.shortcut = nn.Sequential(pool, nn.Conv2d(ins, outs, 1, bias=False), nn.BatchNorm2d(outs))

    def forward(self, x: Tensor) -> Tensor:
        """(B, ins, H, W) → (B, 4·planes, H/stride, W/stride)."""
        out = F.relu(self.bn1(self.conv1(x)))
        out = F.relu(self.bn2(self.conv2(out)))
        return F.relu(self.bn3(self.conv3(out)) + self.shortcut(x))


class Heads(nn.ModuleList):
    """Independent heads of two linear layers without a non-linearity between them, as the authors train it;
    concatenated.
    """

    def __init__(self, channels: int, outputs: tuple[int, ...]) -> None:
        super().__init__(nn.Sequential(nn.Linear(channels, HIDDEN), nn.Linear(HIDDEN, count)) for count in outputs)

    def forward(self, pooled: Tensor) -> Tensor:
        """(B, channels) → (B, sum of outputs)."""
        return torch.cat([head(pooled) for head in self], dim=1)


class RADAN(Regressor):
    """57,098,742 parameters with 12, 40 and 10 outputs.

    Args: outputs: numbers of pose, identity and expression parameters; dropout: of the pooled vector.
    """

    def __init__(self, outputs: tuple[int, int, int] = (12, 40, 10), landmarks: int = 0, dropout: float = 0.3) -> None:
        channels = STAGES[-1][1] * EXPANSION
        super().__init__(channels, sum(outputs), landmarks)
        self.fc = Heads(channels, outputs)
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        stages, ins = [], 64
        for count, planes, levels in STAGES:
            first = Bottleneck(ins, planes, levels, 2)
            ins = planes * EXPANSION
            stages.append(nn.Sequential(first, *(Bottleneck(ins, planes, levels, 1) for _ in range(count - 1))))
        self.stages = nn.ModuleList(stages)
        self.replay = nn.ModuleList([ReplayAttention(256), ReplayAttention(512)])
        self.transformers = nn.Sequential(AttentionTransformer(512), AttentionTransformer(512))
        self.se = nn.ModuleList([SqueezeExcitation(1024), SqueezeExcitation(2048)])
        self.dropout = nn.Dropout(dropout)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def pooled(self, x: Tensor) -> Tensor:
        """(B, 3, S, S) → (B, 2048)."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.replay[0](self.stages[0](x))
        x = self.transformers(self.replay[1](self.stages[1](x)))
        x = self.se[0](self.stages[2](x))
        x = self.se[1](self.stages[3](x))
        return self.dropout(x.mean(dim=(2, 3)))
