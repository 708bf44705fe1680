"""demo.py --task mesh on videos and webcams: frames in, a video of tracked faces out."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from common.errors import DataError
from recon3d.regression.drawing import draw_dense, draw_over, draw_sparse
from recon3d.regression.regressor import FaceRegressor
from recon3d.regression.tracking import FaceTracker, TrackedFace, smooth_tracks

SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")
DEFAULT_FPS = 25.0
KINDS = ("2d_sparse", "2d_dense", "3d", "depth", "pncc")


@dataclass(frozen=True)
class VideoOptions:
    """kind: what is drawn; smoothing and its ±n frames; start, end: first and last + 1 frame, −1 = all."""

    kind: str = "2d_sparse"
    smoothing: str = "mean"
    before: int = 1
    after: int = 1
    start: int = -1
    end: int = -1


def is_video(name: str) -> bool:
    """Whether an input is a video file or a webcam (`<video0>` or a number)."""
    return Path(name).suffix.lower() in SUFFIXES or _camera(name) is not None


def _camera(name: str) -> int | None:
    number = name.removeprefix("<video").removesuffix(">")
    return int(number) if number.isdigit() else None


class VideoReader:
    """Frames (H, W, 3) uint8 RGB of a file or webcam. Raises: DataError when it cannot be opened or holds no frame."""

    def __init__(self, name: str, start: int = -1, end: int = -1) -> None:
        camera = _camera(name)
        if camera is None and not Path(name).is_file():
            raise DataError(f"{name}: no such video.")
        self.name, self.start, self.end = name, max(0, start), end
        level = cv2.utils.logging.setLogLevel(
            cv2.utils.logging.LOG_LEVEL_ERROR
        )  # it warns of every camera that is not there
        self._capture = cv2.VideoCapture(name if camera is None else camera)
        cv2.utils.logging.setLogLevel(level)
        if not self._capture.isOpened():
            what = (
                "not a video that OpenCV can read" if camera is None else "no such camera, or another program holds it"
            )
            raise DataError(f"{name}: {what}.")
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 1 <= fps <= 1000 else DEFAULT_FPS

    def __iter__(self) -> Iterator[np.ndarray]:
        number = 0
        try:
            while self.end < 0 or number < self.end:
                there, frame = self._capture.read()
                if not there:
                    break
                number += 1
                if number > self.start:
                    yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        finally:
            self._capture.release()
        if number <= self.start:
            raise DataError(f"{self.name}: has {number} frames, so none from frame {self.start} on.")


def process_video(name: str, path: Path, regressor: FaceRegressor, options: VideoOptions) -> tuple[int, int]:
    """Track, smooth, draw and write an mp4 beside its place, then rename it; a frame without a face stays as it is.

    Returns: numbers of frames and of frames with a face. Raises: DataError when there is no frame or no file can be
    written.
    """
    reader = VideoReader(name, options.start, options.end)
    tracker, waiting = FaceTracker(regressor), deque()
    temporary = path.with_name(f".{path.name}")
    writer, frames, with_faces = None, 0, 0

    def tracked() -> Iterator[list[TrackedFace]]:
        for frame in reader:
            waiting.append(frame)
            yield tracker(frame)

    try:
        smoothed = smooth_tracks(tracked(), options.smoothing, reader.fps, regressor, options.before, options.after)
        for faces in smoothed:
            frame = waiting.popleft()
            if writer is None:
                writer = open_writer(temporary, reader.fps, frame.shape)
            writer.write(cv2.cvtColor(draw_frame(frame, faces, regressor, options.kind), cv2.COLOR_RGB2BGR))
            frames, with_faces = frames + 1, with_faces + bool(faces)
    finally:
        if writer is not None:
            writer.release()
            temporary.replace(path)  # a video that ends early or is interrupted keeps its frames
    return frames, with_faces


def open_writer(path: Path, fps: float, shape: tuple[int, ...]) -> cv2.VideoWriter:
    """An mp4 of the frames' size. Raises: DataError when OpenCV cannot write one there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), fps, shape[1::-1])
    if not writer.isOpened():
        raise DataError(f"{path}: OpenCV cannot write a video there; choose another --out.")
    return writer


def draw_frame(frame: np.ndarray, faces: list[TrackedFace], regressor: FaceRegressor, kind: str) -> np.ndarray:
    """A frame with its faces drawn as one of KINDS."""
    if not faces:
        return frame
    found = [tracked.face for tracked in faces]
    if kind == "2d_sparse":
        return draw_sparse(frame, np.stack([face.landmarks for face in found]))
    scene = regressor.scene(found, frame.shape[:2])
    return (
        draw_dense(frame, scene.screen.cpu().numpy())
        if kind == "2d_dense"
        else draw_over(kind, frame, scene, regressor)
    )
