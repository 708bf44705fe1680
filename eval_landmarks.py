"""Score a landmark model on a dataset: NME, failure rate, AUC, and in 3D the ground-truth error GTE.

    python eval_landmarks.py -c landmarks_300w --dataset w300 --test-split common --benchmark
    python eval_landmarks.py -c my_session --dataset wflw --test-split pose --benchmark --json pose.json --ced pose.png

Reads the dataset named in local_config.ini, prints the score with its protocol, and writes what --json, --csv and --ced
name. Without --benchmark it also writes pictures of the first faces to <outputs>/results/<model>/.
"""

import sys

from common.scripts import run_script
from landmarks.evaluation import run_evaluation
from landmarks.settings import EvalSettings


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 wrong input, 3 diverged, 130 or 143 interrupted."""
    return run_script(run_evaluation, EvalSettings, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
