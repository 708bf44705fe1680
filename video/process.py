"""A video from end to end: read, track, smooth, draw, write."""

import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from common.errors import DataError
from common.logs import console
from video.reader import CameraReader, Frame, Span, open_video
from video.smoothing import LandmarkParameters, PhotoParameters, smooth_tracks
from video.tables import open_table
from video.tracking import DETECT_EVERY, FaceFollower, FrameFaces, TrackedFace, track_faces
from video.window import NO_DISPLAY, Window, has_display
from video.writer import open_writer

Draw = Callable[
    [np.ndarray, list[TrackedFace]], np.ndarray
]  # (H, W, 3) uint8 RGB and its faces → a picture of that size


@dataclass(frozen=True)
class VideoOptions:
    """How a video is processed.

    Attributes: span of its frames; smoothing, one of `video.smoothing.SMOOTHINGS`, with before and after, frames that
        a mean reaches; detect_every, frames between detections.
    """

    span: Span = field(default_factory=Span)
    smoothing: str = "one_euro"
    before: int = 1
    after: int = 1
    detect_every: int = DETECT_EVERY


@dataclass
class VideoResult:
    """What was written: files, number of frames, of frames with a face, of people; complaint about a damaged source."""

    written: list[Path]
    frames: int = 0
    with_faces: int = 0
    tracks: set[int] = field(default_factory=set)
    complaint: str | None = None

    @property
    def summary(self) -> str:
        """For people."""
        people = len(self.tracks)
        return f"{self.frames} frames, {self.with_faces} with a face, {people} {'person' if people == 1 else 'people'}"

    def check(self) -> None:
        """Raises: DataError where the source was damaged or no frame has a face."""
        if self.complaint is not None:
            raise DataError(f"{self.complaint.rstrip('.')}; the frames before it are written.")
        if not self.with_faces:
            raise DataError("no frame has a face; use another --detector.")

    def add(self, shown: FrameFaces) -> None:
        """Count a frame."""
        self.frames += 1
        self.with_faces += bool(shown.faces)
        self.tracks |= {tracked.number for tracked in shown.faces}


def process_video(
    name: str,
    outputs: Sequence[Path],
    follower: FaceFollower,
    draw: Draw,
    options: VideoOptions = VideoOptions(),
    parameters: PhotoParameters | None = None,
) -> VideoResult:
    """Find, follow and draw the faces of a video file or webcam ('webcam:0').

    A few frames are held at a time. A webcam is also shown in a window where there is a display, and ends with it or
    with Ctrl-C. When a file is damaged, or Ctrl-C ends it, what was read until then is written.

    Args: outputs: files to write: .mp4 (drawn frames, with the sound of the source), .csv and .json (see
        `video.tables`); follower: a `LandmarkDetector`, a `FaceRegressor` or alike; parameters that are
        smoothed, default the landmarks alone.
    Raises: DataError when there is no frame, or a file cannot be written; KeyboardInterrupt after writing.
    """
    reader = open_video(name, options.span)
    camera = isinstance(reader, CameraReader)
    frames = _Until(reader)
    result = VideoResult(list(outputs))
    tracked = track_faces(frames, follower, options.detect_every)
    shown = smooth_tracks(tracked, options.smoothing, parameters or LandmarkParameters(), options.before, options.after)
    bar = tqdm(shown, desc=Path(name).name, total=reader.expected_frames, unit="frame", leave=False)
    with ExitStack() as stack:
        stack.enter_context(_interrupts(frames))
        movies = [
            stack.enter_context(open_writer(path, reader.fps / options.span.every, None if camera else name))
            for path in outputs
            if path.suffix == ".mp4"
        ]
        tables = [
            stack.enter_context(open_table(path, name, reader.fps))
            for path in outputs
            if path.suffix in (".csv", ".json")
        ]
        if camera and not has_display():
            console().info(f"{name}: {NO_DISPLAY}")
        window = stack.enter_context(Window(name)) if camera and has_display() else None
        for faces in bar:
            result.add(faces)
            picture = draw(faces.frame.image, faces.faces) if movies or window else None
            for movie in movies:
                movie.write(picture, faces.frame.seconds)
            for table in tables:
                table.add(faces)
            if window is not None and not window.show(picture):
                frames.stop()
        if not result.frames:
            raise DataError(frames.complaint or f"{name}: holds no frames.")
    if frames.interrupted and not camera:
        raise KeyboardInterrupt
    result.complaint = frames.complaint
    return result


class _Until:
    """Frames until they end, a damaged one comes, or the user stops: what was read is kept.

    Attributes: complaint of a damaged source; interrupted by Ctrl-C.
    """

    def __init__(self, frames: Iterable[Frame]) -> None:
        self._frames, self._stopped = frames, False
        self.complaint: str | None = None
        self.interrupted = False

    def stop(self, *_: object) -> None:
        """Give no more frames."""
        self._stopped = True

    def interrupt(self, *_: object) -> None:
        """As `stop`, for Ctrl-C; a second one ends the program at once."""
        if self.interrupted:
            raise KeyboardInterrupt
        self._stopped = self.interrupted = True

    def __iter__(self) -> Iterator[Frame]:
        given = False
        try:
            for frame in self._frames:
                given = True
                yield frame
                if self._stopped:
                    return
        except DataError as error:
            if not given:
                raise
            self.complaint = str(error)


@contextmanager
def _interrupts(frames: _Until) -> Iterator[None]:
    """Ctrl-C ends the frames instead of the program, so that the files are finished; threads cannot arrange that."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, frames.interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
