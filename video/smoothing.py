"""Tracked faces smoothed over time: none, mean of neighbouring frames, or the One-Euro filter.

What is smoothed are numbers that mean the same in every frame: a network's parameters told in the photo, from which
landmarks, dense vertices and pose follow, or the landmarks themselves where there are no others.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from common.errors import DataError
from datasets.face import Face
from video.tracking import FrameFaces, TrackedFace

SMOOTHINGS = ("none", "mean", "one_euro")
FORGOTTEN_S = 0.5  # a face that was away for so long starts anew


class PhotoParameters(Protocol):
    """What smoothing needs to know of a method; see `FaceRegressor`."""

    def photo_parameters(self, face: Face) -> np.ndarray:
        """(P,) numbers that mean the same in every crop."""

    def parameter_units(self, face: Face) -> np.ndarray:
        """(P,) size of one unit of each."""

    def with_photo_parameters(self, face: Face, parameters: np.ndarray) -> Face:
        """The face that other numbers describe."""


class LandmarkParameters:
    """The landmarks themselves, in units of a tenth of the crop's side."""

    def photo_parameters(self, face: Face) -> np.ndarray:
        """(K · 2 or K · 3,) photo px."""
        return np.asarray(face.landmarks, dtype=np.float64).ravel()

    def parameter_units(self, face: Face) -> np.ndarray:
        """(K · 2 or K · 3,) photo px."""
        return np.full(face.landmarks.size, face.crop.size / face.crop.scale / 10)

    def with_photo_parameters(self, face: Face, parameters: np.ndarray) -> Face:
        """The face with other landmarks."""
        return replace(face, landmarks=parameters.reshape(face.landmarks.shape))


class OneEuroFilter:
    """Casiez et al. 2012: a low-pass whose cut-off rises with speed, so that rest is calm and motion is not late.

    Many things at once: each has a key, and all have values of the same shape.
    Args: min_cutoff_hz at rest; beta, rise of the cut-off (Hz per unit of speed); speed_cutoff_hz, of the speed itself.
    """

    def __init__(self, min_cutoff_hz: float = 2.0, beta: float = 1.0, speed_cutoff_hz: float = 1.0) -> None:
        self.min_cutoff_hz, self.beta, self.speed_cutoff_hz = min_cutoff_hz, beta, speed_cutoff_hz
        self._state: dict[int, tuple[float, np.ndarray, np.ndarray]] = {}  # key → time, value, speed

    def __call__(
        self, keys: Sequence[int], values: np.ndarray, seconds: float, units: np.ndarray | float = 1.0
    ) -> np.ndarray:
        """(F, …) next values of the things named by keys, at a time → (F, …) smoothed; units (F, …) of their speed."""
        values = np.asarray(values, dtype=np.float64)
        units = np.broadcast_to(units, values.shape)
        self._state = {key: state for key, state in self._state.items() if seconds - state[0] < FORGOTTEN_S}
        smoothed = values.copy()
        speeds = np.zeros_like(values)
        known = [row for row, key in enumerate(keys) if key in self._state and self._state[key][0] < seconds]
        if known:
            times, old, speed = (np.stack(part) for part in zip(*(self._state[keys[row]] for row in known)))
            step = (seconds - times).reshape(-1, *[1] * (values.ndim - 1))
            speed = speed + _weight(self.speed_cutoff_hz, step) * ((values[known] - old) / step - speed)
            weight = _weight(self.min_cutoff_hz + self.beta * np.abs(speed) / units[known], step)
            smoothed[known], speeds[known] = old + weight * (values[known] - old), speed
        self._state.update({key: (seconds, smoothed[row], speeds[row]) for row, key in enumerate(keys)})
        return smoothed


def _weight(cutoff_hz: float | np.ndarray, step_s: np.ndarray) -> np.ndarray:
    return 1 / (1 + 1 / (2 * math.pi * cutoff_hz * step_s))


def smooth_tracks(
    frames: Iterable[FrameFaces], how: str, parameters: PhotoParameters, before: int = 1, after: int = 1
) -> Iterator[FrameFaces]:
    """Frames with their tracked faces smoothed over time; every frame comes out once, in order.

    Args: how: none; mean, of `before` earlier and `after` later frames of the same face (3DDFA_V2: one each, which
        delays the output by `after` frames and keeps as many pictures); one_euro, without delay; parameters of the
        faces.
    Raises: DataError for another way.
    """
    if how not in SMOOTHINGS:
        raise DataError(f"unknown smoothing '{how}'; choose one of: {', '.join(SMOOTHINGS)}.")
    if how == "mean":
        return _window_means(frames, parameters, before, after)
    return _one_euro(frames, parameters) if how == "one_euro" else iter(frames)


def _one_euro(frames: Iterable[FrameFaces], parameters: PhotoParameters) -> Iterator[FrameFaces]:
    """The speed is measured in units of the face's side and of the coefficients' spread, so that it means the same for
    all; the values are not, because a unit that changes with the face would move them.
    """
    low_pass = OneEuroFilter()
    for shown in frames:
        faces = [tracked.face for tracked in shown.faces]
        if faces:
            units = np.stack([parameters.parameter_units(face) for face in faces])
            values = np.stack([parameters.photo_parameters(face) for face in faces])
            numbers = [tracked.number for tracked in shown.faces]
            values = low_pass(numbers, values, shown.frame.seconds, units)
            shown = _with_values(shown, values, parameters)
        yield shown


def _with_values(shown: FrameFaces, values: Sequence[np.ndarray], parameters: PhotoParameters) -> FrameFaces:
    pairs = zip(shown.faces, values, strict=True)
    faces = [TrackedFace(t.number, parameters.with_photo_parameters(t.face, row)) for t, row in pairs]
    return replace(shown, faces=faces)


def _window_means(
    frames: Iterable[FrameFaces], parameters: PhotoParameters, before: int, after: int
) -> Iterator[FrameFaces]:
    window: deque[tuple[FrameFaces, dict[int, np.ndarray]]] = deque(maxlen=before + 1 + after)
    for count, shown in enumerate(frames):
        window.append((shown, {t.number: parameters.photo_parameters(t.face) for t in shown.faces}))
        if count >= after:
            yield _mean_of(window, len(window) - 1 - after, parameters)
    for left in range(min(after, len(window)), 0, -1):  # the last frames have fewer frames after them
        if len(window) > before + left:
            window.popleft()
        yield _mean_of(window, len(window) - left, parameters)


def _mean_of(window: deque, middle: int, parameters: PhotoParameters) -> FrameFaces:
    shown = window[middle][0]
    rows = [[values[t.number] for _, values in window if t.number in values] for t in shown.faces]
    return _with_values(shown, [np.mean(row, axis=0) for row in rows], parameters)
