"""Warp faces by keypoints, depth and an affine: FaceWarper's rendering without OpenGL, and one that hides what is
hidden.

A photo's 68 keypoints carry a mesh of 107 triangles; a 2 × 4 affine moves the keypoints, lifted by their depth, to a
new pose. Everything is in pixels: keypoints and results in continuous coordinates, depth in the unit that the affine's
third column expects.
"""

import numpy as np

from common.errors import DataError
from geometry.face_template import TRIANGLES_68
from geometry.lifted_affine import BACK_POINTS, FRONT_POINTS
from geometry.mesh.warp import paint

MODES = ("visible", "compat")
POINTS = 68


def warp_faces(
    images: np.ndarray,
    keypoints: np.ndarray,
    depth: np.ndarray,
    affines: np.ndarray,
    mode: str = "visible",
    size: tuple[int, int] | None = None,
    impl: str = "compiled",
) -> np.ndarray:
    """Render faces in new poses.

    Args:
        images: (B or 1, h, w, 3) uint8 RGB.  keypoints: (B, 68, 2).  depth: (B, 68).  affines: (B, 2, 4).
        mode: "compat", the pixels of FaceWarper: triangles in list order, repeated textures, opaque black background;
        "visible":
            of several triangles the one nearest the viewer, those turned away behind all others, transparent
            background.
        size: (height, width) of the results, default that of the images.
    Returns: (B, H, W, 4) uint8 RGBA.
    Raises: DataError for shapes that do not match, values that are not finite, or an unknown mode.
    """
    check_warp(images, keypoints, depth, affines, mode)
    lifted = np.concatenate([keypoints, depth[..., None]], axis=2).astype(np.float64)
    moved = lifted @ affines[:, :, :3].transpose(0, 2, 1) + affines[:, None, :, 3]
    size = images.shape[1:3] if size is None else size
    if mode == "compat":
        keys = np.zeros((len(moved), len(TRIANGLES_68), 3))
        painted, ids = paint(images, keypoints, moved, keys, TRIANGLES_68, size, "repeat", impl)
        alpha = np.full((*ids.shape, 1), 255, np.uint8)
    else:
        keys = visibility_keys(keypoints, lifted, moved, affines)
        painted, ids = paint(images, keypoints, moved, keys, TRIANGLES_68, size, "clamp", impl)
        alpha = np.where(ids >= 0, 255, 0).astype(np.uint8)[..., None]
    return np.concatenate([painted, alpha], axis=3)


def visibility_keys(keypoints: np.ndarray, lifted: np.ndarray, moved: np.ndarray, affines: np.ndarray) -> np.ndarray:
    """(B, F, 3) keys of triangle corners, smaller is nearer; triangles that turned over are behind all others.

    Points on one line of sight differ by the null vector n of the affine's 2 × 3 part, so n · p orders them whatever
    the gauge of the depth. Its sign is the one that puts the nose before the ends of the jaw line.
    """
    normal = np.cross(affines[:, 0, :3], affines[:, 1, :3])
    height = (lifted - lifted.mean(axis=1, keepdims=True)) @ normal[:, :, None]
    height = height[..., 0]
    ahead = height[:, list(BACK_POINTS)].mean(axis=1) - height[:, list(FRONT_POINTS)].mean(axis=1)
    height = height * np.where(ahead < 0, -1, 1)[:, None]
    height = height / np.maximum(np.abs(height).max(axis=1, keepdims=True), 1e-300)
    turned = signed_area(keypoints[:, TRIANGLES_68]) * signed_area(moved[:, TRIANGLES_68]) <= 0
    return height[:, TRIANGLES_68] + 10.0 * turned[..., None]


def signed_area(corners: np.ndarray) -> np.ndarray:
    """(…, 3, 2) → (…) twice the signed area."""
    a, b = corners[..., 1, :] - corners[..., 0, :], corners[..., 2, :] - corners[..., 0, :]
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def check_warp(images: np.ndarray, keypoints: np.ndarray, depth: np.ndarray, affines: np.ndarray, mode: str) -> None:
    """Raises: DataError naming what does not fit."""
    count = len(keypoints)
    if mode not in MODES:
        raise DataError(f"unknown --mode '{mode}'; choose one of: {', '.join(MODES)}.")
    if images.ndim != 4 or images.dtype != np.uint8 or images.shape[3] != 3 or len(images) not in (1, count):
        raise DataError(
            f"pictures of shape {images.shape} and type {images.dtype}; expected ({count} or 1, h, w, 3) uint8."
        )
    for name, array, shape in (
        ("keypoints", keypoints, (count, POINTS, 2)),
        ("depths", depth, (count, POINTS)),
        ("affines", affines, (count, 2, 4)),
    ):
        if array.shape != shape:
            raise DataError(f"{name} of shape {array.shape} where {shape} is expected.")
        if not np.isfinite(array).all():
            raise DataError(f"{name}: a value is not finite; correct them.")


def composite(rendered: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Rendered faces (B, H, W, 4) over a picture (H, W, 3) or pictures (B, H, W, 3) → (B, H, W, 3).

    Coverage decides, not colour, so black pixels of a face cut no holes. Raises: DataError for another size.
    """
    if background.shape[-3:-1] != rendered.shape[1:3]:
        raise DataError(
            f"a background of {background.shape[-2]}×{background.shape[-3]} px does not fit the result of "
            f"{rendered.shape[2]}×{rendered.shape[1]} px; give a picture of the same size."
        )
    return np.where(rendered[..., 3:] > 0, rendered[..., :3], background)
