"""Draw a face model: random heads, its expressions, its landmarks from five views.

    python -m morphable.gallery --model head --out outputs/gallery

Writes heads.png (8 × 8 random people), expressions.png, landmarks_<scheme>.png (five views) and
texture_coordinates.png.
"""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from common.scripts import exits_with_user_errors
from geometry.cameras import weak_perspective
from geometry.raster.rasteriser import interpolate, rasterize
from geometry.raster.render import render, studio_light
from geometry.rotations import rotation_from_euler
from morphable.model import FaceModel
from morphable.open import load_face_model

FIVE_VIEWS = ((0, 0), (0, -45), (0, 45), (0, -80), (25, 0))  # pitch, yaw in degrees
FACE_HEIGHT_SHARE = 0.5  # of the tile, chin to brows
RED, WHITE, YELLOW = (40, 40, 235), (255, 255, 255), (0, 230, 255)  # BGR


def tile_camera(model: FaceModel, size: int) -> tuple[float, Tensor]:
    """Scale in px per dm and translation (2,) px that put the mean face in the middle of a square tile."""
    points = model.points(model.mean, "ibug68")
    scale = FACE_HEIGHT_SHARE * size / float(points[:, 1].max() - points[:, 1].min())
    centre = points.mean(0)
    return scale, torch.tensor([size / 2 - scale * float(centre[0]), size / 2 + scale * float(centre[1])])


def draw_heads(
    model: FaceModel, vertices: Tensor, albedo: Tensor, angles_deg: Tensor, size: int
) -> tuple[Tensor, Tensor]:
    """(B, N, 3) heads as (B, size, size, 3) uint8 RGB under studio light, and their screens (B, N, 3).

    angles_deg: (B, 2) pitch and yaw.
    """
    scale, translation = tile_camera(model, size)
    angles = torch.cat([torch.deg2rad(angles_deg), torch.zeros(len(angles_deg), 1)], 1)
    rotation = rotation_from_euler(angles)
    pivot = model.points(model.mean, "ibug68").mean(0) * torch.tensor([0.0, 1.0, 0.0])
    centred = vertices - pivot
    offset = translation + torch.tensor([0.0, -scale * float(pivot[1])])
    count = len(vertices)
    screen = weak_perspective(centred, rotation, torch.full((count,), scale), offset.expand(count, 2))
    picture = render(screen, centred @ rotation.mT, model.triangles, albedo, studio_light(count), (size, size))
    background = (~picture.mask)[..., None] * 0.25
    return ((picture.colours.clamp(0, 1) + background) * 255).to(torch.uint8), screen


def montage(tiles: Tensor, columns: int, labels: list[str] | None = None) -> np.ndarray:
    """(B, S, S, 3) uint8 RGB tiles → one BGR picture, with a caption in each tile."""
    pictures = []
    for index, tile in enumerate(tiles.numpy()):
        picture = np.ascontiguousarray(tile[..., ::-1])
        if labels:
            cv2.putText(picture, labels[index], (4, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.38, WHITE, 1, cv2.LINE_AA)
        pictures.append(picture)
    blank = np.zeros_like(pictures[0])
    pictures += [blank] * (-len(pictures) % columns)
    return np.concatenate([np.concatenate(pictures[i : i + columns], 1) for i in range(0, len(pictures), columns)])


def random_heads(model: FaceModel, size: int = 160, seed: int = 0) -> np.ndarray:
    """8 × 8 people drawn from the model's priors, at random yaws."""
    generator = torch.Generator().manual_seed(seed)
    identity = torch.randn(64, model.sizes[0], generator=generator) * model.identity_std
    albedo = model.colours(torch.randn(64, model.sizes[2], generator=generator) * model.albedo_std)
    angles = torch.rand(64, 2, generator=generator) * torch.tensor([30.0, 100.0]) - torch.tensor([15.0, 50.0])
    tiles, _ = draw_heads(model, model.shape(identity), albedo, angles, size)
    return montage(tiles, 8)


def expressions(model: FaceModel, size: int = 200) -> np.ndarray:
    """Every expression component alone: 1 for blendshapes, 2 σ for gaussian ones."""
    count = model.sizes[1]
    strength = torch.ones(count) if model.expression_prior == "unit" else 2 * model.expression_std
    vertices = model.shape(torch.zeros(count, 1), torch.diag(strength))
    tiles, _ = draw_heads(model, vertices, model.albedo_mean, torch.zeros(count, 2), size)
    names = list(model.expression_names) or [f"expression {i}" for i in range(count)]
    return montage(tiles, 9, names)


def landmark_views(model: FaceModel, scheme: str, size: int = 640) -> np.ndarray:
    """The landmarks of a scheme, numbered, from five views; those that the head hides are left out."""
    views = torch.tensor(FIVE_VIEWS, dtype=torch.float32)
    vertices = model.mean.expand(len(views), -1, -1)
    tiles, screen = draw_heads(model, vertices, torch.full_like(model.mean, 0.8), views, size)
    points = model.landmarks[scheme].of(screen)
    pictures = []
    for tile, face, whole in zip(tiles.numpy(), points.numpy(), screen, strict=True):
        picture = np.ascontiguousarray(tile[..., ::-1])
        nearest = _depth_map(whole, model, size)
        for index, (x, y, depth) in enumerate(face):
            column, row = int(np.clip(x, 0, size - 1)), int(np.clip(y, 0, size - 1))
            if depth > nearest[row, column] + 0.03 * size:
                continue
            cv2.circle(picture, (round(x * 8 - 4), round(y * 8 - 4)), 16, RED, -1, cv2.LINE_AA, 3)
            where = (column + 3, row - 3)
            cv2.putText(picture, str(index), where, cv2.FONT_HERSHEY_SIMPLEX, 0.32, YELLOW, 1, cv2.LINE_AA)
        pictures.append(torch.from_numpy(np.ascontiguousarray(picture[..., ::-1])))
    return montage(torch.stack(pictures), 5)


def _depth_map(screen: Tensor, model: FaceModel, size: int) -> np.ndarray:
    """(size, size) depth of the nearest surface of one screen (N, 3); infinite in the background."""
    ids = rasterize(screen[None], model.triangles, (size, size))
    depth = interpolate(screen[None], model.triangles, ids, screen[None, :, 2:])
    return torch.where(ids >= 0, depth[..., 0], torch.inf)[0].numpy()


def texture_layout(model: FaceModel, size: int = 1024) -> np.ndarray:
    """The model's mean albedo in texture coordinates with the triangles' edges."""
    corners = model.uv[model.uv_triangles].numpy() * [size, -size] + [0, size]
    picture = np.zeros((size, size, 3), np.uint8)
    colours = (model.albedo_mean[model.triangles].mean(1).flip(-1).clamp(0, 1) * 255).int().tolist()
    for corner, colour in zip(corners, colours, strict=True):
        cv2.fillConvexPoly(picture, (corner * 8).round().astype(np.int32), colour, cv2.LINE_AA, 3)
    return picture


@exits_with_user_errors
def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 drawn, 2 no such model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="head", help="name or path of a face model")
    parser.add_argument("--out", type=Path, default=Path("outputs/gallery"))
    settings = parser.parse_args(arguments)
    model = load_face_model(settings.model)
    pictures = {"heads": random_heads(model), "expressions": expressions(model)}
    pictures |= {f"landmarks_{scheme}": landmark_views(model, scheme) for scheme in model.landmarks}
    if model.uv is not None:
        pictures["texture_coordinates"] = texture_layout(model)
    settings.out.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
        cv2.imwrite(str(settings.out / f"{name}.png"), picture)
        sys.stdout.write(f"{settings.out / name}.png\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
