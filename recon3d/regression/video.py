"""demo.py --task mesh on videos and webcams: what is drawn on every frame."""

from collections.abc import Callable

import numpy as np

from recon3d.regression.drawing import draw_dense, draw_over, draw_sparse
from recon3d.regression.regressor import FaceRegressor
from video.tracking import TrackedFace

KINDS = ("2d_sparse", "2d_dense", "3d", "depth", "pncc")


def frame_drawer(regressor: FaceRegressor, kind: str) -> Callable[[np.ndarray, list[TrackedFace]], np.ndarray]:
    """Draws a frame's faces as one of KINDS; a frame without a face stays as it is."""

    def draw(frame: np.ndarray, faces: list[TrackedFace]) -> np.ndarray:
        if not faces:
            return frame
        found = [tracked.face for tracked in faces]
        if kind == "2d_sparse":
            return draw_sparse(frame, np.stack([face.landmarks for face in found]))
        scene = regressor.scene(found, frame.shape[:2])
        if kind == "2d_dense":
            return draw_dense(frame, scene.screen.cpu().numpy())
        return draw_over(kind, frame, scene, regressor)

    return draw
