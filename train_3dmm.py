"""Train a network that regresses a face model's parameters from a crop (3DDFA, 3DDFA_V2, RADAN).

    python -m recon3d.regression.prepare fits --from fits.npz --photos photos --out data/packed/fits   # crops and labels first
    python train_3dmm.py --data data/packed/fits --face-model 3ddfa:train.configs --loss wpdc --base-lr 0.02 --warmup 5
    python train_3dmm.py -r regressor --data data/packed/fits --face-model 3ddfa:train.configs --loss vdc --base-lr 1e-5
    accelerate launch --num_processes 4 train_3dmm.py ...                            # several GPUs or machines

Reads packed crops, or 3DDFA's train.configs with --root; writes snapshots to <data>/models/snapshots/<session>/ and numbers to
<outputs>/logs/<session>/. A stage with another loss on the same session (wpdc, then vdc) begins its schedule anew.
"""

import sys

from common.scripts import run_script
from recon3d.regression.settings import RegressionSettings
from recon3d.regression.training import train_regressor


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 wrong input, 3 diverged, 130 or 143 interrupted."""
    return run_script(train_regressor, RegressionSettings, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
