"""demo.py --task rotate: the face turned about its vertical axis, as a movie and side by side."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from common.config import LocalConfig
from common.files.pictures import save_picture
from common.limits import MAX_SHOWN_PX
from datasets.face import Face
from depthnet.lifting import animation_angles
from depthnet.pictures import face_square, flatten
from depthnet.predictor import DepthPredictor
from depthnet.warping.tasks import render_rotation
from depthnet.warping.warper import composite
from tasks.depth import DepthMethod, keypoints_and_depth, open_predictor
from tasks.method import Result, beside
from tasks.settings import DemoSettings
from video.movies import write_movie

SHOWN_DEGREES = (-45, -30, -15, 0, 15, 30, 45)
MOVIE_PX = 512  # most px of a side of the movie: at 1,536 px its hundred frames took a minute
TURNED_DEGREES = 30  # of faces in a video
EVERY = 3  # of the hundred frames per radian that the paper's movies have


class RotateMethod(DepthMethod):
    """Landmarks, their depth, and the photo's triangles between them in another pose."""

    def __init__(self, predictor: DepthPredictor, settings: DemoSettings, model: str) -> None:
        super().__init__(predictor, settings, model)
        self.face_writers = {"movie": self._write_movie, "strip": self._write_strip}

    def draw(self, image: np.ndarray, faces: Sequence[Face]) -> np.ndarray:
        """Every face turned by 30° over the picture."""
        for face in faces:
            points, depth = keypoints_and_depth(face)
            image = composite(render_rotation(image, points, depth, "y", np.deg2rad([TURNED_DEGREES])), image)[0]
        return image

    def _turned(self, result: Result, i: int, angles: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
        """The crop of face i with at most `side` px, and it turned by angles in radians: (N, H, W, 3)."""
        points, depth = keypoints_and_depth(result.faces[i])
        square = face_square(points, side or MAX_SHOWN_PX)
        shown = square.extract(result.photo.image)
        rendered = render_rotation(shown, square.apply(points), depth * square.scale, "y", angles)
        return shown, flatten(rendered)

    def _write_movie(self, stem: Path, result: Result, i: int) -> list[Path]:
        """0° → 45° → −45° → 0°."""
        quarter = np.pi / 4
        angles = np.concatenate([animation_angles(quarter, -quarter), np.linspace(-quarter, 0, 78)])[::EVERY]
        side = min(self.max_side or MOVIE_PX, MOVIE_PX)
        return write_movie(beside(stem, "_rotate.gif"), self._turned(result, i, angles, side)[1])

    def _write_strip(self, stem: Path, result: Result, i: int) -> list[Path]:
        """The face beside seven yaws."""
        side = self.max_side // (1 + len(SHOWN_DEGREES))
        crop, strip = self._turned(result, i, np.deg2rad(SHOWN_DEGREES), side)
        return [save_picture(beside(stem, "_rotate.png"), np.concatenate([crop, *strip], axis=1))]


def open_method(settings: DemoSettings, local: LocalConfig, kinds: Sequence[str]) -> RotateMethod:
    """As the options say. Raises: CheckpointError, DataError."""
    predictor, model = open_predictor(settings, local)
    return RotateMethod(predictor, settings, model)
