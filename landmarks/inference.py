"""From network images to landmarks, shared by training, evaluation and the detector."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from datasets.augment import BatchTransform
from geometry.heatmaps import decode_heatmaps
from landmarks.net_inference import locate
from networks.aae import AAE
from networks.blocks import PIXEL_MEAN
from networks.landmark_net import LandmarkNet


@dataclass(frozen=True)
class Prediction:
    """What the networks say about a batch of crops.

    Attributes:
        landmarks: (B, K, 2), or (B, K, 3) with a depth head, in crop pixels.
        scores: (B, K) heatmap peaks or probabilities, about 1 when sure.
        heatmaps, z: (B, K, 128, 128) and (B, z_dim) of an autoencoder.
        disagreement: (B,) mean distance between the landmarks of the crop and of its mirror image, in crop sides, where
            they were averaged.
    """

    landmarks: Tensor
    scores: Tensor
    heatmaps: Tensor | None
    z: Tensor | None
    disagreement: Tensor | None = None


def predict_heatmaps(networks: AAE, images: Tensor) -> tuple[Tensor, Tensor]:
    """(B, 3, S, S) network images → z (B, z_dim) and heatmaps (B, K, 128, 128), float32. Only what the head needs is
    run.
    """
    z = networks.Q(images)
    return z.float(), networks.LMH(networks.P.seed_features(z), networks.P).float()


def read_coords(networks: AAE, z: Tensor) -> Tensor:
    """z (B, z_dim) → landmarks (B, K, 2) in half crop sides from the crop's centre, read off linearly."""
    return networks.coords(z.float()).unflatten(1, (-1, 2))


def predict(
    networks: AAE | LandmarkNet,
    images: Tensor,
    flip_permutation: Tensor | None = None,
    subpixel: bool = True,
    readout: str | None = None,
) -> Prediction:
    """Landmarks of a batch.

    Args:
        images: (B, 3, S, S) as the networks expect them.
        flip_permutation: (K,) of the scheme to average the heatmaps with those of the mirrored crop; None = single
            pass.
        subpixel: False decodes as 3FabRec does (integer peak × S/128, no half-pixel offset).
        readout: heatmaps, coords (linear, from z) or mean of both; default the model's own. The direct network has one.
    """
    if isinstance(networks, LandmarkNet):
        points, scores, disagreement = locate(networks, images, flip_permutation)
        return Prediction(points, scores, None, None, disagreement)
    size = images.shape[-1]
    readout = readout or networks.config.readout
    z, heatmaps = predict_heatmaps(networks, images)
    coords = read_coords(networks, z) if readout != "heatmaps" else None
    disagreement = None
    if flip_permutation is not None:
        permutation = flip_permutation.to(heatmaps.device)
        mirrored_z, mirrored = predict_heatmaps(networks, images.flip(-1))
        mirrored = mirrored.flip(-1)[:, permutation]
        if coords is None:
            pair = [decode_heatmaps(maps, subpixel)[0] / maps.shape[-1] for maps in (heatmaps, mirrored)]
        else:
            mirror = torch.tensor([-1.0, 1.0], device=coords.device)
            other = read_coords(networks, mirrored_z)[:, permutation] * mirror
            pair, coords = [coords / 2, other / 2], (coords + other) / 2
        disagreement = (pair[0] - pair[1]).norm(dim=-1).mean(dim=1)
        heatmaps = (heatmaps + mirrored) / 2
    points, scores = decode_heatmaps(heatmaps, subpixel)
    landmarks = points * (size / heatmaps.shape[-1])
    if coords is not None:
        read = (coords + 1) * (size / 2)
        landmarks = read if readout == "coords" else (landmarks + read) / 2
    if networks.config.depth_head:
        depth = networks.LMH_3D(heatmaps, z).float() * size
        landmarks = torch.cat([landmarks, depth[..., None]], dim=-1)
    return Prediction(landmarks, scores, heatmaps, z, disagreement)


def validation_transform(size: int, normalize: bool) -> BatchTransform:
    """Exact centre crop."""
    return BatchTransform(size, PIXEL_MEAN if normalize else None)


def to_unit(images: Tensor, normalize: bool) -> Tensor:
    """(B, 3, S, S) network images → the same in 0 … 1."""
    if normalize:
        images = images + torch.tensor(PIXEL_MEAN, device=images.device)[:, None, None]
    return images.clamp(0, 1)


def to_pictures(images: Tensor, normalize: bool) -> np.ndarray:
    """(B, 3, S, S) network images → (B, S, S, 3) uint8."""
    return (to_unit(images, normalize) * 255).round().byte().permute(0, 2, 3, 1).contiguous().cpu().numpy()
