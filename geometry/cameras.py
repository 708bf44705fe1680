"""Cameras: from posed model space (x right, y up, z toward the viewer, dm) to screens (x px, y px down, depth).

A smaller depth is nearer.
"""

import torch
from torch import Tensor


def rigid_transform(vertices: Tensor, rotation: Tensor, translation: Tensor) -> Tensor:
    """R p + t for every vertex: vertices (B, V, 3) or (V, 3), rotation (B, 3, 3), translation (B, 3) → (B, V, 3)."""
    return vertices @ rotation.transpose(-1, -2) + translation[:, None]


def weak_perspective(vertices: Tensor, rotation: Tensor, scale: Tensor, translation: Tensor) -> Tensor:
    """Scaled orthographic projection, the camera of 3DDFA.

    Args: vertices (B, V, 3) or (V, 3) dm; rotation (B, 3, 3); scale (B,) px per dm; translation (B, 2) px, where the
        model's origin falls in the picture.
    Returns: (B, V, 3) screen: x = s (R p)_x + t_x, y = t_y − s (R p)_y, depth = −s (R p)_z in px.
    """
    posed = vertices @ rotation.transpose(-1, -2) * scale[:, None, None]
    x, y, z = posed.unbind(-1)
    return torch.stack([translation[:, :1] + x, translation[:, 1:] - y, -z], -1)


def pinhole(
    vertices: Tensor, focal: float | Tensor, centre: tuple[float, float] | Tensor, distance: float | Tensor
) -> Tensor:
    """Perspective projection by a camera on the z axis that looks toward −z, the camera of Deep3D (Deng et al. 2019).

    Args: vertices (B, V, 3) posed, dm; focal px, scalar or (B,); centre (x, y) px of the optical axis, a pair or (B,
        2); distance dm of the camera from the origin, scalar or (B,).
    Returns: (B, V, 3) screen with depth d = distance − z in dm, x = focal x / d + c_x, y = c_y − focal y / d. A vertex
        with depth ≤ 0 is behind the camera and its x and y mean nothing; `rasterize` leaves its triangles out and
        refuses a face that is wholly behind.
    """
    focal, distance = (_per_face(value, vertices) for value in (focal, distance))
    if isinstance(centre, Tensor):
        centre_x, centre_y = (c[..., None] for c in centre.to(vertices).unbind(-1))
    else:
        centre_x, centre_y = centre
    x, y, z = vertices.unbind(-1)
    depth = distance - z
    return torch.stack([centre_x + focal * x / depth, centre_y - focal * y / depth, depth], -1)


def _per_face(value: float | Tensor, vertices: Tensor) -> float | Tensor:
    """A scalar as it is, (B,) as (B, 1)."""
    return value.to(vertices)[..., None] if isinstance(value, Tensor) else value
