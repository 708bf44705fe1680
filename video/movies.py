"""Frames to .png files, .gif or .mp4, with a progress bar."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from common.errors import DataError
from common.files.atomic import replacing
from common.files.pictures import save_picture
from video.reader import reason
from video.writer import open_writer

SUFFIXES = (".png", ".gif", ".mp4")


def write_movie(path: Path, frames: Sequence[np.ndarray], fps: float = 25.0) -> list[Path]:
    """Write (H, W, 3) uint8 RGB frames: one .gif or .mp4, or <stem>_000000.png … for .png (one frame: the file itself).

    Returns: files written. Raises: DataError for another suffix or when the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"{path}: unknown kind of file; choose one of: {', '.join(SUFFIXES)}.")
    shown = tqdm(frames, desc=path.name, leave=False)
    if path.suffix.lower() == ".mp4":
        with open_writer(path, fps) as writer:
            for frame in shown:
                writer.write(frame)
        return [path]
    try:
        if path.suffix.lower() == ".png":
            names = [path.with_name(f"{path.stem}_{i:06d}.png") for i in range(len(frames))]
            names = [path] if len(frames) == 1 else names
            for name, frame in zip(names, shown, strict=True):
                save_picture(name, frame)
            return names
        with replacing(path, keep_suffix=True) as temporary:
            _write_gif(temporary, shown, frames[len(frames) // 2], fps)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({reason(error)}); choose another place.") from None
    return [path]


def _write_gif(path: Path, frames: tqdm, middle: np.ndarray, fps: float) -> None:
    palette = Image.fromarray(middle).quantize(256, dither=Image.Dither.NONE)
    pictures = [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=max(20, round(1000 / fps)), loop=0)
