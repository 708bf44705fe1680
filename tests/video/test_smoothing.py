"""Smoothing: calmer, not later, and batched as one by one."""

import numpy as np
import pytest

from common.errors import DataError
from datasets.crop import square_crop
from tests.video.squares import UNIT, face
from video.reader import Frame
from video.smoothing import LandmarkParameters, OneEuroFilter, smooth_tracks
from video.tracking import FrameFaces, TrackedFace

FPS = 25.0


def shown(number, *faces):
    return FrameFaces(Frame(number, number / FPS, np.zeros((1, 1, 3), np.uint8)), list(faces))


def sequence(noise, count=60):
    rng = np.random.default_rng(1)
    crop = square_crop(np.array([100.0, 100.0]), 100.0, 120)
    for t in range(count):
        points = np.column_stack([UNIT[:, :2] * 70 + [100 + 0.5 * t, 100], UNIT[:, 2]])
        yield shown(t, TrackedFace(0, face(crop, points + noise * rng.normal(size=(68, 3)))))


def smooth(frames, how):
    return list(smooth_tracks(iter(frames), how, LandmarkParameters()))


def landmarks(frames):
    return np.stack([frame.faces[0].face.landmarks[:, :2] for frame in frames])


def jitter(frames):
    return np.abs(np.diff(landmarks(frames), 2, axis=0)).mean()


@pytest.mark.parametrize(("how", "share"), [("mean", 0.6), ("one_euro", 0.5)])
def test_smoothing_calms(how, share):
    raw, calm = list(sequence(1.0)), smooth(sequence(1.0), how)
    assert len(calm) == len(raw) and jitter(calm) < share * jitter(raw)
    late = np.abs((landmarks(calm) - landmarks(sequence(0.0)))[5:].mean(1)).max(1)
    assert late.mean() < 2.0  # px, at half a pixel per frame


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7])
def test_mean_of_three_frames(count):
    crop = square_crop(np.zeros(2), 10.0, 120)
    frames = [shown(t, TrackedFace(0, face(crop, np.full((68, 3), float(t * t))))) for t in range(count)]
    found = [frame.faces[0].face.landmarks[0, 0] for frame in smooth(frames, "mean")]
    values = [t * t for t in range(count)]
    assert found == pytest.approx([np.mean(values[max(0, t - 1) : t + 2]) for t in range(count)])


def test_one_euro_follows_a_step_and_keeps_a_constant():
    low_pass = OneEuroFilter()
    assert all(low_pass([0], np.array([[3.0]]), t / 30) == 3 for t in range(5))
    values = [low_pass([0], np.array([[13.0]]), t / 30)[0, 0] for t in range(5, 45)]
    assert np.all(np.diff(values) >= 0) and values[-1] == pytest.approx(13, abs=0.05)


def test_one_euro_is_that_of_the_paper():
    """Casiez et al. 2012, algorithm 1, with the time step of each sample."""
    rng = np.random.default_rng(0)
    times, values = np.cumsum(rng.uniform(0.02, 0.06, 30)), rng.normal(size=30).cumsum()
    low_pass = OneEuroFilter(1.2, 0.3, 0.9)
    found = [low_pass([0], np.array([[v]]), t)[0, 0] for t, v in zip(times, values, strict=True)]

    def alpha(cutoff, step):
        return 1 / (1 + 1 / (2 * np.pi * cutoff) / step)

    x, dx, expected = values[0], 0.0, [values[0]]
    for i in range(1, 30):
        step = times[i] - times[i - 1]
        a = alpha(0.9, step)
        dx = a * (values[i] - x) / step + (1 - a) * dx
        a = alpha(1.2 + 0.3 * abs(dx), step)
        x = a * values[i] + (1 - a) * x
        expected.append(x)
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("how", ["mean", "one_euro"])
def test_a_face_that_rests_stays_while_its_crop_changes(how):
    """An opening mouth makes the crop larger; that must not move the other points."""
    points = np.column_stack([UNIT[:, :2] * 70 + 300, UNIT[:, 2]])
    frames = []
    for t in range(20):
        crop = square_crop(np.array([300.0, 300.0]), 100 + 20 * np.sin(t), 120)
        frames.append(shown(t, TrackedFace(0, face(crop, points))))
    assert np.abs(landmarks(smooth(frames, how)) - points[:, :2]).max() < 1e-9


def test_a_batch_is_smoothed_as_each_alone():
    rng = np.random.default_rng(0)
    together, alone = OneEuroFilter(), {key: OneEuroFilter() for key in range(3)}
    for t in range(12):
        keys = [0, 2, 1] if t % 4 else [2, 1]  # one is away now and then
        values = rng.normal(size=(len(keys), 50, 3))  # dense vertices, say
        found = together(keys, values, t / 25)
        for key, value, smoothed in zip(keys, values, found, strict=True):
            assert np.array_equal(alone[key]([key], value[None], t / 25)[0], smoothed)


def test_who_was_away_for_long_starts_anew():
    low_pass = OneEuroFilter()
    low_pass([0], np.array([[0.0]]), 0.0)
    assert low_pass([0], np.array([[9.0]]), 0.04) < 9 and low_pass([0], np.array([[9.0]]), 1.0) == 9


def test_smoothing_of_frames_without_faces():
    some = [frame.faces for frame in sequence(1.0, 3)]
    frames = [shown(t, *faces) for t, faces in enumerate([[], *some, [], []])]
    for how in ("none", "mean", "one_euro"):
        assert [len(frame.faces) for frame in smooth(frames, how)] == [0, 1, 1, 1, 0, 0]
    with pytest.raises(DataError, match="unknown smoothing"):
        smooth(frames, "median")
