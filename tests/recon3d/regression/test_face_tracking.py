"""Tracking and smoothing: numbers are kept, lost faces are found again, empty frames are survived."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from common.errors import DataError
from datasets.crop import square_crop
from datasets.face import Face
from networks.regressors import RegressorConfig
from recon3d.regression.models import LoadedRegressor, ParameterRegressor
from recon3d.regression.params import Whitening
from recon3d.regression.regressor import FaceRegressor
from recon3d.regression.tracking import FaceTracker, OneEuroFilter, TrackedFace, smooth_tracks
from recon3d.regression.video import VideoReader, is_video
from tests.recon3d.regression.faces import random_parameters, small_model

UNIT = np.random.default_rng(0).uniform(-0.5, 0.5, (68, 3))


class DrawnRegressor:
    """Finds bright squares: a stand-in whose landmarks lie in the square, as long as it is within the region."""

    size = 120

    def __init__(self):
        self.detections = 0

    def __call__(self, image):
        self.detections += 1
        return [f for f in self.regress_crops([image] * 9, self._squares(image)) if f is not None]

    def _squares(self, image):
        _, _, stats, centres = cv2.connectedComponentsWithStats((image[..., 0] > 128).astype(np.uint8))
        return [square_crop(c + 0.5, s[2] * 1.5, 120) for s, c in zip(stats[1:], centres[1:], strict=True)]

    def regress_crops(self, images, crops):
        faces = []
        for image, crop in zip(images, crops):
            cut = crop.extract(image)[..., 0] > 128
            rows, columns = np.nonzero(cut)
            if len(rows):
                middle = np.array([columns.mean() + 0.5, rows.mean() + 0.5])
                side = np.sqrt(len(rows))
            else:  # a network answers with something wherever it looks
                middle, side = np.array([300.0, 300.0]), 20.0
            local = np.column_stack([middle + UNIT[:, :2] * side, UNIT[:, 2] * side])
            faces.append(face(crop, crop.invert(local)))
        return faces


def face(crop, landmarks):
    return Face(
        box=np.zeros(4),
        detection_score=1.0,
        crop=crop,
        parameters=np.zeros(62),
        landmarks=landmarks,
        scheme="ibug68",
        rotation=np.eye(3),
        angles_deg=np.zeros(3),
        scale=1.0,
    )


def frame(*centres, side=80):
    image = np.zeros((400, 600, 3), np.uint8)
    for x, y in centres:
        image[y - side // 2 : y + side // 2, x - side // 2 : x + side // 2] = 255
    return image


def test_faces_keep_their_numbers_and_lost_ones_are_found_again():
    regressor = DrawnRegressor()
    tracker = FaceTracker(regressor, redetect=0)
    numbers = []
    for t in range(10):
        numbers.append([f.number for f in tracker(frame((100 + 6 * t, 100), (450 - 4 * t, 250)))])
    assert numbers == [[0, 1]] * 10 and regressor.detections == 1
    assert [f.number for f in tracker(frame((160, 100)))] == [0]  # the second face has left
    for _ in range(5):
        assert tracker(frame()) == []  # nobody there
    (back,) = tracker(frame((300, 300)))
    assert back.number == 2 and np.abs(back.face.landmarks[:, :2].mean(0) - [300, 300]).max() < 12


def test_new_faces_are_found_at_the_next_detection():
    tracker = FaceTracker(DrawnRegressor(), redetect=4)
    counts = [len(tracker(frame((100, 100)) if t < 2 else frame((100, 100), (400, 200)))) for t in range(6)]
    assert counts == [1, 1, 1, 1, 2, 2]


def sequence(noise, count=60):
    rng = np.random.default_rng(1)
    crop = square_crop(np.array([100.0, 100.0]), 100.0, 120)
    for t in range(count):
        yield [
            TrackedFace(
                0,
                face(
                    crop,
                    np.column_stack([UNIT[:, :2] * 70 + [100 + 0.5 * t, 100], UNIT[:, 2]])
                    + noise * rng.normal(size=(68, 3)),
                ),
            )
        ]


def jitter(frames):
    points = np.stack([faces[0].face.landmarks[:, :2] for faces in frames])
    return np.abs(np.diff(points, 2, axis=0)).mean()


class Points:
    """A stand-in for a regressor whose parameters are the landmarks themselves."""

    def photo_parameters(self, face):
        return face.landmarks.astype(float)

    def parameter_units(self, face):
        return np.full(face.landmarks.shape, face.crop.size / face.crop.scale / 10)

    def with_photo_parameters(self, face, parameters):
        return replace(face, landmarks=parameters)


@pytest.fixture(scope="module")
def regressor():
    """An untrained network with the small face model: only its arithmetic is used."""
    config = RegressorConfig(width=0.25, landmarks=68)
    whitening = Whitening(random_parameters(99).mean(0), random_parameters(99).std(0))
    model = ParameterRegressor(config, whitening, "continuous").eval()
    return FaceRegressor(LoadedRegressor(model, {}, Path()), small_model(), detector="none", device="cpu")


def still_face(regressor, noise, count=40):
    """Frames of one face whose parameters and crops jitter: the crops move, the face does not."""
    rng = np.random.default_rng(2)
    truth = random_parameters(1)[0].double().numpy()
    crop = square_crop(np.array([200.0, 150.0]), 180.0, 120)
    (start,) = regressor._faces([crop], None, torch.from_numpy(truth[None]).float(), [np.zeros((68, 3))], [None])
    steady = regressor.photo_parameters(start)
    spread = regressor.parameter_units(start)
    for _ in range(count):
        moved = replace(start, crop=square_crop(200 + rng.normal(size=2), 180 + 2 * rng.normal(), 120))
        shaken = steady + noise * spread * rng.normal(size=len(steady))
        yield [TrackedFace(0, regressor.with_photo_parameters(moved, shaken))]


def dense_jitter(regressor, frames):
    """Mean second difference of all vertices over time, about their centre, photo px."""
    screens = torch.stack([regressor.screen([faces[0].face])[0, :, :2] for faces in frames]).numpy()
    return np.abs(np.diff(screens - screens.mean(1, keepdims=True), 2, axis=0)).mean()


@pytest.mark.parametrize(("how", "share"), [("mean", 0.6), ("one_euro", 0.5)])
def test_smoothing_reaches_the_dense_vertices(how, share, regressor):
    raw = list(still_face(regressor, 0.1))
    calm = list(smooth_tracks(iter(raw), how, 25.0, regressor))
    assert dense_jitter(regressor, calm) < share * dense_jitter(regressor, raw)
    for faces in calm:
        shown = faces[0].face
        vertices = regressor.screen([shown])[0].numpy()
        assert np.allclose(vertices[:68, :2], shown.landmarks[:, :2], atol=1e-2)  # its landmarks are its first vertices


def test_parameters_survive_the_way_through_the_photo(regressor):
    (tracked,) = next(still_face(regressor, 0.0))
    face = tracked.face
    again = regressor.with_photo_parameters(face, regressor.photo_parameters(face))
    assert np.allclose(again.parameters, face.parameters, rtol=1e-5, atol=1e-4)
    assert np.allclose(again.landmarks, face.landmarks, atol=1e-3) and np.allclose(
        again.rotation, face.rotation, atol=1e-5
    )


@pytest.mark.parametrize(("how", "share"), [("mean", 0.6), ("one_euro", 0.5)])
def test_smoothing_calms(how, share):
    raw, calm = list(sequence(1.0)), list(smooth_tracks(sequence(1.0), how, 25.0, Points()))
    assert len(calm) == len(raw) and jitter(calm) < share * jitter(raw)
    truth = list(sequence(0.0))
    lag = [
        np.abs((c[0].face.landmarks - t[0].face.landmarks)[:, :2].mean(0)).max()
        for c, t in zip(calm[5:], truth[5:], strict=True)
    ]
    assert np.mean(lag) < 2.0  # px, at half a pixel per frame


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7])
def test_mean_of_three_frames(count):
    frames = [
        [TrackedFace(0, face(square_crop(np.zeros(2), 10.0, 120), np.full((68, 3), float(t * t))))]
        for t in range(count)
    ]
    found = [faces[0].face.landmarks[0, 0] for faces in smooth_tracks(iter(frames), "mean", 25.0, Points())]
    values = [t * t for t in range(count)]
    assert found == pytest.approx([np.mean(values[max(0, t - 1) : t + 2]) for t in range(count)])


def test_one_euro_follows_a_step_and_keeps_a_constant():
    low_pass = OneEuroFilter(30.0)
    assert all(low_pass(np.array([3.0])) == 3 for _ in range(5))
    values = [low_pass(np.array([13.0]))[0] for _ in range(40)]
    assert np.all(np.diff(values) >= 0) and values[-1] == pytest.approx(13, abs=0.05)


def test_smoothing_of_frames_without_faces():
    frames = [[], *list(sequence(1.0, 3)), [], []]
    for how in ("none", "mean", "one_euro"):
        assert [len(faces) for faces in smooth_tracks(iter(frames), how, 25.0, Points())] == [0, 1, 1, 1, 0, 0]
    with pytest.raises(DataError, match="unknown smoothing"):
        list(smooth_tracks(iter(frames), "median", 25.0, Points()))


def test_videos(tmp_path):
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 20.0, (64, 48))
    for t in range(6):
        writer.write(np.full((48, 64, 3), (0, 0, 40 * t), np.uint8))
    writer.release()
    frames = list(VideoReader(str(path), start=2, end=5))
    assert len(frames) == 3 and frames[0].shape == (48, 64, 3) and abs(int(frames[0][0, 0, 0]) - 80) < 12
    assert VideoReader(str(path)).fps == pytest.approx(20)
    assert is_video("clip.mp4") and is_video("<video0>") and is_video("0") and not is_video("photo.jpg")
    with pytest.raises(DataError, match="has 6 frames, so none from frame 10"):
        list(VideoReader(str(path), start=10))
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    with pytest.raises(DataError, match="not a video"):
        VideoReader(str(tmp_path / "bad.mp4"))
    with pytest.raises(DataError, match="no such video"):
        VideoReader(str(tmp_path / "none.mp4"))
    with pytest.raises(DataError, match="no such camera"):
        VideoReader("<video77>")


def test_a_face_that_vanished_is_lost_although_the_network_still_answers():
    """Without a second head, a network gives a steady face on an empty frame; the picture tells that it has gone."""

    class Stubborn(DrawnRegressor):
        def regress_crops(self, images, crops):
            return [face(c, c.invert(np.column_stack([60 + UNIT[:, :2] * 85, UNIT[:, 2] * 85]))) for c in crops]

    photo = np.random.default_rng(1).integers(0, 255, (12, 16, 3), dtype=np.uint8)
    photo = cv2.resize(photo, (600, 400), interpolation=cv2.INTER_LINEAR) // 3 + frame((300, 200)) // 2
    tracker = FaceTracker(Stubborn(), redetect=0)
    assert [f.number for f in tracker(photo)] == [0] and [f.number for f in tracker(np.roll(photo, 3, axis=1))] == [0]
    assert tracker(np.full_like(photo, 60)) == [] and tracker(np.full_like(photo, 60)) == []
    assert [f.number for f in tracker(photo)] == [1]


def test_a_face_that_is_seen_again_at_once_keeps_its_number():
    regressor = DrawnRegressor()
    tracker = FaceTracker(regressor, redetect=0)
    assert [f.number for f in tracker(frame((300, 200)))] == [0]
    tracker._looks[0] = -tracker._looks[0]  # a flash, say
    assert [f.number for f in tracker(frame((300, 200)))] == [0] and regressor.detections == 2
