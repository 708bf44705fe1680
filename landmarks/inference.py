"""From network images to landmarks, shared by training, evaluation and the detector."""

from dataclasses import dataclass

import torch
from torch import Tensor

from geometry.heatmaps import decode_heatmaps
from networks.aae import AAE


@dataclass(frozen=True)
class Prediction:
    """What the networks say about a batch of crops.

    Attributes: landmarks (B, K, 2), or (B, K, 3) with a depth head, in crop pixels; scores (B, K) heatmap peaks, about 1 when
        sure; heatmaps (B, K, 128, 128); z (B, z_dim).
    """

    landmarks: Tensor
    scores: Tensor
    heatmaps: Tensor
    z: Tensor


def predict_heatmaps(networks: AAE, images: Tensor) -> tuple[Tensor, Tensor]:
    """(B, 3, S, S) network images → z (B, z_dim) and heatmaps (B, K, 128, 128), float32. Only what the head needs is run."""
    z = networks.Q(images)
    return z.float(), networks.LMH(networks.P.seed_features(z), networks.P).float()


def predict(networks: AAE, images: Tensor, flip_permutation: Tensor | None = None, subpixel: bool = True) -> Prediction:
    """Landmarks of a batch.

    Args:
        images: (B, 3, S, S) as the networks expect them.
        flip_permutation: (K,) of the scheme to average the heatmaps with those of the mirrored crop; None = single pass.
        subpixel: False decodes as 3FabRec does (integer peak × S/128, no half-pixel offset).
    """
    size = images.shape[-1]
    z, heatmaps = predict_heatmaps(networks, images)
    if flip_permutation is not None:
        mirrored = predict_heatmaps(networks, images.flip(-1))[1].flip(-1)
        heatmaps = (heatmaps + mirrored[:, flip_permutation.to(heatmaps.device)]) / 2
    points, scores = decode_heatmaps(heatmaps, subpixel)
    landmarks = points * (size / heatmaps.shape[-1])
    if networks.config.depth_head:
        depth = networks.LMH_3D(heatmaps, z).float() * size
        landmarks = torch.cat([landmarks, depth[..., None]], dim=-1)
    return Prediction(landmarks, scores, heatmaps, z)
