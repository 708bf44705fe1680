"""What the colours of a photo say about light and skin: vertex samples, spherical-harmonics light and albedo in closed
form.

Colour = albedo · light (Lambert). Skin and light cannot be told apart from colours alone; priors decide: light is grey
within a few percent and about as bright as Deep3D's ambient term, albedo follows the model's prior. Both are robust
regressions that give little weight to hair, glasses, highlights and shadows (iteratively reweighted, Geman and McClure
1987).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from geometry.raster.rasteriser import interpolate
from geometry.raster.shading import sh_basis
from morphable.model import FaceModel

AMBIENT = 0.8  # of geometry.raster.shading.sh_shade
BRIGHTNESS_MEAN = 0.07  # of γ's first coefficient on photos of 300-W
BRIGHTNESS_STD, SHAPE_STD, TINT_STD = (
    0.1,
    0.15,
    0.05,
)  # priors on γ: first coefficient, the others, between the channels
COLOUR_NOISE = 0.07  # of a vertex that shows skin, in colours 0 … 1
CORRELATED_SAMPLES = 10.0  # samples per effective sample: errors of neighbouring vertices are correlated
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

    Args: photos (B, H, W, 3) 0 … 1; screen (B, V, 3) weak perspective, px; scale (B,) px per dm; normals (B, V, 3) in
        the camera's frame; triangles (F, 3); ids (B, H, W) from `rasterize`.
    Returns: (B, V, 3) bilinear colours; (B, V) cosine to the line of sight, 0 for vertices that the photo does not
    show.
    """
    height, width = photos.shape[1:3]
    covered = (ids >= 0)[..., None]
    depth = interpolate(screen, triangles, ids, screen[..., 2:])
    grid = (screen[..., :2] / screen.new_tensor([width, height]) * 2 - 1)[:, None]
    picture = torch.cat([photos, covered.to(photos)], -1).permute(0, 3, 1, 2)
    sampled = F.grid_sample(picture, grid, padding_mode="border", align_corners=False)[:, :, 0].mT
    nearest = F.grid_sample(
        depth.permute(0, 3, 1, 2), grid, mode="nearest", padding_mode="border", align_corners=False
    )[:, 0, 0]
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

    Args: colours (B, V, 3) 0 … 1; albedo (B, V, 3) or (V, 3); normals (B, V, 3) unit; weights (B, V) ≥ 0, 0 for what is
        no skin or not seen.
    Returns: γ (B, 3, 9) for `sh_shade`.
    """
    used = _used(weights)
    nothing = colours.new_zeros(int(used.sum()), 3, 0)
    spread = colours.new_zeros(0)
    return _solve(colours[:, used], albedo[..., used, :], nothing, spread, normals[:, used], weights[:, used])[0]


def light_and_albedo(model: FaceModel, colours: Tensor, normals: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """γ (B, 3, 9) and albedo coefficients (B, Ka) of faces, as `estimate_light` with the model's albedo for the known
    one.

    Both are solved for together: in turn, the one that comes first would take all brightness and tint.
    """
    used = _used(weights)
    mean, basis = model.albedo_mean[used], model.albedo[used]
    return _solve(colours[:, used], mean, basis, model.albedo_std, normals[:, used], weights[:, used])


def _used(weights: Tensor) -> Tensor:
    """(V,) whether any of the faces shows a vertex; the others would only take time."""
    return (weights > 0).any(0)


def _solve(
    colours: Tensor, mean: Tensor, basis: Tensor, spread: Tensor, normals: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor]:
    """Gauss-Newton on colour = (mean + basis·τ) · light(γ): mean (V, 3) or (B, V, 3), basis (V, 3, K), spread (K,)."""
    harmonics = sh_basis(normals)  # (B, V, 9)
    count, components = len(colours), basis.shape[-1]
    prior = torch.block_diag(_light_precision(colours), torch.diag(spread.square().reciprocal()))
    centre = torch.cat([_light_centre(colours), colours.new_zeros(components)])
    values = centre.expand(count, -1)
    flat_basis = basis.flatten(0, 1)
    for round_number in range(ROUNDS):
        light = harmonics @ _with_ambient(values[:, :27].unflatten(1, (3, 9))).mT  # (B, V, 3)
        albedo = mean + (values[:, 27:] @ flat_basis.T).unflatten(1, basis.shape[:2])
        residual = colours - albedo * light
        # before the first solution nothing is known of the light, so nothing is an outlier
        robust = robust_weight(residual.norm(dim=-1)) if round_number else 1.0
        trusted = (weights * robust / (COLOUR_NOISE**2 * CORRELATED_SAMPLES))[..., None].expand_as(colours)
        by_light = torch.diag_embed(albedo)[..., None] * harmonics[:, :, None, None]  # (B, V, 3 colours, 3 lights, 9)
        rows = torch.cat([by_light.flatten(3), light[..., None] * basis], -1).flatten(1, 2)
        weighted = (rows * trusted.flatten(1)[..., None]).mT
        right = (weighted @ residual.flatten(1)[..., None])[..., 0] - (values - centre) @ prior
        values = values + torch.linalg.solve(weighted @ rows + prior, right[..., None])[..., 0]
    return values[:, :27].unflatten(1, (3, 9)), values[:, 27:]


def _with_ambient(gamma: Tensor) -> Tensor:
    """γ (B, 3, 9) plus the ambient term of `sh_shade`."""
    return torch.cat([gamma[..., :1] + AMBIENT, gamma[..., 1:]], -1)


def _light_centre(like: Tensor) -> Tensor:
    """(27,) prior mean of γ."""
    centre = like.new_zeros(3, 9)
    centre[:, 0] = BRIGHTNESS_MEAN
    return centre.flatten()


def _light_precision(like: Tensor) -> Tensor:
    """(27, 27) prior precision of γ: mean over the channels near 0, channels near their mean."""
    mean = like.new_full((3, 3), 1 / 3)
    own = torch.eye(3).to(like) - mean
    spread = like.new_tensor([BRIGHTNESS_STD, *[SHAPE_STD] * 8])
    return torch.kron(mean, torch.diag(spread**-2)) + torch.kron(own, torch.eye(9).to(like)) / TINT_STD**2


def light_prior(gamma: Tensor) -> Tensor:
    """(B,) −log prior of γ (B, 3, 9), up to a constant."""
    flat = gamma.flatten(1) - _light_centre(gamma)
    return 0.5 * ((flat @ _light_precision(flat)) * flat).sum(1)


def shading(normals: Tensor, gamma: Tensor) -> Tensor:
    """(B, V, 3) light that falls on the vertices: what `sh_shade` multiplies the albedo with."""
    return sh_basis(normals) @ _with_ambient(gamma).mT
