"""Faces drawn over their photo or frame."""

import cv2
import numpy as np

from drawing.surfaces import colour_depth, over_photo, position_codes, shaded
from geometry.schemes import IBUG_68
from morphable.scene import Scene
from recon3d.regression.regressor import FaceRegressor

DENSE_POINTS = 6400  # about so many vertices are drawn, every sixth of 3DDFA_V2's mesh
STRENGTH = 0.8  # of meshes, depth and codes over the photo


def draw_sparse(image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """A copy of the photo (H, W, 3) with the 68 points of faces (n, 68, 2+) and their contours."""
    picture = image.copy()
    for points in landmarks:
        width = max(1, round(float(np.ptp(points[:, 1])) / 150))
        fixed = np.round((points[:, :2] - 0.5) * 16).astype(np.int32)
        for contour in IBUG_68.contours:
            cv2.polylines(picture, [fixed[list(contour)][:, None]], False, (255, 255, 255), width, cv2.LINE_AA, shift=4)
        for x, y in fixed:
            cv2.circle(picture, (int(x), int(y)), 32 * width, (20, 20, 20), -1, cv2.LINE_AA, shift=4)
            cv2.circle(picture, (int(x), int(y)), 20 * width, (60, 220, 90), -1, cv2.LINE_AA, shift=4)
    return picture


def draw_dense(image: np.ndarray, screen: np.ndarray) -> np.ndarray:
    """A copy of the photo with evenly chosen vertices of faces (n, V, 2+) in cyan, larger on larger faces."""
    picture = image.copy()
    for points in screen:
        chosen = points[:: max(1, round(len(points) / DENSE_POINTS)), :2]
        radius = max(8, round(float(np.ptp(points[:, 1])) / 700 * 16))
        for x, y in np.clip(np.round((chosen - 0.5) * 16), -(2**20), 2**20).astype(np.int32).tolist():
            cv2.circle(picture, (x, y), radius, (0, 220, 255), -1, cv2.LINE_AA, shift=4)
    return picture


def draw_over(kind: str, image: np.ndarray, scene: Scene, regressor: FaceRegressor) -> np.ndarray:
    """The photo with faces as lit meshes ("3d"), depth, or position codes ("pncc") over it."""
    if kind == "depth":
        picture = colour_depth(scene.depth_mm(), scene.faces)
    else:
        picture = shaded(scene) if kind == "3d" else position_codes(scene, regressor.face_model)
    return over_photo(image, picture, scene.mask, STRENGTH)
