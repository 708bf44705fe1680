"""Refine a landmark fit by the photo itself: the rendered face must look like the pixels (Blanz and Vetter 1999).

    start = fit_landmarks(model, landmarks)                        # photo px
    better = refine_photos(model, photos, landmarks, start)        # photo px again, with albedo and light

Identity, expression, albedo, pose and spherical-harmonics light follow the gradient of the renderer; landmarks and
priors hold them. Light and albedo start from their closed-form optimum on the landmark fit.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from datasets.crop import Crop, crop_from_landmarks
from geometry.cameras import weak_perspective
from geometry.mesh.normals import vertex_normals
from geometry.raster.rasteriser import interpolate, rasterize
from geometry.schemes import IBUG_68
from morphable.fit import Fit, matched_bases
from morphable.light import light_prior, shading
from morphable.model import FaceModel
from recon3d.fitting.appearance import Placed, light_and_albedo_seen

_NOT_SKIN = (
    "mouth_inside",
    "teeth",
    "tongue",
    "eyeball",
    "scalp",
    "cloth",
)  # what a photo shows differently or not at all
_SKIN_SHARE = 0.5
_ERODE_PX = 5  # odd; the outline of the face is where a wrong shape compares skin with background


@dataclass(frozen=True)
class PhotometricSettings:
    """How the refinement weighs the pixels against landmarks and priors."""

    iterations: int = 40
    size_px: int = 160  # side of the crops
    photo_weight: float = 1000.0  # on the mean robust colour error
    colour_scale: float = 0.12  # colours 0 … 1; errors beyond it count less and less
    landmark_noise: float = 0.01  # in sizes of the landmarks' box, as FitSettings.noise
    step: float = 0.05  # Adam's, in the units below


@dataclass(frozen=True)
class PhotometricFit:
    """B refined faces."""

    fit: Fit
    albedo: Tensor  # (B, Ka)
    gamma: Tensor  # (B, 3, 9) for `geometry.raster.shading.sh_shade`
    error_before: (
        Tensor  # (B,) mean absolute colour error on the skin, 0 … 1, of the start with its best light and albedo
    )
    error: Tensor  # (B,) the same after refinement

    def colours(self, model: FaceModel) -> Tensor:
        """(B, V, 3) lit colours of the vertices, clipped to 0 … 1."""
        normals = vertex_normals(self.fit.vertices(model) @ self.fit.rotation.mT, model.triangles)
        return (model.colours(self.albedo) * shading(normals, self.gamma)).clamp(0, 1)


def refine_photos(
    model: FaceModel,
    photos: Sequence[np.ndarray],
    landmarks: np.ndarray,
    start: Fit,
    settings: PhotometricSettings = PhotometricSettings(),
) -> PhotometricFit:
    """Refine the fits of B faces, one photo for each.

    Args: photos: B pictures (H, W, 3) uint8 RGB of any size; landmarks (B, 68, 2) px; start: their `fit_landmarks`.
    Returns: the refined faces in photo px.
    """
    crops = [crop_from_landmarks(points, IBUG_68, settings.size_px) for points in landmarks]
    pictures = np.stack([crop.extract(photo) for crop, photo in zip(crops, photos, strict=True)])
    points = np.stack([crop.apply(face) for crop, face in zip(crops, landmarks, strict=True)])
    inside = start.moved(_matrices(crops, "matrix"))
    colours = torch.from_numpy(pictures).to(start.scale) / 255
    refined = refine(model, colours, torch.from_numpy(points).to(start.scale), inside, settings)
    return replace(refined, fit=refined.fit.moved(_matrices(crops, "inverse_matrix")))


def _matrices(crops: list[Crop], name: str) -> Tensor:
    return torch.from_numpy(np.stack([getattr(crop, name) for crop in crops]))


def refine(
    model: FaceModel,
    photos: Tensor,
    landmarks: Tensor,
    start: Fit,
    settings: PhotometricSettings = PhotometricSettings(),
) -> PhotometricFit:
    """Refine B fits on B crops.

    Args: photos (B, H, W, 3) RGB 0 … 1; landmarks (B, 68, 2) and start in px of the crops.
    """
    skin = skin_weights(model)
    gamma, albedo = light_and_albedo_seen(model, photos, placed(model, start, start.vertices(model)), skin)
    problem = _Problem(model, photos, landmarks, start, skin, settings)
    variables = problem.variables(gamma, albedo)
    with torch.no_grad():
        before = problem.colour_error(variables)
    optimiser = torch.optim.Adam(variables.values(), lr=settings.step, betas=(0.8, 0.98))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, settings.iterations, settings.step / 10)
    for _ in range(settings.iterations):
        optimiser.zero_grad(set_to_none=True)
        problem.energy(variables).sum().backward()
        optimiser.step()
        schedule.step()
        problem.project(variables)
    with torch.no_grad():
        fit, _ = problem.fit(variables)
        albedo = variables["albedo"] * model.albedo_std
        return PhotometricFit(fit, albedo, variables["gamma"].detach(), before, problem.colour_error(variables))


def skin_weights(model: FaceModel) -> Tensor:
    """(V,) 1 where the photo is expected to show the model's albedo: facial skin and lips; all vertices if nothing is
    known.
    """
    weights = model.regions.get("face", torch.ones_like(model.mean[:, 0]))
    for name in _NOT_SKIN:
        weights = weights * (1 - model.regions.get(name, torch.zeros_like(weights)))
    return weights


def placed(model: FaceModel, fit: Fit, shapes: Tensor) -> Placed:
    """Shapes (B, V, 3) in the poses of fits, in px of the photos."""
    screen = weak_perspective(shapes, fit.rotation, fit.scale, fit.translation)
    return Placed(screen, fit.scale, vertex_normals(shapes @ fit.rotation.mT, model.triangles))


class _Problem:
    """The energy of B faces. Units make a step of 0.05 small: deviations of priors, 0.1 rad, 1/20 size."""

    def __init__(self, model, photos, landmarks, start, skin, settings) -> None:
        self.model, self.photos, self.start, self.skin, self.settings = model, photos, start, skin, settings
        self.size = tuple(photos.shape[1:3])
        low, high = landmarks.amin(1), landmarks.amax(1)
        self.box = (high - low).prod(-1).sqrt()
        self.landmarks = landmarks
        self.bases = matched_bases(model, "ibug68", start.identity, start.expression, start.rotation)

    def variables(self, gamma: Tensor, albedo: Tensor) -> dict[str, Tensor]:
        model, start = self.model, self.start
        count = len(gamma)
        values = {
            "identity": start.identity / model.identity_std,
            "expression": start.expression / model.expression_std,
            "albedo": albedo / model.albedo_std,
            "gamma": gamma,
            "turn": gamma.new_zeros(count, 3),
            "zoom": gamma.new_zeros(count),
            "shift": gamma.new_zeros(count, 2),
        }
        return {name: value.detach().clone().requires_grad_() for name, value in values.items()}

    def project(self, variables: dict[str, Tensor]) -> None:
        """Keep blendshape weights in 0 … 1."""
        if self.model.expression_prior == "unit":
            with torch.no_grad():
                variables["expression"].clamp_(0 * self.model.expression_std, 1 / self.model.expression_std)

    def fit(self, variables: dict[str, Tensor]) -> tuple[Fit, Tensor]:
        """The faces, and the distance of each landmark in sizes of the box (B, K)."""
        start = self.start
        rotation = _exponential(0.1 * variables["turn"]) @ start.rotation
        scale = start.scale * torch.exp(0.1 * variables["zoom"])
        translation = start.translation + 0.05 * self.box[:, None] * variables["shift"]
        identity = variables["identity"] * self.model.identity_std
        expression = variables["expression"] * self.model.expression_std
        points = self.bases.points(identity, expression)
        projected = weak_perspective(points, rotation, scale, translation)[..., :2]
        distance = (projected - self.landmarks).square().sum(-1).add(1e-12).sqrt() / self.box[:, None]
        return Fit(rotation, scale, translation, identity, expression, points, 100 * distance.mean(1)), distance

    def rendered(self, fit: Fit, variables: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """(B, H, W, 3) colours and (B, H, W) the pixels that are compared."""
        model = self.model
        vertices = fit.vertices(model)
        screen = weak_perspective(vertices, fit.rotation, fit.scale, fit.translation)
        normals = vertex_normals(vertices @ fit.rotation.mT, model.triangles)
        colours = model.colours(variables["albedo"] * model.albedo_std) * shading(normals, variables["gamma"])
        ids = rasterize(screen.detach(), model.triangles, self.size)
        attributes = torch.cat([colours, self.skin[:, None].expand_as(colours[..., :1])], -1)
        picture = interpolate(screen, model.triangles, ids, attributes)
        skin = (picture[..., 3].detach() > _SKIN_SHARE).to(picture)
        eroded = -torch.nn.functional.max_pool2d(-skin[:, None], _ERODE_PX, 1, _ERODE_PX // 2)
        return picture[..., :3], eroded[:, 0]

    def energy(self, variables: dict[str, Tensor]) -> Tensor:
        """(B,) negative log posterior."""
        settings = self.settings
        fit, distance = self.fit(variables)
        picture, mask = self.rendered(fit, variables)
        squared = (picture - self.photos).square().sum(-1) / settings.colour_scale**2
        robust = squared / (1 + squared)  # Geman and McClure 1987
        photo = (robust * mask).sum((1, 2)) / mask.sum((1, 2)).clamp_min(1)
        points = 0.5 * (distance / settings.landmark_noise).square().sum(1)
        coefficients = [variables[name] for name in ("identity", "expression", "albedo")]
        prior = sum(0.5 * value.square().sum(1) for value in coefficients) + light_prior(variables["gamma"])
        return settings.photo_weight * photo + points + prior

    def colour_error(self, variables: dict[str, Tensor]) -> Tensor:
        """(B,) mean absolute difference of colours over the compared pixels."""
        picture, mask = self.rendered(self.fit(variables)[0], variables)
        difference = (picture.clamp(0, 1) - self.photos).abs().mean(-1)
        return (difference * mask).sum((1, 2)) / mask.sum((1, 2)).clamp_min(1)


def _exponential(turn: Tensor) -> Tensor:
    """Rotation vectors (B, 3) rad → matrices (B, 3, 3)."""
    x, y, z = turn.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.matrix_exp(torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3)))
