"""The phases that train_depthnet.py names: session, networks, validation."""

import dataclasses
from pathlib import Path

import numpy as np
import torch

from common.checkpoint import newest_snapshot, sessions_part
from common.config import LocalConfig
from common.errors import CheckpointError, ConfigError
from common.logs import console
from datasets.readers.threedfaw import Keypoints, load_split
from depthnet.lifting import layout_of
from depthnet.models import load_model, seed_weights
from depthnet.scores.evaluation import Faces, score_networks
from depthnet.settings import TrainSettings
from networks.aign import AIGN, AIGNConfig
from networks.depthnet import DepthNet, DepthNetConfig

VALIDATION_FACES = 225  # from the first, as the statistics use
HELD_RUN = 50  # faces that are held out together


def choose_session(settings: TrainSettings, local: LocalConfig) -> tuple[str, str | None]:
    """Name of the session and what to resume; 'auto' is the session's newest snapshot, or nothing in a fresh
    session.
    """
    resume = settings.resume
    if resume == "auto":
        session = settings.sessionname or settings.network
        newest = newest_snapshot(local.snapshots / session)
        return session, None if newest is None else str(newest)
    if settings.sessionname or resume is None:
        return settings.sessionname or settings.network, resume
    return sessions_part(resume, local.snapshots), resume


def choose_faces(hold_out: float, root: Path, cache: Path) -> tuple[Keypoints, Keypoints]:
    """Faces to train and to validate with: of their splits, or all but some and some runs of the training split.

    Runs of faces, not single ones: frames of one video follow each other. Raises: ConfigError when either has fewer
    than 2 faces, DataError.
    """
    faces = load_split(root, cache, "train")
    if not hold_out:
        return faces, load_split(root, cache, "valid")
    held = np.arange(len(faces)) // HELD_RUN % round(1 / hold_out) == 0
    if min(held.sum(), (~held).sum()) < 2:
        raise ConfigError(f"--hold-out {hold_out}: leaves fewer than 2 of {len(faces)} faces on one side; change it.")
    return faces[~held], faces[np.flatnonzero(held)[:: -(-held.sum() // VALIDATION_FACES)]]


def load_or_build(settings: TrainSettings, local: LocalConfig, resume: str | None, faces: Keypoints) -> DepthNet | AIGN:
    """New networks, every run from its own seed, or those of a snapshot, which must be of the settings' variant.

    Args: faces: whose keypoints a spectral base is made of.
    """
    if settings.network == "depthnet":
        s = settings
        config = DepthNetConfig(s.seeds, s.learn_m, s.source_only, not s.no_gan, s.critic_norm, s.base)
        networks: DepthNet | AIGN = DepthNet(config)
    else:
        config = AIGNConfig(settings.seeds, settings.network == "aign_sn")
        networks = AIGN(config)
    if resume is None:
        seed_weights(networks, settings.seed)
        if settings.base == "spectral":
            networks.g.base.set_faces(torch.from_numpy(faces.points))
        return networks
    loaded = load_model(resume, local.snapshots)
    if loaded.networks.config != config:
        different = [
            f"{key} {old}"
            for key, old in dataclasses.asdict(loaded.networks.config).items()
            if old != dataclasses.asdict(config).get(key)
        ]
        found = ", ".join(different) or f"kind {loaded.kind}"
        raise CheckpointError(
            f"{loaded.folder}: is of another variant ({found}); give the flags that it was trained with."
        )
    return loaded.networks


def report_start(settings: TrainSettings, faces: Keypoints, valid: Keypoints, networks: DepthNet | AIGN) -> None:
    """Says what is trained on what. Raises: ConfigError when a batch is larger than the data."""
    say = console().info
    say(
        f"{len(faces):,} training, {len(valid):,} validation faces of {settings.dataset}; {settings.seeds} runs"
        " side by side"
    )
    for name, module in networks.named_children():
        say(f"Trainable params {name}: {sum(p.numel() for p in module.parameters()) // settings.seeds:,}")
    if settings.batch_size > len(faces):
        raise ConfigError(f"--batch-size {settings.batch_size}: there are only {len(faces)} training faces; lower it.")


def describe(settings: TrainSettings, faces: Keypoints) -> dict:
    """Content of config.json beside the networks."""
    stored = {k: str(v) if isinstance(v, Path) else v for k, v in dataclasses.asdict(settings).items()}
    return {"dataset": settings.dataset, "layout": layout_of(faces.points), "settings": stored}


def load_folder(resume: str | None, local: LocalConfig) -> Path | None:
    """Folder whose position and optimisers continue; an author's file has none."""
    return None if resume is None else load_model(resume, local.snapshots).folder


def validation_scores(networks: DepthNet | AIGN, faces: Faces) -> dict[str, float]:
    """Means over runs on all pairs of the validation faces; `score` is the keypoint error."""
    rows = score_networks(networks, faces, full=False)
    mean = {key: sum(row[key] for row in rows) / len(rows) for key in rows[0]}
    console().info("Validation:  " + "  ".join(f"{key}={value:.4g}" for key, value in mean.items()))
    return {**mean, "score": mean["kp_mean"]}
