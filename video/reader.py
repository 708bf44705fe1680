"""Videos and webcams in: frames with their time, upright, a few at a time.

for frame in VideoReader("clip.mp4", Span.parse("1:30", "2:00", every=2)):
    frame.number, frame.seconds, frame.image
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np

from common.errors import DataError

SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".mts", ".wmv", ".flv", ".3gp")
DEFAULT_FPS = 25.0
SEEK_FROM_S = 5.0  # a start before this is reached by decoding alone
_CAMERA = re.compile(r"(?:webcam:|<video)?(\d+)>?")
_CLOCK = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d+)?)(s?)")


@dataclass(frozen=True)
class Frame:
    """One frame.

    Attributes: number in the source, from 0; seconds since the source's first frame; image (H, W, 3) uint8 RGB.
    """

    number: int
    seconds: float
    image: np.ndarray


class Position(NamedTuple):
    """A place in a video: a number of frames, or of seconds."""

    value: float
    in_seconds: bool

    def reached(self, number: int, seconds: float) -> bool:
        """Whether a frame with that number and time lies at the place or after it."""
        return seconds >= self.value - 1e-6 if self.in_seconds else number >= self.value

    def __str__(self) -> str:
        return f"{self.value:g} s" if self.in_seconds else f"frame {self.value:g}"


def parse_position(text: str, option: str) -> Position | None:
    """'120' is a frame, '4.5s', '1:30' and '0:01:30.5' are times; '' and '-1' are None.

    Raises: DataError naming the option.
    """
    if text in ("", "-1"):
        return None
    found = _CLOCK.fullmatch(text)
    clock = found is not None and (found[2] is not None or bool(found[4]))
    if found is None or (not clock and not text.isdigit()):
        raise DataError(f"{option} '{text}' is no place in a video; give a frame (120) or a time (4.5s, 1:30).")
    return Position(int(found[1] or 0) * 3600 + int(found[2] or 0) * 60 + float(found[3]), clock)


@dataclass(frozen=True)
class Span:
    """Which frames of a video: from start on, before end, every n-th of them."""

    start: Position | None = None
    end: Position | None = None
    every: int = 1

    @classmethod
    def parse(cls, start: str = "", end: str = "", every: int = 1) -> "Span":
        """From options. Raises: DataError for a place that is none, an end that is not after the start, every < 1."""
        first, last = parse_position(start, "--start"), parse_position(end, "--end")
        if every < 1:
            raise DataError(f"--every {every}: give 1 for all frames, 2 for every second one, and so on.")
        if first and last and first.in_seconds == last.in_seconds and last.value <= first.value:
            raise DataError(f"--end {end} is not after --start {start}; give a later one.")
        return cls(first, last, every)


def camera_number(name: str) -> int | None:
    """Of 'webcam:0', '<video0>' and '0'; None for anything else."""
    found = _CAMERA.fullmatch(name)
    return None if found is None else int(found[1])


def is_video(name: str) -> bool:
    """Whether an input is a video file, by its suffix, or a webcam."""
    return Path(name).suffix.lower() in SUFFIXES or camera_number(name) is not None


def video_stem(name: str) -> str:
    """Of the files that are written for a video: clip of clip.mp4, webcam0 of webcam:0."""
    number = camera_number(name)
    return Path(name).stem if number is None else f"webcam{number}"


def open_video(name: str, span: Span = Span()) -> "VideoReader | CameraReader":
    """The reader of a file or of a webcam. Raises: DataError."""
    number = camera_number(name)
    return VideoReader(name, span) if number is None or Path(name).is_file() else CameraReader(name, number, span)


class _Spanned:
    """Frames of a span out of all frames."""

    def __init__(self, name: str, span: Span) -> None:
        self.name, self.span = name, span

    def _all(self) -> Iterator[tuple[int, float, object]]:
        """Number, time and undecoded picture of every frame."""
        raise NotImplementedError

    def _image(self, picture: object) -> np.ndarray:
        raise NotImplementedError

    def __iter__(self) -> Iterator[Frame]:
        """Raises: DataError where no frame lies in the span."""
        start, end = self.span.start, self.span.end
        first, number = None, -1
        for number, seconds, picture in self._all():
            if end is not None and end.reached(number, seconds):
                break
            if start is not None and not start.reached(number, seconds):
                continue
            first = number if first is None else first
            if (number - first) % self.span.every == 0:
                yield Frame(number, seconds, self._image(picture))
        if first is None:
            start = start or Position(0, False)
            raise DataError(f"{self.name}: has {number + 1} frames, so none from {start} on.")


class VideoReader(_Spanned):
    """Frames of a file, turned upright as its rotation says, with square pixels, all in the size of the first one.

    Attributes: fps; seconds, length of the file, None where it does not say.
    Args: name of the file; span.
    Raises: DataError when there is no such file or no video in it; while reading, for a file that is damaged: frames
        before the damage have been given by then.
    """

    def __init__(self, name: str | Path, span: Span = Span()) -> None:
        super().__init__(str(name), span)
        if not Path(name).is_file():
            raise DataError(f"{name}: no such video.")
        with self._open() as container:
            stream = _video_stream(container, self.name)
            fps = float(stream.average_rate or stream.guessed_rate or DEFAULT_FPS)
            self.fps = fps if 1 <= fps <= 1000 else DEFAULT_FPS
            length = stream.duration * stream.time_base if stream.duration else None
            if length is None and container.duration:
                length = container.duration / av.time_base
            self.seconds = None if length is None else float(length)
        self._size: tuple[int, int] | None = None
        self._aspect = 1.0  # width of a pixel over its height

    @property
    def expected_frames(self) -> int | None:
        """About how many frames will be given, for progress bars; None where the file does not say."""
        if self.seconds is None:
            return None
        ends = [0.0, self.seconds]
        for side, place in enumerate((self.span.start, self.span.end)):
            if place is not None:
                ends[side] = min(place.value if place.in_seconds else place.value / self.fps, self.seconds)
        return max(0, round((ends[1] - ends[0]) * self.fps / self.span.every))

    def _open(self) -> av.container.InputContainer:
        try:
            return av.open(self.name, metadata_errors="replace")
        except (av.error.FFmpegError, OSError) as error:
            raise DataError(f"{self.name}: not a readable video ({reason(error)}).") from None

    def _all(self) -> Iterator[tuple[int, float, av.VideoFrame]]:
        with self._open() as container:
            stream = _video_stream(container, self.name)
            stream.codec_context.thread_type = "AUTO"
            self._aspect = float(stream.sample_aspect_ratio or 1)
            first = stream.start_time or 0
            sought = self._seek(container, stream, first)
            number, damage = -1, None
            packets = container.demux(stream)
            while True:
                try:
                    packet = next(packets, None)
                    if packet is None:
                        break
                    pictures = packet.decode()
                except av.error.EOFError:
                    break
                except av.error.FFmpegError as error:  # players go on with the next frames as well
                    damage = damage or f"damaged after frame {max(0, number)} ({reason(error)})"
                    if isinstance(error, OSError):  # what cannot be read at all does not end
                        break
                    continue
                for picture in pictures:
                    number += 1
                    seconds = number / self.fps
                    if picture.pts is not None:
                        seconds = float((picture.pts - first) * picture.time_base)
                        number = round(seconds * self.fps) if sought else number
                    yield number, seconds, picture
            if damage is not None:
                raise DataError(f"{self.name}: {damage}.")

    def _seek(self, container: av.container.InputContainer, stream: av.VideoStream, first: int) -> bool:
        """To the key frame before a start that is a time; from there on frames are numbered by their times."""
        start = self.span.start
        if start is None or not start.in_seconds or start.value < SEEK_FROM_S:
            return False
        try:
            container.seek(first + int(start.value / stream.time_base), stream=stream)
        except av.error.FFmpegError:
            return False
        return True

    def _image(self, picture: av.VideoFrame) -> np.ndarray:
        if self._size is None:
            self._size = max(1, round(picture.width * self._aspect)), picture.height
        width, height = self._size
        image = picture.to_ndarray(format="rgb24", width=width, height=height)
        turns = round(picture.rotation / 90) % 4
        return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


class CameraReader(_Spanned):
    """Frames of a webcam, with the times at which they come.

    Raises: DataError when there is none, or another program holds it.
    """

    seconds = expected_frames = None

    def __init__(self, name: str, number: int, span: Span = Span()) -> None:
        super().__init__(name, span)
        level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)  # it warns of cameras that are missing
        self._capture = cv2.VideoCapture(number)
        cv2.utils.logging.setLogLevel(level)
        if not self._capture.isOpened():
            raise DataError(f"{name}: no such camera, or another program holds it.")
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 1 <= fps <= 1000 else DEFAULT_FPS

    def _all(self) -> Iterator[tuple[int, float, np.ndarray]]:
        number, first = 0, cv2.getTickCount()
        try:
            while True:
                there, picture = self._capture.read()
                if not there:
                    return
                yield number, (cv2.getTickCount() - first) / cv2.getTickFrequency(), picture
                number += 1
        finally:
            self._capture.release()

    def _image(self, picture: np.ndarray) -> np.ndarray:
        return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def _video_stream(container: av.container.InputContainer, name: str) -> av.VideoStream:
    if not container.streams.video:
        raise DataError(f"{name}: holds no video, only sound or data.")
    return container.streams.video[0]


def reason(error: Exception) -> str:
    """What an error of the library says, without its number and file name."""
    return (getattr(error, "strerror", None) or str(error)).partition(":")[0]
