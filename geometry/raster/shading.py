"""Light on faces: second-order spherical harmonics per vertex or pixel (Ramamoorthi and Hanrahan 2001, in Deep3D's
scaling).
"""

import math

import torch
from torch import Tensor

# a_l · c_l of Deng et al. 2019: the half-cosine kernel times the harmonics' constants, by order l
K0 = math.pi / math.sqrt(4 * math.pi)
K1 = 2 * math.pi / math.sqrt(3) * math.sqrt(3) / math.sqrt(4 * math.pi)
K2 = 2 * math.pi / math.sqrt(8) * 3 * math.sqrt(5) / math.sqrt(12 * math.pi)
# of the polynomials 1, y, z, x, xy, yz, 3z² − 1, xz, x² − y²
SH_SCALES = (K0, -K1, K1, -K1, K2, -K2, K2 / (2 * math.sqrt(3)), -K2, K2 / 2)


def sh_basis(normals: Tensor) -> Tensor:
    """Spherical harmonics of unit normals (x right, y up, z toward the viewer): (..., 3) → (..., 9)."""
    x, y, z = normals.unbind(-1)
    polynomials = [torch.ones_like(x), y, z, x, x * y, y * z, 3 * z * z - 1, x * z, x * x - y * y]
    return torch.stack(polynomials, -1) * normals.new_tensor(SH_SCALES)


def sh_shade(albedo: Tensor, normals: Tensor, gamma: Tensor, ambient: float = 0.8) -> Tensor:
    """Lit colours albedo · (Y(n) · (γ + ambient)), not clamped (Deng et al. 2019).

    Args: albedo (B, V, 3) or (V, 3) RGB, any range; normals (B, V, 3) unit; gamma (B, 3, 9) light per channel, 0 for
        `ambient` alone; ambient: what is added to each channel's first coefficient (0.8 in Deep3D: a grey light of
        0.709).
    Returns: (B, V, 3) in the range of the albedo. Raises: ValueError for another shape of gamma.
    """
    if gamma.ndim != 3 or gamma.shape[1:] != (3, 9):
        raise ValueError(f"gamma has shape {tuple(gamma.shape)}, not (B, 3, 9).")
    light = torch.cat([gamma[..., :1] + ambient, gamma[..., 1:]], -1)
    return albedo * (sh_basis(normals) @ light.mT)
