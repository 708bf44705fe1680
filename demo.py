"""Find the landmarks of all faces in photos and draw them, estimate their depth, turn them, or fit meshes.

    python demo.py                                     # NASA's astronaut photo, which comes with scikit-image
    python demo.py photo.jpg folder/ "*.png" --out results --save overlay,json
    python demo.py crop.jpg --detector none            # the photo is one face
    python demo.py photo.jpg --box 120,80,200,200      # x,y,w,h of the face
    python demo.py --task mesh -f photo.jpg            # 3D landmarks and meshes; its own options: -h
    python demo.py --task fit photo.jpg  # a 3D face model fitted to landmarks and pixels; its own options: -h
    python demo.py --task reconstruct photo.jpg        # shape, albedo, pose, light by R-Net; its own options: -h
    python demo.py renderer photo.jpg  # only its strip of pictures; demo.py obj photo.jpg: only its meshes
    python demo.py photo.jpg --task depth              # depth of the landmarks: picture and csv
    python demo.py photo.jpg --task rotate             # the face turned by ±45°: gif and picture

Reads photos, writes <out>/<photo>_overlay.png, _tiles.png (input, reconstruction, heatmaps, predictions),
_heatmaps.png, .pts, .json and one landmarks.csv; with --task depth _depth.png and _depth.csv; with --task rotate
_rotate.gif and _rotate.png.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from common.config import LocalConfig
from common.errors import DataError
from common.runtime import choose_device
from common.scripts import run_script
from landmarks.demo import DemoSettings, for_each_face, run_landmarks


def depth_task(name: str) -> Callable[[DemoSettings, LocalConfig], None]:
    """The landmark detector's points handed to one of DepthNet's tasks."""

    def run_task(settings: DemoSettings, local: LocalConfig) -> None:
        from depthnet.demo import TASKS as DEPTH_TASKS  # numba and its meshes only where they are asked for
        from depthnet.lifting import Lifter
        from depthnet.models import load_model

        lifter = Lifter(load_model(settings.depth_model, local.snapshots), choose_device(settings.device))

        def write(out: Path, label: str, image: np.ndarray, points: np.ndarray) -> list[Path]:
            return DEPTH_TASKS[name](out, label, image, points.astype(np.float64), lifter)

        for_each_face(settings, local, write)

    return run_task


MESH_TASKS = ("mesh", "fit", "reconstruct", "renderer", "obj")
SUBCOMMANDS = ("renderer", "obj")  # `demo.py obj …` is `demo.py --task obj …`
TASKS = {"landmarks": run_landmarks, "depth": depth_task("depth"), "rotate": depth_task("rotate")}


def run(settings: DemoSettings, local: LocalConfig) -> None:
    """Hand over to the task. Raises: DataError for an unknown one."""
    if settings.task not in TASKS:
        raise DataError(f"unknown --task '{settings.task}'; choose one of: {', '.join((*TASKS, *MESH_TASKS))}.")
    TASKS[settings.task](settings, local)


def script_of(task: str) -> tuple[Callable, type, str]:
    """What runs a task, its settings and its manual; meshes are imported only where they are asked for."""
    if task == "mesh":
        from recon3d.regression.demo import MeshSettings, run_mesh

        return run_mesh, MeshSettings, MeshSettings.__doc__
    if task == "fit":
        from recon3d.fitting import demo as fit_demo

        return fit_demo.run_fit, fit_demo.FitDemoSettings, fit_demo.MANUAL
    if task in MESH_TASKS:
        from recon3d.inference import demo as reconstruction_demo

        return reconstruction_demo.run_reconstruct, *reconstruction_demo.TASKS[task]
    return run, DemoSettings, __doc__


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 when something could not be processed."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if arguments and arguments[0] in SUBCOMMANDS:
        arguments = ["--task", *arguments]
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--task", default="landmarks")
    return run_script(*script_of(parser.parse_known_args(arguments)[0].task), arguments)


if __name__ == "__main__":
    sys.exit(main())
