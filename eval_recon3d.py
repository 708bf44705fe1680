"""Score 3D faces on AFLW2000-3D and AFLW by the protocols of 3DDFA, 3DDFA_V2 and RADAN.

    python eval_recon3d.py -c mb1_120x120.pth --face-model 3ddfa:configs --images AFLW2000-3D_crop --list crop.list
    python eval_recon3d.py --benchmark aflw2000 -c my_session --images AFLW2000 --reannotated  # with .mat: pose, dense
    python eval_recon3d.py --benchmark aflw --predictions mine.npz
    python eval_recon3d.py -c regressor_120 --benchmark photos --images 300w/images/test/common/lfpw  # photos with .pts
    python eval_recon3d.py -c reconstructor --images AFLW2000 --five detector     # R-Net; or --five gt, file
    python eval_recon3d.py -c reconstructor --benchmark synthetic --count 256     # mm against rendered truth
    python eval_recon3d.py -c reconstructor --benchmark photos --images 300w/images/test/common/lfpw
    python eval_recon3d.py -c reconstructor --benchmark scans --images scans3d  # real scans, rendered from 21 sides: mm
    python eval_recon3d.py -c reconstructor --benchmark pairs --images faces/lfw    # do coefficients tell people apart?
    python eval_recon3d.py -c reconstructor --benchmark groups --images faces/fairface    # colour errors by group

Reads ground truth from 3DDFA's test.configs; prints the four lines of upstream, then what else the images allow. `[ 0,
90]` is the mean of the three bin means, and its Std their spread, as published; the plain mean follows.
"""

import sys

from common.config import LocalConfig
from common.scripts import run_script
from recon3d.scores.reconstruction import is_reconstructor, run_reconstruction_evaluation
from recon3d.scores.regression import EvalSettings, run_evaluation


def run(settings: EvalSettings, local: LocalConfig) -> None:
    """Regressors and reconstructors have their own protocols."""
    if is_reconstructor(settings, local):
        run_reconstruction_evaluation(settings, local)
    else:
        run_evaluation(settings, local)


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 wrong input."""
    return run_script(run, EvalSettings, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
