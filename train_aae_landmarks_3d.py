"""Train the depth head on a landmark model (ParFace-Net stage 3D).

    python train_aae_landmarks_3d.py -r lms_wlp300 --sessionname lms_3d --dataset wlp300 --test-split val
    accelerate launch --num_processes 4 train_aae_landmarks_3d.py ...                # several GPUs or machines

Reads and writes as train_aae_landmarks.py does; the datasets must have 3D landmarks.
"""

import sys

from common.scripts import run_script
from landmarks.settings import DepthSettings
from landmarks.training import train_landmarks_3d


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 wrong input, 3 diverged, 130 or 143 interrupted."""
    return run_script(train_landmarks_3d, DepthSettings, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
