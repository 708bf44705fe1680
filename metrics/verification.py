"""Face verification: how well the cosine of two faces' features says whether they show the same person.

Pairs of one video are left out: their frames are nearly the same picture. Accuracies are those of LFW's protocol: every
fold's people are judged with the threshold that serves the other folds best.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

FOLDS = 10


@dataclass(frozen=True)
class Pairs:
    """Pairs of samples: first, second (P,) int64 positions; same (P,) bool; fold (P,) int64."""

    first: Tensor
    second: Tensor
    same: Tensor
    fold: Tensor


def all_pairs(people: Tensor, videos: Tensor, folds: int = FOLDS) -> Pairs:
    """Every pair of different people, and every pair of one person from different videos.

    Args: people (N,) int64; videos (N,) int64, numbered within a person. People are dealt to the folds in turn; a pair
        of people of different folds has fold −1, so that no person is judged with a threshold chosen on herself. Every
        fold has two people at least.
    Raises: ValueError when no person has two videos, or there is only one person.
    """
    first, second = torch.triu_indices(len(people), len(people), 1)
    same = people[first] == people[second]
    kept = ~same | (videos[first] != videos[second])
    first, second, same = first[kept], second[kept], same[kept]
    if not same.any() or same.all():
        raise ValueError("verification needs two people at least, and somebody with two videos.")
    number = torch.unique(people, return_inverse=True)[1]
    rank = number % max(1, min(folds, (int(number.max()) + 1) // 2))
    fold = torch.where(rank[first] == rank[second], rank[first], -1)
    return Pairs(first, second, same, fold)


def area_under_curve(scores: Tensor, same: Tensor) -> float:
    """Probability that a pair of one person scores higher than a pair of two (ROC AUC; ties count half)."""
    values, inverse, counts = torch.unique(scores.double(), return_inverse=True, return_counts=True)
    ranks = counts.cumsum(0).double() - (counts.double() - 1) / 2  # mean rank of each distinct value, from 1
    positives = int(same.sum())
    negatives = len(same) - positives
    return float((ranks[inverse][same].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def accept_rate(scores: Tensor, same: Tensor, false_accepts: float) -> float:
    """Share of same-person pairs above the threshold that this share of other pairs exceeds (TAR at a FAR)."""
    others = scores[~same].sort(descending=True).values
    allowed = int(false_accepts * len(others))
    return float((scores[same] > others[min(allowed, len(others) - 1)]).double().mean())


def balanced_accuracy(scores: Tensor, pairs: Pairs) -> float:
    """Mean over folds of (share of same pairs above + share of other pairs not above) / 2, threshold from the other
    folds.

    Folds without both kinds of pairs are left out. Raises: ValueError when fewer than two are left.
    """
    inside = [k for k in pairs.fold.unique().tolist() if k >= 0 and _both(pairs.same[pairs.fold == k])]
    if len(inside) < 2:
        raise ValueError("too few people for two folds.")
    accuracies = []
    for k in inside:
        others = (pairs.fold >= 0) & (pairs.fold != k)
        threshold = _best_threshold(scores[others], pairs.same[others])
        mine = pairs.fold == k
        above, same = scores[mine] > threshold, pairs.same[mine]
        accuracies.append((above[same].double().mean() + (~above[~same]).double().mean()) / 2)
    return float(torch.stack(accuracies).mean())


def verification_scores(features: Tensor, pairs: Pairs) -> dict[str, float]:
    """AUC, accuracy (%), TAR at FAR 1 % (%) of the cosines of features (N, D)."""
    unit = torch.nn.functional.normalize(features.double(), dim=1)
    scores = (unit @ unit.T)[pairs.first, pairs.second]
    return {
        "auc": area_under_curve(scores, pairs.same),
        "accuracy": 100 * balanced_accuracy(scores, pairs),
        "tar_at_far1": 100 * accept_rate(scores, pairs.same, 0.01),
    }


def _both(same: Tensor) -> bool:
    return bool(same.any() and not same.all())


def _best_threshold(scores: Tensor, same: Tensor) -> Tensor:
    """Threshold of the largest balanced accuracy."""
    values, order = scores.sort()
    same = same[order].double()
    below_same, below_other = same.cumsum(0) / same.sum(), (1 - same).cumsum(0) / (1 - same).sum()
    last = torch.cat(
        [values[1:] != values[:-1], values.new_ones(1, dtype=torch.bool)]
    )  # ties fall on one side together
    gain = torch.where(last, below_other - below_same, -torch.inf)
    return values[gain.argmax()]
