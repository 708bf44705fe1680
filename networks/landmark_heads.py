"""Heads on the autoencoder: interleaved transfer layers for heatmaps, a ResNet for the depth of landmarks."""

import torch
import torch.nn as nn
from torch import Tensor

from networks.autoencoder import Decoder, ResNetEncoder

HEATMAP_SIZE = 128  # independent of the input size


class LandmarkHead(nn.Module):
    """LMH ("interleaved transfer layers"): 3×3 convolutions between the decoder's own layers 2 to 4.

    The decoder is handed to `forward` and is not a child, so its weights are shared and stored once.
    880,640 own parameters at K = 68.
    """

    def __init__(self, num_landmarks: int) -> None:
        super().__init__()
        self.t1 = nn.Conv2d(256, 256, 3, 1, 1, bias=False)
        self.t2 = nn.Conv2d(128, 128, 3, 1, 1, bias=False)
        self.t3 = nn.Conv2d(64, 64, 3, 1, 1, bias=False)
        self.t4 = nn.Conv2d(64, 64, 3, 1, 1, bias=False)
        self.lin = nn.ConvTranspose2d(64, num_landmarks, 4, 2, 1, bias=False)

    def forward(self, x1: Tensor, decoder: Decoder) -> Tensor:
        """x1 (B, 256, 8, 8) of `Decoder.seed_features` → (B, K, 128, 128) heatmaps, linear output."""
        x = decoder.layer2(self.t1(x1))
        x = decoder.layer3(self.t2(x))
        x = decoder.layer4(self.t3(x))
        return self.lin(self.t4(x))


class DepthHead(nn.Module):
    """LMH_3D (ParFace-Net): heatmaps and the latent, spread over the map, → one depth per landmark.

    The architecture is the encoder's for 256 px with K + z_dim input channels: 11,877,892 parameters at K = 68, z = 99.
    The z_dim channels are constant over the map, so `fast` computes their share of the first convolution as a matrix
    product per border pattern instead of a convolution (exact up to rounding, about half of the head's arithmetic).
    """

    def __init__(self, num_landmarks: int = 68, z_dim: int = 99, activation: str = "leaky_relu") -> None:
        super().__init__()
        self.num_landmarks = num_landmarks
        net = ResNetEncoder(num_landmarks + z_dim, num_landmarks, 256, activation)
        for name, child in list(net.named_children()):
            self.add_module(name, child)
        self.stages = net.stages

    def forward(self, heatmaps: Tensor, z: Tensor, impl: str = "fast") -> Tensor:
        """heatmaps (B, K, 128, 128), z (B, z_dim) → (B, K) depth, crop half-sizes: z_px / 256 in a 256 px crop."""
        x = self._stem(heatmaps, z) if impl == "fast" else self._stem_reference(heatmaps, z)
        x = self.maxpool(self.activation(self.bn1(x)))
        for name in self.stages:
            x = getattr(self, name)(x)
        return self.fc(torch.flatten(self.avgpool(x), 1))

    def _stem_reference(self, heatmaps: Tensor, z: Tensor) -> Tensor:
        spread = z[:, :, None, None].expand(-1, -1, *heatmaps.shape[-2:])
        return self.conv1(torch.cat([heatmaps, spread.to(heatmaps.dtype)], dim=1))

    def _stem(self, heatmaps: Tensor, z: Tensor) -> Tensor:
        """Split the convolution: maps by convolution, constants by the sum of the kernel taps that fall inside the
        map.
        """
        weight = self.conv1.weight
        maps = nn.functional.conv2d(heatmaps, weight[:, : self.num_landmarks], stride=2, padding=3)
        kernels = torch.einsum("oiyx,bi->boyx", weight[:, self.num_landmarks :].float(), z.float())
        rows = self._taps_inside(heatmaps.shape[-2], maps.shape[-2], weight)
        columns = self._taps_inside(heatmaps.shape[-1], maps.shape[-1], weight)
        return maps + torch.einsum("hy,boyx,wx->bohw", rows, kernels, columns).to(maps.dtype)

    @staticmethod
    def _taps_inside(size: int, out_size: int, weight: Tensor) -> Tensor:
        """(out_size, 7) 0/1: which taps of the stride-2, padding-3 kernel lie on the map for every output position."""
        position = 2 * torch.arange(out_size, device=weight.device)[:, None] - 3 + torch.arange(7, device=weight.device)
        return ((position >= 0) & (position < size)).float()
