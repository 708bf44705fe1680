"""What train_aae_unsupervised.py, train_aae_landmarks.py and train_aae_landmarks_3d.py have in common, phase by
phase.
"""

import dataclasses
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator

from common.config import LocalConfig
from common.errors import ConfigError
from common.logs import console
from common.runtime import is_main_process, make_accelerator, seed_everything, synchronise
from datasets.augment import BatchTransform
from datasets.loader import FaceSet, collate
from datasets.resident import ResidentFaces
from datasets.shards import ShardedFaces
from geometry.schemes import LandmarkScheme
from landmarks.data import (
    mean_shape,
    validation_loader,
    validation_set,
)
from landmarks.inference import validation_transform
from landmarks.losses import PerceptualLoss
from landmarks.models import LoadedModel, adapt, init_from_imagenet, load_autoencoder, model_config
from landmarks.settings import CommonSettings, DepthSettings, LandmarkSettings, UnsupervisedSettings
from networks.aae import AAE, AAEConfig, count_parameters
from networks.blocks import PIXEL_MEAN
from training.loop import LoopOptions, train


@dataclasses.dataclass(frozen=True)
class Run:
    """What every stage sets up first."""

    accelerator: Accelerator
    settings: CommonSettings
    local: LocalConfig
    resumed: LoadedModel | None


def start(settings: CommonSettings, local: LocalConfig) -> Run:
    """Device, seeds, and the model to continue from, if any; its sizes replace those of the settings."""
    accelerator = make_accelerator(settings.device, settings.precision)
    seed_everything(settings.seed, accelerator.process_index)
    resumed = (
        None if settings.resume is None else load_autoencoder(settings.resume, local.snapshots, settings.activation)
    )
    if resumed is not None:
        config = resumed.networks.config
        settings = dataclasses.replace(
            settings,
            input_size=config.input_size,
            embedding_dims=config.z_dim,
            activation=config.activation,
            normalize=config.normalize,
        )
    return Run(accelerator, settings, local, resumed)


def base_config(settings: CommonSettings) -> AAEConfig:
    """Network description of a new model."""
    activation = settings.activation or "relu"
    return AAEConfig(settings.input_size, settings.embedding_dims, activation, normalize=settings.normalize)


def make_networks(run: Run, fresh_discriminator: bool = False, **changes: object) -> AAE:
    """New or resumed networks with the stage's changes, the same on every process, on the device."""
    if run.resumed is not None:
        networks = adapt(run.resumed, **changes)
    else:
        networks = AAE(dataclasses.replace(base_config(run.settings), **changes))
    if run.settings.init_weights is not None:
        init_from_imagenet(networks, run.settings.init_weights, new_parts(run, networks))
    if fresh_discriminator:
        networks.D = AAE(networks.config).D
    layout = torch.channels_last if run.accelerator.device.type in ("cuda", "cpu") else torch.contiguous_format
    networks = networks.to(run.accelerator.device, memory_format=layout)
    synchronise(networks, run.accelerator)
    if is_main_process():
        for name, module in networks.named_children():
            console().info(f"Trainable params {name}: {count_parameters(module):,}")
        console().info(f"Learning rate: {run.settings.lr}")
    return networks


def new_parts(run: Run, networks: AAE) -> list[str]:
    """What ImageNet weights can start: an encoder and a depth head that no resumed model brings.

    Raises: ConfigError when there is neither.
    """
    old = None if run.resumed is None else run.resumed.networks.config
    depth = networks.config.depth_head and not (
        old and old.depth_head and old.num_landmarks == networks.config.num_landmarks
    )
    parts = (["Q"] if old is None else []) + (["LMH_3D"] if depth else [])
    if not parts:
        raise ConfigError(f"--init-weights: {run.settings.resume} brings all that it could start; leave it out.")
    return parts


def resume_folder(run: Run) -> Path | None:
    """Folder with the state to continue from; imported and bundled models have none."""
    return None if run.resumed is None else run.resumed.folder


def describe(run: Run, networks: AAE, scheme: LandmarkScheme | None, datasets: list[str]) -> dict:
    """Content of config.json."""
    settings = {k: str(v) if isinstance(v, Path) else v for k, v in dataclasses.asdict(run.settings).items()}
    return model_config(networks, scheme, run.settings.crop_source, datasets=datasets, settings=settings)


def run_loop(run: Run, method, faces: FaceSet | ShardedFaces, session: str) -> None:
    """Train, or with --eval (or without the phase "train") validate once."""
    if run.settings.eval or "train" not in run.settings.phases:
        scores = method.evaluate(0)
        console().info("  ".join(f"{name}={value:.4f}" for name, value in scores.items()))
        if "l_rec_pca" in scores:
            for line in reconstruction_table(scores, method.networks.config.z_dim):
                console().info(line)
        return
    pictures = Path("reconstructions") / session / "val"
    options = LoopOptions.from_settings(run.settings, run.local, session, pictures)
    data, join = faces, collate
    if run.settings.resident:
        if isinstance(faces, ShardedFaces):
            raise ConfigError("--resident: a sharded set is streamed, not held in memory; leave it out.")
        data = ResidentFaces(faces, run.accelerator.device, progress=is_main_process())
        join = data.collate
    train(method, data, join, faces.name, options, run.accelerator, resume_folder(run))


def reconstruction_table(scores: dict[str, float], components: int) -> list[str]:
    """An autoencoder beside what needs no training, line by line."""
    names = {"": "autoencoder", "_pca": f"PCA, {components} components", "_mean": "mean face"}
    rows = [f"{name:<22}{scores[f'l_rec{key}']:>10.1f}{scores[f'ssim{key}']:>8.3f}" for key, name in names.items()]
    return [f"{'validation set':<22}{'L1 0-255':>10}{'SSIM':>8}", *rows]


def critic_changes(settings: UnsupervisedSettings) -> dict[str, str]:
    """The image discriminator that the losses need; without one, a resumed model keeps its own."""
    if settings.with_wgan_gp:
        return {"discriminator_norm": "none"}
    return {"discriminator_norm": "batch"} if settings.with_gan else {}


def perceptual_loss(run: Run, settings: UnsupervisedSettings, config: AAEConfig) -> PerceptualLoss | None:
    """VGG-19's loss on the device, or None. Raises: DataError without its weights."""
    if not settings.with_perceptual_loss:
        return None
    weights = run.local.paths.get("vgg19", run.local.data / "models" / "vgg19.pth")
    mean = PIXEL_MEAN if config.normalize else None
    return PerceptualLoss(weights, tuple(settings.p_loss_features), mean).to(run.accelerator.device)


def unsupervised_validation(
    run: Run, settings: UnsupervisedSettings, config: AAEConfig
) -> tuple[object, BatchTransform] | None:
    """(loader, transform), or None without the phase "val"."""
    if "val" not in settings.phases:
        return None
    keys = settings.dataset_val or [settings.dataset_train[0].partition(":")[0]]
    faces, _ = validation_set(keys, settings.test_split, settings, run.local, with_landmarks=False)
    return validation_loader(faces, settings), validation_transform(config.input_size, config.normalize)


def check_depth_inputs(run: Run, settings: DepthSettings) -> None:
    """Raises: ConfigError where the depth head shall see heatmaps that no trained head predicts."""
    if not (run.resumed and run.resumed.networks.config.num_landmarks) and not settings.use_groundtruth:
        raise ConfigError("predicted heatmaps need a trained landmark head: resume a model of train_aae_landmarks.py.")


def refuse_flat(faces: FaceSet, name: str) -> None:
    """Raises: ConfigError for landmarks without depth or all of the same depth: a depth head would learn to say
    nothing.
    """
    if faces[0].landmarks.shape[-1] != 3:
        raise ConfigError(
            f"{name} has no depth of landmarks; a depth head needs wlp300 with its 3D points, palsy or such."
        )
    for number, part in enumerate(faces.parts):
        rows = faces.row_of[faces.part_of == number]
        flat = rows[np.ptp(part.landmarks[rows][..., 2], axis=1) == 0]
        if len(flat):
            raise ConfigError(
                f"{part.names[flat[0]]} and {len(flat) - 1} more of {len(rows)} faces in {part.folder.name}"
                " have one depth"
                " for all landmarks; convert the dataset with its 3D points, as in: convert 300wlp --landmarks"
                " points.npz."
            )


def landmark_validation(
    run: Run, settings: LandmarkSettings, config: AAEConfig
) -> tuple[object, BatchTransform, list[str]] | None:
    """(loader, transform, names of the faces), or None without the phase "val"."""
    if "val" not in settings.phases:
        return None
    keys = settings.dataset_val or [key.partition(":")[0] for key in settings.dataset]
    held_out, _ = validation_set(keys, settings.test_split, settings, run.local, with_landmarks=True)
    return (
        validation_loader(held_out, settings),
        validation_transform(config.input_size, config.normalize),
        held_out.name,
    )


def describe_landmarks(run: Run, networks: AAE, faces: FaceSet, scheme: LandmarkScheme, datasets: list[str]) -> dict:
    """Content of config.json, with the mean shape of the labels that stands beside every score."""
    shape = {"points": mean_shape(faces).round(5).tolist(), "faces": len(faces)}
    return describe(run, networks, scheme, datasets) | {"mean_shape": shape}
