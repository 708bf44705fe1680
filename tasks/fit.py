"""demo.py --task fit: a 3D face model fitted to landmarks and pixels; pictures, textures and meshes."""

from collections.abc import Sequence

import numpy as np
import torch

from common.config import LocalConfig
from datasets.face import Face
from landmarks.detector import LandmarkDetector
from morphable.fit import Fit, fit_landmarks
from morphable.open import load_face_model
from recon3d.fitting.fitter import PLACE, FaceFitter
from recon3d.fitting.given_landmarks import with_five_points
from recon3d.fitting.photo_results import WRITERS, Reconstruction
from recon3d.fitting.photometric import refine_photos
from tasks.given import check_folder, faces_of, open_finder
from tasks.method import Method, Photo, PhotoWriter, Result
from tasks.settings import FitSettings

KINDS = tuple(kind for kind in WRITERS if kind != "json")  # the demo writes that itself


class FitMethod(Method):
    """A landmark finder and a fit. Several faces of a photo share one depth buffer."""

    def __init__(self, fitter: FaceFitter, settings: FitSettings) -> None:
        self.fitter, self.settings = fitter, settings
        model = fitter.face_model
        self.description = {
            "model": model.name,
            "licence": model.licence,
            "landmark_model": settings.landmark_model,
            "expression_names": list(model.expression_names),
        }
        self.photo_writers = {kind: _writer(kind) for kind in KINDS}
        self.face_writers = {}

    def process(self, photos: Sequence[Photo]) -> list[Result]:
        """Fitted faces with all that is drawn of them."""
        return [self._fit(photo, faces_of(photo, self.fitter.finder, self.settings.landmarks_from)) for photo in photos]

    def _fit(self, photo: Photo, found: Sequence[Face]) -> Result:
        if not found:
            return Result(photo, [])
        model, settings = self.fitter.face_model, self.settings
        landmarks = np.stack([face.landmarks[:, :2] for face in found])
        fit = fit_landmarks(model, torch.from_numpy(landmarks), found[0].scheme)
        light = {}
        if settings.photometric and found[0].scheme == "ibug68":
            refined = refine_photos(model, [photo.image] * len(found), landmarks, fit)
            fit = refined.fit
            light = {"colours": refined.colours(model), "albedo": refined.albedo, "gamma": refined.gamma}
        faces = self.fitter.faces(found, fit)
        labels = tuple(Result(photo, faces).labels)
        more = Reconstruction(
            photo.image,
            model,
            fit,
            landmarks,
            frame=settings.frame,
            texture_size=settings.texture_size,
            labels=labels,
            **light,
        )
        return Result(photo, faces, more, _extras(more))

    def predict(self, images: Sequence[np.ndarray]) -> list[list[Face]]:
        """Fitted to landmarks alone, which takes a tenth of the time."""
        return self.fitter.predict_batch(images)

    @property
    def follower(self) -> LandmarkDetector:
        """The landmark detector."""
        return self.fitter.finder.detector

    def complete(self, image: np.ndarray, faces: list[Face]) -> list[Face]:
        """Fitted to their landmarks."""
        return self.fitter.fit(image, faces)

    def draw(self, image: np.ndarray, faces: Sequence[Face]) -> np.ndarray:
        """The fitted faces as clay over the picture."""
        if not faces:
            return image
        landmarks = np.stack([face.landmarks[:, :2] for face in faces])
        return Reconstruction(image, self.fitter.face_model, self._fit_of(faces), landmarks).overlay

    def _fit_of(self, faces: Sequence[Face]) -> Fit:
        """The fit that faces came of."""
        parameters = torch.from_numpy(np.stack([face.parameters for face in faces]))
        identity, expression = parameters[:, PLACE:].split(self.fitter.face_model.sizes[:2], dim=1)
        return Fit(
            rotation=torch.from_numpy(np.stack([face.rotation for face in faces])),
            scale=parameters.new_tensor([face.scale for face in faces]),
            translation=parameters[:, :PLACE],
            identity=identity,
            expression=expression,
            points=parameters.new_zeros(len(faces), 0, 3),
            error=parameters.new_zeros(len(faces)),
        )


def _extras(result: Reconstruction) -> list[dict]:
    """What a fit knows beside a Face's fields, JSON-ready: albedo and light coefficients, how well it fits."""
    values = {"error_percent_of_box": result.fit.error, "albedo": result.albedo, "gamma": result.gamma}
    rows = {key: np.round(value.double().numpy(), 5).tolist() for key, value in values.items() if value is not None}
    fitted_to = np.round(result.landmarks, 3).tolist()
    return [
        {**{key: value[i] for key, value in rows.items()}, "fitted_to": fitted_to[i]} for i in range(len(fitted_to))
    ]


def _writer(kind: str) -> PhotoWriter:
    return lambda stem, result: WRITERS[kind](stem.parent, stem.name, result.more)


def open_method(settings: FitSettings, local: LocalConfig, kinds: Sequence[str]) -> FitMethod:
    """As the options say. Raises: FaceModelError, ConfigError, DataError."""
    check_folder(settings.landmarks_from)
    model = with_five_points(load_face_model(settings.model or "head", local))
    return FitMethod(FaceFitter(model, open_finder(settings, local)), settings)
