"""From coefficients to landmarks and pictures: Deep3D's pinhole camera, light and masks on any face model."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from datasets.alignment import DISTANCE_DM, FOCAL_PX, SIZE_PX
from geometry.cameras import pinhole, rigid_transform
from geometry.mesh.contour import silhouette_choice
from geometry.mesh.normals import vertex_normals
from geometry.raster.rasteriser import interpolate, rasterize
from geometry.raster.shading import sh_shade
from morphable.model import FaceModel
from recon3d.fitting.photometric import skin_weights
from recon3d.reconstruction.coefficients import Coefficients

SCHEME = "ibug68"
JAW = 17  # first of the 68 landmarks
_UNEVEN = ("lips", "brows", "eyelids")


@dataclass(frozen=True)
class Camera:
    """A pinhole on the z axis that looks at the origin; sizes in px of the square picture.

    half_pixel_shift: the published networks compare landmarks counted from pixel centres with a picture counted from
        its
    corner. True moves landmarks as they expect it; networks trained here have False.
    """

    focal: float = FOCAL_PX
    distance: float = DISTANCE_DM
    size: int = SIZE_PX
    half_pixel_shift: bool = False

    @classmethod
    def of_size(cls, size: int, half_pixel_shift: bool = False) -> "Camera":
        """The same view with another number of pixels."""
        return cls(FOCAL_PX * size / SIZE_PX, DISTANCE_DM, size, half_pixel_shift)

    def project(self, vertices: Tensor) -> Tensor:
        """(B, V, 3) posed, dm → (B, V, 3) x, y down px, distance dm."""
        return pinhole(vertices, self.focal, (self.size / 2, self.size / 2), self.distance)

    def landmarks(self, points: Tensor) -> Tensor:
        """(B, K, 3) posed, dm → (B, K, 2) continuous px, y down."""
        flat = self.project(points)[..., :2]
        return flat + flat.new_tensor([0.5, -0.5]) * (self.size / SIZE_PX) if self.half_pixel_shift else flat


@dataclass(frozen=True)
class Geometry:
    """Shapes of B faces and what follows from them without pixels."""

    shape: Tensor  # (B, V, 3) unposed, dm
    posed: Tensor  # (B, V, 3) dm
    screen: Tensor  # (B, V, 3) x, y down px, distance dm
    landmarks: Tensor  # (B, 68, 2) px; jaw points slid to the silhouette if the renderer says so
    rotation: Tensor  # (B, 3, 3)


@dataclass(frozen=True)
class Picture:
    """What the camera sees."""

    colours: Tensor  # (B, H, W, 3) RGB, about 0 … 1, not clipped, 0 in the background
    mask: Tensor  # (B, H, W) bool, any part of the model
    face: Tensor  # (B, H, W) bool, facial skin: where colours are compared
    ids: Tensor  # (B, H, W) int64


class FaceRenderer:
    """One face model and one camera.

    Args: slide_contour: jaw landmarks of the side turned away lie on the silhouette, as annotators of photos draw them;
        False keeps them on the skin ("3D" landmarks). Models without contour lines never slide.
    """

    def __init__(self, model: FaceModel, camera: Camera = Camera(), slide_contour: bool = True) -> None:
        self.model, self.camera = model, camera
        self.slide_contour = slide_contour and model.contour is not None

    @cached_property
    def face_weights(self) -> Tensor:
        """(V, 1) 1 on facial skin and lips."""
        return skin_weights(self.model)[:, None]

    @cached_property
    def flat_albedo_weights(self) -> Tensor:
        """(V,) 1 on the vertices whose albedo should be even: facial skin of region "skin", without lips, brows and
        eyelids.
        """
        weights = self.face_weights[:, 0] * self.model.regions.get("skin", torch.ones_like(self.face_weights[:, 0]))
        for name in _UNEVEN:
            weights = weights * (1 - self.model.regions.get(name, torch.zeros_like(weights)))
        return weights

    def geometry(self, coefficients: Coefficients, shape: Tensor | None = None) -> Geometry:
        """Shapes, unless `shape` (B, V, 3) brings refined ones, and where they lie in the picture."""
        if shape is None:
            shape = self.model.shape(coefficients.identity, coefficients.expression)
        rotation = coefficients.rotation
        posed = rigid_transform(shape, rotation, coefficients.translation)
        return Geometry(shape, posed, self.camera.project(posed), self.landmarks(posed, rotation), rotation)

    def landmarks(self, posed: Tensor, rotation: Tensor) -> Tensor:
        """(B, 68, 2) px of posed shapes (B, V, 3) that were turned by (B, 3, 3)."""
        points = self.model.points(posed, SCHEME)
        return self.camera.landmarks(self._slid(points, posed, rotation) if self.slide_contour else points)

    def _slid(self, points: Tensor, posed: Tensor, rotation: Tensor) -> Tensor:
        lines = self.model.contour
        with torch.no_grad():  # vertices are turned already, so the choice sees the camera's axes
            unposed = posed[:, lines] @ rotation[:, None]
            choice, moved = silhouette_choice(unposed, rotation)
        chosen = lines.expand(len(points), -1, -1).gather(2, choice[..., None])[..., 0]
        slid = posed.gather(1, chosen[..., None].expand(-1, -1, 3))
        return torch.cat([torch.where(moved[..., None], slid, points[:, :JAW]), points[:, JAW:]], 1)

    def albedo(self, coefficients: Coefficients) -> Tensor:
        """(B, V, 3) 0 … 1, not clipped."""
        return self.model.colours(coefficients.albedo)

    def normals(self, geometry: Geometry) -> Tensor:
        """(B, V, 3) unit, camera frame; computed before the rotation, as published."""
        return vertex_normals(geometry.shape, self.model.triangles) @ geometry.rotation.mT

    def lit(self, coefficients: Coefficients, geometry: Geometry, albedo: Tensor) -> Tensor:
        """(B, V, 3) colours under the coefficients' light."""
        return sh_shade(albedo, self.normals(geometry), coefficients.gamma)

    def picture(self, geometry: Geometry, colours: Tensor) -> Picture:
        """Draw vertex colours (B, V, 3); gradients reach colours and geometry. A face outside the picture draws
        nothing.
        """
        return self.drawn(geometry.screen, colours)

    def drawn(self, screen: Tensor, colours: Tensor) -> Picture:
        """The same for faces of which only the screen (B, V, 3) is known."""
        size = (self.camera.size, self.camera.size)
        triangles = self.model.triangles
        ids = rasterize(screen.detach(), triangles, size, perspective=True, allow_empty=True)
        weights = self.face_weights.expand(len(colours), -1, -1)
        drawn = interpolate(screen, triangles, ids, torch.cat([colours, weights], -1), perspective=True)
        return Picture(drawn[..., :3], ids >= 0, drawn[..., 3].detach() > 0.5, ids)
