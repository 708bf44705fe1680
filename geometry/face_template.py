"""A generic face of 66 points, its mesh over 68 points, and the 66 ↔ 68 conversion.

The template is this project's own: x to the right of the picture, y down, z away from the viewer (the nose is
negative), units of about half a face width. Depths in 3DFAW files have the same direction.
"""

import numpy as np
import torch
from torch import Tensor

from geometry.rotations import euler_from_rotation
from geometry.schemes import IBUG_68_TO_66

# (x, y, z) of the subject's right half where it has a mirror image, in the order of the right half's indices
_BROW = ((0.80, -0.52, 0.14), (0.66, -0.62, 0.02), (0.50, -0.66, -0.06), (0.34, -0.63, -0.11), (0.18, -0.57, -0.14))
_BRIDGE = ((0, -0.36, -0.12), (0, -0.19, -0.25), (0, -0.02, -0.38), (0, 0.14, -0.50))
_NOSE_BASE = ((-0.21, 0.27, -0.12), (-0.11, 0.31, -0.21), (0, 0.335, -0.27), (0.11, 0.31, -0.21), (0.21, 0.27, -0.12))
_EYE = (
    (-0.62, -0.32, 0.10),
    (-0.52, -0.385, 0.03),
    (-0.40, -0.385, 0.0),
    (-0.29, -0.31, 0.03),
    (-0.40, -0.265, 0.01),
    (-0.52, -0.26, 0.04),
)
_OUTER_LIP = (
    (-0.36, 0.60, -0.03),
    (-0.23, 0.53, -0.14),
    (-0.09, 0.49, -0.21),
    (0, 0.51, -0.23),
    (0.09, 0.49, -0.21),
    (0.23, 0.53, -0.14),
    (0.36, 0.60, -0.03),
    (0.23, 0.69, -0.11),
    (0.09, 0.74, -0.17),
    (0, 0.75, -0.18),
    (-0.09, 0.74, -0.17),
    (-0.23, 0.69, -0.11),
)
_INNER_LIP = (
    (-0.11, 0.585, -0.17),
    (0, 0.595, -0.19),
    (0.11, 0.585, -0.17),
    (0.11, 0.615, -0.16),
    (0, 0.625, -0.17),
    (-0.11, 0.615, -0.16),
)


def _template() -> np.ndarray:
    angle = np.pi * np.arange(17) / 16
    sine, cosine = np.sin(angle), np.cos(angle)
    jaw = np.stack(
        [-cosine * (1 - 0.10 * sine), -0.30 + 1.35 * sine**0.85, 0.72 * np.abs(cosine) ** 1.25 + 0.02 * sine], axis=1
    )
    brow, eye = np.array(_BROW), np.array(_EYE)
    mirror = np.array([-1.0, 1.0, 1.0])
    parts = (
        jaw,
        brow * mirror,
        brow[::-1],
        _BRIDGE,
        _NOSE_BASE,
        eye,
        eye[[3, 2, 1, 0, 5, 4]] * mirror,
        _OUTER_LIP,
        _INNER_LIP,
    )
    return np.concatenate([np.asarray(part, dtype=np.float64) for part in parts])


TEMPLATE_66 = _template()

# The mesh of the authors' FaceWarper (MIT, DepthNets repository): 107 triangles over the 68 points in drawing order.
# Eyes and mouth are filled; the border is the jaw line and the brows.
TRIANGLES_68 = np.array(
    [
        int(i)
        for i in (
            "0 36 17 0 1 36 1 41 36 1 2 41 2 31 41 2 49 31 2 3 49 3 48 49 3 4 48 4 5 48 5 6 48 6 59 48 6 7 59"
            " 7 58 59 7 8 58 8 57 58 "
            "8 56 57 8 9 56 9 55 56 9 10 55 10 11 55 11 54 55 11 12 54 12 13 54 13 53 54 13 14 53 14 35 53 14"
            " 46 35 14 15 46 15 45 46 "
            "15 16 45 16 26 45 26 25 45 25 44 45 25 24 44 24 43 44 24 23 43 23 42 43 23 22 42 22 27 42 22 21"
            " 27 21 39 27 21 20 39 "
            "20 38 39 20 19 38 19 37 38 19 18 37 18 36 37 18 17 36 36 41 37 37 41 38 38 41 40 38 40 39 42 47"
            " 43 43 47 46 43 46 44 "
            "44 46 45 48 59 60 60 59 67 59 58 67 67 58 66 58 57 66 57 56 66 56 65 66 56 55 65 55 64 65 55 54"
            " 64 54 53 64 53 63 64 "
            "53 52 63 52 62 63 52 51 62 51 50 62 50 61 62 50 49 61 49 60 61 49 48 60 60 67 61 61 67 62 62 67"
            " 66 62 66 65 62 65 63 "
            "63 65 64 39 28 27 39 29 28 39 40 29 40 31 29 40 41 31 29 31 30 30 31 32 30 32 33 30 33 34 30 34"
            " 35 30 35 29 35 46 47 "
            "29 35 47 29 47 42 29 42 28 28 42 27 31 49 50 31 50 32 32 50 51 32 51 33 33 51 34 34 51 52 35 34"
            " 52 35 52 53"
        ).split()
    ]
).reshape(-1, 3)

OUTLINE_68 = np.r_[0:17, 26:16:-1]  # the mesh's border: jaw line, then the brows from the left one back


def to_68(points: Tensor | np.ndarray) -> Tensor | np.ndarray:
    """66 → 68 points (…, 66, C): each inner mouth corner becomes the mean of its two neighbours on the outer lip."""
    stack = torch.stack if isinstance(points, Tensor) else np.stack
    join = torch.cat if isinstance(points, Tensor) else np.concatenate
    corners = stack([(points[..., 59, :] + points[..., 49, :]) / 2, (points[..., 53, :] + points[..., 55, :]) / 2], -2)
    parts = (points[..., :60, :], corners[..., :1, :], points[..., 60:63, :], corners[..., 1:, :], points[..., 63:, :])
    return join(parts, -2)


def to_66(points: Tensor | np.ndarray) -> Tensor | np.ndarray:
    """68 → 66 points (…, 68, C): the two inner mouth corners are dropped."""
    return points[..., IBUG_68_TO_66, :]


def fit_template(points: Tensor) -> tuple[Tensor, Tensor]:
    """Weak-perspective pose of the template by least squares and orthogonalisation.

    Args: points (…, 66, 2), x right, y down; both axes in one unit.
    Returns: rotation (…, 3, 3), scale (…) in points' units per template unit: points ≈ scale · (R · template)_{xy} +
    shift.
    """
    template = torch.as_tensor(TEMPLATE_66, dtype=points.dtype, device=points.device)
    template = template - template.mean(dim=0)
    centred = points - points.mean(dim=-2, keepdim=True)
    rows = centred.mT @ torch.linalg.pinv(template).mT
    u, s, vh = torch.linalg.svd(rows, full_matrices=False)
    first, second = (u @ vh).unbind(dim=-2)
    rotation = torch.stack([first, second, torch.linalg.cross(first, second)], dim=-2)
    return rotation, s.mean(dim=-1)


def template_angles(points: Tensor) -> Tensor:
    """(…, 66, 2) points → (…, 3) pitch, yaw, roll in degrees ("aflw2000" convention) of the template fitted to them."""
    rotation, _ = fit_template(points)
    upward = torch.tensor([1.0, -1.0, -1.0], dtype=points.dtype, device=points.device)  # y up, z toward the viewer
    return torch.rad2deg(euler_from_rotation(rotation * upward[:, None] * upward))


def template_depth(points: Tensor) -> Tensor:
    """Depth (…, 66) of the template in the pose and size of a face (…, 66, 2); smaller is nearer, no mean, unit of
    points.
    """
    rotation, scale = fit_template(points)
    template = torch.as_tensor(TEMPLATE_66, dtype=points.dtype, device=points.device)
    depth = (rotation @ (template - template.mean(dim=0)).mT)[..., 2, :]
    return scale[..., None] * depth


def yaw_deg(points: Tensor) -> Tensor:
    """Yaw (…) in degrees of the fitted template; positive turns the nose to the left of the picture."""
    rotation, _ = fit_template(points)
    return torch.rad2deg(torch.asin(rotation[..., 0, 2].clamp(-1, 1)))
