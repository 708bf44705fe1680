"""Reconstruct faces of photos: five points and a picture in, shape, albedo, pose, light and landmarks in the photo out.

    reconstructor = Reconstructor.from_pretrained("reconstructor")
    faces = reconstructor([photo], [five_points])              # (H, W, 3) uint8 RGB, (5, 2) px
    faces.landmarks_in_photo(0); faces.scene(0); faces.coefficients.neutral()
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from datasets.alignment import MIN_PHOTO_PX, SIZE_PX, Alignment, align, check_inside, five_of_68
from datasets.crop import Crop
from datasets.errors import DataError
from geometry.face_model import FaceModel
from recon3d.scene import Scene
from recon3d.weak.coefficients import Coefficients, split
from recon3d.weak.models import ReconstructionNet, load_reconstructor, open_face_model
from recon3d.weak.renderer import FaceRenderer, Geometry, Picture
from training.config import LocalConfig
from training.runtime import make_accelerator

BATCH = 32
_FIVE_OF_98 = (96, 97, 54, 76, 82)  # pupils, nose tip, mouth corners of WFLW


@dataclass(frozen=True)
class ReconstructedFaces:
    """B faces, one photo each (the same photo may come several times)."""

    photos: Sequence[np.ndarray]
    five: np.ndarray  # (B, 5, 2) px of the photos
    alignments: list[Alignment]
    crops: list[Crop]
    images: np.ndarray  # (B, 224, 224, 3) uint8 RGB, what the network saw
    coefficients: Coefficients
    geometry: Geometry  # in px of the crops
    albedo: Tensor  # (B, V, 3) 0 … 1, not clipped
    colours: Tensor  # (B, V, 3) lit
    renderer: FaceRenderer

    def __len__(self) -> int:
        return len(self.crops)

    @property
    def model(self) -> FaceModel:
        """Whose coefficients these are."""
        return self.renderer.model

    def picture(self) -> Picture:
        """The faces drawn over their crops."""
        return self.renderer.picture(self.geometry, self.colours)

    def landmarks_in_photo(self, face: int) -> np.ndarray:
        """(68, 2) continuous px of the photo."""
        return self.crops[face].invert(self.geometry.landmarks[face].cpu().numpy())

    def screen_in_photo(self, face: int) -> Tensor:
        """(V, 3) x, y down px of the whole photo, distance from the camera in dm."""
        screen = self.geometry.screen[face].cpu()
        inverse = torch.from_numpy(self.crops[face].inverse_matrix).to(screen)
        return torch.cat([screen[:, :2] @ inverse[:, :2].T + inverse[:, 2], screen[:, 2:]], 1)

    def scene(self, *faces: int) -> Scene:
        """Faces of one photo in one z-buffer of that photo."""
        photo = self.photos[faces[0]]
        screens = torch.stack([self.screen_in_photo(i) for i in faces])
        return Scene(screens, self.geometry.posed[list(faces)].cpu(), self.model.triangles.cpu(), photo.shape[:2], True)

    def neutral_shapes(self) -> Tensor:
        """(B, V, 3) unposed shapes without expression, dm."""
        return self.model.shape(self.coefficients.identity)


class Reconstructor:
    """One network on one device. Args: net; model that its coefficients belong to; slide_contour as `FaceRenderer`."""

    def __init__(
        self, net: ReconstructionNet, model: FaceModel, device: torch.device | str = "cpu", slide_contour: bool = True
    ) -> None:
        self.device = torch.device(device)
        self.net, self.model = net.to(self.device).eval(), model.to(self.device)
        self.renderer = FaceRenderer(self.model, net.camera, slide_contour)
        self.reference = model.five_points.double().cpu().numpy()

    @classmethod
    def from_pretrained(
        cls, name: str, local: LocalConfig | None = None, face_model: str | None = None, device: str = "auto"
    ) -> "Reconstructor":
        """By bundled name, session, path, or published `.pth`. Raises: CheckpointError, DataError in one sentence."""
        snapshots = Path("data/models/snapshots") if local is None else local.snapshots
        loaded = load_reconstructor(name, snapshots)
        model = open_face_model(face_model or loaded.net.face_model, local, loaded.net)
        return cls(loaded.net, model, make_accelerator(device).device)

    @torch.inference_mode()
    def __call__(self, photos: Sequence[np.ndarray], five: Sequence[np.ndarray]) -> ReconstructedFaces:
        """Reconstruct B faces.

        Args: photos, B pictures (H, W, 3) uint8 RGB; five, B times (5, 2) continuous px (`datasets.alignment`).
        Raises: DataError for points that determine no alignment, and for photos below 30 px.
        """
        if len(photos) == 0 or len(photos) != len(five):
            raise DataError(f"{len(photos)} photos, five points of {len(five)} faces; give one set of points per photo.")
        for photo, points in zip(photos, five, strict=True):
            if min(photo.shape[:2]) < MIN_PHOTO_PX:
                raise DataError(f"the photo has {photo.shape[1]}×{photo.shape[0]} px; a face needs at least {MIN_PHOTO_PX} px.")
            check_inside(points, photo.shape[1::-1], "the landmarks do not fit")
        alignments = [align(points, self.reference) for points in five]
        crops = [alignment.crop(SIZE_PX) for alignment in alignments]
        images = np.stack([crop.extract(photo) for crop, photo in zip(crops, photos, strict=True)])
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2)
        parts = [self.net((part.to(self.device)).float() / 255) for part in pixels.split(BATCH)]
        coefficients = split(self.model, torch.cat(parts).float())
        return self.draw(photos, np.stack(five), alignments, images, coefficients)

    @torch.no_grad()
    def draw(
        self, photos: Sequence[np.ndarray], five: np.ndarray, alignments: list[Alignment], images: np.ndarray,
        coefficients: Coefficients,
    ) -> ReconstructedFaces:  # fmt: skip
        """What follows from coefficients; also for coefficients that were changed (averaged, refined)."""
        geometry = self.renderer.geometry(coefficients)
        albedo = self.renderer.albedo(coefficients)
        colours = self.renderer.lit(coefficients, geometry, albedo)
        crops = [alignment.crop(SIZE_PX) for alignment in alignments]
        return ReconstructedFaces(
            photos, five, alignments, crops, images, coefficients, geometry, albedo, colours, self.renderer
        )

    def as_one_person(self, faces: ReconstructedFaces) -> ReconstructedFaces:
        """The same photos with the mean identity and albedo of all of them: several photos of one person."""
        old = faces.coefficients
        count = len(faces)
        merged = old.replaced(
            identity=old.identity.mean(0, keepdim=True).expand(count, -1).clone(),
            albedo=old.albedo.mean(0, keepdim=True).expand(count, -1).clone(),
        )
        return self.draw(faces.photos, faces.five, faces.alignments, faces.images, merged)


def five_points_of(scheme: str, landmarks: np.ndarray) -> np.ndarray:
    """(…, K, 2) landmarks of "ibug68", "wflw98" or "five" → (…, 5, 2). Raises: DataError for another scheme."""
    if scheme == "five":
        return landmarks
    if scheme == "ibug68":
        return five_of_68(landmarks)
    if scheme == "wflw98":
        return landmarks[..., list(_FIVE_OF_98), :]
    raise DataError(f"landmarks of scheme {scheme} have no known eyes, nose and mouth; use 68, 98 or five points.")
