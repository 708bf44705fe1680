"""Train weakly supervised 3D reconstruction from photos and landmarks (Deep3D, Deng et al. 2019), for any face model.

    python -m recon3d.reconstruction.prepare --images photos --out data/prepared/train  # align, landmarks, skin first
    python train_recon3d.py --data data/prepared/train --val-data data/prepared/val --backbone resnet18
    python train_recon3d.py --data_path processed_data --val_data_path processed_val --model_name test1 --variant tf
    python train_recon3d.py --data datasets/CelebA --face-model bfm09:BFM --init-path resnet50.pth \\
        --identity-network arcface --identity-weights ms1mv3_arcface_r50_fp16.pth           # as Deep3DFaceRecon_pytorch
    python train_recon3d.py --stage gcn --rnet rnet --data ... --val-data ...  # then the mesh refiner; own -h
    python train_recon3d.py --stage gcn_texture --rnet rnet --data ...  # or Lin et al.'s albedo per vertex
    accelerate launch --num_processes 4 train_recon3d.py ...                                # several GPUs or machines

Reads what recon3d.reconstruction.prepare or the published codes wrote; writes snapshots to
<data>/models/snapshots/<session>/, numbers to <outputs>/logs/<session>/ (TensorBoard, csv) and strips to
<outputs>/reports/<session>/: input | overlay | landmarks | shape, of the graph stages input | R-Net | refined.
"""

import argparse
import sys
from collections.abc import Callable

import torch

from common.config import LocalConfig
from common.runtime import make_accelerator, seed_everything, synchronise
from common.scripts import run_script
from recon3d.reconstruction import training as phases
from recon3d.reconstruction.data import collate
from recon3d.reconstruction.method import ReconstructionMethod
from recon3d.reconstruction.models import load_reconstructor, open_face_model
from recon3d.reconstruction.renderer import FaceRenderer
from recon3d.reconstruction.settings import ReconstructionSettings
from training.loop import LoopOptions, session_name, train

STAGES = ("rnet", "gcn", "gcn_texture")


def train_reconstructor(settings: ReconstructionSettings, local: LocalConfig) -> None:
    """Settings → data → networks → method → train. Raises: UserError, DivergenceError, Interrupted."""
    accelerator = make_accelerator(settings.device, settings.precision)
    seed_everything(settings.seed, accelerator.process_index)
    resumed = None if settings.resume is None else load_reconstructor(settings.resume, local.snapshots)

    model = open_face_model(settings.face_model, local, None if resumed is None else resumed.net).to(accelerator.device)
    data, validation = phases.open_data(settings, model)

    networks = phases.make_networks(settings, model, resumed, local.snapshots)
    networks = networks.to(accelerator.device, memory_format=torch.channels_last)
    synchronise(networks, accelerator)

    method = ReconstructionMethod(
        networks,
        FaceRenderer(model, networks.camera, settings.slide_contour),
        settings,
        accelerator,
        describe=phases.describe(settings, networks),
        identity=phases.open_identity(settings, accelerator.device),
        validation=validation,
        supervised=data.supervised,
    )
    phases.report_start(networks, model, method, len(data), 0 if validation is None else len(validation))

    options = LoopOptions.from_settings(settings, local, session_name(settings, local, "rnet"))
    train(method, data, collate, data.name, options, accelerator, None if resumed is None else resumed.folder)


def script_of(stage: str) -> tuple[Callable, type]:
    """What runs a stage, and its settings; graph networks are imported only where they are asked for."""
    if stage == "gcn":
        from recon3d.refinement.settings import RefineSettings
        from recon3d.refinement.training import train_refiner

        return train_refiner, RefineSettings
    if stage == "gcn_texture":
        from recon3d.refinement.settings import TextureSettings
        from recon3d.refinement.texture_training import train_texture

        return train_texture, TextureSettings
    return train_reconstructor, ReconstructionSettings


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 wrong input, 3 diverged, 130 or 143 interrupted."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--stage", default="rnet", choices=STAGES)
    run, settings = script_of(parser.parse_known_args(arguments)[0].stage)
    return run_script(run, settings, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
