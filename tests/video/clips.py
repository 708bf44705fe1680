"""Small videos for tests: pictures that say their number, a generated tone, a rotation."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

FPS, SIDE = 20, (48, 64)
TONE_HZ, RATE = 440, 16_000


def picture(number: int, shape: tuple[int, int] = SIDE) -> np.ndarray:
    """Red rises by 10 a frame; the left upper corner is white."""
    image = np.full((*shape, 3), (10 * (number % 25), 60, 120), np.uint8)
    image[: shape[0] // 4, : shape[1] // 4] = 255
    return image


def write_clip(path: Path, frames: int = 20, codec: str = "libx264", sound: str | None = None, rotation=0) -> Path:
    """A video; sound: codec of a tone of the same length, which begins in its middle; rotation in degrees."""
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=FPS)
        video.height, video.width = SIDE
        video.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        if rotation:
            video.set_display_rotation(rotation)
        audio = container.add_stream(sound, rate=RATE, layout="mono") if sound else None
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24").reformat(format=video.pix_fmt)
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio is not None:
            for frame in tone_frames(frames / FPS):
                container.mux(audio.encode(frame))
            container.mux(audio.encode(None))
    return path


def tone_frames(seconds: float) -> list[av.AudioFrame]:
    """Silence, then a tone from the middle on."""
    count = round(seconds * RATE)
    times = np.arange(count) / RATE
    values = 0.5 * np.sin(2 * np.pi * TONE_HZ * times) * (times >= seconds / 2)
    frames = []
    for start in range(0, count, 1024):
        part = (values[start : start + 1024] * 32767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(part, format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
        frames.append(frame)
    return frames


def read_sound(path: Path) -> tuple[np.ndarray, str]:
    """(N,) samples in −1 … 1 at RATE, with silence before the first, and the codec."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=RATE)
        parts, first = [], None
        for frame in container.decode(stream):
            first = float(frame.pts * frame.time_base) if first is None else first
            parts += [part.to_ndarray()[0] for part in resampler.resample(frame)]
        silence = np.zeros(max(0, round((first or 0.0) * RATE)))
        return np.concatenate([silence, *parts]), stream.codec_context.name
