"""Light on faces: second-order spherical harmonics per vertex or pixel (Ramamoorthi and Hanrahan 2001, in Deep3D's scaling)."""

import math

import torch
from torch import Tensor

# a_l · c_l of Deng et al. 2019: the half-cosine kernel times the harmonics' constants, by order l
K0 = math.pi / math.sqrt(4 * math.pi)
K1 = 2 * math.pi / math.sqrt(3) * math.sqrt(3) / math.sqrt(4 * math.pi)
K2 = 2 * math.pi / math.sqrt(8) * 3 * math.sqrt(5) / math.sqrt(12 * math.pi)


def sh_basis(normals: Tensor) -> Tensor:
    """Spherical harmonics of unit normals (x right, y up, z toward the viewer): (..., 3) → (..., 9)."""
    x, y, z = normals.unbind(-1)
    bands = [K0 * torch.ones_like(x), -K1 * y, K1 * z, -K1 * x]
    bands += [K2 * x * y, -K2 * y * z, K2 / (2 * math.sqrt(3)) * (3 * z * z - 1), -K2 * x * z, K2 / 2 * (x * x - y * y)]
    return torch.stack(bands, -1)


def sh_shade(albedo: Tensor, normals: Tensor, gamma: Tensor, ambient: float = 0.8) -> Tensor:
    """Lit colours albedo · (Y(n) · (γ + ambient)), not clamped (Deng et al. 2019).

    Args: albedo (B, V, 3) or (V, 3) RGB, any range; normals (B, V, 3) unit; gamma (B, 3, 9) light per channel, 0 for `ambient`
        alone; ambient: what is added to each channel's first coefficient (0.8 in Deep3D: a grey light of 0.709).
    Returns: (B, V, 3) in the range of the albedo. Raises: ValueError for another shape of gamma.
    """
    if gamma.ndim != 3 or gamma.shape[1:] != (3, 9):
        raise ValueError(f"gamma has shape {tuple(gamma.shape)}, not (B, 3, 9).")
    light = torch.cat([gamma[..., :1] + ambient, gamma[..., 1:]], -1)
    return albedo * (sh_basis(normals) @ light.mT)
