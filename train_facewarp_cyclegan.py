"""Train a CycleGAN that paints the background of frontalised faces, or repairs faces that were pasted onto other heads.

    python train_facewarp_cyclegan.py --task background --dataset w300
    python train_facewarp_cyclegan.py --task faceswap --dataset w300 --size 80 --epochs 500
    python train_facewarp_cyclegan.py --task faceswap --base 16 --blocks 3 --count 200 --epochs 5    # a small one for a CPU

Reads photos with 68 landmarks (datasets of local_config.ini), lifts the faces with a DepthNet, and writes snapshots to
<data>/models/snapshots/<session>/ and picture grids to <outputs>/reports/<session>/. Do not deceive: see docs/results/depth.md.
"""

import sys

from common.scripts import run_script
from depthnet.replacement.training import CycleGANSettings, train_cyclegan


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 wrong input, 3 diverged, 130 or 143 interrupted."""
    return run_script(train_cyclegan, CycleGANSettings, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
