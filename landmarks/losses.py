"""Losses of 3FabRec and ParFace-Net beside their equations. X target, X̂ reconstruction, both mean-subtracted [0, 1]
images.

All of them compute in float32, also under autocast.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.checkpoint import load_strict, read_state, read_tensors
from common.errors import ConfigError

PERCEPTUAL_LAYERS = (3, 8, 15, 22)  # relu1_2, relu2_2, relu3_3, relu4_2 of VGG-19
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HEATMAP_FACTOR = 300.0  # 3FabRec's scale of the heatmap and depth losses
PIXEL_FACTOR = 255.0


def pixel_l1(output: Tensor, target: Tensor) -> Tensor:
    """mean |X − X̂| · 255. (B, 3, S, S) → scalar."""
    return (output.float() - target).abs().mean() * PIXEL_FACTOR


def pixel_l2(output: Tensor, target: Tensor) -> Tensor:
    """mean (X − X̂)², without a factor (ParFace-Net). (B, 3, S, S) → scalar."""
    return F.mse_loss(output.float(), target)


class StructuralLoss:
    """1 − mean contrast-structure term of SSIM: cs = (2σ_xy + C₂) / (σ_x² + σ_y² + C₂), C₂ = (0.03 L)².

    Gaussian window of 31 taps, σ = 1.5, valid positions only; L fixed to 1 (upstream guesses it per image).

    Args: impl "fast": the whole batch, the window as two products with a banded matrix; "reference": image by image
        with the full 31 × 31 kernel.
    """

    def __init__(self, window: int = 31, sigma_px: float = 1.5, data_range: float = 1.0, impl: str = "fast") -> None:
        offsets = torch.arange(window, dtype=torch.float64) - window // 2
        taps = torch.exp(-(offsets**2) / (2 * sigma_px**2))
        self.taps = (taps / taps.sum()).float()
        self.c2 = (0.03 * data_range) ** 2
        self.impl = impl
        self._bands: dict[tuple[int, torch.device], Tensor] = {}

    def map(self, output: Tensor, target: Tensor) -> Tensor:
        """(B, C, S, S) twice → (B, C, S−30, S−30) cs values in [−1, 1]."""
        with torch.autocast(output.device.type, enabled=False):
            output, target = output.float(), target.float()
            stack = torch.stack([output, target, output**2, target**2, output * target])
            mean_x, mean_y, mean_xx, mean_yy, mean_xy = self._smooth(stack)
            covariance = mean_xy - mean_x * mean_y
            variances = mean_xx - mean_x**2 + mean_yy - mean_y**2
            return (2 * covariance + self.c2) / (variances + self.c2)

    def per_image(self, output: Tensor, target: Tensor) -> Tensor:
        """(B,) 1 − mean cs."""
        if self.impl == "reference":
            return torch.stack([1 - self._reference_map(o, t).mean() for o, t in zip(output, target, strict=True)])
        return 1 - self.map(output, target).mean(dim=(1, 2, 3))

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """Scalar mean over the batch."""
        return self.per_image(output, target).mean()

    def _smooth(self, maps: Tensor) -> Tensor:
        band_rows, band_columns = self._band(maps.shape[-2], maps.device), self._band(maps.shape[-1], maps.device)
        return band_rows @ maps @ band_columns.T

    def _band(self, size: int, device: torch.device) -> Tensor:
        """(size − 30, size) matrix whose rows are the shifted taps."""
        key = (size, device)
        if key not in self._bands:
            rows = size - len(self.taps) + 1
            if rows < 1:
                raise ValueError(f"images of {size} px are smaller than the window of {len(self.taps)} px")
            band = torch.zeros(rows, size)
            for i in range(rows):
                band[i, i : i + len(self.taps)] = self.taps
            self._bands[key] = band.to(device)
        return self._bands[key]

    def _reference_map(self, output: Tensor, target: Tensor) -> Tensor:
        kernel = torch.outer(self.taps, self.taps).to(output)[None, None].expand(len(output), 1, -1, -1)

        def smooth(maps: Tensor) -> Tensor:
            return F.conv2d(maps[None], kernel, groups=len(maps))[0]

        mean_x, mean_y = smooth(output), smooth(target)
        covariance = smooth(output * target) - mean_x * mean_y
        variances = smooth(output**2) - mean_x**2 + smooth(target**2) - mean_y**2
        return (2 * covariance + self.c2) / (variances + self.c2)


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """−mean[log σ(real) + log(1 − σ(fake))] from logits. (B,) each → scalar."""
    return F.softplus(-real.float()).mean() + F.softplus(fake.float()).mean()


def generator_loss(fake: Tensor) -> Tensor:
    """Non-saturating −mean log σ(fake) from logits. (B,) → scalar."""
    return F.softplus(-fake.float()).mean()


class PerceptualLoss(nn.Module):
    """Sum over VGG-19 layers of the mean squared feature difference, images resized to 224 px.

    Args:
        weights: file with torchvision's VGG-19 weights (.pth or .safetensors).
        layers: indices into VGG-19 `features`; the network ends at the last of them.
        pixel_mean: what was subtracted from the images, added back before ImageNet's normalisation; None = nothing.
    Raises: ConfigError when the weights are missing, with where to get them.
    """

    SOURCE = "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"

    def __init__(
        self, weights: Path, layers: tuple[int, ...] = PERCEPTUAL_LAYERS, pixel_mean: tuple | None = None
    ) -> None:
        super().__init__()
        self.layers = sorted(layers)
        self.features = load_vgg19(Path(weights), self.layers[-1] + 1)
        mean = torch.tensor(IMAGENET_MEAN) - torch.tensor(pixel_mean or (0.0, 0.0, 0.0))
        self.register_buffer("mean", mean[:, None, None])
        self.register_buffer("std", torch.tensor(IMAGENET_STD)[:, None, None])
        self.eval().requires_grad_(False)

    def taps(self, images: Tensor) -> list[Tensor]:
        """Features at the chosen layers."""
        x = F.interpolate((images - self.mean) / self.std, size=(224, 224), mode="bilinear", align_corners=False)
        taps = []
        for i, layer in enumerate(self.features):
            x = layer(x)
            if i in self.layers:
                taps.append(x)
        return taps

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """(B, 3, S, S) twice → scalar."""
        with torch.no_grad():
            wanted = self.taps(target)
        return sum(F.mse_loss(a.float(), b.float()) for a, b in zip(self.taps(output), wanted, strict=True))


def load_vgg19(weights: Path, num_layers: int) -> nn.Sequential:
    """The first layers of VGG-19 `features`, in-place operations off, with weights from a file. Raises: ConfigError."""
    from torchvision.models import vgg19

    if not weights.is_file():
        raise ConfigError(
            f"the perceptual loss needs VGG-19 weights at {weights}: download {PerceptualLoss.SOURCE}, put it"
            " there or set"
            " vgg19 in [Paths] of local_config.ini, or train with --with-perceptual-loss 0."
        )
    tensors = read_tensors(weights) if weights.suffix == ".safetensors" else read_state(weights)
    features = vgg19(weights=None).features
    load_strict(features, {k[9:]: v for k, v in tensors.items() if k.startswith("features.")}, weights)
    features = features[:num_layers]
    for layer in features:
        if isinstance(layer, nn.ReLU):
            layer.inplace = False
    return features


def heatmap_l2(output: Tensor, target: Tensor, visibility: Tensor | None = None) -> Tensor:
    """MSE · 300 over points that count. output, target (B, K, H, W); visibility (B, K) weights or None. → scalar."""
    error = (output.float() - target).square().mean(dim=(2, 3))
    return weighted_mean(error, visibility) * HEATMAP_FACTOR


def weighted_mean(values: Tensor, weights: Tensor | None) -> Tensor:
    """Σ w·v / Σ w, 0 when nothing counts; plain mean without weights."""
    if weights is None:
        return values.mean()
    return (values * weights).sum() / weights.sum().clamp_min(1e-6)


class AdaptiveWingLoss:
    """Adaptive Wing (Wang et al. 2019, eq. 3, 4) with the weighted loss map, times 300; continuous at θ.

    d < θ: ω ln(1 + (d/ε)^(α−y)); else A·d − C, d = |y − ŷ|, A and C such that value and slope meet at θ.
    Weights: 10·M + 1, M = [3 × 3 dilation of the target > 0.2].

    Args: weighted: use the map M.
    """

    def __init__(
        self, alpha: float = 2.1, omega: float = 14.0, epsilon: float = 1.0, theta: float = 0.5, weighted: bool = True
    ) -> None:
        self.alpha, self.omega, self.epsilon, self.theta, self.weighted = alpha, omega, epsilon, theta, weighted

    def elementwise(self, output: Tensor, target: Tensor) -> Tensor:
        """Loss of every pixel, unweighted."""
        difference = (output.float() - target).abs()
        power = self.alpha - target
        ratio = self.theta / self.epsilon
        slope = self.omega * power * ratio ** (power - 1) / (self.epsilon * (1 + ratio**power))
        offset = self.theta * slope - self.omega * torch.log1p(ratio**power)
        small = difference < self.theta
        # away from 0 so that the gradient of the power is finite, and below θ so that the unused branch is too
        inner = difference.clamp(1e-6, self.theta)
        near = self.omega * torch.log1p((inner / self.epsilon) ** power)
        return torch.where(small, near, slope * difference - offset)

    def __call__(self, output: Tensor, target: Tensor, visibility: Tensor | None = None) -> Tensor:
        """output, target (B, K, H, W), target in [0, 1]; visibility (B, K) or None → scalar."""
        loss = self.elementwise(output, target)
        if self.weighted:
            loss = loss * (10 * (F.max_pool2d(target, 3, 1, 1) > 0.2).float() + 1)
        return weighted_mean(loss.mean(dim=(2, 3)), visibility) * HEATMAP_FACTOR


def depth_l2(output: Tensor, target: Tensor, visibility: Tensor | None = None) -> Tensor:
    """MSE · 300 of depths in crop half-sizes. (B, K) each → scalar (ParFace-Net)."""
    return weighted_mean((output.float() - target).square(), visibility) * HEATMAP_FACTOR
