"""How well scores tell good answers from bad ones: risk and coverage of selective prediction (El-Yaniv and Wiener
2010).
"""

import torch
from torch import Tensor


def risk_coverage(risks: Tensor, scores: Tensor) -> Tensor:
    """Mean risk of the answers with the highest scores, for each number of answers that are kept.

    Args: risks (N,) ≥ 0, finite: an error in %, or 1 for a failure and 0 for none; scores (N,), higher is surer, a nan
        is the least sure. Answers of equal score share their mean risk, so that their order does not matter.
    Returns: (N,) float64; entry k − 1 belongs to a coverage of k / N.
    Raises: ValueError for other shapes and risks that are negative or not finite.
    """
    risks, scores = torch.as_tensor(risks).double(), torch.as_tensor(scores).double().nan_to_num(nan=-torch.inf)
    if risks.ndim != 1 or risks.shape != scores.shape:
        raise ValueError(f"risks and scores must be two vectors of one length, not {risks.shape} and {scores.shape}")
    if not torch.isfinite(risks).all() or (risks < 0).any():
        raise ValueError("risks must be finite and at least 0; give a missed face a finite risk")
    if not len(risks):
        return risks
    order = scores.argsort(descending=True, stable=True)
    _, group, counts = torch.unique(-scores[order], return_inverse=True, return_counts=True)
    means = torch.zeros(len(counts), dtype=torch.float64).index_add_(0, group, risks[order]) / counts
    return means[group].cumsum(0) / torch.arange(1, len(risks) + 1, dtype=torch.float64)


def area_under_risk_coverage(risks: Tensor, scores: Tensor) -> float:
    """Mean of `risk_coverage` over all coverages (AURC, Geifman et al. 2019): 0 is perfect; nan without answers."""
    return float(risk_coverage(risks, scores).mean()) if len(risks) else float("nan")


def smallest_area(risks: Tensor) -> float:
    """The area of scores that order the answers by their risks, which no scores can be better than."""
    return area_under_risk_coverage(risks, -torch.as_tensor(risks).double())
