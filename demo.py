"""Find the landmarks of all faces in photos and draw them.

    python demo.py                                     # NASA's astronaut photo, which comes with scikit-image
    python demo.py photo.jpg folder/ "*.png" --out results --save overlay,json
    python demo.py crop.jpg --detector none            # the photo is one face
    python demo.py photo.jpg --box 120,80,200,200      # x,y,w,h of the face
    python demo.py --task mesh -f photo.jpg            # 3D landmarks and meshes; its own options: -h

Reads photos, writes <out>/<photo>_overlay.png, _tiles.png (input, reconstruction, heatmaps, predictions), _heatmaps.png, .pts,
.json and one landmarks.csv.
"""

import sys

from datasets.errors import DataError
from landmarks.demo import DemoSettings, run_landmarks
from landmarks.scripts import run_script
from training.config import LocalConfig

TASKS = {"landmarks": run_landmarks}


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
