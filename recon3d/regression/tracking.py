"""Faces in a video: tracked by their own landmarks, found again when lost, smoothed over time."""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from common.errors import DataError
from datasets.crop import Crop
from datasets.face import Face
from recon3d.regression.regressor import FaceRegressor
from recon3d.regression.roi import crop_from_points

MIN_AREA_PX = 2020.0  # region below which 3DDFA_V2 takes a face for lost
OVERLAP = 0.5  # of two regions, from which they show the same face
MAX_STEP, MAX_GROWTH = 0.5, 1.4  # change of a region between frames, in sides and as a factor
# Mean distance of both heads' landmarks in sides of the crop. mb05 on 300-W's LFPW test photos: median 0.012, largest
# 0.015; beside faces 0.026, on black 0.037.
MAX_DISAGREEMENT = 0.022
THUMBNAIL_PX = 24  # side of what is compared between frames
MIN_LIKENESS = (
    0.4  # correlation of a region with itself a frame earlier, below which the detector must confirm the face
)
MAX_UNCONFIRMED = 2  # detections in a row that do not see a tracked face
SMOOTHINGS = ("none", "mean", "one_euro")


@dataclass(frozen=True)
class TrackedFace:
    """A face of one frame with the number that it keeps through the video."""

    number: int
    face: Face


class FaceTracker:
    """All faces of a video, frame by frame; one batch per frame.

    A face is looked for where its landmarks were. It is lost when its region leaves the frame, shrinks below 2020 px²,
    jumps or grows too much, when it looks like something else than a frame before, when the two heads of the network
    disagree, or when the detector misses it twice in a row. Frames in which a face was lost, and every `redetect`-th
    one, are searched by the detector.
    Args: regressor; redetect: frames between detections, 0 = only when there is no face or one was lost.
    """

    def __init__(self, regressor: FaceRegressor, redetect: int = 30) -> None:
        self.regressor, self.redetect = regressor, redetect
        self._tracks: dict[int, Face] = {}
        self._unconfirmed: dict[int, int] = {}
        self._looks: dict[int, np.ndarray] = {}
        self._next, self._frame = 0, 0

    def __call__(self, image: np.ndarray) -> list[TrackedFace]:
        """(H, W, 3) uint8 RGB → faces in order of their numbers; empty where there is none."""
        kept = self._follow(image)
        due = self.redetect and self._frame % self.redetect == 0
        if not kept or len(kept) < len(self._tracks) or due:
            detected = [self._refine(image, face) for face in self.regressor(image)]
            kept = self._confirmed(kept, detected)
            for face in detected:
                if all(_overlap(face.crop, known.crop) < OVERLAP for known in kept.values()):
                    kept[self._number_of(face, kept)] = face
        self._tracks, self._frame = kept, self._frame + 1
        regions = {number: _region(face, self.regressor.size) for number, face in kept.items()}
        self._looks = {number: _thumbnail(image, crop) for number, crop in regions.items() if crop is not None}
        return [TrackedFace(number, kept[number]) for number in sorted(kept)]

    def _number_of(self, face: Face, kept: dict[int, Face]) -> int:
        """That of the track which was lost there in this frame, or a new one."""
        for number, lost in self._tracks.items():
            if number not in kept and _overlap(face.crop, lost.crop) >= OVERLAP:
                self._unconfirmed[number] = 0
                return number
        self._next += 1
        return self._next - 1

    def _confirmed(self, kept: dict[int, Face], detected: list[Face]) -> dict[int, Face]:
        """Tracks without those that the detector has missed twice in a row."""
        for number, face in kept.items():
            seen = any(_overlap(face.crop, other.crop) >= OVERLAP / 2 for other in detected)
            self._unconfirmed[number] = 0 if seen else self._unconfirmed.get(number, 0) + 1
        return {number: face for number, face in kept.items() if self._unconfirmed[number] < MAX_UNCONFIRMED}

    def _follow(self, image: np.ndarray) -> dict[int, Face]:
        numbers, crops = [], []
        for number, face in self._tracks.items():
            crop = _region(face, self.regressor.size)
            if crop is not None and _likeness(_thumbnail(image, crop), self._looks[number]) >= MIN_LIKENESS:
                numbers.append(number)
                crops.append(crop)
        faces = self.regressor.regress_crops([image] * len(crops), crops)
        found: dict[int, Face] = {}
        for number, crop, face in zip(numbers, crops, faces, strict=True):
            region = _region(face, self.regressor.size)
            if (
                region is not None
                and _heads_agree(face)
                and _is_same(crop, region, image.shape)
                and not _is_double(region, found.values())
            ):
                found[number] = face
        return found

    def _refine(self, image: np.ndarray, face: Face) -> Face:
        """The face cut again by its landmarks, as the frames after the first one are."""
        crop = _region(face, self.regressor.size)
        return face if crop is None else self.regressor.regress_crops([image], [crop])[0]


def _region(face: Face, size: int) -> Crop | None:
    try:
        return crop_from_points(face.landmarks, size)
    except DataError:
        return None


def _square(crop: Crop) -> tuple[np.ndarray, float]:
    """Centre (2,) and side of a region, px."""
    return crop.invert(np.full((1, 2), crop.size / 2))[0], crop.size / crop.scale


def _is_same(before: Crop, after: Crop, shape: tuple[int, ...]) -> bool:
    (old, old_side), (new, side) = _square(before), _square(after)
    inside = (new > 0).all() and new[0] < shape[1] and new[1] < shape[0]
    steady = np.abs(new - old).max() < MAX_STEP * old_side and 1 / MAX_GROWTH < side / old_side < MAX_GROWTH
    return bool(inside and steady and side**2 >= MIN_AREA_PX)


def _thumbnail(image: np.ndarray, crop: Crop) -> np.ndarray:
    """(24, 24) float32 grey levels of a region."""
    small = cv2.resize(crop.extract(image, plain=True), (THUMBNAIL_PX, THUMBNAIL_PX), interpolation=cv2.INTER_AREA)
    return small.mean(-1, dtype=np.float32)


def _likeness(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation of two pictures, 0 when one is flat."""
    one, other = one - one.mean(), other - other.mean()
    norm = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float((one * other).sum()) / norm if norm > 1e-3 else 0.0


def _heads_agree(face: Face) -> bool:
    """Whether both heads of the network, if it has two, see the same landmarks."""
    if face.head_landmarks is None:
        return True
    distance = np.linalg.norm(face.head_landmarks - face.landmarks[:, :2], axis=1).mean()
    return bool(distance * face.crop.scale < MAX_DISAGREEMENT * face.crop.size)


def _is_double(region: Crop, faces: Iterable[Face]) -> bool:
    return any(_overlap(region, face.crop) > OVERLAP for face in faces)


def _overlap(a: Crop, b: Crop) -> float:
    """Intersection over union of two square regions."""
    (ca, sa), (cb, sb) = _square(a), _square(b)
    shared = np.clip(np.minimum(ca + sa / 2, cb + sb / 2) - np.maximum(ca - sa / 2, cb - sb / 2), 0, None).prod()
    return float(shared / (sa**2 + sb**2 - shared))


class OneEuroFilter:
    """Casiez et al. 2012: a low-pass whose cut-off rises with speed, so that rest is calm and motion is not late.

    Args: fps of the video; min_cutoff_hz at rest; beta, rise of the cut-off (Hz per unit of speed).
    """

    def __init__(self, fps: float, min_cutoff_hz: float = 1.5, beta: float = 0.4, speed_cutoff_hz: float = 1.0) -> None:
        self.fps, self.min_cutoff_hz, self.beta, self.speed_cutoff_hz = fps, min_cutoff_hz, beta, speed_cutoff_hz
        self._value: np.ndarray | None = None
        self._speed: np.ndarray | float = 0.0

    def __call__(self, value: np.ndarray) -> np.ndarray:
        """The next value, smoothed; any shape, always the same."""
        if self._value is None:
            self._value = value
            return value
        weight = self._weight(self.speed_cutoff_hz)
        self._speed = self._speed + weight * ((value - self._value) * self.fps - self._speed)
        weight = self._weight(self.min_cutoff_hz + self.beta * np.abs(self._speed))
        self._value = self._value + weight * (value - self._value)
        return self._value

    def _weight(self, cutoff_hz):
        return 1 / (1 + self.fps / (2 * math.pi * cutoff_hz))


class PhotoParameters(Protocol):
    """What smoothing needs to know of a regressor; see `FaceRegressor`."""

    def photo_parameters(self, face: Face) -> np.ndarray:
        """(P,) numbers that mean the same in every crop."""

    def parameter_units(self, face: Face) -> np.ndarray:
        """(P,) size of one unit of each."""

    def with_photo_parameters(self, face: Face, parameters: np.ndarray) -> Face:
        """The face that other numbers describe."""


def smooth_tracks(
    frames: Iterable[list[TrackedFace]],
    how: str,
    fps: float,
    regressor: PhotoParameters,
    before: int = 1,
    after: int = 1,
) -> Iterator[list[TrackedFace]]:
    """Tracked faces with their parameters smoothed over time, and with them landmarks, dense vertices and pose.

    Every frame comes out once, in order.
    Args: how: none; mean, of `before` earlier and `after` later frames of the same face (3DDFA_V2: one each, which
        delays the output by `after` frames); one_euro, without delay; regressor of the faces.
    Raises: DataError for another way.
    """
    if how not in SMOOTHINGS:
        raise DataError(f"unknown smoothing '{how}'; choose one of: {', '.join(SMOOTHINGS)}.")
    if how == "mean":
        yield from _window_means(frames, regressor, before, after)
        return
    filters: dict[int, OneEuroFilter] = {}
    for faces in frames:
        if how == "none":
            yield faces
            continue
        filters = {tracked.number: filters.get(tracked.number, OneEuroFilter(fps)) for tracked in faces}
        yield [_smoothed(tracked, filters[tracked.number], regressor) for tracked in faces]


def _smoothed(tracked: TrackedFace, low_pass: OneEuroFilter, regressor: PhotoParameters) -> TrackedFace:
    """Filtered in units of the face's side and of the coefficients' spread, so that speed means the same for all."""
    face = tracked.face
    units = regressor.parameter_units(face)
    values = low_pass(regressor.photo_parameters(face) / units) * units
    return TrackedFace(tracked.number, regressor.with_photo_parameters(face, values))


def _window_means(
    frames: Iterable[list[TrackedFace]], regressor: PhotoParameters, before: int, after: int
) -> Iterator[list[TrackedFace]]:
    window: deque[list[TrackedFace]] = deque(maxlen=before + 1 + after)
    for count, faces in enumerate(frames):
        window.append(faces)
        if count >= after:
            yield _mean_of(window, len(window) - 1 - after, regressor)
    for left in range(min(after, len(window)), 0, -1):  # the last frames have fewer frames after them
        if len(window) > before + left:
            window.popleft()
        yield _mean_of(window, len(window) - left, regressor)


def _mean_of(window: deque[list[TrackedFace]], middle: int, regressor: PhotoParameters) -> list[TrackedFace]:
    result = []
    for tracked in window[middle]:
        same = [other.face for faces in window for other in faces if other.number == tracked.number]
        mean = np.mean([regressor.photo_parameters(face) for face in same], axis=0)
        result.append(TrackedFace(tracked.number, regressor.with_photo_parameters(tracked.face, mean)))
    return result
