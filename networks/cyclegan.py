"""CycleGAN (Zhu et al. 2017) at the size of face crops: residual generators and 4 × 4 patch discriminators."""

from dataclasses import dataclass

import torch
import torch.nn as nn
from torch import Tensor


@dataclass(frozen=True)
class CycleGANConfig:
    """channels_a, channels_b: of the two domains; base: width of the first layer; blocks: residual blocks of a
    generator.
    """

    channels_a: int = 3
    channels_b: int = 3
    base: int = 64
    blocks: int = 9


def _norm(channels: int) -> nn.Module:
    """Without running statistics: those would make evaluation differ from training."""
    return nn.InstanceNorm2d(channels, affine=False, track_running_stats=False)


class ResidualBlock(nn.Module):
    """Two 3 × 3 convolutions with reflected borders, plus the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            _norm(channels),
            nn.ReLU(inplace=True),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            _norm(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same."""
        return x + self.main(x)


class ResidualGenerator(nn.Module):
    """Down by four, residual blocks, up again; tanh."""

    def __init__(self, inputs: int, outputs: int, base: int = 64, blocks: int = 9) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.ReflectionPad2d(3),
            nn.Conv2d(inputs, base, 7),
            _norm(base),
            nn.ReLU(inplace=True),
        ]
        for width in (base, 2 * base):
            layers += [nn.Conv2d(width, 2 * width, 3, 2, 1), _norm(2 * width), nn.ReLU(inplace=True)]
        layers += [ResidualBlock(4 * base) for _ in range(blocks)]
        for width in (4 * base, 2 * base):
            layers += [
                nn.ConvTranspose2d(width, width // 2, 3, 2, 1, output_padding=1),
                _norm(width // 2),
                nn.ReLU(inplace=True),
            ]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(base, outputs, 7), nn.Tanh()]
        self.main = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) → (B, outputs, H, W) in −1 … 1; H and W multiples of 4."""
        return self.main(x)


class PatchDiscriminator(nn.Module):
    """4 × 4 convolutions of widths base … 8 base; scores of patches, 8 × 8 for 80 px."""

    def __init__(self, inputs: int, base: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(inputs, base, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
        for width, stride in ((base, 2), (2 * base, 2), (4 * base, 1)):
            layers += [nn.Conv2d(width, 2 * width, 4, stride, 1), _norm(2 * width), nn.LeakyReLU(0.2, inplace=True)]
        layers.append(nn.Conv2d(8 * base, 1, 4, 1, 1))
        self.main = nn.Sequential(*layers)

    def forward(self, image: Tensor) -> Tensor:
        """(B, inputs, H, W) → (B, 1, h, w) logits of "real"."""
        return self.main(image)


class CycleGAN(nn.Module):
    """Generators A → B and B → A with a discriminator for each domain; weights N(0, 0.02)."""

    def __init__(self, config: CycleGANConfig) -> None:
        super().__init__()
        self.config = config
        a, b, base, blocks = config.channels_a, config.channels_b, config.base, config.blocks
        self.ab, self.ba = ResidualGenerator(a, b, base, blocks), ResidualGenerator(b, a, base, blocks)
        self.da, self.db = PatchDiscriminator(a, base), PatchDiscriminator(b, base)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(module.weight, 0, 0.02)
                nn.init.zeros_(module.bias)

    def forward(self, a: Tensor) -> Tensor:
        """A → B."""
        return self.ab(a)


def discriminator_parameters(networks: CycleGAN) -> list[torch.nn.Parameter]:
    """Of both domains."""
    return [*networks.da.parameters(), *networks.db.parameters()]


def generator_parameters(networks: CycleGAN) -> list[torch.nn.Parameter]:
    """Of both directions."""
    return [*networks.ab.parameters(), *networks.ba.parameters()]
