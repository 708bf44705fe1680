"""Train weakly supervised 3D reconstruction from photos and landmarks (Deep3D, Deng et al. 2019), for any face model.

    python -m datasets.prepare_recon3d --images photos --out data/prepared/train            # align, landmarks, skin first
    python train_recon3d.py --data data/prepared/train --val-data data/prepared/val --backbone resnet18
    python train_recon3d.py --data_path processed_data --val_data_path processed_val --model_name test1 --variant tf
    python train_recon3d.py --data datasets/CelebA --face-model bfm09:BFM --init-path resnet50.pth \\
        --identity-network arcface --identity-weights ms1mv3_arcface_r50_fp16.pth           # as Deep3DFaceRecon_pytorch
    accelerate launch --num_processes 4 train_recon3d.py ...                                # several GPUs or machines

Reads what datasets.prepare_recon3d or the published codes wrote; writes snapshots to <data>/models/snapshots/<session>/,
numbers to <outputs>/logs/<session>/ (TensorBoard, csv) and strips input | overlay | landmarks | shape to
<outputs>/reports/<session>/.
"""

import sys

from datasets.errors import DataError
from recon3d.weak.settings import WeakSettings
from recon3d.weak.training import train_reconstructor
from training.scripts import run_script


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 wrong input, 3 diverged, 130 or 143 interrupted."""
    return run_script(train_reconstructor, WeakSettings, __doc__, arguments, (DataError,))


if __name__ == "__main__":
    sys.exit(main())
