"""Videos: how much smoothing calms and delays landmarks, and how many frames a second are read, tracked and written.

    python -m benchmarks video                        # both parts, on one thread
    python -m benchmarks video --parts smoothing --frames 200
    python -m benchmarks video --parts speed --detect-every 1 5 15 30 --threads 2

Smoothing: a rendered head of 360 px turns by ±30°, nods, leans, walks and talks at 25 frames a second; its landmarks
are known at every instant. Jitter is the second difference in time of a landmark's error, in units in which independent
noise has its own length; lag the shift in time at which the found landmarks fit the truth best. The reference is no
smoothing.
Speed: the same head twice as large in 1280 × 720 px, from H.264 to H.264 with the landmarks drawn. Processor time of
all threads, because other programs may run; the reference is detection in every frame.
"""

import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from benchmarks.report import make_parser, note, row, start
from datasets.synthetic.turning import TurningHead
from landmarks.detector import LandmarkDetector
from recon3d.regression.regressor import FaceRegressor
from video.overlay import draw_tracks
from video.process import VideoOptions, process_video
from video.reader import Frame, VideoReader
from video.smoothing import SMOOTHINGS, LandmarkParameters, smooth_tracks
from video.tracking import FrameFaces, track_faces
from video.writer import open_writer

FPS = 25.0
PARTS = ("smoothing", "speed")
LAGS = np.arange(-2, 4.01, 0.05)  # frames


def turning_video(count: int, seed: int, size_px: int = 360) -> tuple[list[Frame], np.ndarray]:
    """Frames, and (T, 68, 2) true landmarks."""
    head = TurningHead(size_px, seed)
    shown = [head.at(t / FPS) for t in range(count)]
    frames = [Frame(t, t / FPS, frame.image) for t, frame in enumerate(shown)]
    return frames, np.stack([frame.landmarks for frame in shown])


def jitter_px(found: np.ndarray, truth: np.ndarray) -> float:
    """Of (T, K, 2) landmarks: √6 is what the second difference makes of independent noise."""
    return float(np.linalg.norm(np.diff(found - truth, 2, axis=0), axis=-1).mean() / np.sqrt(6))


def lag_frames(found: np.ndarray, truth: np.ndarray) -> float:
    """By how many frames (T, K, 2) found landmarks come after the true ones; a constant offset of each is no lag."""
    times = np.arange(len(truth))
    edge = int(np.ceil(np.abs(LAGS).max()))
    errors = []
    for lag in LAGS:
        moved = np.stack([np.interp(times - lag, times, column) for column in truth.reshape(len(truth), -1).T], -1)
        difference = (found.reshape(len(truth), -1) - moved)[edge:-edge]
        errors.append(np.square(difference - difference.mean(0)).mean())
    return float(LAGS[np.argmin(errors)])


def tracked_landmarks(frames: list[FrameFaces]) -> np.ndarray:
    """(T, 68, 2) of the first face; a frame without it repeats the last one."""
    points, last = [], None
    for shown in frames:
        last = shown.faces[0].face.landmarks[:68, :2] if shown.faces else last
        points.append(last)
    return np.stack([points[-1] if point is None else point for point in points])


def measure_smoothing(count: int, seeds: int, size_px: int) -> None:
    """Jitter, lag and error of the landmark detector and of the regressor."""
    methods = {
        "landmarks": (LandmarkDetector.from_pretrained(device="cpu"), LandmarkParameters()),
        "mesh": (regressor := FaceRegressor.from_pretrained("regressor_120", device="cpu"), regressor),
    }
    videos = [turning_video(count, seed, size_px) for seed in range(seeds)]
    height = float(np.ptp(videos[0][1][0, :, 1]))
    for name, (follower, parameters) in methods.items():
        tracked = [list(track_faces(frames, follower)) for frames, _ in videos]
        plain = None
        for how in SMOOTHINGS:
            numbers = []
            for faces, (_, truth) in zip(tracked, videos, strict=True):
                found = tracked_landmarks(list(smooth_tracks(faces, how, parameters)))
                error = float(np.linalg.norm(found - truth, axis=-1).mean())
                numbers.append((jitter_px(found, truth), lag_frames(found, truth), error))
            jitter, lag, error = np.mean(numbers, axis=0)
            plain = plain or jitter
            row(f"{name}, {how}: jitter", jitter, None if how == "none" else plain, "px")
            note(f"lag {lag:+.2f} frames, mean error {error:.2f} px, of a face {height:.0f} px high")


def write_source(path: Path, count: int, size_px: int) -> Path:
    """A video of 16:9 with the head in the middle, size_px high."""
    head = TurningHead(size_px // 2, 1)
    rng = np.random.default_rng(0)
    wall = cv2.resize(rng.integers(60, 200, (18, 32, 3), dtype=np.uint8), (size_px * 16 // 9, size_px))
    with open_writer(path, FPS) as writer:
        for t in range(count):
            frame, left = wall.copy(), (wall.shape[1] - size_px) // 2
            frame[:, left : left + size_px] = cv2.resize(head.at(t / FPS).image, (size_px, size_px))
            writer.write(frame)
    return path


def measure_speed(count: int, size_px: int, detect_every: list[int], folder: Path) -> None:
    """Processor and wall time per frame of each step and of all together."""
    source = write_source(folder / "source.mp4", count, size_px)
    detector = LandmarkDetector.from_pretrained(device="cpu")
    frames = list(VideoReader(source))
    detector(frames[0].image)  # the first call is slower

    def per_frame(work) -> tuple[float, float]:
        wall, processor = time.perf_counter(), time.process_time()
        work()
        return 1e3 * (time.process_time() - processor) / count, 1e3 * (time.perf_counter() - wall) / count

    def encode() -> None:
        with open_writer(folder / "again.mp4", FPS) as writer:
            for frame in frames:
                writer.write(frame.image)

    row("frame decoded, processor time", per_frame(lambda: sum(1 for _ in VideoReader(source)))[0])
    row("frame encoded, processor time", per_frame(encode)[0])
    slowest = None
    for every in sorted(detect_every):
        tracking = per_frame(lambda every=every: sum(1 for _ in track_faces(frames, detector, every)))[0]
        options = VideoOptions(detect_every=every)
        outputs = [folder / "out.mp4", folder / "out.csv"]
        whole, wall = per_frame(lambda o=options, w=outputs: process_video(str(source), w, detector, draw_tracks, o))
        row(f"frame from file to file, detection every {every}, processor time", whole, slowest)
        note(
            f"of it tracking {tracking:.1f} ms; {1e3 / whole:.1f} frames a second of processor time,"
            f" {1e3 / wall:.1f} on the wall"
        )
        slowest = slowest or whole


def main(arguments: list[str] | None = None) -> None:
    """Print the tables."""
    parser = make_parser(__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--heads", type=int, default=3)
    parser.add_argument("--detect-every", type=int, nargs="+", default=[1, 5, 15, 30])
    options = parser.parse_args(arguments)
    size_px, height_px = 360, 720
    if options.smoke:
        options.frames, options.heads, options.detect_every, size_px, height_px = 14, 1, [5], 160, 240
    start(options)
    cv2.setNumThreads(options.threads)
    if "smoothing" in options.parts:
        measure_smoothing(options.frames, options.heads, size_px)
    if "speed" in options.parts:
        with tempfile.TemporaryDirectory() as folder:
            measure_speed(options.frames, height_px, options.detect_every, Path(folder))


if __name__ == "__main__":
    main()
