"""A trained CycleGAN, loaded, and the range of its pictures."""

from pathlib import Path

from torch import Tensor

from common.checkpoint import read_snapshot
from common.errors import ConfigError
from networks.cyclegan import CycleGAN, CycleGANConfig

KIND = "cyclegan"


def to_unit(images: Tensor) -> Tensor:
    """uint8 → −1 … 1."""
    return images.float() / 127.5 - 1


def load_cyclegan(folder: Path, config: CycleGANConfig | None = None) -> CycleGAN:
    """Networks of a snapshot. Raises: CheckpointError, also for another kind; ConfigError for other sizes than
    config's.
    """
    snapshot = read_snapshot(folder, "a CycleGAN", KIND)
    networks = snapshot.restore(lambda: CycleGAN(CycleGANConfig(**snapshot.info["networks"])))
    if config is not None and networks.config != config:
        raise ConfigError(f"{folder}: has {networks.config}, but the flags say {config}; give the flags of that run.")
    return networks
