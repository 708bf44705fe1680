"""Tracking and smoothing: numbers are kept, lost faces are found again, empty frames are survived."""

import cv2
import numpy as np
import pytest

from common.errors import DataError
from datasets.crop import square_crop
from datasets.face import Face
from recon3d.regression.tracking import FaceTracker, OneEuroFilter, TrackedFace, smooth_tracks
from recon3d.regression.video import VideoReader, is_video

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
        box=np.zeros(4), detection_score=1.0, crop=crop, parameters=np.zeros(62), landmarks=landmarks, scheme="ibug68",
        rotation=np.eye(3), angles_deg=np.zeros(3), scale=1.0,
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
                    np.column_stack([UNIT[:, :2] * 70 + [100 + 0.5 * t, 100], UNIT[:, 2]]) + noise * rng.normal(size=(68, 3)),
                ),
            )
        ]


def jitter(frames):
    points = np.stack([faces[0].face.landmarks[:, :2] for faces in frames])
    return np.abs(np.diff(points, 2, axis=0)).mean()


@pytest.mark.parametrize(("how", "share"), [("mean", 0.6), ("one_euro", 0.5)])
def test_smoothing_calms(how, share):
    raw, calm = list(sequence(1.0)), list(smooth_tracks(sequence(1.0), how, 25.0))
    assert len(calm) == len(raw) and jitter(calm) < share * jitter(raw)
    truth = list(sequence(0.0))
    lag = [
        np.abs((c[0].face.landmarks - t[0].face.landmarks)[:, :2].mean(0)).max()
        for c, t in zip(calm[5:], truth[5:], strict=True)
    ]
    assert np.mean(lag) < 2.0  # px, at half a pixel per frame
    shift = calm[30][0].face.landmarks[:, :2].mean(0) - raw[30][0].face.landmarks[:, :2].mean(0)
    middle = np.full((1, 2), 60.0)
    assert np.allclose(calm[30][0].face.crop.invert(middle) - raw[30][0].face.crop.invert(middle), shift)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7])
def test_mean_of_three_frames(count):
    frames = [[TrackedFace(0, face(square_crop(np.zeros(2), 10.0, 120), np.full((68, 3), float(t * t))))] for t in range(count)]
    found = [faces[0].face.landmarks[0, 0] for faces in smooth_tracks(iter(frames), "mean", 25.0)]
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
        assert [len(faces) for faces in smooth_tracks(iter(frames), how, 25.0)] == [0, 1, 1, 1, 0, 0]
    with pytest.raises(DataError, match="unknown smoothing"):
        list(smooth_tracks(iter(frames), "median", 25.0))


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
