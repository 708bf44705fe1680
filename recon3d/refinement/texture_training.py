"""Phases of train_recon3d.py --stage gcn_texture: frozen reconstructor, data, texture refiner, critic, resume,
train.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from common.checkpoint import json_safe, load_strict
from common.config import LocalConfig
from common.errors import ConfigError
from common.logs import console
from common.runtime import is_main_process, make_accelerator, seed_everything, synchronise
from networks.graph_generators import FaceCritic
from recon3d.reconstruction.augment import AlignedAugmentation
from recon3d.reconstruction.data import PhotoBatch, PreparedPhotos, collate
from recon3d.reconstruction.method import augmentation_of
from recon3d.reconstruction.strips import MAX_ROWS, texture_strips
from recon3d.reconstruction.training import open_data
from recon3d.refinement.frozen import FrozenNetworks
from recon3d.refinement.pyramid import cached_pyramid
from recon3d.refinement.settings import TextureSettings
from recon3d.refinement.texture_inputs import texture_inputs
from recon3d.refinement.texture_losses import TextureBatch, TextureWeights
from recon3d.refinement.texture_method import TextureMethod
from recon3d.refinement.texture_refiner import TextureRefiner, load_texture_refiner
from recon3d.refinement.training import batches_of, loop_options, open_frozen
from training.loop import train


class TexturePreparation:
    """Batches of pictures as inputs of the texture refiner. Args: augmentation, seed: of the pictures."""

    def __init__(self, frozen: FrozenNetworks, augmentation: AlignedAugmentation, seed: int) -> None:
        self.frozen, self.augmentation, self.seed = frozen, augmentation, seed

    def __call__(self, batch: PhotoBatch, step: int | None) -> TextureBatch:
        """step None: as the photos are."""
        augmentation = AlignedAugmentation.none() if step is None else self.augmentation
        raw = batch.to(self.frozen.model.mean.device)
        seen, images, masks = self.frozen.see(raw, step or 0, augmentation, self.seed)
        return texture_inputs(self.frozen.renderer, self.frozen.coefficients(seen), seen.features, images, masks)


def texture_strip_drawer(
    frozen: FrozenNetworks, photos: PreparedPhotos, preparation: TexturePreparation
) -> Callable[[TextureRefiner], np.ndarray]:
    """Draws input | R-Net | refined | both albedos, of the first photos."""
    ready = preparation(collate([(i, photos[i]) for i in range(min(MAX_ROWS, len(photos)))]), None)

    def draw(refiner: TextureRefiner) -> np.ndarray:
        albedos = [ready.albedo, refiner(ready)]
        return texture_strips(ready.photo.permute(0, 2, 3, 1), frozen.renderer, ready.screen, ready.shading, albedos)

    return draw


def identity_of(frozen: FrozenNetworks) -> Callable[[Tensor], Tensor] | None:
    """Pictures (B, 3, H, W) → features, for the identity term; None without an identity network.

    Both pictures of the term are cropped where R-Net finds the landmarks of the photo at hand.
    """
    if frozen.identity is None:
        return None

    def features(pictures: Tensor) -> Tensor:
        with torch.no_grad():
            landmarks = frozen.renderer.geometry(frozen.net.coefficients(frozen.model, pictures)).landmarks
        return frozen.identity(pictures, landmarks)

    return features


def train_texture(settings: TextureSettings, local: LocalConfig) -> None:
    """train_recon3d.py --stage gcn_texture. Raises: DataError, ConfigError, DivergenceError, Interrupted."""
    accelerator = make_accelerator(settings.device)
    seed_everything(settings.seed, accelerator.process_index)
    frozen = open_frozen(settings, local, accelerator.device)
    model = frozen.model
    photos, unseen = open_data(settings, model)
    preparation = TexturePreparation(frozen, augmentation_of(settings), settings.seed)
    critic = FaceCritic() if settings.gan else None
    resumed = None if settings.resume is None else load_texture_refiner(settings.resume, local.snapshots)
    if resumed is None:
        features = preparation(collate([(0, photos[0])]), None).features.shape[1]
        pyramid = cached_pyramid(model.mean.cpu(), model.triangles.cpu(), local.data / "packed")
        try:
            refiner = TextureRefiner(features, pyramid, model.name, settings.width, settings.layout)
        except ValueError as error:
            raise ConfigError(str(error)) from None
    else:
        frozen.check(resumed.info, settings.resume)
        refiner = resumed.network
        if critic is not None and resumed.others:
            stored = {k.removeprefix("critic."): v for k, v in resumed.others.items() if k.startswith("critic.")}
            load_strict(critic, stored, resumed.folder)
    for network in (refiner, critic):
        if network is not None:
            synchronise(network.to(accelerator.device), accelerator)
    options = loop_options(settings, local, "gcn_texture")
    weights = TextureWeights(settings.w_identity, settings.w_symmetry, settings.w_variance, settings.w_adversarial)
    method = TextureMethod(
        refiner,
        model,
        accelerator,
        preparation,
        weights,
        identity_of(frozen),
        critic,
        settings.lr,
        settings.clip_norm,
        {
            "inputs": frozen.describe(settings.identity_weights),
            "data": [str(source) for source in settings.data],
            "settings": json_safe(dataclasses.asdict(settings)),
        },
        None if unseen is None else batches_of(unseen, collate, settings.batch_size_eval),
        None if unseen is None else texture_strip_drawer(frozen, unseen, preparation),
    )
    if is_main_process():
        count = sum(p.numel() for p in method.networks.parameters())
        console().info(f"Training photos: {len(photos)}; face model {model.name}; trainable params: {count:,}")
    train(method, photos, collate, photos.name, options, accelerator, None if resumed is None else resumed.folder)
