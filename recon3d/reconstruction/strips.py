"""Picture strips of reconstructions: input | overlay | (landmarks) | shape, as the published trainings log them."""

import numpy as np
import torch
from torch import Tensor

from drawing.landmarks import draw_dots
from geometry.raster.render import studio_light
from geometry.raster.shading import sh_shade
from recon3d.reconstruction.coefficients import Coefficients
from recon3d.reconstruction.renderer import FaceRenderer, Geometry, Picture

CLAY = 0.85  # grey albedo of shape pictures
MAX_ROWS = 8
ANNOTATED, FOUND, DOT_PX = (40, 80, 255), (255, 40, 40), 1.5


def to_bytes(pictures: Tensor) -> np.ndarray:
    """(…, 3) 0 … 1 → uint8."""
    return (pictures.detach().clamp(0, 1) * 255).round().byte().cpu().numpy()


def overlay(photo: Tensor, picture: Picture, face_only: bool = True) -> Tensor:
    """(B, H, W, 3) photo with the rendered face over it."""
    mask = picture.face if face_only else picture.mask
    return torch.where(mask[..., None], picture.colours, photo)


def shape_picture(renderer: FaceRenderer, geometry: Geometry) -> Picture:
    """The surface in grey under a studio light."""
    normals = renderer.normals(geometry)
    grey = torch.full_like(normals, CLAY)
    return renderer.picture(geometry, sh_shade(grey, normals, studio_light(len(grey), grey.device)))


def with_dots(picture: np.ndarray, found: Tensor, truth: Tensor | None = None) -> np.ndarray:
    """A copy of (H, W, 3) uint8 with landmarks (K, 2) px: annotated blue, found red."""
    drawn = picture.copy()
    if truth is not None:
        draw_dots(drawn, truth.detach().cpu().numpy(), ANNOTATED, DOT_PX)
    draw_dots(drawn, found.detach().cpu().numpy(), FOUND, DOT_PX)
    return drawn


def training_strips(
    photo: Tensor, renderer: FaceRenderer, geometry: Geometry, picture: Picture, truth: Tensor
) -> np.ndarray:
    """Rows of input | overlay | landmarks (annotated blue, found red) | shape: (≤ 8·H, 4·W, 3) uint8."""
    count = min(len(photo), MAX_ROWS)
    covered = to_bytes(overlay(photo, picture))
    grey = to_bytes(shape_picture(renderer, geometry).colours)
    photos = to_bytes(photo)
    rows = []
    for i in range(count):
        dots = with_dots(covered[i], geometry.landmarks[i], truth[i])
        rows.append(np.concatenate([photos[i], covered[i], dots, grey[i]], 1))
    return np.concatenate(rows)


def refinement_strips(
    photo: Tensor, renderer: FaceRenderer, coefficients: Coefficients, shapes: list[Tensor], truth: Tensor
) -> np.ndarray:
    """Rows of input | overlay of each shape, with landmarks (annotated blue, found red) | each shape in grey.

    Args: photo (B, H, W, 3); shapes, each (B, V, 3) unposed, such as R-Net's and the refined one, in the albedo and
        light of the coefficients; truth (B, 68, 2) px. Returns: (≤ 8·H, (1 + 2·shapes)·W, 3) uint8.
    """
    albedo = renderer.albedo(coefficients)
    covered, grey, geometries = [], [], [renderer.geometry(coefficients, shape) for shape in shapes]
    for geometry in geometries:
        covered.append(
            to_bytes(overlay(photo, renderer.picture(geometry, renderer.lit(coefficients, geometry, albedo))))
        )
        grey.append(to_bytes(shape_picture(renderer, geometry).colours))
    photos, rows = to_bytes(photo), []
    for i in range(min(len(photo), MAX_ROWS)):
        dots = [
            with_dots(drawn[i], geometry.landmarks[i], truth[i])
            for drawn, geometry in zip(covered, geometries, strict=True)
        ]
        rows.append(np.concatenate([photos[i], *dots, *(picture[i] for picture in grey)], 1))
    return np.concatenate(rows)


def texture_strips(
    photo: Tensor, renderer: FaceRenderer, screen: Tensor, shading: Tensor, albedos: list[Tensor]
) -> np.ndarray:
    """Rows of input | photo with the face over it in each albedo | each albedo without light.

    Args: photo (B, H, W, 3); screen (B, V, 3); shading (B, V, 3) light on the vertices; albedos, each (B, V, 3).
    Returns: (≤ 8·H, (1 + 2·albedos)·W, 3) uint8.
    """
    pictures = [renderer.drawn(screen, albedo * shading) for albedo in albedos]
    tiles = [photo, *(overlay(photo, picture) for picture in pictures)]
    tiles += [renderer.drawn(screen, albedo).colours for albedo in albedos]
    return np.concatenate(
        [to_bytes(torch.cat([tile[i] for tile in tiles], 1)) for i in range(min(len(photo), MAX_ROWS))]
    )
