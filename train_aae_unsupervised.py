"""Train the adversarial autoencoder on unlabelled faces (3FabRec stage 1, ParFace-Net stages 1 to 3).

    python train_aae_unsupervised.py --sessionname my_model --dataset-train vggface2 affectnet --daug 4 --epochs 1
    python train_aae_unsupervised.py -r my_model/00001 --with-gan 1 --with-ssim-loss 1 --daug 4 --epochs 3
    python train_aae_unsupervised.py --dataset-train https://example.org/faces --dataset-val affectnet  # sharded set
    accelerate launch --num_processes 4 train_aae_unsupervised.py ...        # several GPUs or machines

Reads the datasets named in local_config.ini (packing their crops once), writes snapshots to
<data>/models/snapshots/<session>/, numbers to <outputs>/logs/<session>/ and pictures to <outputs>/reports/.
"""

import sys

from common.config import LocalConfig
from common.scripts import run_script
from landmarks.autoencoder import AutoencoderMethod
from landmarks.baselines import linear_faces_of
from landmarks.data import streamed_set, training_set, training_transform
from landmarks.settings import UnsupervisedSettings
from landmarks.training import (
    critic_changes,
    describe,
    make_networks,
    perceptual_loss,
    run_loop,
    start,
    unsupervised_validation,
)
from training.loop import session_name


def train_autoencoder(settings: UnsupervisedSettings, local: LocalConfig) -> None:
    """Settings → data → networks → method → train. Raises: UserError, DivergenceError, Interrupted."""
    run = start(settings, local)  # device, seeds, and the model to continue from
    settings = run.settings  # with the sizes of that model

    streamed = streamed_set(settings.dataset_train, settings, local, with_landmarks=False)
    faces, _, names = streamed or training_set(
        settings.dataset_train, settings.train_split, settings, local, with_landmarks=False
    )

    networks = make_networks(run, fresh_discriminator=settings.reset, **critic_changes(settings))
    config = networks.config

    method = AutoencoderMethod(
        networks,
        settings,
        run.accelerator,
        transform=training_transform(settings, config.normalize, scheme=None),
        describe=describe(run, networks, run.resumed.scheme if run.resumed else None, names),
        validation=unsupervised_validation(run, settings, config),
        perceptual=perceptual_loss(run, settings, config),
        baseline=None if streamed else lambda: linear_faces_of(faces, config.input_size, config.z_dim, settings.seed),
    )
    run_loop(run, method, faces, session_name(settings, local, default="aae"))


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 wrong input, 3 diverged, 130 or 143 interrupted."""
    return run_script(train_autoencoder, UnsupervisedSettings, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
