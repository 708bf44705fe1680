"""demo.py --task reconstruct: shape, albedo, pose and light by R-Net; Deep3D's .mat, meshes and pictures."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from common.config import LocalConfig
from common.errors import ConfigError, DataError
from common.files.atomic import write_file
from common.files.meshes import write_mesh
from common.files.points import format_pts
from datasets.face import Face
from drawing.surfaces import over_photo, shaded
from landmarks.detector import LandmarkDetector
from landmarks.finder import LandmarkFinder
from morphable.meshes import coloured_mesh
from morphable.scene import Scene
from recon3d.inference.reconstructor import ReconstructedFaces, Reconstructor, five_points_of
from recon3d.inference.results import WRITERS
from recon3d.reconstruction.coefficients import Coefficients
from tasks.given import check_folder, faces_of, open_finder
from tasks.method import FaceWriter, Method, Photo, Result, beside
from tasks.settings import ReconstructSettings

BUNDLED = "reconstructor"
SEVERAL = "with --same-person every photo must show one face, chosen with --box; this one shows"


class ReconstructMethod(Method):
    """A landmark finder and R-Net. With --same-person all photos share identity and albedo."""

    def __init__(
        self, reconstructor: Reconstructor, finder: LandmarkFinder, settings: ReconstructSettings, model: str
    ) -> None:
        self.reconstructor, self.finder, self.settings = reconstructor, finder, settings
        self.together = settings.same_person
        face_model = reconstructor.model
        self.description = {
            "model": model,
            "face_model": face_model.name,
            "licence": face_model.licence,
            "landmark_model": settings.landmark_model,
            "expression_names": list(face_model.expression_names),
        }
        self.photo_writers = {"obj": self._write_person} if settings.same_person else {}
        self.face_writers = {kind: self._writer(kind) for kind in WRITERS if kind != "landmarks"}
        self.face_writers["pts"] = _write_points
        self._first: Photo | None = None  # of one person's

    def process(self, photos: Sequence[Photo]) -> list[Result | Exception]:
        """Faces with all that is drawn of them."""
        found = [faces_of(photo, self.finder, self.settings.landmarks_from) for photo in photos]
        if self.together:
            return self._one_person(photos, found)
        return [self._reconstruct(photo, faces) for photo, faces in zip(photos, found, strict=True)]

    def _reconstruct(self, photo: Photo, found: Sequence[Face]) -> Result:
        if not found:
            return Result(photo, [])
        ordered = self.settings.landmarks_from is not None  # a user's files are checked, detected profiles may cross
        more = self.reconstructor.reconstruct([photo.image] * len(found), _five(found), ordered)
        return Result(photo, more.faces(found), (more, range(len(found))))

    def _one_person(self, photos: Sequence[Photo], found: Sequence[Sequence[Face]]) -> list[Result | Exception]:
        """The photos with one face together; the others give an error, or nothing."""
        results: list[Result | Exception] = [
            DataError(f"{SEVERAL} {len(faces)}.") if len(faces) > 1 else Result(photo, [])
            for photo, faces in zip(photos, found, strict=True)
        ]
        used = [i for i, faces in enumerate(found) if len(faces) == 1]
        if not used:
            return results
        ordered = self.settings.landmarks_from is not None
        faces = [found[i][0] for i in used]
        separate = self.reconstructor.reconstruct([photos[i].image for i in used], _five(faces), ordered)
        more = self.reconstructor.as_one_person(separate)
        self._first = photos[used[0]]
        for place, (i, face) in enumerate(zip(used, more.faces(faces), strict=True)):
            results[i] = Result(photos[i], [face], (more, [place]))
        return results

    def predict(self, images: Sequence[np.ndarray]) -> list[list[Face]]:
        """Faces with their coefficients."""
        return self.reconstructor.predict_batch(images)

    @property
    def follower(self) -> LandmarkDetector:
        """The landmark detector."""
        return self.finder.detector

    def complete(self, image: np.ndarray, faces: list[Face]) -> list[Face]:
        """With coefficients."""
        if not faces:
            return []
        return self.reconstructor.reconstruct([image] * len(faces), _five(faces), ordered=False).faces(faces)

    def draw(self, image: np.ndarray, faces: Sequence[Face]) -> np.ndarray:
        """The face model's shapes as clay over the picture."""
        if not faces:
            return image
        renderer = self.reconstructor.renderer
        values = torch.from_numpy(np.stack([face.parameters for face in faces])).to(self.reconstructor.device)
        parts = values.split([count for _, count in faces[0].parts], dim=1)
        named = dict(zip((name for name, _ in faces[0].parts), parts, strict=True))
        geometry = renderer.geometry(Coefficients(**named | {"gamma": named["gamma"].unflatten(1, (3, 9))}))
        screens = geometry.screen.cpu()
        for screen, face in zip(screens, faces, strict=True):
            back = torch.from_numpy(face.crop.inverse_matrix).to(screen)
            screen[:, :2] = screen[:, :2] @ back[:, :2].T + back[:, 2]
        triangles = self.reconstructor.model.triangles.cpu()
        scene = Scene(screens, geometry.posed.cpu(), triangles, image.shape[:2], True)
        return over_photo(image, shaded(scene), scene.mask, 0.7)

    def _writer(self, kind: str) -> FaceWriter:
        def write(stem: Path, result: Result, i: int) -> list[Path]:
            faces, places = result.more
            return WRITERS[kind](stem.parent, stem.name, faces, places[i], self.settings.frame)

        return write

    def _write_person(self, stem: Path, result: Result) -> list[Path]:
        """Beside the first photo: the mean person without expression, coloured by its albedo."""
        if result.photo is not self._first:
            return []
        faces: ReconstructedFaces = result.more[0]
        shape, path = faces.neutral_shapes()[:1], stem.with_name("person.obj")
        write_mesh(path, coloured_mesh(shape, faces.model.triangles, torch.clamp(faces.albedo[:1], 0, 1)))
        return [path]


def _five(found: Sequence[Face]) -> list[np.ndarray]:
    return list(five_points_of(found[0].scheme, np.stack([face.landmarks[:, :2] for face in found])))


def _write_points(stem: Path, result: Result, i: int) -> list[Path]:
    return [write_file(beside(stem, ".pts"), format_pts(result.faces[i].landmarks))]


def network_of(settings: ReconstructSettings) -> str:
    """Which network --model (GCN_ResNet's --pretrain_weights) and --use_pb name together.

    Raises: ConfigError where they contradict each other, or name a TensorFlow graph.
    """
    name = settings.model or BUNDLED
    if settings.use_pb and name != BUNDLED:
        raise ConfigError(f"--use_pb 1 takes the bundled network, but {name} is named; leave one out, or --use_pb 0.")
    if settings.use_pb is False and name == BUNDLED:
        raise ConfigError("--use_pb 0 takes a network of yours: name it with --pretrain_weights.")
    if name.endswith((".pb", ".ckpt", ".meta", ".index")) or ".ckpt-" in name:
        raise ConfigError(
            f"{name}: TensorFlow's files are not read; give a session of train_recon3d.py or a .pth of"
            " Deep3DFaceRecon_pytorch."
        )
    return name


def open_method(settings: ReconstructSettings, local: LocalConfig, kinds: Sequence[str]) -> ReconstructMethod:
    """As the options say. Raises: UserError."""
    check_folder(settings.landmarks_from)
    model = network_of(settings)
    finder = open_finder(settings, local)
    reconstructor = Reconstructor.from_pretrained(
        model,
        local,
        face_model=settings.face_model,
        device=settings.device,
        refiner=settings.refiner,
        texture=settings.texture,
        appearance=settings.appearance,
    )
    reconstructor.finder = finder
    return ReconstructMethod(reconstructor, finder, settings, model)
