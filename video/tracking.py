"""Faces of a video: followed by their own landmarks, found again when lost, under numbers that they keep."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from common.errors import DataError
from datasets.crop import Crop
from datasets.detection.boxes import Detection, box_overlap
from datasets.face import Face
from video.reader import Frame

DETECT_EVERY = 15  # frames between detections
MIN_AREA_PX = 2020.0  # region below which 3DDFA_V2 takes a face for lost
OVERLAP = 0.5  # of two regions, from which they show the same face
BOX_OVERLAP = 0.3  # of a detector's box with that of the landmarks, which it does not draw alike
MAX_STEP, MAX_GROWTH = 0.5, 1.4  # change of a region between frames, in sides and as a factor
# Mean distance of both heads' landmarks in sides of the crop. mb05 on 300-W's LFPW test photos: median 0.012, largest
# 0.015; beside faces 0.026, on black 0.037.
MAX_DISAGREEMENT = 0.022
THUMBNAIL_PX = 24  # side of what is compared between frames
MIN_LIKENESS = 0.4  # correlation of a region with itself a frame earlier, below which the face must be detected again
# Correlation from which a face that appears is a lost one, where that was and elsewhere. Rendered heads turned by up to
# 30°: the same one 0.69 in the middle, others 0.58, at most 0.84. So a doubtful face rather gets a new number.
SAME_THERE, SAME_ELSEWHERE = 0.6, 0.8
INNER = 0.7  # part of a region that is compared: less of it is background
MAX_UNCONFIRMED = 2  # detections in a row that do not see a tracked face
REMEMBERED = 90  # frames for which a lost face is


class FaceFollower(Protocol):
    """A method that finds faces and can be told where to look; `LandmarkDetector` and `FaceRegressor` are such."""

    def detect(self, image: np.ndarray) -> list[Detection]:
        """Boxes, surest first."""

    def predict_detections(self, image: np.ndarray, detections: Sequence[Detection]) -> list[Face]:
        """A face for each."""

    def next_crop(self, face: Face) -> Crop:
        """Where its landmarks say that it is to be looked for. Raises: DataError where they allow no crop."""

    def predict_crops(self, images: Sequence[np.ndarray], crops: list[Crop]) -> list[Face]:
        """A face in each crop of each photo, in one pass."""


@dataclass(frozen=True)
class TrackedFace:
    """A face of one frame with the number that it keeps through the video."""

    number: int
    face: Face


@dataclass(frozen=True)
class FrameFaces:
    """A frame with its faces in order of their numbers."""

    frame: Frame
    faces: list[TrackedFace]


@dataclass
class _Track:
    """What is known of a face: as last seen, how its region looked, when, and how many detections missed it."""

    face: Face
    look: np.ndarray
    seen: int
    unconfirmed: int = 0


class FaceTracker:
    """All faces of a video, frame by frame; one batch per frame.

    A face is looked for where its landmarks were. It is lost when its region leaves the frame, shrinks below 2020 px²,
    jumps or grows too much, when it looks like something else than a frame before, when two heads of a network
    disagree, or when the detector misses it twice in a row. Frames in which a face was lost or none is known, and every
    `detect_every`-th one, are searched by the detector. A face that appears takes the number of one lost
    during the last 90 frames that looked alike, more so where it was elsewhere.

    Args: follower; detect_every: frames between detections, 0 = only when there is no face or one was lost.
    """

    def __init__(self, follower: FaceFollower, detect_every: int = DETECT_EVERY) -> None:
        self.follower, self.detect_every = follower, detect_every
        self._tracks: dict[int, _Track] = {}
        self._lost: dict[int, _Track] = {}
        self._next, self._frame = 0, -1

    def __call__(self, image: np.ndarray) -> list[TrackedFace]:
        """(H, W, 3) uint8 RGB → faces in order of their numbers; empty where there is none."""
        self._frame += 1
        kept = self._follow(image)
        due = bool(self.detect_every) and self._frame % self.detect_every == 0
        lost = {number: track for number, track in self._tracks.items() if number not in kept}
        if not kept or lost or due:
            lost |= self._search(image, kept, {**self._lost, **lost})
        kept = dict(sorted(kept.items()))
        recent = {number: track for number, track in self._lost.items() if self._frame - track.seen < REMEMBERED}
        self._lost = {number: track for number, track in {**recent, **lost}.items() if number not in kept}
        self._tracks = kept
        return [TrackedFace(number, track.face) for number, track in kept.items()]

    def _search(self, image: np.ndarray, kept: dict[int, _Track], lost: dict[int, _Track]) -> dict[int, _Track]:
        """Confirm the tracks that the detector sees and add faces that are new. Returns: tracks that it gave up."""
        detections = self.follower.detect(image)
        boxes = {number: _points_box(track.face) for number, track in kept.items()}
        fresh = [d for d in detections if all(box_overlap(d.box, box) < BOX_OVERLAP for box in boxes.values())]
        found = self.follower.predict_detections(image, fresh) if fresh else []
        found = self._refined(image, found)
        seen = {
            number
            for number, track in kept.items()
            if any(box_overlap(d.box, boxes[number]) >= BOX_OVERLAP for d in detections)
            or any(_overlap(face.crop, track.face.crop) >= OVERLAP / 2 for face in found)
        }
        given_up = {}
        for number in list(kept):
            kept[number].unconfirmed = 0 if number in seen else kept[number].unconfirmed + 1
            if kept[number].unconfirmed >= MAX_UNCONFIRMED:
                given_up[number] = kept.pop(number)
        for face in found:
            if all(_overlap(face.crop, track.face.crop) < OVERLAP for track in kept.values()):
                look = self._look(image, face)
                kept[self._number_of(face, look, {**lost, **given_up}, kept)] = _Track(face, look, self._frame)
        return given_up

    def _number_of(self, face: Face, look: np.ndarray, lost: dict[int, _Track], kept: dict[int, _Track]) -> int:
        """That of the lost track which it continues, or a new one."""
        best, number = 0.0, None
        for candidate, track in lost.items():
            if candidate in kept:
                continue
            there = _overlap(face.crop, track.face.crop) >= OVERLAP
            alike = _likeness(look, track.look)
            if alike >= (SAME_THERE if there else SAME_ELSEWHERE) and there + alike > best:
                best, number = there + alike, candidate
        if number is not None:
            return number
        self._next += 1
        return self._next - 1

    def _follow(self, image: np.ndarray) -> dict[int, _Track]:
        """Tracks that go on in this frame."""
        places = []
        for number, track in self._tracks.items():
            crop = self._region(track.face)
            if crop is not None:
                alike = _likeness(_thumbnail(image, crop), track.look)
                if alike >= MIN_LIKENESS:
                    places.append((alike, number, crop))
        places.sort(key=lambda place: -place[0])  # where two tracks end on one face it belongs to the one more like it
        crops = [crop for _, _, crop in places]
        faces = self.follower.predict_crops([image] * len(crops), crops) if crops else []
        found: dict[int, _Track] = {}
        for (_, number, crop), face in zip(places, faces, strict=True):
            region = self._region(face)
            if (
                region is not None
                and _heads_agree(face)
                and _is_same(crop, region, image.shape)
                and not _is_double(region, (track.face for track in found.values()))
            ):
                found[number] = _Track(face, _thumbnail(image, region), self._frame, self._tracks[number].unconfirmed)
        return found

    def _refined(self, image: np.ndarray, faces: list[Face]) -> list[Face]:
        """The faces cut again by their landmarks, as the frames after the first one are."""
        crops = [self._region(face) for face in faces]
        again = [crop for crop in crops if crop is not None]
        refined = iter(self.follower.predict_crops([image] * len(again), again) if again else [])
        return [face if crop is None else next(refined) for face, crop in zip(faces, crops, strict=True)]

    def _look(self, image: np.ndarray, face: Face) -> np.ndarray:
        return _thumbnail(image, self._region(face) or face.crop)

    def _region(self, face: Face) -> Crop | None:
        try:
            return self.follower.next_crop(face)
        except DataError:
            return None


def track_faces(
    frames: Iterable[Frame], follower: FaceFollower, detect_every: int = DETECT_EVERY
) -> Iterator[FrameFaces]:
    """The frames of a video with their faces."""
    tracker = FaceTracker(follower, detect_every)
    for frame in frames:
        yield FrameFaces(frame, tracker(frame.image))


def _points_box(face: Face) -> np.ndarray:
    """(4,) left, top, right, bottom of the landmarks."""
    points = face.landmarks[:, :2]
    return np.concatenate([points.min(0), points.max(0)])


def _square(crop: Crop) -> tuple[np.ndarray, float]:
    """Centre (2,) and side of a region, px."""
    return crop.invert(np.full((1, 2), crop.size / 2))[0], crop.size / crop.scale


def _is_same(before: Crop, after: Crop, shape: tuple[int, ...]) -> bool:
    (old, old_side), (new, side) = _square(before), _square(after)
    inside = (new > 0).all() and new[0] < shape[1] and new[1] < shape[0]
    steady = np.abs(new - old).max() < MAX_STEP * old_side and 1 / MAX_GROWTH < side / old_side < MAX_GROWTH
    return bool(inside and steady and side**2 >= MIN_AREA_PX)


def _thumbnail(image: np.ndarray, crop: Crop) -> np.ndarray:
    """(24, 24, 3) float32 of the inner part of a region."""
    edge = round(crop.size * (1 - INNER) / 2)
    cut = crop.extract(image, plain=True)[edge : crop.size - edge, edge : crop.size - edge]
    return cv2.resize(cut, (THUMBNAIL_PX, THUMBNAIL_PX), interpolation=cv2.INTER_AREA).astype(np.float32)


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
