"""Train the adversarial autoencoder on unlabelled faces (3FabRec stage 1, ParFace-Net stages 1 to 3).

    python train_aae_unsupervised.py --sessionname my_model --dataset-train vggface2 affectnet --daug 4 --epochs 1
    python train_aae_unsupervised.py -r my_model/00001 --with-gan 1 --with-ssim-loss 1 --daug 4 --epochs 3
    accelerate launch --num_processes 4 train_aae_unsupervised.py ...        # several GPUs or machines

Reads the datasets named in local_config.ini (packing their crops once), writes snapshots to
<data>/models/snapshots/<session>/, numbers to <outputs>/logs/<session>/ and pictures to <outputs>/reports/.
"""

import sys

from common.scripts import run_script
from landmarks.settings import UnsupervisedSettings
from landmarks.training import train_autoencoder


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 wrong input, 3 diverged, 130 or 143 interrupted."""
    return run_script(train_autoencoder, UnsupervisedSettings, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
