"""Rotations of heads: Euler angles of the field's conventions, and the rotation nearest to a matrix.

Matrices act on columns, p' = R p. Angles are (pitch, yaw, roll) about x, y, z in radians; reports show degrees.
"""

import torch
from torch import Tensor

# convention → (signs of pitch, yaw, roll against the right-handed rotations about x, y, z; True: Rx·Ry·Rz, False:
# Rz·Ry·Rx)
CONVENTIONS = {
    "aflw2000": ((-1.0, -1.0, -1.0), True),  # Pose_Para of 300W-LP and AFLW2000-3D (Zhu et al. 2016)
    "deep3d": ((1.0, 1.0, 1.0), False),  # Deng et al. 2019, whose row-vector matrix is the transpose
    "3ddfa": ((1.0, -1.0, 1.0), False),  # how 3DDFA and 3DDFA_V2 read a pose off their matrix
}


def rotation_from_euler(angles: Tensor, convention: str = "aflw2000") -> Tensor:
    """Rotation matrices of Euler angles.

    Args: angles (..., 3) pitch, yaw, roll in radians; convention: a key of `CONVENTIONS`.
    Returns: (..., 3, 3) with p' = R p. Raises: ValueError for an unknown convention or another shape.
    """
    signs, x_leftmost = _convention(convention)
    if angles.shape[-1:] != (3,):
        raise ValueError(f"angles have shape {tuple(angles.shape)}, not (..., 3) for pitch, yaw and roll.")
    angles = angles * angles.new_tensor(signs)
    (cx, cy, cz), (sx, sy, sz) = angles.cos().unbind(-1), angles.sin().unbind(-1)
    if x_leftmost:
        rows = (cy * cz, -cy * sz, sy)
        rows += (cx * sz + sx * sy * cz, cx * cz - sx * sy * sz, -sx * cy)
        rows += (sx * sz - cx * sy * cz, sx * cz + cx * sy * sz, cx * cy)
    else:
        rows = (cy * cz, sx * sy * cz - cx * sz, cx * sy * cz + sx * sz)
        rows += (cy * sz, sx * sy * sz + cx * cz, cx * sy * sz - sx * cz)
        rows += (-sy, sx * cy, cx * cy)
    return torch.stack(rows, -1).unflatten(-1, (3, 3))


def euler_from_rotation(rotation: Tensor, convention: str = "aflw2000") -> Tensor:
    """Euler angles of rotation matrices, the inverse of `rotation_from_euler`.

    Args: rotation (..., 3, 3). Returns: (..., 3) pitch, yaw, roll in radians, |yaw| ≤ π/2. Where yaw is ±π/2, pitch and
    roll turn about one axis; roll is then 0.
    """
    signs, x_leftmost = _convention(convention)
    if rotation.shape[-2:] != (3, 3):
        raise ValueError(f"rotation has shape {tuple(rotation.shape)}, not (..., 3, 3).")
    # Rx·Ry·Rz is the transpose of Rz·Ry·Rx with all angles negated: read both off the latter.
    matrix, sense = (rotation.mT, -1.0) if x_leftmost else (rotation, 1.0)
    cos_yaw_squared = matrix[..., 0, 0] ** 2 + matrix[..., 1, 0] ** 2
    locked = cos_yaw_squared < (16 * torch.finfo(rotation.dtype).eps) ** 2
    one, zero = torch.ones_like(cos_yaw_squared), torch.zeros_like(cos_yaw_squared)
    cos_yaw = torch.where(locked, one, cos_yaw_squared).sqrt()
    yaw = torch.atan2(-matrix[..., 2, 0], torch.where(locked, zero, cos_yaw))
    roll = torch.atan2(torch.where(locked, zero, matrix[..., 1, 0]), torch.where(locked, one, matrix[..., 0, 0]))
    sine = torch.where(locked, -matrix[..., 1, 2], matrix[..., 2, 1])
    cosine = torch.where(locked, matrix[..., 1, 1], matrix[..., 2, 2])
    return torch.stack([torch.atan2(sine, cosine), yaw, roll], -1) * sense * rotation.new_tensor(signs)


def nearest_rotation(matrix: Tensor) -> Tensor:
    """(..., 3, 3) any matrix → the proper rotation (det +1) nearest to it in the Frobenius norm (Kabsch 1976), by
    SVD.
    """
    u, _, vt = torch.linalg.svd(matrix)
    sign = torch.linalg.det(u @ vt).sign()
    flip = torch.stack([torch.ones_like(sign), torch.ones_like(sign), sign], -1)
    return (u * flip[..., None, :]) @ vt


def _convention(name: str) -> tuple[tuple[float, float, float], bool]:
    if name not in CONVENTIONS:
        raise ValueError(f"unknown convention of Euler angles '{name}'; choose one of {', '.join(CONVENTIONS)}.")
    return CONVENTIONS[name]
