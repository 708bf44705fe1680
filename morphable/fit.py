"""Fit a face model to landmarks: alternating closed-form least squares with priors, a whole batch at once.

    fit = fit_landmarks(model, landmarks_px)            # (B, 68, 2) or (B, 68, 3)
    vertices = fit.vertices(model); screen = fit.screen(model)

Pose is a scaled orthographic camera (Bruckstein et al. 1999), shape a ridge regression on the model's priors (Blanz and
Vetter 1999), blendshape weights stay in 0 … 1. Jaw points of the side that is turned away slide along the model's
contour lines to the silhouette (Zhu et al. 2015), because annotators mark what they see, not a fixed point of the skin.
"""

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from common.errors import DataError
from geometry.cameras import weak_perspective
from geometry.mesh.contour import silhouette_choice
from geometry.rotations import euler_from_rotation, nearest_rotation
from geometry.similarity import similarity
from morphable.model import FaceModel

MIN_LANDMARKS = 4
# Spread of detected landmarks in sizes √(w·h) of their box, for the fit to them; their error on photos is 3 to 5 %.
DETECTOR_NOISE = 0.05
COLLINEAR = 1e-3  # second singular value of the centred landmarks, relative to the first
BOX_STEPS = 60  # projected gradient steps for blendshape weights


@dataclass(frozen=True)
class FitSettings:
    """How far a fit trusts the landmarks against the model's priors."""

    iterations: int = 8  # rounds of pose, contour and shape
    noise: float = 0.01  # spread of the landmarks' noise, in sizes √(w·h) of their box
    identity_weight: float = 1.0  # on the prior of identity; 0 switches it off
    expression_weight: float = 1.0
    slide_contour: bool = True  # only where the model has contour lines


@dataclass(frozen=True)
class Fit:
    """B fitted faces in the pixels of their landmarks."""

    rotation: Tensor  # (B, 3, 3), model → camera
    scale: Tensor  # (B,) px per dm
    translation: Tensor  # (B, 2) px, where the model's origin falls
    identity: Tensor  # (B, Ki)
    expression: Tensor  # (B, Ke)
    points: Tensor  # (B, K, 3) model points that the landmarks were matched to, dm; jaw points may have slid
    error: Tensor  # (B,) mean distance of landmarks and points in px, over the box size √(w·h), in percent

    def vertices(self, model: FaceModel) -> Tensor:
        """(B, N, 3) unposed vertices, dm."""
        return model.shape(self.identity, self.expression)

    def screen(self, model: FaceModel) -> Tensor:
        """(B, N, 3) vertices in the picture: x px, y px down, depth px (smaller = nearer)."""
        return weak_perspective(self.vertices(model), self.rotation, self.scale, self.translation)

    def pose_deg(self) -> Tensor:
        """(B, 3) pitch, yaw, roll in degrees in the convention of AFLW2000-3D."""
        return torch.rad2deg(euler_from_rotation(self.rotation))

    def moved(self, matrices: Tensor) -> "Fit":
        """The same faces after a similarity of their pictures, such as that of a crop: (B, 2, 3), y down, no
        mirroring.
        """
        linear, offset = matrices[:, :, :2].to(self.rotation), matrices[:, :, 2].to(self.rotation)
        zoom = torch.linalg.det(linear).sqrt()
        turn = torch.eye(3).to(linear).repeat(len(linear), 1, 1)
        turn[:, :2, :2] = linear / zoom[:, None, None] * linear.new_tensor([[1.0, -1.0], [-1.0, 1.0]])  # y up
        translation = (linear @ self.translation[..., None])[..., 0] + offset
        return replace(self, rotation=turn @ self.rotation, scale=self.scale * zoom, translation=translation)

    def __getitem__(self, index: slice | Tensor) -> "Fit":
        return Fit(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


def fit_landmarks(
    model: FaceModel,
    landmarks: Tensor,
    scheme: str = "ibug68",
    weights: Tensor | None = None,
    settings: FitSettings = FitSettings(),
) -> Fit:
    """Pose and shape of B faces from their landmarks.

    Args:
        model: any FaceModel that knows the scheme.
        landmarks: (B, K, 2) px, x right, y down; or (B, K, 3) with z in the same px, toward the viewer, any origin.
        weights: (B, K) ≥ 0; 0 leaves a point out (invisible, unannotated).
    Raises: DataError naming the face: fewer than four usable landmarks, all on one line, numbers that are not finite.
    """
    landmarks = landmarks.to(model.mean)
    weights = torch.ones_like(landmarks[..., 0]) if weights is None else weights.to(landmarks)
    _check(model, landmarks, weights, scheme)
    landmarks = torch.where(weights[..., None] > 0, landmarks, 0)
    observed = landmarks * landmarks.new_tensor([1.0, -1.0, 1.0])[: landmarks.shape[-1]]  # y up, as the model
    size = _box_size(observed, weights)
    bases = _landmark_bases(model, scheme, len(landmarks))
    count = len(landmarks)
    identity = landmarks.new_zeros(count, model.sizes[0])
    expression = landmarks.new_zeros(count, model.sizes[1])
    for _ in range(settings.iterations):
        points = bases.points(identity, expression)
        rotation, scale, translation = solve_pose(points, observed, weights)
        bases = matched_bases(model, scheme, identity, expression, rotation, settings.slide_contour)
        system = _Linearised(bases, rotation, scale, translation, observed, weights, settings.noise * size)
        identity, expression = _solve_shape(model, system, expression, settings)
    points = bases.points(identity, expression)
    rotation, scale, translation = solve_pose(points, observed, weights)
    projected = _project(points, rotation, scale, translation, observed.shape[-1])
    distance = (projected - observed)[..., :2].norm(dim=-1)
    error = 100 * (distance * weights).sum(1) / weights.sum(1) / size
    flipped = translation[:, :2] * translation.new_tensor([1.0, -1.0])
    return Fit(rotation, scale, flipped, identity, expression, points, error)


def _check(model: FaceModel, landmarks: Tensor, weights: Tensor, scheme: str) -> None:
    """Raise DataError for landmarks that determine no pose."""
    if scheme not in model.landmarks:
        raise DataError(
            f"face model {model.name} has no landmarks '{scheme}'; it has: {', '.join(model.landmarks) or 'none'}."
        )
    expected = len(model.landmarks[scheme].vertices)
    if landmarks.ndim != 3 or landmarks.shape[1] != expected or landmarks.shape[2] not in (2, 3):
        raise DataError(
            f"landmarks have shape {tuple(landmarks.shape)}; scheme {scheme} needs (B, {expected}, 2 or 3)."
        )
    used = weights > 0
    for face in range(len(landmarks)):
        points = landmarks[face][used[face]]
        if not torch.isfinite(points).all():
            raise DataError(f"face {face}: a landmark is not a finite number; give it weight 0 or leave the face out.")
        if len(points) < MIN_LANDMARKS:
            raise DataError(f"face {face}: {len(points)} landmarks; a fit needs at least {MIN_LANDMARKS}.")
        spread = torch.linalg.svdvals(points[:, :2] - points[:, :2].mean(0))
        if spread[1] <= COLLINEAR * spread[0]:
            raise DataError(f"face {face}: the landmarks lie on one line; a fit needs a face that is not degenerate.")


def _box_size(points: Tensor, weights: Tensor) -> Tensor:
    """(B,) √(w·h) of the box of the usable points."""
    unused = (weights <= 0)[..., None]
    low = points[..., :2].masked_fill(unused, torch.inf).amin(1)
    high = points[..., :2].masked_fill(unused, -torch.inf).amax(1)
    return (high - low).prod(-1).sqrt()


@dataclass(frozen=True)
class LandmarkBases:
    """The model at the landmarks of each face: mean (B, K, 3), identity (B, K, 3, Ki), expression (B, K, 3, Ke)."""

    mean: Tensor
    identity: Tensor
    expression: Tensor

    def points(self, identity: Tensor, expression: Tensor) -> Tensor:
        """(B, Ki), (B, Ke) → (B, K, 3) dm."""
        offsets = torch.einsum("bkdi,bi->bkd", self.identity, identity)
        return self.mean + offsets + torch.einsum("bkde,be->bkd", self.expression, expression)


def matched_bases(
    model: FaceModel, scheme: str, identity: Tensor, expression: Tensor, rotation: Tensor, slide_contour: bool = True
) -> LandmarkBases:
    """The model at the landmarks of faces in a pose; jaw points of the 68 slid to the silhouette if the model has
    contours.
    """
    bases = _landmark_bases(model, scheme, len(identity))
    if slide_contour and model.contour is not None and scheme == "ibug68":
        return _slide(model, bases, identity, expression, rotation)
    return bases


def _landmark_bases(model: FaceModel, scheme: str, count: int) -> LandmarkBases:
    at = model.landmarks[scheme]

    def of(basis: Tensor) -> Tensor:
        return at.of(basis.flatten(1)).unflatten(1, basis.shape[1:]).expand(count, *[-1] * basis.ndim)

    return LandmarkBases(at.of(model.mean).expand(count, -1, -1), of(model.identity), of(model.expression))


def solve_pose(points: Tensor, observed: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Scaled rigid motion that carries points onto observations, in closed form.

    Args: points (B, K, 3); observed (B, K, 2 or 3), y up; weights (B, K).
    Returns: rotation (B, 3, 3) with determinant 1, scale (B,), translation (B, 2 or 3): observed ≈ scale · (R p) +
    translation.
        From 2D: least-squares affine, its 2 × 3 part replaced by the nearest scaled rotation. From 3D: Umeyama 1991.
    """
    if observed.shape[-1] == 3:
        scale, rotation, translation = similarity(points, observed, weights)
        return rotation, scale, translation
    weight = weights[..., None] / weights.sum(1)[:, None, None]
    centre, target = (points * weight).sum(1), (observed * weight).sum(1)
    source, goal = points - centre[:, None], observed - target[:, None]
    cross = (goal * weight).mT @ source
    covariance = (source * weight).mT @ source
    ridge = 1e-6 * covariance.diagonal(dim1=1, dim2=2).mean(1)[:, None, None] * torch.eye(3, device=points.device)
    affine = torch.linalg.solve(covariance + ridge, cross.mT).mT
    third = torch.linalg.cross(affine[:, 0], affine[:, 1])
    norm = third.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    length = affine.square().sum((1, 2)).div(2).sqrt()
    rotation = nearest_rotation(torch.cat([affine, (third / norm * length[:, None])[:, None]], 1))
    turned = source @ rotation[:, :2].mT
    scale = (turned * goal * weight).sum((1, 2)) / (turned.square() * weight).sum((1, 2)).clamp_min(1e-12)
    translation = target - scale[:, None] * (rotation[:, :2] @ centre[..., None])[..., 0]
    return rotation, scale, translation


def _project(points: Tensor, rotation: Tensor, scale: Tensor, translation: Tensor, dimensions: int) -> Tensor:
    """(B, K, 3) → (B, K, dimensions) by the scaled rigid motion of `solve_pose`."""
    return scale[:, None, None] * points @ rotation[:, :dimensions].mT + translation[:, None]


def _slide(
    model: FaceModel, fixed: LandmarkBases, identity: Tensor, expression: Tensor, rotation: Tensor
) -> LandmarkBases:
    """Move the jaw points of the side turned away to the outermost vertex of their contour line."""
    lines = model.contour  # (17, L)
    count, (rows, length) = len(identity), lines.shape
    flat = lines.flatten()
    chosen_identity, chosen_expression = model.identity[flat], model.expression[flat]
    points = model.mean[flat] + torch.einsum("kdi,bi->bkd", chosen_identity, identity)
    points = points + torch.einsum("kde,be->bkd", chosen_expression, expression)
    choice, away = silhouette_choice(points.unflatten(1, (rows, length)), rotation)
    index = choice + torch.arange(rows, device=choice.device) * length

    def picked(values: Tensor, original: Tensor) -> Tensor:
        # entry 0 of a line is the jaw point itself, so faces seen from the front keep the exact landmark
        slid = values[index.flatten()].unflatten(0, (count, rows))
        keep = away.reshape(count, rows, *[1] * (original.ndim - 2))
        return torch.cat([torch.where(keep, slid, original[:, :rows]), original[:, rows:]], 1)

    return LandmarkBases(
        picked(model.mean[flat], fixed.mean),
        picked(chosen_identity, fixed.identity),
        picked(chosen_expression, fixed.expression),
    )


class _Linearised:
    """Normal equations of the shape for a fixed pose, in units of the landmarks' noise."""

    def __init__(self, bases, rotation, scale, translation, observed, weights, noise_px) -> None:
        dimensions = observed.shape[-1]
        rows = (scale / noise_px)[:, None, None] * rotation[:, :dimensions]
        root = weights.sqrt()[..., None]
        self.identity = self._rows(rows, bases.identity, root)
        self.expression = self._rows(rows, bases.expression, root)
        mean = _project(bases.mean, rotation, scale, translation, dimensions)
        self.residual = ((observed - mean) / noise_px[:, None, None] * root).flatten(1)

    @staticmethod
    def _rows(rows: Tensor, basis: Tensor, root: Tensor) -> Tensor:
        """(B, D, 3), (B, K, 3, C) → (B, K·D, C)."""
        return (torch.einsum("bpd,bkdc->bkpc", rows, basis) * root[..., None]).flatten(1, 2)


def _solve_shape(
    model: FaceModel, system: _Linearised, expression: Tensor, settings: FitSettings
) -> tuple[Tensor, Tensor]:
    """Identity and expression in turn, each the optimum given the other."""
    identity_prior = settings.identity_weight / model.identity_std.square()
    expression_prior = settings.expression_weight / model.expression_std.square()
    rest = system.residual - (system.expression @ expression[..., None])[..., 0]
    identity = _ridge(system.identity, rest, identity_prior)
    rest = system.residual - (system.identity @ identity[..., None])[..., 0]
    if model.expression_prior == "unit":
        expression = _boxed(system.expression, rest, expression_prior, expression)
    else:
        expression = _ridge(system.expression, rest, expression_prior)
    return identity, expression


def _ridge(rows: Tensor, target: Tensor, prior: Tensor) -> Tensor:
    """argmin |rows c − target|² + Σ prior c²: (B, M, C), (B, M), (C,) → (B, C)."""
    normal = rows.mT @ rows + torch.diag(prior + 1e-8)
    return torch.linalg.solve(normal, (rows.mT @ target[..., None]))[..., 0]


def _boxed(rows: Tensor, target: Tensor, prior: Tensor, start: Tensor) -> Tensor:
    """As `_ridge` with 0 ≤ c ≤ 1, by accelerated projected gradient (Nesterov 1983)."""
    if start.shape[1] == 0:
        return start
    normal = rows.mT @ rows + torch.diag(prior)
    linear = (rows.mT @ target[..., None])[..., 0]
    step = 1 / normal.abs().sum(-1).amax(-1, keepdim=True)  # Gershgorin: no eigenvalue is larger
    current = ahead = start
    for k in range(BOX_STEPS):
        moved = (ahead - step * ((normal @ ahead[..., None])[..., 0] - linear)).clamp(0, 1)
        ahead = moved + k / (k + 3) * (moved - current)
        current = moved
    return current
