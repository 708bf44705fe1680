"""Videos out: H.264 in an .mp4 that players open while it still loads, with the sound of the source.

with open_writer(path, fps=25.0, sound="clip.mp4") as writer:
    writer.write(image, seconds)
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from common.errors import DataError
from common.files.atomic import replacing
from video.audio import Audio
from video.reader import reason

ENCODERS = ("libx264", "libopenh264", "mpeg4")  # the first that is there; mpeg4 always is
OPTIONS = {"libx264": {"preset": "veryfast", "crf": "20"}, "libopenh264": {"b": "6M"}, "mpeg4": {"qscale": "3"}}
TICKS = 60_000  # of a second: 25, 30 and 29.97 frames are whole numbers of them, and MPEG-4 allows no more than 65535
BT709 = 1  # of the three standards' tables that describe a video's colours


@cache
def encoder_name() -> str:
    """The best encoder that this build of FFmpeg has."""
    return next(name for name in ENCODERS if _has(name))


def _has(name: str) -> bool:
    try:
        return av.Codec(name, "w").is_encoder
    except av.error.FFmpegError:
        return False


@contextmanager
def open_writer(path: Path, fps: float, sound: str | None = None) -> Iterator["VideoWriter"]:
    """An .mp4 that appears under its name when the block has ended, whole, or not at all.

    Args: fps where frames come without times; sound: file whose sound is taken over.
    Raises: DataError when the file cannot be written, or is not whole when it is read again: on a full disk, say.
    """
    path = Path(path)
    try:
        with replacing(path, keep_suffix=True) as temporary:
            writer = VideoWriter(temporary, fps, sound)
            try:
                yield writer
                writer.close()
            except BaseException:
                writer.abandon()
                raise
            if writer.frames:
                check_whole(temporary, writer.frames)
    except (av.error.FFmpegError, OSError) as error:
        raise DataError(
            f"{path}: cannot be written ({reason(error)}); free some space or choose another place."
        ) from None


class VideoWriter:
    """Frames to a file in the order of their times; see `open_writer`, which gives it its name.

    The first frame sets the size; odd sides are filled up by one pixel, because the codec wants even ones.
    """

    def __init__(self, path: Path, fps: float, sound: str | None = None) -> None:
        self.path, self.fps, self.sound = path, fps, sound
        self.frames = 0
        self._container: av.container.OutputContainer | None = None
        self._audio: Audio | None = None
        self._first, self._last = 0.0, -1

    def write(self, image: np.ndarray, seconds: float | None = None) -> None:
        """(H, W, 3) uint8 RGB at a time of the source; None: one frame after the last one.

        Raises: DataError for another size than that of the first frame; OSError.
        """
        if self._container is None:
            self._open(image.shape, seconds or 0.0)
        if image.shape != self._shape:
            raise DataError(
                f"{self.path}: a frame of {image.shape} in a video of {self._shape}; give all the same size."
            )
        seconds = self.frames / self.fps if seconds is None else seconds - self._first
        frame = av.VideoFrame.from_ndarray(_even(image), format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)
        self._last = max(round(seconds * TICKS), self._last + 1)  # times that stand still or go back are no video
        frame.pts, frame.time_base = self._last, Fraction(1, TICKS)
        self._container.mux(self._stream.encode(frame))
        self.frames += 1
        if self._audio is not None:
            self._audio.write_until(self._last / TICKS)

    def close(self) -> None:
        """Write what is waiting and the file's index. Raises: OSError."""
        if self._container is None:
            return
        self._container.mux(self._stream.encode(None))
        if self._audio is not None:
            self._audio.write_until(self._last / TICKS + 1 / self.fps)
            self._audio.close()
        self._container.close()

    def abandon(self) -> None:
        """Let go of the files without minding their content."""
        for held in (self._audio, self._container):
            try:
                if held is not None:
                    held.close()
            except (av.error.FFmpegError, OSError):
                continue

    def _open(self, shape: tuple[int, ...], first: float) -> None:
        self._shape, self._first = shape, first
        self._container = av.open(str(self.path), "w", format="mp4", options={"movflags": "+faststart"})
        self._stream = self._container.add_stream(
            encoder_name(), rate=Fraction(self.fps).limit_denominator(TICKS), options=OPTIONS[encoder_name()]
        )
        self._stream.height, self._stream.width = (side + side % 2 for side in shape[:2])
        self._stream.pix_fmt = "yuv420p"
        context = self._stream.codec_context
        context.time_base = Fraction(1, TICKS)
        context.color_primaries = context.color_trc = context.colorspace = BT709
        context.color_range = ColorRange.MPEG
        if self.sound is not None:
            self._audio = Audio(self.sound, self._container)
            self._audio.start_at(first)


def check_whole(path: Path, frames: int) -> None:
    """Raises: OSError when a video does not hold that many frames: some writes fail without a word."""
    try:
        with av.open(str(path)) as container:
            packets = container.demux(container.streams.video[0])
            found = sum(packet.size > 0 and not packet.is_corrupt for packet in packets)
    except (av.error.FFmpegError, IndexError):
        found = 0
    if found != frames:
        raise OSError(errno.EIO, f"{found} of {frames} frames reached the disk" if found else os.strerror(errno.ENOSPC))


def _even(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    if height % 2 or width % 2:
        image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return np.ascontiguousarray(image)
