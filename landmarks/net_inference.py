"""From crops to landmarks with the direct network: what `landmarks.inference.predict` gives, without heatmaps and
latents.
"""

import torch
from torch import Tensor

from networks.landmark_net import LandmarkNet


def confidence(log_scales: Tensor, tolerance: float = 0.1) -> Tensor:
    """Probability that a point lies within that many half crop sides of the truth: 1 − (1 + r/b)·exp(−r/b), r the
    tolerance.

    log_scales: any shape. The default is about a tenth of the distance between the eyes.
    """
    ratio = tolerance * torch.exp(-log_scales)
    return 1 - (1 + ratio) * torch.exp(-ratio)


def locate(
    net: LandmarkNet, images: Tensor, flip_permutation: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Landmarks (B, K, 2) in crop px, the probability (B, K) that each is within 5 % of the crop's side, and
    disagreement.

    Args:
        images: (B, 3, S, S) as the network expects them.
        flip_permutation: (K,) of the scheme to average with the mirrored crop; None = single pass.
    Returns: disagreement: (B,) mean distance of the points to those of the mirrored crop, in crop sides; None without
    it.
    """
    half = images.shape[-1] / 2
    joint = net(images).joint
    points, scales, disagreement = joint.points, joint.log_scales, None
    if flip_permutation is not None:
        permutation = flip_permutation.to(images.device)
        mirrored = net(images.flip(-1)).joint
        other = mirrored.points[:, permutation] * torch.tensor([-1.0, 1.0], device=images.device)
        disagreement = (points - other).norm(dim=-1).mean(1) / 2
        points, scales = (points + other) / 2, (scales + mirrored.log_scales[:, permutation]) / 2
    return (points + 1) * half, confidence(scales), disagreement
