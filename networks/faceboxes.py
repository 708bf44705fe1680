"""FaceBoxes (Zhang et al. 2017): a one-stage face detector of 1.007 M parameters that runs in real time on a CPU."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

PRIORS_PER_CELL = (21, 1, 1)  # at strides 32, 64, 128


class ConvNorm(nn.Module):
    """Convolution, batch norm, ReLU; with crelu the negated half is kept too, which doubles the channels."""

    def __init__(self, ins: int, outs: int, kernel: int, stride: int = 1, crelu: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(ins, outs, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(outs)
        self.crelu = crelu

    def forward(self, x: Tensor) -> Tensor:
        """(B, ins, H, W) → (B, outs or 2·outs, H/stride, W/stride)."""
        x = self.bn(self.conv(x))
        return F.relu(torch.cat([x, -x], dim=1) if self.crelu else x)


class Inception(nn.Module):
    """Four branches of 32 channels: 1×1; mean-pool and 1×1; one 3×3; two 3×3."""

    def __init__(self) -> None:
        super().__init__()
        self.branch1x1 = ConvNorm(128, 32, 1)
        self.branch1x1_2 = ConvNorm(128, 32, 1)
        self.branch3x3_reduce = ConvNorm(128, 24, 1)
        self.branch3x3 = ConvNorm(24, 32, 3)
        self.branch3x3_reduce_2 = ConvNorm(128, 24, 1)
        self.branch3x3_2 = ConvNorm(24, 32, 3)
        self.branch3x3_3 = ConvNorm(32, 32, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 128, H, W) → the same shape."""
        pooled = self.branch1x1_2(F.avg_pool2d(x, 3, 1, 1))
        once = self.branch3x3(self.branch3x3_reduce(x))
        twice = self.branch3x3_3(self.branch3x3_2(self.branch3x3_reduce_2(x)))
        return torch.cat([self.branch1x1(x), pooled, once, twice], dim=1)


class FaceBoxes(nn.Module):
    """Boxes and scores of all priors; module names are the paper's and those of the published weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = ConvNorm(3, 24, 7, 4, crelu=True)
        self.conv2 = ConvNorm(48, 64, 5, 2, crelu=True)
        self.inception1, self.inception2, self.inception3 = Inception(), Inception(), Inception()
        self.conv3_1, self.conv3_2 = ConvNorm(128, 128, 1), ConvNorm(128, 256, 3, 2)
        self.conv4_1, self.conv4_2 = ConvNorm(256, 128, 1), ConvNorm(128, 256, 3, 2)
        channels = (128, 256, 256)
        self.loc = nn.ModuleList(
            nn.Conv2d(c, 4 * n, 3, padding=1) for c, n in zip(channels, PRIORS_PER_CELL, strict=True)
        )
        self.conf = nn.ModuleList(
            nn.Conv2d(c, 2 * n, 3, padding=1) for c, n in zip(channels, PRIORS_PER_CELL, strict=True)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) RGB minus (123, 117, 104) → (B, P, 4) offsets from the priors and (B, P) face probabilities."""
        x = F.max_pool2d(self.conv1(x), 3, 2, 1)
        x = F.max_pool2d(self.conv2(x), 3, 2, 1)
        first = self.inception3(self.inception2(self.inception1(x)))
        second = self.conv3_2(self.conv3_1(first))
        third = self.conv4_2(self.conv4_1(second))
        maps = (first, second, third)
        offsets = [head(m).permute(0, 2, 3, 1).reshape(len(x), -1, 4) for head, m in zip(self.loc, maps, strict=True)]
        logits = [head(m).permute(0, 2, 3, 1).reshape(len(x), -1, 2) for head, m in zip(self.conf, maps, strict=True)]
        return torch.cat(offsets, 1), torch.cat(logits, 1).softmax(-1)[..., 1]
