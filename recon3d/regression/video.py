"""demo.py --task mesh on videos and webcams: what is drawn on every frame."""

from collections.abc import Sequence

import numpy as np

from datasets.face import Face
from recon3d.regression.drawing import draw_dense, draw_over, draw_sparse
from recon3d.regression.regressor import FaceRegressor

KINDS = ("2d_sparse", "2d_dense", "3d", "depth", "pncc")


def draw_frame(frame: np.ndarray, faces: Sequence[Face], regressor: FaceRegressor, kind: str) -> np.ndarray:
    """A frame with its faces drawn as one of KINDS; without a face it stays as it is."""
    if not faces:
        return frame
    if kind == "2d_sparse":
        return draw_sparse(frame, np.stack([face.landmarks for face in faces]))
    scene = regressor.scene(faces, frame.shape[:2])
    if kind == "2d_dense":
        return draw_dense(frame, scene.screen.cpu().numpy())
    return draw_over(kind, frame, scene, regressor)
