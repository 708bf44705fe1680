"""Phases of train_recon3d.py --stage gcn in the order of a run: frozen reconstructor, data, refiner, resume, train."""

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from common.checkpoint import json_safe
from common.config import LocalConfig
from common.errors import ConfigError
from common.logs import console
from common.runtime import is_main_process, make_accelerator, seed_everything, synchronise
from morphable.model import FaceModel
from recon3d.reconstruction.augment import AlignedAugmentation
from recon3d.reconstruction.data import PhotoBatch, PreparedPhotos, collate
from recon3d.reconstruction.losses import landmark_weights
from recon3d.reconstruction.method import augmentation_of
from recon3d.reconstruction.models import load_reconstructor, open_face_model
from recon3d.reconstruction.renderer import FaceRenderer
from recon3d.reconstruction.strips import MAX_ROWS, refinement_strips
from recon3d.reconstruction.training import open_data, open_identity
from recon3d.refinement.frozen import FrozenNetworks
from recon3d.refinement.method import RefinementBatch, RefinementWeights, RefinerMethod
from recon3d.refinement.pyramid import cached_pyramid
from recon3d.refinement.refiner import MeshRefiner, RefinerConfig, load_refiner
from recon3d.refinement.settings import GraphStageSettings, RefineSettings
from recon3d.refinement.views import ViewBatch, ViewDataset, cached_views
from training.loop import Indexed, LoopOptions, session_name, train

UNSEEN_WEIGHT = 0.1  # in the truth term, of vertices that are no facial skin: scalp, neck, eyeballs
EVAL_BATCH = 32
STATISTICS = 512  # about so many faces that mean and deviation of the features come from


def open_frozen(settings: GraphStageSettings, local: LocalConfig, device: torch.device) -> FrozenNetworks:
    """The reconstructor that a graph stage stands behind. Raises: ConfigError, CheckpointError, DataError in one
    sentence.
    """
    if settings.rnet is None:
        raise ConfigError(
            "--rnet: name the reconstructor to stand behind, of train_recon3d.py --stage rnet or bundled."
        )
    net = load_reconstructor(settings.rnet, local.snapshots).net
    model = open_face_model(settings.face_model or net.face_model, local, net).to(device)
    net = net.to(device, memory_format=torch.channels_last)
    renderer = FaceRenderer(model, net.camera, settings.slide_contour)
    return FrozenNetworks(net, renderer, open_identity(settings, device), settings.rnet)


class Preparation:
    """Batches of the loader, pictures or kept views, as inputs of the refiner.

    Args: augmentation, seed: of pictures.
    """

    def __init__(self, frozen: FrozenNetworks, augmentation: AlignedAugmentation, seed: int) -> None:
        self.frozen, self.augmentation, self.seed = frozen, augmentation, seed

    def __call__(self, batch: ViewBatch | PhotoBatch, step: int | None) -> RefinementBatch:
        """step None: as the photos are."""
        device = self.frozen.model.mean.device
        if isinstance(batch, ViewBatch):
            return self.frozen.inputs(batch.views.of(batch.indices.to(device), step))
        augmentation = AlignedAugmentation.none() if step is None else self.augmentation
        return self.frozen.inputs(self.frozen.see(batch.to(device), step or 0, augmentation, self.seed)[0])


def make_refiner(settings: RefineSettings, model: FaceModel, features: int, local: LocalConfig) -> MeshRefiner:
    """A new network on the face model's mesh. Raises: ConfigError, MeshGraphError."""
    reach = settings.range_dm or (0.2 if settings.gcn_output == "offset" else 1.0)
    try:
        if settings.generator != "ours":
            config = dataclasses.replace(
                RefinerConfig.of_authors(features), range_dm=settings.range_dm or 1.0, width=settings.width
            )
        else:
            config = RefinerConfig(features, settings.gcn_output, reach, settings.width)
    except ValueError as error:
        raise ConfigError(f"{error}") from None
    pyramid = cached_pyramid(model.mean.cpu(), model.triangles.cpu(), local.data / "packed")
    return MeshRefiner(config, pyramid, model.name)


def some_features(dataset: Dataset, collate_with: Callable, preparation: Preparation) -> torch.Tensor:
    """(n, Z) features of faces spread over the whole data, as the photos are."""
    chosen = range(0, len(dataset), max(1, len(dataset) // STATISTICS))
    parts = [chosen[start : start + EVAL_BATCH] for start in range(0, len(chosen), EVAL_BATCH)]
    return torch.cat([preparation(collate_with([(i, dataset[i]) for i in part]), None).features for part in parts])


def strip_drawer(frozen: FrozenNetworks, photos: PreparedPhotos) -> Callable[[MeshRefiner], np.ndarray]:
    """Draws input | R-Net | refined | both shapes in clay, of the first photos."""
    raw = collate([(i, photos[i]) for i in range(min(MAX_ROWS, len(photos)))]).to(frozen.model.mean.device)
    seen, images, _ = frozen.see(raw, 0, AlignedAugmentation.none(), 0)
    coefficients, ready = frozen.coefficients(seen), frozen.inputs(seen)

    def draw(refiner: MeshRefiner) -> np.ndarray:
        refined = refiner(ready.features, ready.vertices)
        return refinement_strips(
            images.permute(0, 2, 3, 1), frozen.renderer, coefficients, [ready.vertices, refined], seen.landmarks
        )

    return draw


def loop_options(settings: GraphStageSettings, local: LocalConfig, stage: str) -> LoopOptions:
    """Of both stages."""
    return LoopOptions.from_settings(settings, local, session_name(settings, local, stage))


def batches_of(dataset: Dataset, collate_with: Callable, size: int) -> Callable[[], Iterable]:
    """The validation batches, anew at each call."""
    return lambda: DataLoader(Indexed(dataset), size, collate_fn=collate_with)


def train_refiner(settings: RefineSettings, local: LocalConfig) -> None:
    """train_recon3d.py --stage gcn. Raises: DataError, ConfigError, DivergenceError, Interrupted."""
    if settings.range_dm is not None and settings.range_dm <= 0:
        raise ConfigError("--range-dm is larger than 0.")
    accelerator = make_accelerator(settings.device)
    seed_everything(settings.seed, accelerator.process_index)
    frozen = open_frozen(settings, local, accelerator.device)
    model = frozen.model
    photos, unseen = open_data(settings, model)
    frozen.supervised = photos.supervised or (unseen is not None and unseen.supervised)
    augmentation = augmentation_of(settings)
    preparation = Preparation(frozen, augmentation, settings.seed)
    training, training_collate = photos, collate
    validation = None if unseen is None else batches_of(unseen, collate, settings.batch_size_eval)
    if settings.views:
        place = (local.data / "packed", accelerator, settings.workers)
        training = ViewDataset(cached_views(frozen, photos, settings.views, augmentation, settings.seed, *place))
        training_collate = training.collate
        if unseen is not None:
            kept = ViewDataset(cached_views(frozen, unseen, 1, augmentation, settings.seed, *place))
            validation = batches_of(kept, kept.collate, settings.batch_size_eval)
    resumed = None if settings.resume is None else load_refiner(settings.resume, local.snapshots)
    if resumed is None:
        features = some_features(training, training_collate, preparation)
        seed_everything(
            settings.seed, accelerator.process_index
        )  # initial weights are the same whether views were kept or not
        refiner = make_refiner(settings, model, features.shape[1], local).to(accelerator.device)
        if settings.generator == "ours":
            refiner.standardise(features)
    else:
        frozen.check(resumed.info, settings.resume)
        refiner = resumed.refiner.to(accelerator.device)
    synchronise(refiner, accelerator)
    weights = RefinementWeights(settings.w_lm, settings.w_shape, settings.w_normal, settings.w_truth)
    face = frozen.renderer.face_weights[:, 0]
    method = RefinerMethod(
        refiner,
        model,
        accelerator,
        preparation,
        frozen.landmarks,
        landmark_weights(accelerator.device),
        weights,
        settings.lr,
        settings.clip_norm,
        {
            "inputs": frozen.describe(settings.identity_weights),
            "data": [str(source) for source in settings.data],
            "settings": json_safe(dataclasses.asdict(settings)),
        },
        validation,
        UNSEEN_WEIGHT + (1 - UNSEEN_WEIGHT) * face,
        None if unseen is None else strip_drawer(frozen, unseen),
    )
    if is_main_process():
        count = sum(p.numel() for p in refiner.network.parameters())
        known = "" if photos.supervised else "; no true shapes, so that term is off"
        console().info(f"Training photos: {len(photos)}; face model {model.name}; trainable params: {count:,}{known}")
    options = loop_options(settings, local, "gcn")
    train(
        method,
        training,
        training_collate,
        photos.name,
        options,
        accelerator,
        None if resumed is None else resumed.folder,
    )
