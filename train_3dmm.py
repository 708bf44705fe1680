"""Train a network that regresses a face model's parameters from a crop (3DDFA, 3DDFA_V2, RADAN).

    python -m recon3d.regression.prepare fits --from fits.npz --photos photos --out data/packed/fits  # crops first
    python train_3dmm.py --data data/packed/fits --face-model 3ddfa:train.configs --loss wpdc --base-lr 0.02 --warmup 5
    python train_3dmm.py -r regressor --data data/packed/fits --face-model 3ddfa:train.configs --loss vdc --base-lr 1e-5
    accelerate launch --num_processes 4 train_3dmm.py ...                            # several GPUs or machines

Reads packed crops, or 3DDFA's train.configs with --root; writes snapshots to <data>/models/snapshots/<session>/ and
numbers to <outputs>/logs/<session>/. A stage with another loss on the same session (wpdc, then vdc) begins its schedule
anew.
"""

import sys

import torch

from common.config import LocalConfig
from common.logs import console
from common.runtime import make_accelerator, seed_everything, synchronise
from common.scripts import run_script
from recon3d.regression import training as phases
from recon3d.regression.data import collate
from recon3d.regression.face_models import open_face_model
from recon3d.regression.method import RegressionMethod
from recon3d.regression.models import fits, load_regressor
from recon3d.regression.settings import RegressionSettings
from training.loop import LoopOptions, session_name, train


def train_regressor(settings: RegressionSettings, local: LocalConfig) -> None:
    """Settings → data → networks → method → train. Raises: UserError, DivergenceError, Interrupted."""
    accelerator = make_accelerator(settings.device, settings.precision)
    seed_everything(settings.seed, accelerator.process_index)
    resumed = None if settings.resume is None else load_regressor(settings.resume, local.snapshots)

    data, validation = phases.open_data(settings)

    face_model = open_face_model(settings.face_model, local).to(accelerator.device)
    networks = phases.make_networks(settings, data, resumed, local.snapshots)
    networks = networks.to(accelerator.device, memory_format=torch.channels_last)
    fits(networks, face_model, f"--face-model {settings.face_model}")
    synchronise(networks, accelerator)

    method = RegressionMethod(
        networks,
        settings,
        accelerator,
        transform=phases.crop_transform(settings, data),
        face_model=face_model,
        scale=phases.mean_scale(data),
        describe=phases.describe(settings, networks),
        validation=validation,
        changes=phases.batch_changes(settings, data, face_model),
    )
    phases.report_start(settings, networks, data, validation)
    if settings.eval:
        console().info("  ".join(f"{name}={value:.4f}" for name, value in method.evaluate(0).items()))
        return

    options = LoopOptions.from_settings(settings, local, session_name(settings, local, "regressor"))
    train(method, data, collate, data.name, options, accelerator, None if resumed is None else resumed.folder)


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 wrong input, 3 diverged, 130 or 143 interrupted."""
    return run_script(train_regressor, RegressionSettings, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
