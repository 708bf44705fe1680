"""A video through one of the demo's methods: drawn frames with the source's sound, and tables of its faces."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tasks.inputs import Input
from tasks.method import Method
from video.process import VideoOptions, VideoResult, process_video
from video.reader import Span
from video.tracking import TrackedFace


def write_video(method: Method, one: Input, folder: Path, kinds: Sequence[str]) -> VideoResult:
    """<name>.mp4, and <name>_frames.json and .csv where they are among the kinds: a face per frame and person.

    Raises: DataError when there is no frame, or a file cannot be written.
    """
    folder.mkdir(exist_ok=True)
    settings = method.settings
    tables = [folder / f"{one.name}_frames.{kind}" for kind in ("json", "csv") if kind in kinds]
    span = Span.parse(settings.start, settings.end, settings.every)
    options = VideoOptions(span, settings.smooth, settings.n_pre, settings.n_next, settings.detect_every)

    def draw(image: np.ndarray, tracked: list[TrackedFace]) -> np.ndarray:
        return method.draw(image, method.complete(image, [one.face for one in tracked]))

    outputs = [folder / f"{one.name}.mp4", *tables]
    return process_video(one.source, outputs, method.follower, draw, options, method.smoothed)
