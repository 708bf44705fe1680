"""Affine maps between two sets of keypoints of which the first is lifted by a depth: the core of DepthNet.

Given source keypoints x, y, their depth z and target keypoints X (2 × K), the best 2 × 4 matrix m with X ≈ m · [x; y;
z; 1] is a least-squares solution. Centring splits it: the plain 2D affine fit leaves a residual R (2 × K) that depends
on no depth, and the depth enters only through z⊥, its part that is no affine function of x and y. With n = ‖z⊥‖² and u
= R z⊥ the depth column of m is u / n, the residual is E = R − u z⊥ᵀ / n, and by the envelope theorem ∂‖E‖²/∂z = −2 Eᵀ u
/ n. Nothing is inverted but a 2 × 2 Gram matrix of the source. Moniz et al. 2018 (arXiv 1803.09202), section 2; the
oracles are in tests/geometry/test_lifted_affine.py.

All functions take leading batch dimensions that broadcast. Depth is smaller where the face is nearer, in the unit of x
and y.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# 3DFAW points (the same indices as in the iBUG 68) whose depths tell front from back: ends of the jaw line, nose.
BACK_POINTS, FRONT_POINTS = (0, 1, 2, 14, 15, 16), tuple(range(27, 36))
FLAT = 1e-12  # share of the depth's variance below which z⊥ is nothing but rounding


@dataclass(frozen=True)
class PlaneFit:
    """The part of the problem that needs no depth; every field broadcasts over pairs.

    Attributes:
        source (…, 2, K) centred, source_mean (…, 2), gram_inverse (…, 2, 2) of the centred source; NaN where it is
        collinear. target_mean (…, 2), linear (…, 2, 2) best 2D linear map, residual (…, 2, K) of the target after it.
    """

    source: Tensor
    source_mean: Tensor
    gram_inverse: Tensor
    target_mean: Tensor
    linear: Tensor
    residual: Tensor


def gram_inverse(centred: Tensor) -> Tensor:
    """Inverse 2 × 2 Gram matrix of centred points (…, 2, K) in closed form; NaN for collinear points."""
    gram = centred @ centred.mT
    a, b, d = gram[..., 0, 0], gram[..., 0, 1], gram[..., 1, 1]
    determinant = a * d - b * b
    eps = torch.finfo(centred.dtype).eps
    determinant = torch.where(determinant > 16 * eps * a * d, determinant, torch.nan)
    adjugate = torch.stack([torch.stack([d, -b], dim=-1), torch.stack([-b, a], dim=-1)], dim=-2)
    return adjugate / determinant[..., None, None]


def fit_plane(source: Tensor, target: Tensor) -> PlaneFit:
    """Plain 2D affine fit of target (…, K, 2) by source (…, K, 2)."""
    x, t = source.mT, target.mT
    source_mean, target_mean = x.mean(dim=-1), t.mean(dim=-1)
    x, t = x - source_mean[..., None], t - target_mean[..., None]
    inverse = gram_inverse(x)
    linear = (t @ x.mT) @ inverse
    return PlaneFit(x, source_mean, inverse, target_mean, linear, t - linear @ x)


def perpendicular_depth(source: Tensor, depth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Depth without its mean and its part that is linear in x and y.

    Args: source (…, K, 2); depth (…, K).
    Returns: z⊥ (…, K), its squared norm n (…), infinite where z⊥ is only rounding, and the removed slopes (α, β) (…,
    2).
    """
    x = source.mT
    x = x - x.mean(dim=-1, keepdim=True)
    return _perpendicular(x, gram_inverse(x), depth)


def _perpendicular(centred: Tensor, inverse: Tensor, depth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    z = depth - depth.mean(dim=-1, keepdim=True)
    slopes = (inverse @ (centred @ z[..., None]))[..., 0]
    rest = z - (slopes[..., None, :] @ centred)[..., 0, :]
    n = (rest * rest).sum(dim=-1)
    n = torch.where(n > FLAT * (z * z).sum(dim=-1), n, torch.inf)
    return rest, n, slopes


def solve_affine(source: Tensor, depth: Tensor, target: Tensor, ridge: float = 0.0) -> Tensor:
    """Least-squares affine that maps source keypoints, lifted by depth, onto target keypoints.

    Args:
        source: (…, K, 2) keypoints, any unit.  depth: (…, K).  target: (…, K, 2).
        ridge: σ of (S Sᵀ + σ I), the Tikhonov term of the authors' first version ("sigma"), 0 = off; depends on the
            units.
    Returns: (…, 2, 4) matrices m with target ≈ m @ [x, y, z, 1]. A depth that is affine in x and y gets the column 0;
        collinear keypoints give NaN.
    Raises: ValueError for fewer than 4 keypoints or sizes that do not match.
    """
    check_points(source, depth, target)
    if ridge:
        return _solve_ridge(source, depth, target, ridge)
    fit = fit_plane(source, target)
    rest, n, slopes = _perpendicular(fit.source, fit.gram_inverse, depth)
    column = (fit.residual @ rest[..., None])[..., 0] / n[..., None]
    linear = fit.linear - column[..., :, None] * slopes[..., None, :]
    shift = fit.target_mean - (linear @ fit.source_mean[..., None])[..., 0] - column * depth.mean(dim=-1, keepdim=True)
    return torch.cat([linear, column[..., None], shift[..., None]], dim=-1)


def _solve_ridge(source: Tensor, depth: Tensor, target: Tensor, ridge: float) -> Tensor:
    lifted = torch.cat([source.mT, depth[..., None, :], torch.ones_like(depth)[..., None, :]], dim=-2)
    gram = lifted @ lifted.mT + ridge * torch.eye(4, dtype=depth.dtype, device=depth.device)
    return torch.cholesky_solve(lifted @ target, torch.linalg.cholesky(gram)).mT


def apply_affine(matrix: Tensor, source: Tensor, depth: Tensor) -> Tensor:
    """(…, 2, 4) · [x; y; z; 1] → (…, K, 2)."""
    moved = source @ matrix[..., :2].mT + depth[..., None] * matrix[..., None, :, 2]
    return moved + matrix[..., None, :, 3]


def check_points(source: Tensor, depth: Tensor, target: Tensor) -> None:
    """Raises: ValueError for fewer than 4 keypoints, or another number of depths or target keypoints."""
    count = source.shape[-2]
    if count < 4:
        raise ValueError(f"{count} keypoints; an affine map of lifted keypoints needs at least 4.")
    if depth.shape[-1] != count or target.shape[-2] != count or source.shape[-1] != 2 or target.shape[-1] != 2:
        sizes = f"{tuple(source.shape)}, {tuple(depth.shape)}, {tuple(target.shape)}"
        raise ValueError(f"source, depth and target of shapes {sizes} do not match (…, K, 2), (…, K), (…, K, 2).")


class _Residual(torch.autograd.Function):
    """Sum of squares of E per pair with respect to the depth, with the gradient of the module's docstring."""

    @staticmethod
    def forward(context, depth: Tensor, centred: Tensor, inverse: Tensor, residual: Tensor) -> Tensor:
        rest, n, _ = _perpendicular(centred, inverse, depth)
        column = (residual @ rest[..., None])[..., 0] / n[..., None]
        error = residual - column[..., :, None] * rest[..., None, :]
        context.save_for_backward(column, error)
        return (error * error).sum(dim=(-2, -1))

    @staticmethod
    @once_differentiable
    def backward(context, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        column, error = context.saved_tensors
        return -2 * gradient[..., None] * (column[..., None, :] @ error)[..., 0, :], None, None, None


def keypoint_loss(source: Tensor, depth: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of the target keypoints under the best affine, per pair; differentiable in the depth.

    Args: source (…, K, 2), depth (…, K), target (…, K, 2), all of the same leading dimensions; ridge-free.
    Returns: (…) mean of squares over the 2 K coordinates. The residual itself is squared, so nothing cancels in
    float32.
    """
    fit = fit_plane(source, target)
    return _Residual.apply(depth, fit.source, fit.gram_inverse, fit.residual) / (2 * source.shape[-2])


def plane_error(source: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of the plain 2D affine fit, which no depth can make worse. (…)"""
    return fit_plane(source, target).residual.square().mean(dim=(-2, -1))


def free_depth_bound(source: Tensor, target: Tensor) -> Tensor:
    """Smallest mean squared error that any depth reaches, σ₂² / 2K of the 2D residual. (…)

    A depth that sees the target can come close to it without being a face; an error below that of the true depth is a
    sign of it.
    """
    values = torch.linalg.svdvals(fit_plane(source, target).residual)
    return values[..., 1].square() / (2 * source.shape[-2])


def fix_gauge(source: Tensor, depth: Tensor, back: tuple = BACK_POINTS, front: tuple = FRONT_POINTS) -> Tensor:
    """The one representative of a·z + b·x + c·y + d: no mean, no part linear in x and y, norm 1, nose nearer than jaw
    ends.

    All depths of this family give the same keypoint error, so only this part of a depth is determined by keypoints.

    Args: source (…, K, 2); depth (…, K); back, front: indices whose depths tell the sign.
    Returns: (…, K); zeros where the depth is affine in x and y.
    """
    rest, n, _ = perpendicular_depth(source, depth)
    ahead = rest[..., list(back)].mean(dim=-1) - rest[..., list(front)].mean(dim=-1)
    sign = torch.where(ahead < 0, -1.0, 1.0).to(rest.dtype)
    return rest * (sign / n.sqrt())[..., None]
