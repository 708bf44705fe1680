"""Phases of train_recon3d.py in the order of a run: face model, data, network, resume, train."""

import dataclasses
from pathlib import Path

import torch

from common.checkpoint import json_safe, sessions_part
from common.config import LocalConfig
from common.errors import ConfigError, DataError
from common.logs import console
from common.runtime import is_main_process, make_accelerator, seed_everything, synchronise
from morphable.model import FaceModel
from recon3d.identity.features import IdentityFeatures, load_identity
from recon3d.reconstruction.coefficients import config_for
from recon3d.reconstruction.data import PreparedPhotos, collate
from recon3d.reconstruction.method import RNetMethod
from recon3d.reconstruction.models import (
    LoadedReconstructor,
    ReconstructionNet,
    load_backbone,
    load_reconstructor,
    open_face_model,
)
from recon3d.reconstruction.renderer import FaceRenderer
from recon3d.reconstruction.settings import WeakSettings
from training.loop import LoopOptions, train


def make_networks(
    settings: WeakSettings, model: FaceModel, resumed: LoadedReconstructor | None, snapshots: Path
) -> ReconstructionNet:
    """A new network that fits the model, or the resumed one. Raises: CheckpointError."""
    if resumed is not None:
        return resumed.net
    net = ReconstructionNet(config_for(model, settings.backbone, settings.one_head), settings.face_model)
    if settings.init_path is not None:
        load_backbone(net.network, settings.init_path, snapshots)
    return net


def open_identity(settings: WeakSettings, device) -> IdentityFeatures | None:
    """The perceptual term's network, or None. Raises: ConfigError for half a specification, CheckpointError."""
    if settings.identity_network is None:
        return None
    if settings.identity_weights is None and settings.identity_network != "small":
        raise ConfigError(
            f"--identity-network {settings.identity_network}: needs --identity-weights; take small, which is bundled, or leave"
            " both out to train without."
        )
    return load_identity(settings.identity_network, settings.identity_weights, device)


def open_data(settings: WeakSettings, model: FaceModel) -> tuple[PreparedPhotos, PreparedPhotos | None]:
    """Training and validation photos. Raises: DataError."""
    if not settings.data:
        raise DataError("--data: name folders that python -m recon3d.reconstruction.prepare has written.")
    data = PreparedPhotos([Path(p) for p in settings.data], model, "train", settings.train_count)
    if not settings.val_data:
        return data, None
    return data, PreparedPhotos([Path(p) for p in settings.val_data], model, "val", settings.val_count)


def train_reconstructor(settings: WeakSettings, local: LocalConfig) -> None:
    """train_recon3d.py --stage rnet. Raises: DataError, ConfigError, DivergenceError, Interrupted."""
    accelerator = make_accelerator(settings.device, settings.precision)
    seed_everything(settings.seed, accelerator.process_index)
    resumed = None if settings.resume is None else load_reconstructor(settings.resume, local.snapshots)
    model = open_face_model(settings.face_model, local, None if resumed is None else resumed.net).to(accelerator.device)
    data, validation = open_data(settings, model)
    networks = make_networks(settings, model, resumed, local.snapshots)
    networks = networks.to(accelerator.device, memory_format=torch.channels_last)
    synchronise(networks, accelerator)
    renderer = FaceRenderer(model, networks.camera, settings.slide_contour)
    description = {
        **networks.describe(), "data": [str(source) for source in settings.data],
        "settings": json_safe(dataclasses.asdict(settings)),
    }  # fmt: skip
    identity = open_identity(settings, accelerator.device)
    method = RNetMethod(networks, renderer, settings, accelerator, description, identity, validation, data.supervised)
    if is_main_process():
        count = sum(p.numel() for p in networks.parameters())
        held_out = "" if validation is None else f", {len(validation)} to validate on"
        off = "" if identity is not None else "; no identity network, so the perceptual term is off"
        console().info(f"Training photos: {len(data)}{held_out}; face model {model.name}; trainable params: {count:,}{off}")
    session = settings.sessionname or (sessions_part(settings.resume, local.snapshots) if settings.resume else "rnet")
    options = LoopOptions.from_settings(settings, local, session)
    train(method, data, collate, data.name, options, accelerator, None if resumed is None else resumed.folder)
