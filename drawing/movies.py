"""Frames to .png files, .gif or .mp4, with a progress bar."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from tqdm import tqdm

from common.errors import DataError
from common.files.atomic import replacing
from common.files.pictures import save_picture

SUFFIXES = (".png", ".gif", ".mp4")


def write_movie(path: Path, frames: Sequence[np.ndarray], fps: float = 25.0) -> list[Path]:
    """Write (H, W, 3) uint8 RGB frames: one .gif or .mp4, or <stem>_000000.png … for .png (one frame: the file itself).

    Returns: files written. Raises: DataError for another suffix or when the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"{path}: unknown kind of file; choose one of: {', '.join(SUFFIXES)}.")
    try:
        if path.suffix.lower() == ".png":
            names = (
                [path] if len(frames) == 1 else [path.with_name(f"{path.stem}_{i:06d}.png") for i in range(len(frames))]
            )
            for name, frame in zip(names, tqdm(frames, desc=path.name, leave=False), strict=True):
                save_picture(name, frame)
            return names
        with replacing(path, keep_suffix=True) as temporary:
            (_write_gif if path.suffix.lower() == ".gif" else _write_mp4)(temporary, frames, fps)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror}); choose another place.") from None
    return [path]


def _write_gif(path: Path, frames: Sequence[np.ndarray], fps: float) -> None:
    palette = Image.fromarray(frames[len(frames) // 2]).quantize(256, dither=Image.Dither.NONE)
    pictures = [
        Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE)
        for frame in tqdm(frames, desc=path.name, leave=False)
    ]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=max(20, round(1000 / fps)), loop=0)


def _write_mp4(path: Path, frames: Sequence[np.ndarray], fps: float) -> None:
    height, width = (side - side % 2 for side in frames[0].shape[:2])  # the codec wants even sides
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), fps, (width, height))
    if not writer.isOpened():
        raise DataError(f"{path}: this OpenCV cannot write .mp4; choose .gif or .png.")
    for frame in tqdm(frames, desc=path.name, leave=False):
        writer.write(np.ascontiguousarray(frame[:height, :width, ::-1]))
    writer.release()
