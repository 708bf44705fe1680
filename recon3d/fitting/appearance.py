"""Light and albedo of faces whose shape and place in their photos are known: one closed form for all methods.

Both are robust least squares on the colours of the vertices that a photo shows (`morphable.light`): no network, no
iterations over pixels.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from geometry.raster.rasteriser import rasterize
from morphable.light import estimate_light, light_and_albedo, sample_vertices
from morphable.model import FaceModel

BATCH = 16  # faces solved at once


@dataclass(frozen=True)
class Placed:
    """B faces in their photos.

    Attributes: screen (B, V, 3) x, y down px and depth in px, smaller is nearer; scale (B,) px per dm; normals (B, V,
        3) unit, camera frame; perspective: whether the screen is a pinhole's.
    """

    screen: Tensor
    scale: Tensor
    normals: Tensor
    perspective: bool = False

    @classmethod
    def before_camera(cls, screen: Tensor, focal_px: float, normals: Tensor) -> "Placed":
        """From a pinhole's screen, whose depth is the distance in dm: the px that a dm has in the middle of the
        face.
        """
        scale = focal_px / screen[..., 2].mean(1)
        flat = torch.cat([screen[..., :2], screen[..., 2:] * scale[:, None, None]], -1)
        return cls(flat, scale, normals, True)

    def __getitem__(self, part: slice) -> "Placed":
        return Placed(self.screen[part], self.scale[part], self.normals[part], self.perspective)

    def __len__(self) -> int:
        return len(self.screen)


def light_and_albedo_seen(model: FaceModel, photos: Tensor, placed: Placed, skin: Tensor) -> tuple[Tensor, Tensor]:
    """γ (B, 3, 9) and albedo coefficients (B, Ka) in the model's units that explain B photos best, with priors on both.

    Args: photos (B, H, W, 3) RGB 0 … 1; skin (V,) ≥ 0: the vertices whose colours count. A face of which nothing is
        seen gets the priors' means.
    """
    parts = [
        light_and_albedo(model, colours, normals, seen * skin)
        for colours, normals, seen in _seen(model, photos, placed)
    ]
    gamma, albedo = (torch.cat(values) for values in zip(*parts, strict=True))
    return gamma, albedo


def light_seen(model: FaceModel, photos: Tensor, placed: Placed, skin: Tensor, albedo: Tensor) -> Tensor:
    """γ (B, 3, 9) that explains B photos best with a given albedo (B, V, 3); arguments as above."""
    parts = zip(albedo.split(BATCH), _seen(model, photos, placed), strict=True)
    return torch.cat([estimate_light(colours, own, normals, seen * skin) for own, (colours, normals, seen) in parts])


def _seen(model: FaceModel, photos: Tensor, placed: Placed) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Batches of colours (b, V, 3), normals (b, V, 3) and how well each vertex is seen (b, V)."""
    for start in range(0, len(placed), BATCH):
        part, pictures = placed[start : start + BATCH], photos[start : start + BATCH]
        size = tuple(pictures.shape[1:3])
        ids = rasterize(part.screen, model.triangles, size, perspective=part.perspective, allow_empty=True)
        colours, seen = sample_vertices(pictures, part.screen, part.scale, part.normals, model.triangles, ids)
        yield colours, part.normals, seen
