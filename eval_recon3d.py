"""Score 3D faces on AFLW2000-3D and AFLW by the protocols of 3DDFA, 3DDFA_V2 and RADAN.

    python eval_recon3d.py -c mb1_120x120.pth --face-model 3ddfa:train.configs --images AFLW2000-3D_crop --list crop.list
    python eval_recon3d.py --benchmark aflw2000 -c my_session --images AFLW2000 --reannotated  # with .mat: pose, dense too
    python eval_recon3d.py --benchmark aflw --predictions mine.npz

Reads ground truth from 3DDFA's test.configs; prints the four lines of upstream, then what else the images allow. `[ 0, 90]` is
the mean of the three bin means, and its Std their spread, as published; the plain mean follows.
"""

import sys

from landmarks.scripts import run_script
from recon3d.regression.evaluation import EvalSettings, run_evaluation


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 wrong input."""
    return run_script(run_evaluation, EvalSettings, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
