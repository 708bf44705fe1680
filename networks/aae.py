"""The adversarial autoencoder with everything that hangs on it, built from one small configuration."""

from dataclasses import asdict, dataclass

import torch.nn as nn

from networks.autoencoder import Decoder, Encoder
from networks.discriminators import ImageDiscriminator, LatentDiscriminator
from networks.landmark_heads import DepthHead, LandmarkHead


@dataclass(frozen=True)
class AAEConfig:
    """All that is needed to rebuild the networks; stored in every checkpoint."""

    input_size: int = 256  # px: 128, 256 or 512
    z_dim: int = 99  # length of the latent
    activation: str = "relu"  # relu (3FabRec) or leaky_relu (ParFace-Net), for Q, P and the depth head
    discriminator_norm: str = "batch"  # batch (3FabRec) or none (WGAN-GP critic)
    num_landmarks: int = 0  # 0: no landmark head
    depth_head: bool = False  # ParFace-Net's LMH_3D
    coords_head: bool = False  # linear read-out of coordinates from z
    readout: str = (
        "heatmaps"  # where landmarks are taken from: heatmaps (the papers), coords (needs coords_head) or mean
    )
    normalize: bool = True  # subtract PIXEL_MEAN from images (3FabRec always, ParFace-Net with --normalize)

    def to_dict(self) -> dict:
        """JSON-ready fields."""
        return asdict(self)


READOUTS = ("heatmaps", "coords", "mean")


class AAE(nn.Module):
    """Container of Q, P, D_z, D and, where configured, LMH and LMH_3D; it has no forward of its own."""

    def __init__(self, config: AAEConfig) -> None:
        super().__init__()
        self.config = config
        self.Q = Encoder(config.input_size, config.z_dim, config.activation)
        self.P = Decoder(config.input_size, config.z_dim, config.activation)
        self.D_z = LatentDiscriminator(config.z_dim)
        self.D = ImageDiscriminator(config.discriminator_norm)
        if config.num_landmarks:
            self.LMH = LandmarkHead(config.num_landmarks)
        if config.coords_head:
            self.coords = nn.Linear(config.z_dim, 2 * config.num_landmarks)
        if config.depth_head:
            self.LMH_3D = DepthHead(config.num_landmarks, config.z_dim, config.activation)


def count_parameters(module: nn.Module) -> int:
    """Number of trainable numbers."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)
