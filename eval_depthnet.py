"""Score keypoint depths on all pairs of the validation and test faces, with the controls that any such score needs.

    python eval_depthnet.py -c depthnet_gan --dataset threedfaw --compute-stats
    python eval_depthnet.py -c fixm gan learnm --dataset threedfaw --compute-stats --json scores.json  # all their seeds
    python eval_depthnet.py -c gan --dataset threedfaw --dump-depths depths.npz
    python eval_depthnet.py -c fixm gan --dataset threedfaw --figures figures  # figures 2 and 3

Prints DepthCorr, the 3 × 3 table by pose and the keypoint error as the authors do, then the same over seeds beside a
constant template, the mean depth, a posed template, a closed-form depth and a supervised linear regression.
"""

import sys

from common.scripts import run_script
from depthnet.scores.scoring import evaluate_depthnet
from depthnet.settings import EvalSettings


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 wrong input."""
    return run_script(evaluate_depthnet, EvalSettings, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
