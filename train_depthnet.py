"""Train DepthNet: depths of keypoints from unpaired faces, with or without an adversary; or AIGN.

    python train_depthnet.py --sessionname fixm --dataset threedfaw --no-gan                 # solve for the affine
    python train_depthnet.py --sessionname gan --dataset threedfaw --dnorm 0.1 --seeds 5     # with critic, five seeds at once
    python train_depthnet.py --sessionname learnm --dataset threedfaw --no-gan --learn-m     # predict the affine
    python train_depthnet.py --sessionname aign --dataset threedfaw --network aign --lamb 100
    python train_depthnet.py --sessionname gan --resume auto --dnorm 0.1 --seeds 5           # continue

Reads 3DFAW's layout from the folder named in local_config.ini, writes snapshots to <data>/models/snapshots/<session>/ and
numbers to <outputs>/logs/<session>/.
"""

import sys

from common.scripts import run_script
from depthnet.settings import TrainSettings
from depthnet.training import train_depthnet


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 wrong input, 3 diverged, 130 or 143 interrupted."""
    return run_script(train_depthnet, TrainSettings, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
