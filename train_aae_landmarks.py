"""Train the landmark head on a pre-trained autoencoder (3FabRec stage 2, ParFace-Net 2D and 3DA-2D).

    python train_aae_landmarks.py -r my_model/00050 --sessionname lms_w300 --dataset w300 --daug 6
    python train_aae_landmarks.py -r lms_w300 --train-encoder 1                      # then fine-tune the encoder
    python train_aae_landmarks.py -r my_model/00050 --sessionname few --train-count 50 --repeat 20
    accelerate launch --num_processes 4 train_aae_landmarks.py ...                   # several GPUs or machines

Reads the datasets named in local_config.ini, writes snapshots to <data>/models/snapshots/<session>/, numbers to
<outputs>/logs/<session>/ and pictures to <outputs>/reports/.
"""

import sys

from common.config import LocalConfig
from common.scripts import run_script
from landmarks.data import training_set, training_transform
from landmarks.landmark_training import LandmarkMethod
from landmarks.settings import LandmarkSettings
from landmarks.training import (
    describe_landmarks,
    landmark_validation,
    make_networks,
    run_loop,
    start,
)
from training.loop import session_name


def train_landmarks(settings: LandmarkSettings, local: LocalConfig) -> None:
    """Settings → data → networks → method → train. Raises: UserError, DivergenceError, Interrupted."""
    run = start(settings, local)  # device, seeds, and the model to continue from
    settings = run.settings  # with the sizes of that model

    faces, scheme, names = training_set(settings.dataset, settings.train_split, settings, local, with_landmarks=True)

    has_coords = bool(settings.w_coords or settings.coords_epochs)
    networks = make_networks(
        run,
        num_landmarks=scheme.num_points,
        **({"coords_head": True} if has_coords else {}),  # a resumed one keeps its own
    )

    method = LandmarkMethod(
        networks,
        settings,
        run.accelerator,
        transform=training_transform(settings, networks.config.normalize, scheme),
        scheme=scheme,
        describe=describe_landmarks(run, networks, faces, scheme, names),
        validation=landmark_validation(run, settings, networks.config),
    )
    run_loop(run, method, faces, session_name(settings, local, default="landmarks"))


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 wrong input, 3 diverged, 130 or 143 interrupted."""
    return run_script(train_landmarks, LandmarkSettings, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
