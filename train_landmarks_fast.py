"""Train the direct landmark network: no reconstruction, all crops in memory, coordinates with their uncertainty.

    python train_landmarks_fast.py --dataset w300 --epochs 200
    python train_landmarks_fast.py --dataset w300 data/packed/rendered --repeats 8 1 --epochs 60 --precision bf16
    python train_landmarks_fast.py -r landmark_net --dataset w300 --new-stage 1 --epochs 300
    python train_landmarks_fast.py --dataset data/shards/rendered --dataset-val w300 -j 4    # datasets.commands.pack
    accelerate launch --num_processes 4 train_landmarks_fast.py ...                  # several GPUs or machines

Reads the datasets named in local_config.ini, or folders of packed crops; writes snapshots to
<data>/models/snapshots/<session>/ and numbers to <outputs>/logs/<session>/.
"""

import sys

import torch

from common.checkpoint import resolve_snapshot
from common.config import LocalConfig
from common.logs import console
from common.runtime import make_accelerator, seed_everything, synchronise
from common.scripts import run_script
from datasets.loader import collate
from datasets.resident import ResidentFaces
from landmarks.data import streamed_set, training_set, validation_set
from landmarks.net_settings import LandmarkNetSettings
from landmarks.net_training import LandmarkNetMethod, describe, load_networks, new_networks, repeated
from networks.aae import count_parameters
from training.loop import LoopOptions, session_name, train


def train_landmarks_fast(settings: LandmarkNetSettings, local: LocalConfig) -> None:
    """Settings → data → network → method → train."""
    accelerator = make_accelerator(settings.device, settings.precision)
    seed_everything(settings.seed, accelerator.process_index)

    streamed = streamed_set(settings.dataset, settings, local, with_landmarks=True)
    faces, scheme, names = streamed or training_set(
        settings.dataset, settings.train_split, settings, local, with_landmarks=True
    )
    if streamed is None:
        resident = ResidentFaces(repeated(faces, settings.repeats), accelerator.device)
        data, join = resident, resident.collate
    else:
        data, join = faces, collate
    keys = settings.dataset_val or settings.dataset
    held_out, _ = validation_set(keys, settings.test_split, settings, local, with_landmarks=True)
    validation = ResidentFaces(held_out, accelerator.device)

    if settings.resume is None:
        networks, folder = new_networks(settings, scheme), None
    else:
        folder = resolve_snapshot(settings.resume, local.snapshots)
        networks = load_networks(folder, settings.ema)
    networks.to(accelerator.device, memory_format=torch.channels_last)
    synchronise(networks, accelerator)
    console().info(f"Trainable params: {count_parameters(networks.net):,}")

    description = describe(settings, networks.net, scheme, names)
    method = LandmarkNetMethod(networks, settings, accelerator, scheme, description, validation)
    if settings.eval:
        console().info("  ".join(f"{name}={value:.4f}" for name, value in method.evaluate(0).items()))
        return
    options = LoopOptions.from_settings(settings, local, session_name(settings, local, default="landmark_net"))
    train(method, data, join, faces.name, options, accelerator, folder)


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 wrong input, 3 diverged, 130 or 143 interrupted."""
    return run_script(train_landmarks_fast, LandmarkNetSettings, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
