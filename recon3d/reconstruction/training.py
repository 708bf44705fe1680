"""The phases that train_recon3d.py names: data, networks, identity, description."""

import dataclasses
from pathlib import Path

from common.checkpoint import json_safe
from common.errors import ConfigError, DataError
from common.logs import console
from common.runtime import is_main_process
from morphable.model import FaceModel
from recon3d.identity.features import IdentityFeatures, load_identity
from recon3d.reconstruction.coefficients import config_for
from recon3d.reconstruction.data import PreparedPhotos
from recon3d.reconstruction.method import ReconstructionMethod
from recon3d.reconstruction.models import (
    LoadedReconstructor,
    ReconstructionNet,
    load_backbone,
)
from recon3d.reconstruction.settings import ReconstructionSettings


def make_networks(
    settings: ReconstructionSettings, model: FaceModel, resumed: LoadedReconstructor | None, snapshots: Path
) -> ReconstructionNet:
    """A new network that fits the model, or the resumed one. Raises: CheckpointError."""
    if settings.freeze_backbone and settings.one_head:
        raise ConfigError("--freeze-backbone: --one-head makes the head part of the backbone; drop one of both.")
    if resumed is not None:
        return resumed.net
    net = ReconstructionNet(config_for(model, settings.backbone, settings.one_head), settings.face_model)
    if settings.init_path is not None:
        load_backbone(net.network, settings.init_path, snapshots)
    return net


def open_identity(settings: ReconstructionSettings, device) -> IdentityFeatures | None:
    """The perceptual term's network, or None. Raises: ConfigError for half a specification, CheckpointError."""
    if settings.identity_network is None:
        return None
    if settings.identity_weights is None and settings.identity_network != "small":
        raise ConfigError(
            f"--identity-network {settings.identity_network}: needs --identity-weights; take small, which is"
            " bundled, or leave"
            " both out to train without."
        )
    return load_identity(settings.identity_network, settings.identity_weights, device)


def open_data(settings: ReconstructionSettings, model: FaceModel) -> tuple[PreparedPhotos, PreparedPhotos | None]:
    """Training and validation photos. Raises: DataError."""
    if not settings.data:
        raise DataError("--data: name folders that python -m recon3d.reconstruction.prepare has written.")
    data = PreparedPhotos([Path(p) for p in settings.data], model, "train", settings.train_count)
    if not settings.val_data:
        return data, None
    return data, PreparedPhotos([Path(p) for p in settings.val_data], model, "val", settings.val_count)


def describe(settings: ReconstructionSettings, networks: ReconstructionNet) -> dict:
    """Content of config.json."""
    sources = [str(source) for source in settings.data]
    return {**networks.describe(), "data": sources, "settings": json_safe(dataclasses.asdict(settings))}


def report_start(
    networks: ReconstructionNet, model: FaceModel, method: ReconstructionMethod, photos: int, held_out: int
) -> None:
    """One line of the main process: sizes of data and network, and what is off."""
    if is_main_process():
        count = sum(p.numel() for p in networks.parameters())
        seen = f", {held_out} to validate on" if held_out else ""
        off = "" if method.identity is not None else "; no identity network, so the perceptual term is off"
        console().info(f"Training photos: {photos}{seen}; face model {model.name}; trainable params: {count:,}{off}")
