"""DepthCorr and what must stand beside it: scores of keypoint depths that were estimated up to an affine gauge.

DepthCorr is neither free of the gauge nor of the pose: turning a rigid template correlates every point's depth with the
truth. So a score of a constant template belongs beside every score here (see `depthnet.scores.evaluation`).
"""

import torch
from torch import Tensor

from geometry.lifted_affine import fix_gauge


def depth_corr(predicted: Tensor, truth: Tensor) -> float:
    """Sum over keypoints of |Pearson correlation across faces| (DepthNets, section 3.2), between 0 and K.

    Args: predicted, truth (…, K) of one shape, or truth that broadcasts to it (one row for all targets of a source).
    Returns: float; a keypoint whose depth is constant counts 0. Computed in float64.
    """
    truth = torch.broadcast_to(truth, predicted.shape).reshape(-1, predicted.shape[-1]).double()
    predicted = predicted.reshape(-1, predicted.shape[-1]).double()
    p, z = predicted - predicted.mean(dim=0), truth - truth.mean(dim=0)
    pp, zz = (p * p).sum(dim=0), (z * z).sum(dim=0)
    # a column of equal numbers leaves rounding, not variance
    flat = (pp <= 1e-24 * predicted.square().sum(dim=0)) | (zz <= 1e-24 * truth.square().sum(dim=0))
    corr = (p * z).sum(dim=0) / (pp * zz).sqrt()
    return float(torch.where(flat, 0.0, corr.abs()).sum())


def pair_corr(predicted: Tensor, truth: Tensor) -> Tensor:
    """Pearson correlation over the keypoints of each face (…), 0 where one of the two is constant."""
    p = predicted.double() - predicted.double().mean(dim=-1, keepdim=True)
    z = truth.double() - truth.double().mean(dim=-1, keepdim=True)
    norms = (p.square().sum(dim=-1) * z.square().sum(dim=-1)).sqrt()
    return torch.where(norms > 0, (p * z).sum(dim=-1) / norms, 0.0)


def explained_variance(source: Tensor, predicted: Tensor, truth: Tensor) -> Tensor:
    """R² of the true depth on [predicted, x, y, 1] per face (…): free of the gauge. source (…, K, 2), depths (…, K)."""
    ours, true = fix_gauge(source.double(), predicted.double()), fix_gauge(source.double(), truth.double())
    x = source.double() - source.double().mean(dim=-2, keepdim=True)
    z = truth.double() - truth.double().mean(dim=-1, keepdim=True)
    gram = x.mT @ x
    slopes = torch.linalg.solve(gram, (x.mT @ z[..., None]))
    rest = z - (x @ slopes)[..., 0]
    unexplained = rest.square().sum(dim=-1) * (1 - (ours * true).sum(dim=-1).square())
    return 1 - unexplained / z.square().sum(dim=-1)


def beyond_template(predicted: Tensor, truth: Tensor, template: Tensor) -> Tensor:
    """Cosine of what prediction and truth have beside a template (…): 0 when nothing but a generic face was learnt.

    Args: gauge-fixed depths (…, K) of norm 1.
    """

    def beside(depth: Tensor) -> Tensor:
        return depth - (depth * template).sum(dim=-1, keepdim=True) * template

    p, z = beside(predicted), beside(truth)
    p_norm, z_norm = p.norm(dim=-1), z.norm(dim=-1)
    real = (p_norm > 1e-5) & (z_norm > 1e-5)  # less is the rounding of float32 depths
    return torch.where(real, (p * z).sum(dim=-1) / (p_norm * z_norm).clamp_min(1e-30), 0.0)
