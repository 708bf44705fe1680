"""Losses of 3DDFA, 3DDFA_V2 and RADAN: parameter distance, vertex distance, weighted parameter distance, wing.

Networks put out whitened parameters ŷ; p = ŷ·std + mean. Vertices are V(p) = A·S(α) + t in crop px. Every vertex loss
takes t_z from the ground truth, because no picture shows it.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from morphable.model import FaceModel
from recon3d.regression.params import DEPTH_COLUMN, MATRIX_COLUMNS, POSE, TRANSLATION_COLUMNS, Layout, Parts

RESAMPLED_VERTICES = 132  # drawn anew in every step, beside the landmarks (3DDFA's "resample")
WING_WIDTH_PX, WING_CURVATURE_PX = 10.0, 2.0
_FLOOR = 1e-6


@dataclass(frozen=True)
class Points:
    """Mean (n, 3) dm and modes (n, 3, Ki + Ke) of some points of a face model."""

    mean: Tensor
    modes: Tensor

    def shape(self, parts: Parts) -> Tensor:
        """(B, n, 3) points of the unposed face, dm."""
        return self.mean + torch.einsum("nck,bk->bnc", self.modes, torch.cat([parts.identity, parts.expression], dim=1))

    def posed(self, parts: Parts) -> Tensor:
        """V(p): (B, n, 3) crop px, y up."""
        return self.shape(parts) @ parts.matrix.transpose(1, 2) + parts.translation[:, None]


class PointSampler:
    """Landmarks and vertices on which losses look at faces.

    Args: model; layout; count of random vertices beside the landmarks; landmarks: scheme of the model.
    """

    def __init__(
        self, model: FaceModel, layout: Layout, count: int = RESAMPLED_VERTICES, landmarks: str = "ibug68"
    ) -> None:
        modes = torch.cat([model.identity[..., : layout.identity], model.expression[..., : layout.expression]], dim=-1)
        self.every = Points(model.mean, modes)
        fixed = model.landmarks[landmarks]
        self.landmarks = Points(fixed.of(model.mean), fixed.of(modes.flatten(1)).unflatten(1, (3, -1)))
        self.count = min(count, model.num_vertices)

    def draw(self) -> Points:
        """The landmarks and random vertices without replacement, from the global generator."""
        chosen = torch.randperm(len(self.every.mean), device="cpu")[: self.count].to(self.every.mean.device)
        mean = torch.cat([self.landmarks.mean, self.every.mean[chosen]])
        return Points(mean, torch.cat([self.landmarks.modes, self.every.modes[chosen]]))


def _with_true_depth(parts: Parts, truth: Parts) -> Parts:
    translation = torch.cat([parts.translation[:, :2], truth.translation[:, 2:]], dim=1)
    return Parts(parts.matrix, translation, parts.identity, parts.expression)


def pdc(whitened: Tensor, target: Tensor) -> Tensor:
    """Parameter distance cost: mean squared difference of whitened parameters (B, P) (Zhu et al. 2016, eq. 13)."""
    return (whitened - target).square().mean()


def vdc(predicted: Parts, truth: Parts, points: Points) -> Tensor:
    """Vertex distance cost: mean squared difference of coordinates, px² (Zhu et al. 2016, eq. 14)."""
    return (points.posed(_with_true_depth(predicted, truth)) - points.posed(truth)).square().mean()


def vertex_l1(predicted: Parts, truth: Parts, points: Points) -> Tensor:
    """Mean absolute difference of coordinates, px: as `vdc`, but one wrong label weighs no more than its distance."""
    return (points.posed(_with_true_depth(predicted, truth)) - points.posed(truth)).abs().mean()


def annotated_l1(predicted: Parts, points: Points, annotated: Tensor, size: float) -> Tensor:
    """Mean absolute distance of the model's landmarks from annotated ones (B, K, 2), px, y down; NaN = not annotated.

    The labels are fits, which miss the annotations by what the face model and its priors cannot express.
    """
    posed = points.posed(predicted)[..., :2]
    found = torch.stack([posed[..., 0], size - posed[..., 1]], dim=-1)
    known = annotated.isfinite()
    error = (found - torch.where(known, annotated, found.detach())).abs()
    return error.sum() / known.sum().clamp(min=1)


def wing(predicted: Parts, truth: Parts, points: Points) -> Tensor:
    """Wing loss (Feng et al. 2018) on vertex coordinates in crop px, as RADAN adds it."""
    error = (points.posed(_with_true_depth(predicted, truth)) - points.posed(truth)).abs()
    offset = WING_WIDTH_PX - WING_WIDTH_PX * math.log1p(WING_WIDTH_PX / WING_CURVATURE_PX)
    inner = WING_WIDTH_PX * torch.log1p(error / WING_CURVATURE_PX)
    return torch.where(error < WING_WIDTH_PX, inner, error - offset).mean()


@torch.no_grad()
def wpdc_weights(
    predicted: Tensor, target: Tensor, layout: Layout, points: Points, scale: float, from_prediction: bool = False
) -> Tensor:
    """Weights of 3DDFA's approximate weighted parameter distance cost, the largest of a sample is 1.

    |ΔA| counts with the length of its axis over the points, |Δt| with √n, |Δα| with the mean scale of the training set
    times the length of its mode; t_z is set to 0 after the maximum was taken, as in the authors' code.

    Args: predicted, target (B, P) parameters; scale: crop px per dm, mean over the training set (3DDFA: 57.34);
        from_prediction: lengths of the axes from the predicted shape instead of the true one, as RADAN does.
    Returns: (B, P) without gradient.
    """
    difference = (predicted - target).abs()
    parts = layout.split(predicted if from_prediction else target)
    weights = difference * _sensitivity(parts, points, torch.full_like(target[:, :1], scale)) + _FLOOR
    weights[:, DEPTH_COLUMN] -= _FLOOR
    weights = weights / weights.amax(dim=1, keepdim=True)
    weights[:, DEPTH_COLUMN] = 0
    return weights


@torch.no_grad()
def fast_wpdc_weights(predicted: Tensor, target: Tensor, layout: Layout, points: Points) -> Tensor:
    """Exact weights in one reconstruction (fWPDC, Guo et al. 2020): the scale is that of each true matrix, ‖A*‖_F / √3.

    They equal `exact_wpdc_weights` where A* is a scaled rotation. Column i of A goes with axis i of the shape. t_z is
    left out before the maximum. Arguments and result as in `wpdc_weights`.
    """
    parts = layout.split(target)
    scale = parts.matrix.flatten(1).norm(dim=1, keepdim=True) / math.sqrt(3)
    weights = (predicted - target).abs() * _sensitivity(parts, points, scale)
    return _normalised(weights)


@torch.no_grad()
def exact_wpdc_weights(predicted: Tensor, target: Tensor, layout: Layout, points: Points) -> Tensor:
    """The definition: how far the vertices move when one true parameter is replaced by the predicted one, over the
    maximum.

    One reconstruction for each parameter: the oracle of `fast_wpdc_weights`. Arguments and result as in `wpdc_weights`.
    """
    truth = points.posed(layout.split(target))
    columns = []
    for i in range(target.shape[1]):
        mixed = target.clone()
        mixed[:, i] = predicted[:, i]
        columns.append((points.posed(layout.split(mixed)) - truth).flatten(1).norm(dim=1))
    return _normalised(torch.stack(columns, dim=1))


def _normalised(weights: Tensor) -> Tensor:
    weights[:, DEPTH_COLUMN] = 0
    return weights / weights.amax(dim=1, keepdim=True).clamp(min=torch.finfo(weights.dtype).tiny)


def _sensitivity(parts: Parts, points: Points, scale: Tensor) -> Tensor:
    """(B, P) length of the vertices' movement per unit of each parameter. scale: (B, 1) crop px per dm."""
    axes = points.shape(parts).norm(dim=1)  # (B, 3): x, y, z over the points
    batch, modes = len(axes), points.modes.flatten(0, 1).norm(dim=0)
    pose = axes.new_empty(batch, POSE)
    pose[:, list(MATRIX_COLUMNS)] = axes.repeat(1, 3)
    pose[:, list(TRANSLATION_COLUMNS)] = math.sqrt(len(points.mean))
    return torch.cat([pose, scale * modes], dim=1)


def weighted_pdc(whitened: Tensor, target: Tensor, weights: Tensor, squared: bool) -> Tensor:
    """Mean of w·(ŷ − y)² (3DDFA, RADAN) or, squared, of (w·(ŷ − y))² (3DDFA_V2) over whitened parameters (B, P)."""
    error = (whitened - target).square()
    return ((weights.square() if squared else weights) * error).mean()


def landmark_regression(head: Tensor, truth: Parts, sampler: PointSampler, size: float) -> Tensor:
    """3DDFA_V2's regularisation: mean squared distance of the second head from the true landmarks, both in half crops.

    Args: head (B, K, 2), y down, from the crop's centre in half crops; size of the crop in px.
    """
    points = sampler.landmarks.posed(truth)[..., :2]
    wanted = torch.stack([points[..., 0], size - points[..., 1]], dim=-1) / (size / 2) - 1
    return (head - wanted).square().mean()


def balanced(main: Tensor, other: Tensor) -> Tensor:
    """The other loss brought to the size of the main one by a factor without gradient: |main| / |other| · other."""
    factor = (main.detach().abs() / other.detach().abs().clamp(min=1e-12)).clamp(max=1e6)
    return factor * other


def vanilla_joint(fast_wpdc: Tensor, vertex: Tensor, beta: float) -> Tensor:
    """β·fWPDC + (1 − β)·VDC brought to its size (Guo et al. 2020, eq. 7)."""
    return beta * fast_wpdc + (1 - beta) * balanced(fast_wpdc, vertex)
