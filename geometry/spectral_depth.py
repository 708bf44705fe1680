"""Depth of keypoints in closed form, from many faces' 2D keypoints alone: no network, no depth labels.

With one depth z shared by all targets, the summed error of the affine fits of a source (`geometry.lifted_affine`) is
smallest, up to the gauge, at the top eigenvector of Π C Π, where C is the second moment of the faces' centred
coordinates and Π removes 1, x and y of the source. The template in the face's pose supplies the gauge: sign, scale and
the part that is affine in x and y.
"""

import torch
from torch import Tensor

from geometry.face_template import template_depth
from geometry.lifted_affine import fix_gauge, perpendicular_depth


def moment_factor(points: Tensor, rank: int) -> Tensor:
    """F (K, rank) with F Fᵀ ≈ C, the second moment of faces (N, K, 2) scaled to trace 1: its top eigenvectors times the
    roots of their eigenvalues.
    """
    t = points.double()
    t = (t - t.mean(dim=1, keepdim=True)).mT
    moment = torch.einsum("ncj,nck->jk", t, t)
    values, vectors = torch.linalg.eigh(moment / moment.trace())
    return vectors[:, -rank:] * values[-rank:].clamp_min(0).sqrt()


def spectral_shape(source: Tensor, factor: Tensor) -> Tensor:
    """The gauge-fixed depth (…, K) that explains best how faces differ.

    Args: source (…, K, 2) float64; factor (K, R) of `moment_factor`, leading dimensions broadcast.
    """
    basis = torch.linalg.qr(torch.cat([torch.ones_like(source[..., :1]), source], dim=-1))[0]
    free = factor - basis @ (basis.mT @ factor)
    top = torch.linalg.eigh(free.mT @ free)[1][..., -1:]
    return fix_gauge(source, (free @ top)[..., 0])


def spectral_depth(source: Tensor, factor: Tensor) -> Tensor:
    """`spectral_shape` in the pose and size of the template: depth (…, K) in the unit of source, smaller is nearer.

    Args: as of `spectral_shape`.
    """
    posed = template_depth(source)
    rest, _, _ = perpendicular_depth(source, posed)
    shape = spectral_shape(source, factor)
    return posed - rest + (rest * shape).sum(dim=-1, keepdim=True) * shape
