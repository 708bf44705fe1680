"""All faces of one photo in one z-buffer: what every picture that is drawn from meshes starts from."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from common.files.meshes import from_screen
from geometry.mesh.normals import vertex_normals
from geometry.raster.rasteriser import barycentrics, rasterize
from geometry.units import MM_PER_DM


@dataclass(frozen=True)
class Scene:
    """n faces of one topology on the picture of one photo.

    Depths must be comparable between the faces: those of a pinhole are; weak perspective goes through `metric_screen`
    first.
    """

    screen: Tensor  # (n, V, 3) x px, y px down, depth in dm from the camera
    posed: Tensor  # (n, V, 3) x right, y up, z toward the viewer, dm; for a pinhole the camera stands on the z axis
    triangles: Tensor  # (F, 3) int64
    size: tuple[int, int]  # (H, W) px
    perspective: bool = False  # whether the screen is that of a pinhole

    def __post_init__(self) -> None:
        if self.screen.ndim != 3 or len(self.screen) == 0:
            raise ValueError(
                f"a scene needs at least one face, (n, V, 3); the screen has shape {tuple(self.screen.shape)}."
            )
        if self.posed.shape != self.screen.shape:
            raise ValueError(
                f"posed vertices have shape {tuple(self.posed.shape)}, the screen {tuple(self.screen.shape)}."
            )

    @cached_property
    def all_triangles(self) -> Tensor:
        """(n·F, 3) triangles of all faces as one mesh of n·V vertices."""
        count, vertices, _ = self.screen.shape
        offsets = torch.arange(count, device=self.triangles.device) * vertices
        return (self.triangles + offsets[:, None, None]).flatten(0, 1)

    @cached_property
    def joined(self) -> Tensor:
        """(1, n·V, 3) screen of all faces as one mesh."""
        return self.screen.flatten(0, 1)[None]

    @cached_property
    def ids(self) -> Tensor:
        """(1, H, W) nearest triangle of `all_triangles` at each pixel, −1 in the background."""
        return rasterize(self.joined, self.all_triangles, self.size, self.perspective)

    @cached_property
    def normals(self) -> Tensor:
        """(n, V, 3) unit normals in the camera's frame."""
        return vertex_normals(self.posed, self.triangles)

    @cached_property
    def facing(self) -> Tensor:
        """(n, V) cosine between each vertex's normal and the line of sight: 1 faces the camera, ≤ 0 faces away."""
        if not self.perspective:
            return self.normals[..., 2]
        camera = torch.zeros_like(self.posed)
        camera[..., 2] = self.posed[..., 2] + self.screen[..., 2]
        return (self.normals * torch.nn.functional.normalize(camera - self.posed, dim=-1)).sum(-1)

    @cached_property
    def _samples(self) -> tuple[Tensor, Tensor, Tensor]:
        """Of the P covered pixels: mask (H, W), vertices (P, 3) of `joined`, barycentric weights (P, 3)."""
        weights = barycentrics(self.joined, self.all_triangles, self.ids, self.perspective)[0]
        return self.mask, self.all_triangles[self.ids[0][self.mask]], weights[self.mask]

    @property
    def image_vertices(self) -> Tensor:
        """(n, V, 3) px: x right, y up from the bottom edge of the picture, z toward the viewer in the scale of each
        face.
        """
        flat, space = (points[..., :2] - points[..., :2].mean(1, keepdim=True) for points in (self.screen, self.posed))
        px_per_dm = flat.norm(dim=(1, 2)) / space.norm(dim=(1, 2))
        depth = -self.posed[..., 2:] * px_per_dm[:, None, None]
        return from_screen(torch.cat([self.screen[..., :2], depth], dim=-1), self.size[0])

    @property
    def mask(self) -> Tensor:
        """(H, W) bool: pixels that a face covers."""
        return self.ids[0] >= 0

    @property
    def faces(self) -> Tensor:
        """(H, W) number of the face at each pixel, −1 in the background."""
        return torch.where(self.mask, self.ids[0].div(len(self.triangles), rounding_mode="floor"), -1)

    def draw(self, attributes: Tensor) -> Tensor:
        """Vertex attributes on the picture: (n, V, C), or (V, C) for all faces alike → (H, W, C), 0 in the
        background.
        """
        count, vertices, _ = self.screen.shape
        flat = attributes.expand(count, vertices, attributes.shape[-1]).flatten(0, 1)
        covered, corners, weights = self._samples
        picture = flat.new_zeros(*self.size, flat.shape[-1])
        picture[covered] = (flat[corners] * weights[..., None].to(flat)).sum(1)
        return picture

    def depth_mm(self) -> Tensor:
        """(H, W) distance from the camera along its axis in mm, NaN in the background."""
        depth = self.draw(self.screen[..., 2:])[..., 0] * MM_PER_DM
        return torch.where(self.mask, depth, torch.nan)


def metric_screen(screen: Tensor, scale: Tensor, focal_px: float) -> Tensor:
    """Give weak-perspective screens a common depth in dm: a face of scale s lies focal / s from the camera.

    Weak perspective does not see distance; with an assumed focal length the size of a face on the picture tells it, so
    that the larger of two faces lies in front.

    Args: screen (n, V, 3) with depth in px (`geometry.cameras.weak_perspective`); scale (n,) px per dm; focal_px > 0,
        about 1.2 times the longer side of an uncropped photo.
    Returns: (n, V, 3) with the same x and y, depth in dm from the camera.
    Raises: ValueError for a scale or focal length that is not positive.
    """
    if focal_px <= 0 or not bool((scale > 0).all()):
        raise ValueError(f"focal length {focal_px:g} px and scales {scale.tolist()} px per dm must be positive.")
    scale = scale.to(screen)[:, None]
    return torch.cat([screen[..., :2], ((focal_px + screen[..., 2]) / scale)[..., None]], dim=-1)
