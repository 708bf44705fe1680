"""Find the landmarks of all faces in photos and draw them, estimate their depth, or turn the faces.

    python demo.py                                     # NASA's astronaut photo, which comes with scikit-image
    python demo.py photo.jpg folder/ "*.png" --out results --save overlay,json
    python demo.py crop.jpg --detector none            # the photo is one face
    python demo.py photo.jpg --box 120,80,200,200      # x,y,w,h of the face
    python demo.py --task mesh -f photo.jpg            # 3D landmarks and meshes; its own options: -h
    python demo.py photo.jpg --task depth              # depth of the landmarks: picture and csv
    python demo.py photo.jpg --task rotate             # the face turned by ±45°: gif and picture

Reads photos, writes <out>/<photo>_overlay.png, _tiles.png (input, reconstruction, heatmaps, predictions), _heatmaps.png, .pts,
.json and one landmarks.csv; with --task depth _depth.png and _depth.csv; with --task rotate _rotate.gif and _rotate.png.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from datasets.errors import DataError
from landmarks.demo import DemoSettings, for_each_face, run_landmarks
from landmarks.scripts import run_script
from training.config import LocalConfig
from training.runtime import make_accelerator


def depth_task(name: str) -> Callable[[DemoSettings, LocalConfig], None]:
    """The landmark detector's points handed to one of DepthNet's tasks."""

    def run_task(settings: DemoSettings, local: LocalConfig) -> None:
        from depthnet.demo import TASKS as DEPTH_TASKS  # numba and its meshes only where they are asked for
        from depthnet.lifting import Lifter
        from depthnet.models import load_model

        lifter = Lifter(load_model(settings.depth_model, local.snapshots), make_accelerator(settings.device).device)

        def write(out: Path, label: str, image: np.ndarray, points: np.ndarray) -> list[Path]:
            return DEPTH_TASKS[name](out, label, image, points.astype(np.float64), lifter)

        for_each_face(settings, local, write)

    return run_task


TASKS = {"landmarks": run_landmarks, "depth": depth_task("depth"), "rotate": depth_task("rotate")}


def run(settings: DemoSettings, local: LocalConfig) -> None:
    """Hand over to the task. Raises: DataError for an unknown one."""
    if settings.task not in TASKS:
        raise DataError(f"unknown --task '{settings.task}'; choose one of: {', '.join(TASKS)}.")
    TASKS[settings.task](settings, local)


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 when something could not be processed."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if any(a == "--task=mesh" or (a == "--task" and b == "mesh") for a, b in zip(arguments, [*arguments[1:], ""])):
        from recon3d.regression.demo import MeshSettings, run_mesh  # numba and its meshes only where they are asked for

        return run_script(run_mesh, MeshSettings, MeshSettings.__doc__, arguments)
    return run_script(run, DemoSettings, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
