"""Train the depth head on a landmark model (ParFace-Net stage 3D).

    python train_aae_landmarks_3d.py -r lms_wlp300 --sessionname lms_3d --dataset wlp300 --test-split val
    accelerate launch --num_processes 4 train_aae_landmarks_3d.py ...                # several GPUs or machines

Reads and writes as train_aae_landmarks.py does; the datasets must have 3D landmarks.
"""

import sys

from common.config import LocalConfig
from common.scripts import run_script
from landmarks.data import training_set, training_transform
from landmarks.landmark_training import DepthMethod
from landmarks.settings import DepthSettings
from landmarks.training import (
    check_depth_inputs,
    describe_landmarks,
    landmark_validation,
    make_networks,
    refuse_flat,
    run_loop,
    start,
)
from training.loop import session_name


def train_landmarks_3d(settings: DepthSettings, local: LocalConfig) -> None:
    """Settings → data → networks → method → train. Raises: UserError, DivergenceError, Interrupted."""
    run = start(settings, local)  # device, seeds, and the model to continue from
    settings = run.settings  # with the sizes of that model

    faces, scheme, names = training_set(settings.dataset, settings.train_split, settings, local, with_landmarks=True)
    refuse_flat(faces, names[0])

    networks = make_networks(run, num_landmarks=scheme.num_points, depth_head=True)
    check_depth_inputs(run, settings)

    method = DepthMethod(
        networks,
        settings,
        run.accelerator,
        transform=training_transform(settings, networks.config.normalize, scheme),
        scheme=scheme,
        describe=describe_landmarks(run, networks, faces, scheme, names),
        validation=landmark_validation(run, settings, networks.config),
    )
    run_loop(run, method, faces, session_name(settings, local, default="landmarks_3d"))


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 wrong input, 3 diverged, 130 or 143 interrupted."""
    return run_script(train_landmarks_3d, DepthSettings, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
