"""Faces drawn over their photo or frame."""

import numpy as np

from drawing.landmarks import draw_contours, draw_dots
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
        draw_contours(picture, points[:, :2], IBUG_68, (255, 255, 255), width)
        for point in points[:, :2]:
            draw_dots(picture, point[None], (20, 20, 20), 2 * width)
            draw_dots(picture, point[None], (60, 220, 90), 1.25 * width)
    return picture


def draw_dense(image: np.ndarray, screen: np.ndarray) -> np.ndarray:
    """A copy of the photo with evenly chosen vertices of faces (n, V, 2+) in cyan, larger on larger faces."""
    picture = image.copy()
    for points in screen:
        chosen = points[:: max(1, round(len(points) / DENSE_POINTS)), :2]
        draw_dots(picture, chosen, (0, 220, 255), max(8, round(float(np.ptp(points[:, 1])) / 700 * 16)) / 16)
    return picture


def draw_over(kind: str, image: np.ndarray, scene: Scene, regressor: FaceRegressor) -> np.ndarray:
    """The photo with faces as lit meshes ("3d"), depth, or position codes ("pncc") over it."""
    if kind == "depth":
        picture = colour_depth(scene.depth_mm(), scene.faces)
    else:
        picture = shaded(scene) if kind == "3d" else position_codes(scene, regressor.face_model)
    return over_photo(image, picture, scene.mask, STRENGTH)
