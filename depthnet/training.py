"""Phases of train_depthnet.py, in the order of a run: data, networks, resume, train."""

import dataclasses
from pathlib import Path

from accelerate import Accelerator

from common.checkpoint import newest_snapshot, sessions_part
from common.config import LocalConfig
from common.errors import CheckpointError, ConfigError
from common.logs import console
from common.runtime import make_accelerator, seed_everything, synchronise
from datasets.readers.threedfaw import Keypoints, load_split
from depthnet.lifting import layout_of
from depthnet.method import AIGNMethod, DepthNetMethod
from depthnet.models import load_model, seed_weights
from depthnet.pairs import PairSampler, Positions, collate_positions
from depthnet.scores.evaluation import Faces, score_networks
from depthnet.settings import TrainSettings
from networks.aign import AIGN, AIGNConfig
from networks.depthnet import DepthNet, DepthNetConfig
from training.loop import LoopOptions, train

VALIDATION_FACES = 225  # from the first, as the statistics use


def train_depthnet(settings: TrainSettings, local: LocalConfig) -> None:
    """Train all seeds of one variant side by side. Raises: DataError, ConfigError, DivergenceError, Interrupted."""
    accelerator = make_accelerator(settings.device)
    seed_everything(settings.seed, accelerator.process_index)
    root, cache = local.dataset(settings.dataset), local.cache(settings.dataset) / settings.dataset
    faces, valid = load_split(root, cache, "train"), load_split(root, cache, "valid")
    session, resume = choose_session(settings, local)
    networks = load_or_build(settings, local, resume).to(accelerator.device)
    synchronise(networks, accelerator)
    networks.train()
    run_loop(settings, local, accelerator, faces, valid, networks, session, resume)


def choose_session(settings: TrainSettings, local: LocalConfig) -> tuple[str, str | None]:
    """Name of the session and what to resume; 'auto' is the session's newest snapshot, or nothing in a fresh session."""
    resume = settings.resume
    if resume == "auto":
        session = settings.sessionname or settings.network
        newest = newest_snapshot(local.snapshots / session)
        return session, None if newest is None else str(newest)
    if settings.sessionname or resume is None:
        return settings.sessionname or settings.network, resume
    return sessions_part(resume, local.snapshots), resume


def load_or_build(settings: TrainSettings, local: LocalConfig, resume: str | None) -> DepthNet | AIGN:
    """New networks, every run from its own seed, or those of a snapshot, which must be of the settings' variant."""
    if settings.network == "depthnet":
        s = settings
        config = DepthNetConfig(s.seeds, s.learn_m, s.source_only, not s.no_gan, s.critic_norm)
        networks: DepthNet | AIGN = DepthNet(config)
    else:
        config = AIGNConfig(settings.seeds, settings.network == "aign_sn")
        networks = AIGN(config)
    if resume is None:
        seed_weights(networks, settings.seed)
        return networks
    loaded = load_model(resume, local.snapshots)
    if loaded.networks.config != config:
        different = [
            f"{key} {old}" for key, old in dataclasses.asdict(loaded.networks.config).items()
            if old != dataclasses.asdict(config).get(key)
        ]
        found = ", ".join(different) or f"kind {loaded.kind}"
        raise CheckpointError(f"{loaded.folder}: is of another variant ({found}); give the flags that it was trained with.")
    return loaded.networks


def run_loop(
    settings: TrainSettings, local: LocalConfig, accelerator: Accelerator, faces: Keypoints, valid: Keypoints,
    networks: DepthNet | AIGN, session: str, resume: str | None,
) -> None:
    """Build the method and hand over to the loop."""
    say = console().info
    say(f"{len(faces):,} training, {len(valid):,} validation faces of {settings.dataset}; {settings.seeds} runs side by side")
    for name, module in networks.named_children():
        say(f"Trainable params {name}: {sum(p.numel() for p in module.parameters()) // settings.seeds:,}")
    if settings.batch_size > len(faces):
        raise ConfigError(f"--batch-size {settings.batch_size}: there are only {len(faces)} training faces; lower it.")
    sampler = PairSampler(faces, accelerator.device, settings.seeds, settings.seed, settings.targets)
    held_out = Faces.of(valid, accelerator.device, VALIDATION_FACES)
    method_type = AIGNMethod if isinstance(networks, AIGN) else DepthNetMethod
    stored = {k: str(v) if isinstance(v, Path) else v for k, v in dataclasses.asdict(settings).items()}
    method = method_type(
        networks, settings, accelerator, sampler, lambda nets, _: validation_scores(nets, held_out),
        {"dataset": settings.dataset, "layout": layout_of(faces.points), "settings": stored},
    )
    options = LoopOptions.from_settings(settings, local, session)
    folder = None if resume is None else load_folder(resume, local)
    train(method, Positions(len(faces)), collate_positions, lambda i: f"pair {i}", options, accelerator, folder)


def load_folder(resume: str, local: LocalConfig) -> Path:
    """Folder whose position and optimisers continue; an author's file has none."""
    return load_model(resume, local.snapshots).folder


def validation_scores(networks: DepthNet | AIGN, faces: Faces) -> dict[str, float]:
    """Means over runs on all pairs of the validation faces; `score` is the keypoint error."""
    rows = score_networks(networks, faces, full=False)
    mean = {key: sum(row[key] for row in rows) / len(rows) for key in rows[0]}
    console().info("Validation:  " + "  ".join(f"{key}={value:.4g}" for key, value in mean.items()))
    return {**mean, "score": mean["kp_mean"]}
