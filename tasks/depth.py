"""demo.py --task depth: the landmarks' depth as a picture and as numbers."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from common.config import LocalConfig
from common.files.atomic import write_file
from datasets.face import Face
from datasets.photos import parse_box
from depthnet.pictures import FIGURE_INCHES, depth_figure, face_square
from depthnet.predictor import DepthPredictor
from landmarks.detector import LandmarkDetector
from tasks.method import Method, Photo, Result, beside
from tasks.settings import DemoSettings

MODEL = "depthnet_gan"
DPI = 100


class DepthMethod(Method):
    """Landmarks and their depth by DepthNet."""

    def __init__(self, predictor: DepthPredictor, settings: DemoSettings, model: str) -> None:
        self.predictor, self.max_side = predictor, settings.max_side
        self.settings = settings
        self.description = {"model": model, "landmark_model": settings.landmark_model}
        self.photo_writers = {}
        self.face_writers = {"depth": self._write_picture, "points": _write_points}

    def process(self, photos: Sequence[Photo]) -> list[Result]:
        """Faces with depth."""
        found = self.predict([photo.image for photo in photos])
        return [Result(photo, faces) for photo, faces in zip(photos, found, strict=True)]

    def predict(self, images: Sequence[np.ndarray]) -> list[list[Face]]:
        """Faces with depth."""
        return self.predictor.predict_batch(images)

    @property
    def follower(self) -> LandmarkDetector:
        """The landmark detector."""
        return self.predictor.finder.detector

    def complete(self, image: np.ndarray, faces: list[Face]) -> list[Face]:
        """With depth."""
        return self.predictor.lifted(faces)

    def draw(self, image: np.ndarray, faces: Sequence[Face]) -> np.ndarray:
        """Landmarks coloured by depth, red is near."""
        picture = image.copy()
        for face in faces:
            near = (face.depth - face.depth.min()) / max(float(np.ptp(face.depth)), 1e-6)
            colours = cv2.applyColorMap((near * 255).astype(np.uint8)[:, None], cv2.COLORMAP_JET)[:, 0, ::-1]
            radius = max(2, round(float(np.ptp(face.landmarks[:, 0])) / 60))
            for (x, y), colour in zip(
                face.landmarks[:, :2].round().astype(int).tolist(), colours.tolist(), strict=True
            ):
                cv2.circle(picture, (x, y), radius, colour, -1, cv2.LINE_AA)
        return picture

    def _write_picture(self, stem: Path, result: Result, i: int) -> list[Path]:
        from depthnet.scores.figures import save_figure

        points, depth = keypoints_and_depth(result.faces[i])
        path = beside(stem, "_depth.png")
        dpi = DPI if not self.max_side else min(DPI, self.max_side / FIGURE_INCHES[0])
        square = face_square(points)
        figure = depth_figure(square.extract(result.photo.image), square.apply(points), depth * square.scale)
        save_figure(figure, path, dpi=int(dpi))
        return [path]


def keypoints_and_depth(face: Face) -> tuple[np.ndarray, np.ndarray]:
    """(68, 2) photo px and (68,) px, smaller is nearer, mean 0."""
    return face.landmarks[:, :2].astype(np.float64), -face.depth


def _write_points(stem: Path, result: Result, i: int) -> list[Path]:
    """Rows x, y, z: photo px, z smaller is nearer, mean 0."""
    points, depth = keypoints_and_depth(result.faces[i])
    rows = "".join(f"{x:.3f},{y:.3f},{z:.3f}\n" for (x, y), z in zip(points, depth, strict=True))
    return [write_file(beside(stem, "_depth.csv"), rows)]


def open_predictor(settings: DemoSettings, local: LocalConfig) -> tuple[DepthPredictor, str]:
    """DepthNet behind a landmark model, and its name. Raises: CheckpointError, DataError."""
    model = settings.model or MODEL
    predictor = DepthPredictor.from_pretrained(
        model,
        local.snapshots,
        device=settings.device,
        landmark_model=settings.landmark_model,
        detector=settings.detector,
        flip=settings.flip,
        precision=settings.precision,
        box=None if settings.box is None else parse_box(settings.box),
        box_kind=settings.box_kind,
    )
    return predictor, model


def open_method(settings: DemoSettings, local: LocalConfig, kinds: Sequence[str]) -> DepthMethod:
    """As the options say. Raises: CheckpointError, DataError."""
    predictor, model = open_predictor(settings, local)
    return DepthMethod(predictor, settings, model)
