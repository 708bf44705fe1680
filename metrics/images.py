"""How close a reconstruction is to its image."""

import torch
import torch.nn.functional as F
from torch import Tensor


def pixel_error(output: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference per image in grey levels (0–255). (B, C, H, W) in units of 1 → (B,)."""
    return (output - target).abs().mean(dim=(1, 2, 3)) * 255


def ssim(output: Tensor, target: Tensor, data_range: float = 1.0) -> Tensor:
    """Structural similarity (Wang et al. 2004): 11 × 11 Gaussian window, σ = 1.5, C₁ = (0.01 L)², C₂ = (0.03 L)².

    Equals skimage's `structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False)`.

    Args: (B, C, H, W) float images of one range, at least 11 px wide; data_range L.
    Returns: (B,) in [−1, 1], the mean over valid positions and channels.
    """
    offsets = torch.arange(-5, 6, device=output.device, dtype=output.dtype)
    taps = torch.exp(-(offsets**2) / (2 * 1.5**2))
    taps = taps / taps.sum()
    stack = torch.cat([output, target, output**2, target**2, output * target], dim=1)
    channels = stack.shape[1]
    stack = F.conv2d(stack, taps.expand(channels, 1, 1, -1), groups=channels)
    stack = F.conv2d(stack, taps[:, None].expand(channels, 1, -1, 1), groups=channels)
    mean_x, mean_y, mean_xx, mean_yy, mean_xy = stack.chunk(5, dim=1)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2 * (mean_xy - mean_x * mean_y) + c2) / (mean_xx - mean_x**2 + mean_yy - mean_y**2 + c2)
    return (luminance * structure).mean(dim=(1, 2, 3))
