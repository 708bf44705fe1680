"""A face model fitted to the faces of photos: photo in; landmarks, pose and parameters out.

fitter = FaceFitter.from_pretrained("head")  # or any source of `morphable.open.load_face_model`
faces = fitter(image)                        # (H, W, 3) uint8 RGB → list of Face
screen = fitter.screen(faces)                # (faces, vertices, 3) photo px and depth
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from common.config import LocalConfig, read_local_config
from common.pretrained import DEFAULT_LANDMARKS
from datasets.face import Face, stacked
from geometry.cameras import weak_perspective
from landmarks.finder import LandmarkFinder
from morphable.fit import DETECTOR_NOISE, Fit, FitSettings, fit_landmarks
from morphable.model import FaceModel
from morphable.open import load_face_model
from recon3d.fitting.photometric import refine_photos

PLACE = 2  # parameters before the coefficients: where the model's origin falls, photo px


class FaceFitter:
    """A landmark finder and the least-squares fit of a face model behind one call.

    Args:
        face_model: that knows the finder's landmark scheme, as "ibug68".
        finder: of the landmarks.
        photometric: refine the fit by the pixels, which takes about a second per face and needs 68 points.
        noise: spread of the landmarks in sizes √(w·h) of their box, against which the model's priors weigh.
    """

    def __init__(
        self,
        face_model: FaceModel,
        finder: LandmarkFinder,
        *,
        photometric: bool = False,
        noise: float = DETECTOR_NOISE,
    ) -> None:
        self.face_model, self.finder, self.photometric = face_model, finder, photometric
        self.settings = FitSettings(noise=noise)

    @classmethod
    def from_pretrained(
        cls,
        name: str = "head",
        snapshots: Path | None = None,
        *,
        local: LocalConfig | None = None,
        landmark_model: str = DEFAULT_LANDMARKS,
        photometric: bool = False,
        noise: float = DETECTOR_NOISE,
        **options: Any,
    ) -> "FaceFitter":
        """By name or path of a face model, as `load_face_model` takes it.

        Args: snapshots: folder of sessions, default that of `local`; local: default, local_config.ini; landmark_model:
            bundled name, session or path; photometric and noise as in the constructor; options (device, detector, …) of
            the `LandmarkFinder`.
        Raises: FaceModelError; CheckpointError when a first photo asks for landmarks.
        """
        local = local or read_local_config()
        finder = LandmarkFinder(landmark_model, snapshots or local.snapshots, **options)
        return cls(load_face_model(name, local), finder, photometric=photometric, noise=noise)

    def __call__(self, image: np.ndarray, boxes: Sequence[np.ndarray] | None = None, **given: Any) -> list[Face]:
        """Faces of one photo, surest detection first; empty when there is none.

        Landmarks are those of the fitted model: (K, 3) photo px, z toward the viewer. Parameters are the two px where
        the model's origin falls, then its identity and expression coefficients.

        Args: image (H, W, 3) uint8 RGB; boxes (4,) left, top, right, bottom instead of the detector; box_kind and crops
            as `LandmarkDetector` takes them.
        Raises: DataError for boxes and photos that cannot be used, and a face model without these landmarks.
        """
        return self.fit(image, self.finder(image, boxes, **given))

    def predict_batch(
        self, images: Sequence[np.ndarray], boxes: Sequence[Sequence[np.ndarray]] | None = None, **given: Any
    ) -> list[list[Face]]:
        """Faces of several photos, one list per photo."""
        found = self.finder.predict_batch(images, boxes, **given)
        return [self.fit(image, faces) for image, faces in zip(images, found, strict=True)]

    def fit(self, image: np.ndarray, found: Sequence[Face]) -> list[Face]:
        """Faces of one photo whose landmarks are known: in the pose and shape that explain them best."""
        if not found:
            return []
        landmarks = np.stack([face.landmarks[:, :2] for face in found])
        fit = fit_landmarks(self.face_model, torch.from_numpy(landmarks), found[0].scheme, settings=self.settings)
        if self.photometric:
            fit = refine_photos(self.face_model, [image] * len(found), landmarks, fit).fit
        return self.faces(found, fit)

    def faces(self, found: Sequence[Face], fit: Fit) -> list[Face]:
        """The fitted faces, with box, scores and order of what was found."""
        return [self._face(face, fit, i) for i, face in enumerate(found)]

    def _face(self, found: Face, fit: Fit, i: int) -> Face:
        part = fit[i : i + 1]
        screen = weak_perspective(part.points, part.rotation, part.scale, part.translation)
        parameters = torch.cat([part.translation, part.identity, part.expression], dim=1)
        return replace(
            found,
            landmarks=(screen[0] * screen.new_tensor([1.0, 1.0, -1.0])).numpy(),
            parameters=parameters[0].numpy(),
            parts=(
                ("translation", PLACE),
                ("identity", part.identity.shape[1]),
                ("expression", part.expression.shape[1]),
            ),
            rotation=part.rotation[0].numpy(),
            angles_deg=part.pose_deg()[0].numpy(),
            scale=float(part.scale),
        )

    def screen(self, faces: Sequence[Face]) -> Tensor:
        """(faces, V, 3) all vertices: x, y in continuous photo px and depth, smaller = nearer, in photo px."""
        if not faces:
            return torch.zeros(0, self.face_model.num_vertices, 3)
        parameters = torch.from_numpy(stacked((face.parameters for face in faces), "parameters"))
        identity, expression = parameters[:, PLACE:].split(self.face_model.sizes[:2], dim=1)
        rotation = torch.from_numpy(stacked((face.rotation for face in faces), "rotation"))
        scale = parameters.new_tensor([face.scale for face in faces])
        return weak_perspective(self.face_model.shape(identity, expression), rotation, scale, parameters[:, :PLACE])
