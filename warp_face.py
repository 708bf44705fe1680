"""Warp, turn and export faces by their keypoints' depth; render FaceWarper's folders without OpenGL.

    python warp_face.py warp source.jpg target.jpg --onto target --out result.png  # source's face in the target's pose
    python warp_face.py warp source.jpg target.jpg --onto target --repair cyclegan_faceswap --out result.png
    python warp_face.py frontalise photo.jpg --out front.png                          # --repair cyclegan_background
    python warp_face.py rotate photo.jpg --angles 45 -45 --out turned.gif             # .png, .gif or .mp4
    python warp_face.py rotate src.png --src-kpts-file keypoints.txt --kpt-file-separator " " --source-depth
    python warp_face.py export source.jpg targets_folder --output-dir facewarper_input
    python warp_face.py export-animation photo.jpg --output-dir facewarper_input --axis x
    python warp_face.py dataset facewarper_input --results frontalised --mode compat
    python warp_face.py serve                                                         # FaceWarper's protocol on stdin

Keypoints come from files (66 or 68 rows, x,y or x,y,z in pixels; see --scale-depth) or from this codebase's landmark
detector. Do not use it to deceive: see "Use" in docs/results/depth.md.
"""

import sys

import numpy as np

from common.config import LocalConfig
from common.scripts import run_script
from depthnet.settings import WarpSettings
from depthnet.warping.tasks import run_warp
from landmarks.finder import LandmarkFinder


def run(settings: WarpSettings, local: LocalConfig) -> None:
    """Hand over with the landmark detector, which is loaded when a photo without keypoints comes."""

    finder = LandmarkFinder(snapshots=local.snapshots, device=settings.device, detector=settings.detector, flip=True)

    def detect(image: np.ndarray) -> list[np.ndarray]:
        return [face.landmarks for face in finder(image)]

    run_warp(settings, local, detect)


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 wrong input."""
    return run_script(run, WarpSettings, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
