"""Reconstruct faces of photos: five points and a picture in, shape, albedo, pose, light and landmarks in the photo out.

reconstructor = Reconstructor.from_pretrained("reconstructor")      # refiner="none": the face model's own shape
faces = reconstructor(photo)                                        # (H, W, 3) uint8 RGB → list of Face
faces = reconstructor.reconstruct([photo], [five_points])           # or by five points (5, 2) px, with everything drawn
from faces.landmarks_in_photo(0); faces.scene(0); faces.coefficients.neutral()
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from common.config import LocalConfig, read_local_config
from common.errors import CheckpointError, DataError
from common.pretrained import PRETRAINED
from common.runtime import choose_device
from datasets.alignment import MIN_PHOTO_PX, SIZE_PX, Alignment, align, check_inside, five_of_68
from datasets.crop import Crop
from datasets.face import Face
from datasets.skin_probability import skin_mask
from geometry.schemes import WFLW_98
from landmarks.finder import LandmarkFinder
from morphable.model import FaceModel
from morphable.open import load_face_model
from morphable.scene import Scene
from recon3d.fitting.appearance import Placed, light_and_albedo_seen, light_seen
from recon3d.identity.features import IdentityFeatures, load_identity
from recon3d.reconstruction.coefficients import Coefficients, split
from recon3d.reconstruction.models import ReconstructionNet, load_reconstructor, open_face_model
from recon3d.reconstruction.renderer import FaceRenderer, Geometry, Picture
from recon3d.refinement.frozen import FrozenNetworks
from recon3d.refinement.refiner import MeshRefiner, load_refiner
from recon3d.refinement.texture_inputs import texture_inputs
from recon3d.refinement.texture_refiner import TextureRefiner, load_texture_refiner

BATCH = 32
APPEARANCES = ("auto", "photo", "network")
APPEARANCE_HELP = "albedo and light: fitted to the photo, or the network's; auto: photo for the embedded head"


@dataclass(frozen=True)
class ReconstructedFaces:
    """B faces, one photo each (the same photo may come several times)."""

    photos: Sequence[np.ndarray]
    five: np.ndarray  # (B, 5, 2) px of the photos
    alignments: list[Alignment]
    crops: list[Crop]
    images: np.ndarray  # (B, 224, 224, 3) uint8 RGB, what the network saw
    coefficients: Coefficients  # albedo and light as fitted to the photo where they are, the rest of the network
    network: Coefficients  # all as the network gave them
    geometry: Geometry  # in px of the crops; refined where a refiner was there
    pca: Geometry  # the same of the face model's own shape; the same object where nothing was refined
    albedo: Tensor  # (B, V, 3) 0 … 1, not clipped; refined where a texture refiner was there
    pca_albedo: Tensor  # the same of the face model; the same object where nothing was refined
    colours: Tensor  # (B, V, 3) lit
    network_colours: Tensor  # (B, V, 3) lit by the network's albedo and light; the same object where nothing was fitted
    renderer: FaceRenderer

    def __len__(self) -> int:
        return len(self.crops)

    @property
    def refined(self) -> bool:
        """Whether the shapes are more than the face model's."""
        return self.geometry is not self.pca

    @property
    def textured(self) -> bool:
        """Whether the albedo is more than the face model's."""
        return self.albedo is not self.pca_albedo

    @property
    def fitted(self) -> bool:
        """Whether albedo and light were fitted to the photos."""
        return self.network_colours is not self.colours

    @property
    def model(self) -> FaceModel:
        """Whose coefficients these are; its albedo is that of the fit where albedo and light were fitted."""
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

    def faces(self, found: Sequence[Face]) -> list[Face]:
        """These faces as `Face`, with box, scores and order of what the landmark finder found."""
        rotation = self.coefficients.rotation.cpu().numpy()
        pose = self.coefficients.pose_deg().cpu().numpy()
        parameters = self.coefficients.vector().cpu().numpy()
        return [
            Face(
                box=face.box,
                detection_score=face.detection_score,
                score=face.score,
                landmarks=self.landmarks_in_photo(i),
                scheme="ibug68",
                crop=self.crops[i],
                parameters=parameters[i],
                parts=self.coefficients.parts,
                rotation=rotation[i],
                angles_deg=pose[i],
            )
            for i, face in enumerate(found)
        ]

    def neutral_shapes(self) -> Tensor:
        """(B, V, 3) unposed shapes of the face model without expression, dm; without refinement, which is of one
        expression.
        """
        return self.model.shape(self.coefficients.identity)


class Reconstructor:
    """One network on one device, with or without refiners of shape and albedo behind it.

    Args: net; model that its coefficients belong to; slide_contour as `FaceRenderer`; refiner, texture; identity:
        network that they were trained with, if any; appearance: the face model with the albedo that is fitted, together
        with the light, to the skin that a photo shows (`recon3d.fitting.appearance`), in the place of the network's
        albedo and light; None keeps those.
    Raises: MeshGraphError, ValueError when refiner and face model or features do not fit; DataError for a texture
        refiner, which repaints the network's albedo, together with an appearance.
    """

    def __init__(
        self,
        net: ReconstructionNet,
        model: FaceModel,
        *,
        device: torch.device | str = "cpu",
        slide_contour: bool = True,
        refiner: MeshRefiner | None = None,
        texture: TextureRefiner | None = None,
        identity: IdentityFeatures | None = None,
        appearance: FaceModel | None = None,
    ) -> None:
        if appearance is not None and texture is not None:
            raise DataError(
                "--appearance photo: a texture refiner repaints the network's albedo; use --appearance network."
            )
        self.device = torch.device(device)
        self.net, self.model = net.to(self.device).eval(), model.to(self.device)
        self.renderer = FaceRenderer(self.model, net.camera, slide_contour)
        self.appearance = None
        if appearance is not None:
            self.appearance = FaceRenderer(appearance.to(self.device), net.camera, slide_contour)
        self.frozen = FrozenNetworks(self.net, self.renderer, None if identity is None else identity.to(self.device))
        for network in (refiner, texture):
            if network is not None:
                network.check_fits(self.model)
        self.refiner = None if refiner is None else refiner.to(self.device).eval()
        self.texture = None if texture is None else texture.to(self.device).eval()
        self.finder = LandmarkFinder(device=self.device.type)
        self.reference = model.five_points.double().cpu().numpy()

    @classmethod
    def from_pretrained(
        cls,
        name: str,
        local: LocalConfig | None = None,
        *,
        face_model: str | None = None,
        device: str = "auto",
        refiner: str = "auto",
        texture: str = "none",
        appearance: str = "auto",
    ) -> "Reconstructor":
        """By bundled name, session, path, or published `.pth`.

        Args: local: default, local_config.ini; refiner: bundled name, session or path of one that was trained behind
            this network; "none"; "auto": <name>_gcn where that is bundled; texture: a texture refiner, or "none";
            appearance: one of APPEARANCES, where albedo and light come from: "photo" fits them to the photo, with the
                albedo learned from photos
            for the embedded head; "network"; "auto": "photo" for the embedded head without a texture refiner.
        Raises: CheckpointError, DataError, FaceModelError in one sentence.
        """
        local = local or read_local_config()
        loaded = load_reconstructor(name, local.snapshots)
        source = face_model or loaded.net.face_model
        model = open_face_model(source, local, loaded.net)
        chosen = choose_device(device)
        if refiner == "auto":
            refiner = f"{name}_gcn" if (PRETRAINED / f"{name}_gcn/config.json").is_file() else "none"
        mesh = None if refiner == "none" else load_refiner(refiner, local.snapshots)
        colour = None if texture == "none" else load_texture_refiner(texture, local.snapshots)
        infos = {name: found.info for name, found in ((refiner, mesh), (texture, colour)) if found is not None}
        used = [info["inputs"]["identity"] for info in infos.values() if (info.get("inputs") or {}).get("identity")]
        identity = load_identity(used[0][0], used[0][1], chosen) if used else None
        reconstructor = cls(
            loaded.net,
            model,
            device=chosen,
            refiner=mesh and mesh.refiner,
            texture=colour and colour.network,
            identity=identity,
            appearance=_appearance(appearance, model, source, texture),
        )
        for trained, info in infos.items():
            reconstructor.frozen.check(info, trained)
        return reconstructor

    def __call__(self, image: np.ndarray, boxes: Sequence[np.ndarray] | None = None, **given: Any) -> list[Face]:
        """Faces of one photo, their landmarks found by the bundled landmark model; empty when there is none.

        Args: image (H, W, 3) uint8 RGB; boxes (4,) left, top, right, bottom instead of the detector; box_kind and crops
            as `LandmarkDetector` takes them.
        Raises: DataError for boxes and photos that cannot be used.
        """
        found = self.finder(image, boxes, **given)
        if not found:
            return []
        points = np.stack([face.landmarks[:, :2] for face in found])
        five = five_points_of(self.finder.detector.scheme.name, points)
        return self.reconstruct([image] * len(found), list(five), ordered=False).faces(found)

    def predict_batch(
        self, images: Sequence[np.ndarray], boxes: Sequence[Sequence[np.ndarray]] | None = None
    ) -> list[list[Face]]:
        """Faces of several photos, one list per photo."""
        given = [None] * len(images) if boxes is None else boxes
        return [self(image, own) for image, own in zip(images, given, strict=True)]

    @torch.inference_mode()
    def reconstruct(
        self, photos: Sequence[np.ndarray], five: Sequence[np.ndarray], ordered: bool = True
    ) -> ReconstructedFaces:
        """Reconstruct B faces.

        Args: photos, B pictures (H, W, 3) uint8 RGB; five, B times (5, 2) continuous px (`datasets.alignment`);
            ordered: as `align`, False for points that were detected or projected.
        Raises: DataError for points that determine no alignment, and for photos below 30 px.
        """
        if len(photos) == 0 or len(photos) != len(five):
            raise DataError(
                f"{len(photos)} photos, five points of {len(five)} faces; give one set of points per photo."
            )
        for photo, points in zip(photos, five, strict=True):
            if min(photo.shape[:2]) < MIN_PHOTO_PX:
                raise DataError(
                    f"the photo has {photo.shape[1]}×{photo.shape[0]} px; a face needs at least {MIN_PHOTO_PX} px."
                )
            check_inside(points, photo.shape[1::-1], "the landmarks do not fit")
        alignments = [align(points, self.reference, ordered=ordered) for points in five]
        crops = [alignment.crop(SIZE_PX) for alignment in alignments]
        images = np.stack([crop.extract(photo) for crop, photo in zip(crops, photos, strict=True)])
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2)
        parts = [self.frozen.look(part.to(self.device).float() / 255) for part in pixels.split(BATCH)]
        features, output = (torch.cat(values).float() for values in zip(*parts, strict=True))
        coefficients = split(self.model, output)
        movement = None if self.refiner is None else self._movement(self.refiner, features, coefficients)
        repaint = None if self.texture is None else self._repaint(self.texture, features, coefficients, images)
        return self.draw(photos, np.stack(five), alignments, images, coefficients, movement, repaint)

    def _repaint(
        self, refiner: TextureRefiner, features: Tensor, coefficients: Coefficients, images: np.ndarray
    ) -> Tensor:
        """(B, V, 3) from the face model's albedo to the refined one."""
        masks = (
            torch.from_numpy(np.stack([skin_mask(image) for image in images]))[:, None].to(self.device).float() / 255
        )
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2).to(self.device).float() / 255
        parts = []
        for start in range(0, len(images), BATCH):
            part = slice(start, start + BATCH)
            parts.append(
                refiner(texture_inputs(self.renderer, coefficients[part], features[part], pixels[part], masks[part]))
            )
        return torch.cat(parts) - self.renderer.albedo(coefficients)

    def _movement(self, refiner: MeshRefiner, features: Tensor, coefficients: Coefficients) -> Tensor:
        """(B, V, 3) dm, from the face model's shape to the refined one."""
        shape = self.model.shape(coefficients.identity, coefficients.expression)
        parts = [refiner(*part) for part in zip(features.split(BATCH), shape.split(BATCH), strict=True)]
        return torch.cat(parts) - shape

    @torch.no_grad()
    def draw(
        self,
        photos: Sequence[np.ndarray],
        five: np.ndarray,
        alignments: list[Alignment],
        images: np.ndarray,
        coefficients: Coefficients,
        movement: Tensor | None = None,
        repaint: Tensor | None = None,
        one_person: bool = False,
    ) -> ReconstructedFaces:
        """What follows from the network's coefficients, also from averaged ones.

        movement, repaint (B, V, 3): of refinement, added to shape and albedo; one_person: one albedo for all.
        """
        network, renderer = coefficients, self.renderer
        pca = renderer.geometry(network)
        geometry = pca if movement is None else renderer.geometry(network, pca.shape + movement)
        own = renderer.albedo(network)
        albedo = own if repaint is None else own + repaint
        colours = network_colours = renderer.lit(network, geometry, albedo)
        if self.appearance is not None:
            coefficients, renderer = (
                self._as_seen(self.appearance, images, network, geometry, one_person),
                self.appearance,
            )
            albedo = own = renderer.albedo(coefficients)
            colours = renderer.lit(coefficients, geometry, albedo)
        crops = [alignment.crop(SIZE_PX) for alignment in alignments]
        return ReconstructedFaces(
            photos,
            five,
            alignments,
            crops,
            images,
            coefficients,
            network,
            geometry,
            pca,
            albedo,
            own,
            colours,
            network_colours,
            renderer,
        )

    def _as_seen(
        self, renderer: FaceRenderer, images: np.ndarray, network: Coefficients, geometry: Geometry, one_person: bool
    ) -> Coefficients:
        """The coefficients with albedo and light of the photos in the place of the network's."""
        photos = torch.from_numpy(images).to(geometry.screen) / 255
        placed = Placed.before_camera(geometry.screen, renderer.camera.focal, renderer.normals(geometry))
        skin = renderer.face_weights[:, 0]
        gamma, albedo = light_and_albedo_seen(renderer.model, photos, placed, skin)
        if one_person:
            albedo = albedo.mean(0, keepdim=True).expand_as(albedo).clone()
            gamma = light_seen(renderer.model, photos, placed, skin, renderer.model.colours(albedo))
        return network.replaced(gamma=gamma, albedo=albedo)

    def as_one_person(self, faces: ReconstructedFaces) -> ReconstructedFaces:
        """The same photos with the mean identity and albedo of all of them: several photos of one person; each keeps
        what its refinement added.
        """
        old = faces.network
        count = len(faces)
        merged = old.replaced(
            identity=old.identity.mean(0, keepdim=True).expand(count, -1).clone(),
            albedo=old.albedo.mean(0, keepdim=True).expand(count, -1).clone(),
        )
        movement = faces.geometry.shape - faces.pca.shape if faces.refined else None
        repaint = faces.albedo - faces.pca_albedo if faces.textured else None
        return self.draw(faces.photos, faces.five, faces.alignments, faces.images, merged, movement, repaint, True)


def _appearance(how: str, model: FaceModel, source: str, texture: str) -> FaceModel | None:
    """The face model whose albedo is fitted to photos, None for none. Raises: DataError for an unknown way."""
    if how not in APPEARANCES:
        raise DataError(f"--appearance {how}: unknown; choose one of: {', '.join(APPEARANCES)}.")
    if how == "network" or (how == "auto" and (not source.startswith("head") or texture != "none")):
        return None
    if source != "head":
        return model
    try:
        return load_face_model("head#photos")
    except CheckpointError:  # an installed package lacks the albedo, which is for research only
        if how == "photo":
            raise
        return model


def five_points_of(scheme: str, landmarks: np.ndarray) -> np.ndarray:
    """(…, K, 2) landmarks of "ibug68", "wflw98" or "five" → (…, 5, 2). Raises: DataError for another scheme."""
    if scheme == "five":
        return landmarks
    if scheme == "ibug68":
        return five_of_68(landmarks)
    if scheme == "wflw98":
        return landmarks[..., [i for (i,) in WFLW_98.five_points], :]
    raise DataError(f"landmarks of scheme {scheme} have no known eyes, nose and mouth; use 68, 98 or five points.")
