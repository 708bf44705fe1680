"""How close a reconstruction is to its image."""

import torch
import torch.nn.functional as F
from torch import Tensor


def pixel_error(output: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference per image in grey levels (0–255). (B, C, H, W) in units of 1 → (B,)."""
    return (output - target).abs().mean(dim=(1, 2, 3)) * 255


def ssim(output: Tensor, target: Tensor, data_range: float = 1.0, window: int = 7) -> Tensor:
    """Structural similarity (Wang et al. 2004), means and unbiased covariances over 7 × 7 px, C₁ = (0.01 L)², C₂ =
    (0.03 L)².

    Equals skimage's `structural_similarity` with its defaults, as 3FabRec prints it.

    Args: (B, C, H, W) float images of one range, at least `window` px wide, with their pixel mean: it is part of the
        measure; data_range L.
    Returns: (B,) in [−1, 1], the mean over valid positions and channels.
    """
    stack = torch.cat([output, target, output**2, target**2, output * target], dim=1)
    mean_x, mean_y, mean_xx, mean_yy, mean_xy = F.avg_pool2d(stack, window, stride=1).chunk(5, dim=1)
    unbiased = window**2 / (window**2 - 1)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    variances = unbiased * (mean_xx - mean_x**2 + mean_yy - mean_y**2)
    structure = (2 * unbiased * (mean_xy - mean_x * mean_y) + c2) / (variances + c2)
    return (luminance * structure).mean(dim=(1, 2, 3))
