"""ResNet-22 of 3DDFA_V2: stages of 3, 4 and 3 basic blocks with 128, 256 and 512 channels, no max-pooling."""

import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from networks.blocks import DownBlock, initialise
from networks.regressor import Regressor

STAGES = ((128, 3), (256, 4), (512, 3))


class ResNet22(Regressor):
    """18.45 M parameters. The authors' 1×1 convolution before the global mean is the linear head behind it: both are
    linear.
    """

    def __init__(self, outputs: int = 62, landmarks: int = 0) -> None:
        super().__init__(STAGES[-1][0], outputs, landmarks)
        self.conv1 = nn.Conv2d(3, 32, 5, 2, 2, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.conv2 = nn.Conv2d(32, 64, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(64)
        stages, ins = [], 64
        for channels, count in STAGES:
            first = DownBlock(ins, channels, 2, "relu")
            stages.append(nn.Sequential(first, *(DownBlock(channels, channels, 1, "relu") for _ in range(count - 1))))
            ins = channels
        self.stages = nn.ModuleList(stages)
        initialise(self)

    def pooled(self, x: Tensor) -> Tensor:
        """(B, 3, S, S) → (B, 512)."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        for stage in self.stages:
            x = stage(x)
        return x.mean(dim=(2, 3))
