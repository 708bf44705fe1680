"""Train the landmark head on a pre-trained autoencoder (3FabRec stage 2, ParFace-Net 2D and 3DA-2D).

    python train_aae_landmarks.py -r my_model/00050 --sessionname lms_w300 --dataset w300 --daug 6
    python train_aae_landmarks.py -r lms_w300 --train-encoder 1                      # then fine-tune the encoder
    python train_aae_landmarks.py -r my_model/00050 --sessionname few --train-count 50 --repeat 20
    accelerate launch --num_processes 4 train_aae_landmarks.py ...                   # several GPUs or machines

Reads the datasets named in local_config.ini, writes snapshots to <data>/models/snapshots/<session>/, numbers to
<outputs>/logs/<session>/ and pictures to <outputs>/reports/.
"""

import sys

from common.scripts import run_script
from landmarks.settings import LandmarkSettings
from landmarks.training import train_landmarks


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 wrong input, 3 diverged, 130 or 143 interrupted."""
    return run_script(train_landmarks, LandmarkSettings, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
