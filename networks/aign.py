"""AIGN (Tung et al. 2017) on keypoints, as DepthNets compares with it: heatmaps to a shape basis, rotation and
camera.
"""

from dataclasses import dataclass

import torch
import torch.nn as nn
from torch import Tensor

from networks.depthnet import POINTS

MAP_SIZE, PATCH = 128, 8
CONVOLUTIONS = ((66, 66, 2), (66, 64, 2), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1))


@dataclass(frozen=True)
class AIGNConfig:
    """seeds: independent runs; spectral: spectral norm instead of batch norm in the discriminator ("aign_sn")."""

    seeds: int = 1
    spectral: bool = False


def keypoint_maps(points: Tensor) -> Tensor:
    """(B, K, 2) in units of the image sides → (B, K, 128, 128): an 8 × 8 Gaussian of σ = 1 and sum 1 around each point.

    As published, the patch covers rows and columns −4 … +3 of the point's pixel and its peak is the fourth one. A patch
    over the edge is cut; upstream left it out at the upper and left edge.
    """
    batch, count, _ = points.shape
    offsets = torch.arange(-3.0, 5.0, device=points.device)
    bell = torch.exp(-offsets.square() / 2)
    patch = torch.outer(bell, bell) / bell.sum() ** 2
    corner = (points * MAP_SIZE).long() - PATCH // 2
    steps = torch.arange(PATCH, device=points.device)
    columns, rows = (corner[..., i, None] + steps for i in (0, 1))
    inside = ((rows >= 0) & (rows < MAP_SIZE))[..., :, None] & ((columns >= 0) & (columns < MAP_SIZE))[..., None, :]
    place = rows.clamp(0, MAP_SIZE - 1)[..., :, None] * MAP_SIZE + columns.clamp(0, MAP_SIZE - 1)[..., None, :]
    maps = torch.zeros(batch, count, MAP_SIZE * MAP_SIZE, device=points.device)
    maps.scatter_add_(2, place.flatten(2), (patch * inside).flatten(2))
    return maps.unflatten(2, (MAP_SIZE, MAP_SIZE))


def convolve_maps(points: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`conv2d(keypoint_maps(points), weight, bias, stride=2, padding=1)` without the maps, empty but for 8 × 8 pixels
    each.

    A patch reaches 5 × 5 places of the result, so 25 products of 9 taps per keypoint do the work of 4,096. With the
    whole maps this layer alone is more than half of a training step of the generator.

    Args: points (B, K, 2) in units of the image sides; weight (O, K, 3, 3); bias (O,).
    Returns: (B, O, 64, 64), channels last in memory.
    """
    batch, count, _ = points.shape
    reach, half = PATCH // 2 + 1, MAP_SIZE // 2
    bell = torch.exp(-torch.arange(-3.0, 5.0, device=points.device).square() / 2)
    corner = (points * MAP_SIZE).long() - PATCH // 2
    first = corner.div(2, rounding_mode="floor")  # of the places that the patch reaches
    places = first[..., None] + torch.arange(reach, device=points.device)  # (B, K, 2, 5): columns, rows
    pixels = 2 * places[..., None] + torch.arange(-1, 2, device=points.device)  # (B, K, 2, 5, 3) that a place sees
    within = pixels - corner[..., None, None]
    seen = (within >= 0) & (within < PATCH) & (pixels >= 0) & (pixels < MAP_SIZE)
    taps = (bell / bell.sum())[within.clamp(0, PATCH - 1)] * (seen & ((places >= 0) & (places < half))[..., None])
    columns, rows = taps.unbind(dim=2)
    products = (
        (rows[:, :, :, None, :, None] * columns[:, :, None, :, None, :]).flatten(4).flatten(2, 3)
    )  # (B, K, 25, 9)
    parts = products.transpose(0, 1).flatten(1, 2).to(weight.dtype) @ weight.permute(1, 2, 3, 0).flatten(1, 2)
    x, y = places.clamp(0, half - 1).unbind(dim=2)
    index = (y[:, :, :, None] * half + x[:, :, None, :]).flatten(2) + half**2 * torch.arange(
        batch, device=points.device
    ).view(-1, 1, 1)
    out = bias.expand(batch * half**2, -1).index_add(
        0, index.transpose(0, 1).flatten(), parts.flatten(0, 1).to(bias.dtype)
    )
    return out.view(batch, half, half, -1).permute(0, 3, 1, 2)


class AIGNGenerator(nn.Module):
    """Heatmaps of keypoints → 3D keypoints and their projection. 9,720,253 parameters."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs, stride in CONVOLUTIONS:
            layers += [nn.Conv2d(inputs, outputs, 3, stride, 1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
        self.convolutions = nn.Sequential(*layers).to(memory_format=torch.channels_last)
        self.hidden = nn.Linear(256 * 8 * 8, 512)
        self.rotation, self.alpha = nn.Linear(512, 6), nn.Linear(512, 3 * POINTS)
        self.translation, self.focal, self.centre = nn.Linear(512, 3), nn.Linear(512, 2), nn.Linear(512, 2)

    def forward(self, keypoints: Tensor, impl: str = "sparse") -> tuple[Tensor, Tensor]:
        """(B, 66, 2) → 3D points (B, 3, 66) and their projection (B, 66, 2), all in units of the image sides.

        Args: impl: "sparse", or "reference", which draws the heatmaps and convolves them whole.
        """
        first, *others = self.convolutions
        if impl == "reference":
            maps = first(keypoint_maps(keypoints))
        else:
            maps = convolve_maps(keypoints, first.weight, first.bias)
        for layer in others:
            maps = layer(maps)
        features = torch.relu(self.hidden(maps.flatten(1)))
        rotation = rotation_from_sines(torch.tanh(self.rotation(features)).float())
        shape = self.alpha(features).float().unflatten(1, (3, POINTS))
        points = rotation @ shape + self.translation(features).float()[..., None]
        projection = self.focal(features).float()[..., None] * points[:, :2] + self.centre(features).float()[..., None]
        return points, projection.mT


def rotation_from_sines(values: Tensor) -> Tensor:
    """(B, 6) sin θ, cos θ, sin φ, cos φ, sin ψ, cos ψ, as published not normalised → B · C · D (B, 3, 3)."""
    st, ct, sf, cf, sp, cp = values.unbind(dim=-1)
    zero, one = torch.zeros_like(st), torch.ones_like(st)

    def matrix(*rows: tuple) -> Tensor:
        return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)

    b = matrix((sp, -cp, zero), (cp, sp, zero), (zero, zero, one))
    c = matrix((one, zero, zero), (zero, ct, st), (zero, -st, ct))
    d = matrix((-sf, cf, zero), (-cf, -sf, zero), (zero, zero, one))
    return b @ c @ d


class AIGNDiscriminator(nn.Module):
    """Logits of "true 3D keypoints" from [x; y; z]; batch norm, or spectral norm of every layer."""

    def __init__(self, spectral: bool = False) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        widths = (3 * POINTS, 512, 512, 256, 256)
        for inputs, outputs in zip(widths, widths[1:], strict=False):
            linear = nn.Linear(inputs, outputs)
            layers += (
                [nn.utils.parametrizations.spectral_norm(linear)] if spectral else [linear, nn.BatchNorm1d(outputs)]
            )
            layers.append(nn.ReLU(inplace=True))
        last = nn.Linear(widths[-1], 1)
        layers.append(nn.utils.parametrizations.spectral_norm(last) if spectral else last)
        self.main = nn.Sequential(*layers)

    def forward(self, points: Tensor) -> Tensor:
        """(B, 3, 66) → (B,)."""
        return self.main(points.flatten(1))[:, 0]


class AIGN(nn.Module):
    """Generators and discriminators of all seeds; their convolutions run one seed after the other."""

    def __init__(self, config: AIGNConfig) -> None:
        super().__init__()
        self.config = config
        self.g = nn.ModuleList(AIGNGenerator() for _ in range(config.seeds))
        self.d = nn.ModuleList(AIGNDiscriminator(config.spectral) for _ in range(config.seeds))

    def forward(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """(S, B, 66, 2) → 3D points (S, B, 3, 66), projections (S, B, 66, 2)."""
        results = [g(part) for g, part in zip(self.g, points, strict=True)]
        return torch.stack([r[0] for r in results]), torch.stack([r[1] for r in results])
