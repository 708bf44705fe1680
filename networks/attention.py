"""Attention and context blocks: squeeze-and-excitation, CBAM, replay attention, ASPP, RADAN's attention transformer."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

ASPP_RATES = (6, 12, 18)


class SqueezeExcitation(nn.Module):
    """Channel gate from the global mean (Hu et al. 2018): x · gate(W₂ relu(W₁ mean(x))).

    Args: reduction: divides the hidden width; bias: of both linear layers; hard: relu6(v + 3) / 6 in place of the
    sigmoid.
    """

    def __init__(self, channels: int, reduction: int = 16, bias: bool = False, hard: bool = False) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, channels // reduction, bias=bias)
        self.excite = nn.Linear(channels // reduction, channels, bias=bias)
        self.gate = nn.Hardsigmoid() if hard else nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same shape."""
        return x * self.gate(self.excite(F.relu(self.squeeze(x.mean(dim=(2, 3))))))[:, :, None, None]


class ChannelGate(nn.Module):
    """CBAM's channel attention: one perceptron on the mean and on the maximum, summed, sigmoid."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.hidden = nn.Linear(channels, channels // reduction)
        self.output = nn.Linear(channels // reduction, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same shape."""
        pooled = torch.stack([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))])
        gate = self.output(F.relu(self.hidden(pooled))).sum(0)
        return x * torch.sigmoid(gate)[:, :, None, None]


class SpatialGate(nn.Module):
    """CBAM's spatial attention: 7×7 convolution on the maximum and the mean over channels, batch norm, sigmoid."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)
        self.bn = nn.BatchNorm2d(1, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same shape."""
        pooled = torch.cat([x.amax(dim=1, keepdim=True), x.mean(dim=1, keepdim=True)], dim=1)
        return x * torch.sigmoid(self.bn(self.conv(pooled)))


class CBAM(nn.Module):
    """Convolutional block attention module (Woo et al. 2018): channel gate, then spatial gate."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.channel = ChannelGate(channels, reduction)
        self.spatial = SpatialGate()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same shape."""
        return self.spatial(self.channel(x))


class ReplayAttention(nn.Module):
    """RADAN's replay attention (Zhou et al. 2022): an attended map estimates a second attention, then three views are
    fused.

    g = CBAM(x); a = sigmoid(upsample(BN(conv(maxpool(g))))); r = BN(conv(x)) ⊙ a; out = BN(conv([r; g; x])). There is
    neither a ReLU nor a shortcut behind it. Keeps the shape, so it can follow any stage of any network.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.attention = CBAM(channels, reduction)
        self.replay = nn.Sequential(
            nn.MaxPool2d(3, 2, 1), nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        )
        self.fit = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))
        self.fuse = nn.Sequential(nn.Conv2d(3 * channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same shape."""
        attended = self.attention(x)
        weights = torch.sigmoid(F.interpolate(self.replay(attended), x.shape[2:]))
        return self.fuse(torch.cat([self.fit(x) * weights, attended, x], dim=1))


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling (Chen et al. 2017): global mean, 1×1 and dilated 3×3 views, concatenated, 1×1.

    RADAN has no normalisation in it (norm=False); with norm=True every view ends in batch norm and ReLU, as in DeepLab.
    """

    def __init__(
        self, in_channels: int, channels: int, rates: tuple[int, ...] = ASPP_RATES, norm: bool = False
    ) -> None:
        super().__init__()

        def view(kernel: int, rate: int = 1) -> nn.Module:
            padding = rate if kernel == 3 else 0
            conv = nn.Conv2d(in_channels, channels, kernel, padding=padding, dilation=rate, bias=not norm)
            return nn.Sequential(conv, nn.BatchNorm2d(channels), nn.ReLU(inplace=True)) if norm else conv

        self.context = nn.Conv2d(in_channels, channels, 1)
        self.views = nn.ModuleList([view(1), *(view(3, rate) for rate in rates)])
        self.project = nn.Conv2d(channels * (2 + len(rates)), channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) → (B, channels, H, W)."""
        context = self.context(x.mean(dim=(2, 3), keepdim=True)).expand(-1, -1, *x.shape[2:])
        return self.project(torch.cat([context, *(view(x) for view in self.views)], dim=1))


class SEResidualBlock(nn.Module):
    """Basic residual block with squeeze-and-excitation before the sum and a 1×1 shortcut."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut = nn.Sequential(nn.Conv2d(in_channels, channels, 1, bias=False), nn.BatchNorm2d(channels))
        self.se = SqueezeExcitation(channels, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) → (B, channels, H, W)."""
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(self.se(out) + self.shortcut(x))


class AttentionTransformer(nn.Module):
    """RADAN's "attention transformer": ASPP to half the channels, then an SE residual block back to all of them."""

    def __init__(self, channels: int = 512) -> None:
        super().__init__()
        self.aspp = ASPP(channels, channels // 2)
        self.se_block = SEResidualBlock(channels // 2, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same shape."""
        return self.se_block(self.aspp(x))
