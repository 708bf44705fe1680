"""A direct landmark network: residual trunk, coarse coordinates off the last map, fine ones by soft-argmax, both with a
scale.

Coordinates are half crop sides from the crop's centre (−1 to 1 inside). Every read-out gives the scale b of a radial
Laplace density exp(−d/b)/(2πb²) of its error d (dense landmarks with uncertainty: Wood et al. 2022; Laplace: LUVLi,
Kumar et al. 2020); the two are joined with weights 1/b², so that each point trusts the read-out that is surer of it.
"""

from dataclasses import asdict, dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from networks.blocks import DownBlock, initialise

LOG_SCALES = (-6.0, 1.0)  # of b in half crop sides: 0.2 px to beyond the crop at 128 px
STRIDE = 4  # of the map that the soft-argmax reads
LAST_STRIDE = 32  # of the map that the coarse coordinates are read off


class Located(NamedTuple):
    """points (B, K, 2) in half crop sides; log_scales (B, K), natural logarithm of b in half crop sides."""

    points: Tensor
    log_scales: Tensor


class LandmarkReadouts(NamedTuple):
    """What the network says: both read-outs and what they say together."""

    coarse: Located
    fine: Located
    joint: Located


@dataclass(frozen=True)
class LandmarkNetConfig:
    """All that is needed to rebuild the network; stored in every checkpoint."""

    num_landmarks: int = 68
    input_size: int = 128  # px, a multiple of 32
    width: int = 32  # channels of the first stage; the others have 2, 4 and 8 times as many
    blocks: int = 2  # residual blocks of every stage
    normalize: bool = True  # subtract the pixel mean from images
    readout: str = "joint"  # of the read-outs, the one that is taken
    depth_head: bool = False  # there is none

    def to_dict(self) -> dict:
        """JSON-ready fields."""
        return asdict(self)


class LandmarkNet(nn.Module):
    """Crops → landmarks with their uncertainty. 3.4 million parameters and 0.2 GMAC a face at width 32 and 128 px."""

    def __init__(self, config: LandmarkNetConfig = LandmarkNetConfig()) -> None:
        """Raises: ValueError for an input that is not a multiple of 32 px or a width that is not one of 16.

        oneDNN's backward pass in channels_last crashes on narrower stages.
        """
        super().__init__()
        if config.width < 1 or config.width % 16:
            raise ValueError(f"width {config.width} is not a multiple of 16")
        if config.input_size % LAST_STRIDE:
            raise ValueError(f"input size {config.input_size} px is not a multiple of {LAST_STRIDE}")
        self.config = config
        width, points = config.width, config.num_landmarks
        self.stem = make_stem(width)
        self.stages = make_stages(width, config.blocks)
        channels = stage_channels(width)
        last = config.input_size // LAST_STRIDE
        self.squeeze = make_squeeze(width)
        self.coordinates = nn.Linear(2 * width * last**2, 3 * points)
        self.lateral = nn.ModuleList(nn.Conv2d(c, 2 * width, 1) for c in channels)
        self.merge = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(2 * width, 2 * width, 3, 1, 1, bias=False), nn.BatchNorm2d(2 * width), nn.ReLU(inplace=True)
            )
            for _ in channels[1:]
        )
        self.maps = nn.Conv2d(2 * width, 2 * points, 1)
        initialise(self)
        nn.init.normal_(self.coordinates.weight, 0, 0.01)
        nn.init.zeros_(self.coordinates.bias)
        nn.init.normal_(self.maps.weight, 0, 0.01)

    def forward(self, images: Tensor) -> LandmarkReadouts:
        """images (B, 3, S, S) in 0 … 1 minus the pixel mean → read-outs in float32."""
        features = []
        x = self.stem(images)
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        coarse = self._coarse(x)
        fine = self._fine(features)
        return LandmarkReadouts(coarse, fine, join(coarse, fine))

    def _coarse(self, last: Tensor) -> Located:
        values = self.coordinates(self.squeeze(last).flatten(1)).float().unflatten(1, (-1, 3))
        return Located(values[..., :2], values[..., 2].clamp(*LOG_SCALES))

    def _fine(self, features: list[Tensor]) -> Located:
        x = self.lateral[-1](features[-1])
        for level in reversed(range(len(features) - 1)):
            x = self.merge[level](
                F.interpolate(x, scale_factor=2.0, mode="nearest") + self.lateral[level](features[level])
            )
        maps = self.maps(x).float()
        logits, log_scales = maps.chunk(2, dim=1)
        weights = logits.flatten(2).softmax(-1).unflatten(2, logits.shape[2:])
        side = logits.shape[-1]
        centres = (torch.arange(side, device=maps.device, dtype=maps.dtype) * 2 + 1) / side - 1
        across = (weights.sum(2) * centres).sum(-1)
        down = (weights.sum(3) * centres).sum(-1)
        scales = (weights * log_scales).sum((2, 3))
        return Located(torch.stack([across, down], -1), scales.clamp(*LOG_SCALES))


def join(first: Located, second: Located) -> Located:
    """Mean of two estimates with weights 1/b², and the scale that independent errors would leave."""
    precision = [(-2 * estimate.log_scales).exp() for estimate in (first, second)]
    total = precision[0] + precision[1]
    points = (first.points * precision[0][..., None] + second.points * precision[1][..., None]) / total[..., None]
    return Located(points, -0.5 * total.log())


def stage_channels(width: int) -> list[int]:
    """Channels of the four stages."""
    return [width, 2 * width, 4 * width, 8 * width]


def make_stem(width: int) -> nn.Sequential:
    """(B, 3, S, S) → (B, width, S/2, S/2)."""
    return nn.Sequential(nn.Conv2d(3, width, 5, 2, 2, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True))


def make_stages(width: int, blocks: int) -> nn.ModuleList:
    """Four stages behind the stem; each halves the map."""
    channels = stage_channels(width)
    return nn.ModuleList(_stage(a, b, blocks) for a, b in zip([width, *channels[:-1]], channels, strict=True))


def make_squeeze(width: int) -> nn.Sequential:
    """Last map → 2 · width channels."""
    return nn.Sequential(
        nn.Conv2d(8 * width, 2 * width, 1, bias=False), nn.BatchNorm2d(2 * width), nn.ReLU(inplace=True)
    )


def _stage(inputs: int, channels: int, blocks: int) -> nn.Sequential:
    """Halves the map, then keeps it."""
    rest = [DownBlock(channels, channels, 1, "relu") for _ in range(blocks - 1)]
    return nn.Sequential(DownBlock(inputs, channels, 2, "relu"), *rest)
