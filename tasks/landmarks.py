"""demo.py --task landmarks: the photo with its faces, crops with heatmaps, and .pts files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from common.config import LocalConfig
from common.files.atomic import write_file
from common.files.pictures import save_picture
from common.files.points import format_pts
from common.pretrained import DEFAULT_LANDMARKS
from datasets.face import Face
from datasets.photos import parse_box
from landmarks.detector import LandmarkDetector
from landmarks.pictures import draw_faces, face_tiles, photo_with_faces
from tasks.method import Method, Photo, Result, beside, fitted
from tasks.settings import DemoSettings

CROP_PICTURES = ("tiles", "heatmaps")


class LandmarkMethod(Method):
    """A landmark detector.

    Args: pictures: whether crops and heatmaps are wanted; max_side: of the overlay.
    """

    def __init__(self, detector: LandmarkDetector, settings: DemoSettings, pictures: bool, model: str) -> None:
        self.detector, self.pictures, self.max_side = detector, pictures, settings.max_side
        self.settings = settings
        self.box = None if settings.box is None else parse_box(settings.box)
        self.box_kind = settings.box_kind
        self.description = {"model": model}
        self.photo_writers = {"overlay": self._write_overlay}
        self.face_writers = {"tiles": self._write_tiles, "heatmaps": _write_heatmaps, "pts": _write_points}

    def process(self, photos: Sequence[Photo]) -> list[Result]:
        """Faces, with their crops, heatmaps and reconstructions."""
        boxes = None if self.box is None else [[self.box]] * len(photos)
        images = [photo.image for photo in photos]
        found = self.detector.analyse(images, boxes, self.pictures, box_kind=self.box_kind)
        return [Result(photo, [a.face for a in faces], faces) for photo, faces in zip(photos, found, strict=True)]

    def predict(self, images: Sequence[np.ndarray]) -> list[list[Face]]:
        """Faces without pictures of their crops."""
        boxes = None if self.box is None else [[self.box]] * len(images)
        return self.detector.predict_batch(images, boxes, box_kind=self.box_kind)

    @property
    def follower(self) -> LandmarkDetector:
        """The detector."""
        return self.detector

    def draw(self, image: np.ndarray, faces: Sequence[Face]) -> np.ndarray:
        """Boxes and landmarks."""
        return draw_faces(image, [(face.box, face.landmarks) for face in faces], self.detector.scheme)

    def _write_overlay(self, stem: Path, result: Result) -> list[Path]:
        faces = [(face.box, face.landmarks) for face in result.faces]
        picture = photo_with_faces(result.photo.image, faces, self.detector.scheme, self.max_side)
        return [save_picture(beside(stem, "_overlay.png"), picture)]

    def _write_tiles(self, stem: Path, result: Result, i: int) -> list[Path]:
        seen, face = result.more[i], result.faces[i]
        points = face.crop.apply(face.landmarks)
        tiles = face_tiles(seen.picture, seen.reconstruction, seen.heatmaps, points, self.detector.scheme)
        return [save_picture(beside(stem, "_tiles.png"), fitted(tiles, self.max_side))]


def _write_heatmaps(stem: Path, result: Result, i: int) -> list[Path]:
    collapsed = np.clip(result.more[i].heatmaps.max(axis=0), 0, 1)
    grey = np.repeat((collapsed * 255).astype(np.uint8)[..., None], 3, axis=2)
    return [save_picture(beside(stem, "_heatmaps.png"), grey)]


def _write_points(stem: Path, result: Result, i: int) -> list[Path]:
    return [write_file(beside(stem, ".pts"), format_pts(result.faces[i].landmarks))]


def open_method(settings: DemoSettings, local: LocalConfig, kinds: Sequence[str]) -> LandmarkMethod:
    """As the options say. Raises: CheckpointError, DataError."""
    model = settings.model or settings.landmark_model or DEFAULT_LANDMARKS
    detector = LandmarkDetector.from_pretrained(
        model,
        local.snapshots,
        device=settings.device,
        detector=settings.detector,
        flip=settings.flip,
        precision=settings.precision,
    )
    return LandmarkMethod(detector, settings, bool(set(kinds) & set(CROP_PICTURES)), model)
