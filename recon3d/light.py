"""What the colours of a photo say about light and skin: vertex samples, spherical-harmonics light and albedo in closed form.

Colour = albedo · light (Lambert). Skin and light cannot be told apart from colours alone; priors decide: light is grey within a
few percent and about as bright as Deep3D's ambient term, albedo follows the model's prior. Both are robust regressions that
give little weight to hair, glasses, highlights and shadows (iteratively reweighted, Geman and McClure 1987).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from geometry.face_model import FaceModel
from geometry.rasteriser import interpolate
from geometry.shading import sh_basis

AMBIENT = 0.8  # of geometry.shading.sh_shade
BRIGHTNESS_STD, SHAPE_STD, TINT_STD = 0.4, 0.25, 0.05  # priors on γ: its mean level, its other orders, colour between channels
COLOUR_NOISE = 0.07  # of a vertex that shows skin, in colours 0 … 1
SAMPLES_PER_FREE_ONE = 10.0  # neighbouring vertices err together: so many count as one
ROUNDS = 5
_LEAST_COSINE = 0.17  # surfaces steeper than 80° are smeared over too few pixels
_BEHIND_DM, _BEHIND_PX = 0.02, 0.5  # how far behind the visible surface a vertex may lie and still be that surface


def robust_weight(residual: Tensor, scale: float = 2 * COLOUR_NOISE) -> Tensor:
    """Weights of Geman and McClure: residual (...,) ≥ 0 → (1 + (r/scale)²)⁻²."""
    return (1 + (residual / scale).square()).square().reciprocal()


def sample_vertices(
    photos: Tensor, screen: Tensor, scale: Tensor, normals: Tensor, triangles: Tensor, ids: Tensor
) -> tuple[Tensor, Tensor]:
    """Colours of all vertices in their photos, and how well each is seen.

    Args: photos (B, H, W, 3) 0 … 1; screen (B, V, 3) weak perspective, px; scale (B,) px per dm; normals (B, V, 3) in the
        camera's frame; triangles (F, 3); ids (B, H, W) from `rasterize`.
    Returns: (B, V, 3) bilinear colours; (B, V) cosine to the line of sight, 0 for vertices that the photo does not show.
    """
    height, width = photos.shape[1:3]
    covered = (ids >= 0)[..., None]
    depth = interpolate(screen, triangles, ids, screen[..., 2:])
    grid = (screen[..., :2] / screen.new_tensor([width, height]) * 2 - 1)[:, None]
    picture = torch.cat([photos, covered.to(photos)], -1).permute(0, 3, 1, 2)
    sampled = F.grid_sample(picture, grid, padding_mode="border", align_corners=False)[:, :, 0].mT
    nearest = F.grid_sample(depth.permute(0, 3, 1, 2), grid, mode="nearest", padding_mode="border", align_corners=False)[
        :, 0, 0
    ]
    inside = (grid[:, 0].abs() < 1).all(-1)
    # the depth map is known at pixel centres; the tangent plane carries the vertex there
    across, down = (screen[..., :2].floor() + 0.5 - screen[..., :2]).unbind(-1)
    cosine = normals[..., 2].clamp_min(_LEAST_COSINE)
    there = screen[..., 2] + (normals[..., 0] * across - normals[..., 1] * down) / cosine
    seen = (
        inside
        & (sampled[..., 3] > 0.99)
        & (there <= nearest + _BEHIND_DM * scale[:, None] + _BEHIND_PX)
        & (normals[..., 2] > _LEAST_COSINE)
    )
    return sampled[..., :3], torch.where(seen, normals[..., 2], 0.0)


def estimate_light(colours: Tensor, albedo: Tensor, normals: Tensor, weights: Tensor) -> Tensor:
    """Spherical-harmonics light of faces whose albedo is known, by robust least squares with the priors above.

    Args: colours (B, V, 3) 0 … 1; albedo (B, V, 3) or (V, 3); normals (B, V, 3) unit; weights (B, V) ≥ 0, 0 for what is no skin
        or not seen.
    Returns: γ (B, 3, 9) for `sh_shade`.
    """
    basis = sh_basis(normals)  # (B, V, 9)
    albedo = albedo.expand_as(colours)
    prior = _light_precision(colours)
    gamma = colours.new_zeros(len(colours), 27)
    for round_number in range(ROUNDS):
        light = gamma.unflatten(1, (3, 9)) + AMBIENT * F.one_hot(torch.tensor(0), 9).to(gamma)
        residual = colours - albedo * (basis @ light.mT)
        # before the first solution nothing is known of the light, so nothing is an outlier
        robust = robust_weight(residual.norm(dim=-1)) if round_number else 1.0
        trusted = weights * robust / (COLOUR_NOISE**2 * SAMPLES_PER_FREE_ONE)
        target = colours - AMBIENT * albedo * basis[..., :1]
        blocks, right = [], []
        for channel in range(3):
            rows = basis * albedo[..., channel, None]
            weighted = rows * trusted[..., None]
            blocks.append(weighted.mT @ rows)
            right.append((weighted * target[..., channel, None]).sum(1))
        normal = torch.stack([torch.block_diag(*[block[i] for block in blocks]) for i in range(len(colours))])
        gamma = torch.linalg.solve(normal + prior, torch.cat(right, 1)[..., None])[..., 0]
    return gamma.unflatten(1, (3, 9))


def _light_precision(like: Tensor) -> Tensor:
    """(27, 27) prior precision of γ: mean over the channels near 0, channels near their mean."""
    mean = like.new_full((3, 3), 1 / 3)
    own = torch.eye(3).to(like) - mean
    spread = like.new_tensor([BRIGHTNESS_STD, *[SHAPE_STD] * 8])
    return torch.kron(mean, torch.diag(spread**-2)) + torch.kron(own, torch.eye(9).to(like)) / TINT_STD**2


def light_prior(gamma: Tensor) -> Tensor:
    """(B,) −log prior of γ (B, 3, 9), up to a constant."""
    flat = gamma.flatten(1)
    return 0.5 * ((flat @ _light_precision(flat)) * flat).sum(1)


def shading(normals: Tensor, gamma: Tensor) -> Tensor:
    """(B, V, 3) light that falls on the vertices: what `sh_shade` multiplies the albedo with."""
    light = gamma + AMBIENT * F.one_hot(torch.tensor(0), 9).to(gamma)
    return sh_basis(normals) @ light.mT


def estimate_albedo(model: FaceModel, colours: Tensor, light: Tensor, weights: Tensor, start: Tensor) -> Tensor:
    """Albedo coefficients of faces whose light is known, by robust least squares with the model's prior.

    Args: colours (B, V, 3); light (B, V, 3) from `shading`; weights (B, V); start (B, Ka) judges what is an outlier.
    Returns: (B, Ka).
    """
    basis = model.albedo.flatten(0, 1)  # (V·3, Ka)
    residual = colours - model.colours(start) * light
    trusted = weights * robust_weight(residual.norm(dim=-1)) / (COLOUR_NOISE**2 * SAMPLES_PER_FREE_ONE)
    trusted = trusted[..., None].expand_as(colours).flatten(1)
    target = (colours - model.albedo_mean * light).flatten(1)
    shade = light.flatten(1)
    prior = torch.diag(model.albedo_std.square().reciprocal())
    normal = torch.stack([basis.T @ (basis * row[:, None]) for row in trusted * shade.square()]) + prior
    return torch.linalg.solve(normal, ((trusted * shade * target) @ basis)[..., None])[..., 0]


def light_and_albedo(
    model: FaceModel, colours: Tensor, normals: Tensor, weights: Tensor, rounds: int = 3
) -> tuple[Tensor, Tensor]:
    """γ (B, 3, 9) and albedo coefficients (B, Ka) in turn, each the optimum given the other; first light on the mean albedo."""
    albedo = colours.new_zeros(len(colours), model.sizes[2])
    gamma = estimate_light(colours, model.albedo_mean, normals, weights)
    for _ in range(rounds if model.sizes[2] else 0):
        albedo = estimate_albedo(model, colours, shading(normals, gamma), weights, albedo)
        gamma = estimate_light(colours, model.colours(albedo), normals, weights)
    return gamma, albedo
