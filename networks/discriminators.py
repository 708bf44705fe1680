"""D_z on latents, D on images (both return logits), and a critic fit for WGAN-GP."""

import torch
import torch.nn as nn
from torch import Tensor


class LatentDiscriminator(nn.Module):
    """D_z: three linear layers with dropout before ReLU. 1,102,001 parameters at z = 99.

    The paper's final sigmoid is left to the loss (BCE with logits: the same optimum, no log of zero).
    """

    def __init__(self, z_dim: int = 99) -> None:
        super().__init__()
        self.lin1 = nn.Linear(z_dim, 1000)
        self.lin2 = nn.Linear(1000, 1000)
        self.lin3 = nn.Linear(1000, 1)
        self.dropout = nn.Dropout(0.2)

    def forward(self, z: Tensor) -> Tensor:
        """(B, z_dim) → (B,) logits of "drawn from the prior"."""
        h = torch.relu(self.dropout(self.lin1(z)))
        h = torch.relu(self.dropout(self.lin2(h)))
        return self.lin3(h)[:, 0]


class ImageDiscriminator(nn.Module):
    """D: five 4×4 stride-2 convolutions, a 4×4 convolution to one channel, mean over positions. 1,743,744 parameters.

    Args:
        norm: "batch" (the paper) or "none" (a critic: batch norm would break the per-image gradient penalty).
    """

    def __init__(self, norm: str = "batch") -> None:
        super().__init__()
        if norm not in ("batch", "none"):
            raise ValueError(f"unknown discriminator norm '{norm}'; choose batch or none")
        widths = (3, 32, 64, 128, 256, 256)
        layers: list[nn.Module] = []
        for i in range(5):
            layers.append(nn.Conv2d(widths[i], widths[i + 1], 4, 2, 1, bias=False))
            if i:
                layers.append(nn.BatchNorm2d(widths[i + 1]) if norm == "batch" else nn.Identity())
            layers.append(nn.LeakyReLU(0.2, inplace=True))
        layers += [nn.Conv2d(256, 1, 4, 1, 0, bias=False), nn.AdaptiveAvgPool2d(1)]
        self.main = nn.Sequential(*layers)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, S, S), S ≥ 128 → (B,) logits (batch norm) or unbounded scores (critic) of "real"."""
        return torch.flatten(self.main(image))
