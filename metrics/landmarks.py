"""Errors of landmarks and what is made of them: NME, STD_NME, failure rate, AUC, GTE. Percent throughout.

A photo on which a method found nothing has the error inf: it counts as a failure in FR and AUC and is left out of
means.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from geometry.schemes import LandmarkScheme

NORMALISERS = ("outer", "pupil", "eyes", "box", "bb", "diagonal", "image", "none")


def effective_normaliser(scheme: LandmarkScheme, kind: str) -> str:
    """The normaliser used for a requested one: schemes whose papers have no eye norm (19, 21, unknown) use the crop
    side.

    Raises: ValueError for an unknown kind.
    """
    if kind not in NORMALISERS:
        raise ValueError(f"unknown normaliser '{kind}'; choose one of: {', '.join(NORMALISERS)}")
    if kind == "bb":
        return "box"
    if kind in ("outer", "pupil", "eyes") and (scheme.outer_eye_corners is None or scheme.name.startswith("aflw")):
        return "eyes" if _eye_centres(scheme) and not scheme.name.startswith("aflw") else "image"
    return kind


def _eye_centres(scheme: LandmarkScheme) -> tuple[Sequence[int], Sequence[int]] | None:
    """Points whose means are the right and the left eye centre, by the best that the scheme knows; None without
    eyes.
    """
    if len(scheme.five_points) >= 2 and all(scheme.five_points[:2]):
        return scheme.five_points[0], scheme.five_points[1]
    if scheme.pupils:
        return scheme.pupils[:1], scheme.pupils[1:]
    if scheme.outer_eye_corners is not None:
        return scheme.right_eye_corners, scheme.left_eye_corners
    return None


def _eye_spans(scheme: LandmarkScheme, kind: str) -> list[tuple[Sequence[int], Sequence[int]]]:
    """Pairs of groups of points; the mean distance of the groups' centres is the normaliser of the eyes."""
    if kind == "eyes":
        return [_eye_centres(scheme)]
    if kind == "pupil" and scheme.pupils:
        return [(scheme.pupils[:1], scheme.pupils[1:])]
    (right_outer, right_inner), (left_outer, left_inner) = scheme.right_eye_corners, scheme.left_eye_corners
    outer = ([right_outer], [left_outer])
    return [outer] if kind == "outer" else [outer, ([right_inner], [left_inner])]


def normaliser(
    landmarks: Tensor,
    scheme: LandmarkScheme,
    kind: str,
    image_size: float | None = None,
    visibility: Tensor | None = None,
) -> Tensor:
    """Distance by which errors of each face are divided.

    Args:
        landmarks: (N, K, 2) ground truth in px, or (N, K, 3) for a distance in space.
        kind: outer (outer eye corners); pupil (annotated pupils, else the mean of the outer and the inner corner
            distance, as 3FabRec approximates it); eyes (distance of the eye centres); box or bb (√(w·h) of the
            landmarks' box); diagonal (of that box); image (crop side); none (100, so that errors are px).
        image_size: crop side in px, needed for image.
        visibility: (N, K); points with weight 0 are no part of a box. None: all count.
    Returns:
        (N,) px; 0 where an eye point that the distance needs, or every point of a box, is invisible.
    """
    kind = effective_normaliser(scheme, kind)
    if kind == "none":
        return landmarks.new_full((len(landmarks),), 100.0)
    if kind == "image":
        if image_size is None:
            raise ValueError("the normaliser 'image' needs image_size")
        return landmarks.new_full((len(landmarks),), float(image_size))
    # points without an annotation have placeholder coordinates, which would widen boxes and move eyes
    seen = torch.ones_like(landmarks[..., 0], dtype=torch.bool) if visibility is None else visibility != 0
    if kind in ("box", "diagonal"):
        low = landmarks.masked_fill(~seen[..., None], torch.inf).amin(1)
        high = landmarks.masked_fill(~seen[..., None], -torch.inf).amax(1)
        width, height = (high - low)[:, :2].clamp_min(0).unbind(1)
        return (width * height).sqrt() if kind == "box" else torch.hypot(width, height)
    spans = [(list(right), list(left)) for right, left in _eye_spans(scheme, kind)]
    distances = [(landmarks[:, right].mean(1) - landmarks[:, left].mean(1)).norm(dim=-1) for right, left in spans]
    used = [i for right, left in spans for i in (*right, *left)]
    return (sum(distances) / len(distances)).masked_fill(~seen[:, used].all(1), 0)


def landmark_errors(predicted: Tensor, truth: Tensor, distances: Tensor, visibility: Tensor | None = None) -> Tensor:
    """(N, K) point-to-point error in % of (N,) distances; NaN for points that do not count, inf where a distance is 0.

    Args: predicted, truth (N, K, 2 or 3) px; visibility (N, K), points with weight 0 do not count.
    """
    errors = (predicted - truth).norm(dim=-1) / distances[:, None] * 100
    errors = torch.where(distances[:, None] > 0, errors, torch.inf)
    errors = torch.where(torch.isfinite(predicted).all(-1), errors, torch.inf)
    return errors if visibility is None else errors.masked_fill(visibility == 0, torch.nan)


def per_image(errors: Tensor, points: Sequence[int] | None = None) -> Tensor:
    """(N, K) errors → (N,) mean over the points that count; NaN where none does."""
    chosen = errors if points is None else errors[:, list(points)]
    return chosen.nanmean(dim=1)


def mean_error(errors: Tensor, points: Sequence[int] | None = None) -> float:
    """NME in %: mean over images of the mean over points; failed images (inf) are left out, NaN when nothing is
    left.
    """
    means = per_image(errors, points)
    return float(means[torch.isfinite(means)].mean()) if torch.isfinite(means).any() else math.nan


def std_nme(errors: Tensor) -> float:
    """ParFace-Net's STD_NME: √ of the mean over images of the population variance across the points of an image."""
    mean = errors.nanmean(dim=1, keepdim=True)
    variance = (errors - mean).square().nanmean(dim=1)
    kept = variance[torch.isfinite(variance)]
    return float(kept.mean().sqrt()) if len(kept) else math.nan


def failure_count(image_errors: Tensor, threshold: float = 10.0) -> int:
    """How many of (N,) per-image errors lie above the threshold or are not finite."""
    return int((~(image_errors <= threshold)).sum())


def failure_rate(image_errors: Tensor, threshold: float = 10.0) -> float:
    """Failures in % of all images; NaN for no image."""
    return 100 * failure_count(image_errors, threshold) / len(image_errors) if len(image_errors) else math.nan


def auc(image_errors: Tensor, threshold: float = 10.0) -> float:
    """Exact area under the cumulative error curve from 0 to the threshold, divided by the threshold.

    The curve is a step function, so the area is the mean of max(0, 1 − error / threshold). 1 is perfect.
    """
    if not len(image_errors):
        return math.nan
    share = 1 - image_errors.nan_to_num(nan=torch.inf) / threshold
    return float(share.clamp(0, 1).double().mean())


def auc_steps(image_errors: Tensor, threshold: float = 10.0, steps: int = 50) -> float:
    """3FabRec's AUC: mean over equally spaced thresholds (both ends included) of the share of images within."""
    if not len(image_errors):
        return math.nan
    thresholds = torch.linspace(0, threshold, steps, dtype=image_errors.dtype, device=image_errors.device)
    return float((image_errors[:, None] <= thresholds).double().mean())


def depth_aligned(predicted: Tensor, truth: Tensor, visibility: Tensor | None = None) -> Tensor:
    """(N, K, 3) predictions with their depth shifted so that its mean over the face is the ground truth's
    (ParFace-Net).

    Args: predicted, truth (N, K, 3) px; visibility (N, K), points with weight 0 are no part of the mean.
    """
    difference = truth[..., 2] - predicted[..., 2]
    if visibility is not None:
        difference = difference.masked_fill(visibility == 0, torch.nan)
    shift = difference.nanmean(dim=1)
    return torch.cat([predicted[..., :2], (predicted[..., 2] + shift[:, None])[..., None]], dim=-1)


def gte_errors(
    predicted: Tensor,
    truth: Tensor,
    scheme: LandmarkScheme,
    visibility: Tensor | None = None,
    image_size: float | None = None,
) -> Tensor:
    """(N, K) errors in space in % of the outer eye corners' distance in space, after `depth_aligned`; GTE is their
    mean.

    image_size: crop side in px, needed for schemes whose normaliser "outer" comes to it.
    """
    distances = normaliser(truth, scheme, "outer", image_size, visibility)
    return landmark_errors(depth_aligned(predicted, truth, visibility), truth, distances, visibility)


def mean_std(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation over seeds; the deviation of one value is 0."""
    numbers = torch.tensor(values, dtype=torch.float64)
    return float(numbers.mean()), float(numbers.std()) if len(numbers) > 1 else 0.0
