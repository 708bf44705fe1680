"""A video from end to end: what is written, by whom it is left, and how it ends early."""

import csv
import json
import signal

import cv2
import numpy as np
import pytest

from common.errors import DataError
from tests.video.clips import FPS, picture, read_sound, write_clip
from tests.video.squares import DrawnFollower, frame
from video import process
from video.process import VideoOptions, process_video
from video.reader import Frame, Span, VideoReader
from video.window import has_display
from video.writer import open_writer


def squares(t):
    return frame((120 + 8 * t, 100), (420, 250))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    with open_writer(path, FPS) as writer:
        for t in range(12):
            writer.write(squares(t))
    return path


def crosses(image, faces):
    image = image.copy()
    for tracked in faces:
        x, y = tracked.face.landmarks[:, :2].mean(0).astype(int)
        cv2.circle(image, (x, y), 8, (255, 0, 0), -1)
    return image


def test_video_csv_and_json_tell_the_same(clip, tmp_path):
    outputs = [tmp_path / f"a{suffix}" for suffix in (".mp4", ".csv", ".json")]
    result = process_video(str(clip), outputs, DrawnFollower(), crosses, VideoOptions(smoothing="none"))
    assert (result.frames, result.with_faces, result.tracks) == (12, 12, {0, 1})
    assert result.summary == "12 frames, 12 with a face, 2 people"
    rows = list(csv.DictReader(outputs[1].open()))
    assert [(int(r["frame"]), int(r["track"])) for r in rows] == [(t, n) for t in range(12) for n in (0, 1)]
    moving = [np.mean([float(r[f"x{i}"]) for i in range(68)]) for r in rows if r["track"] == rows[0]["track"]]
    assert np.diff(moving) == pytest.approx(np.full(11, 8), abs=1.5) or np.ptp(moving) < 3
    content = json.loads(outputs[2].read_text())
    assert content["fps"] == FPS and [f["frame"] for f in content["frames"]] == list(range(12))
    first = content["frames"][3]["faces"][1]
    assert first["track"] == 1 and first["landmarks"][0][0] == pytest.approx(float(rows[7]["x0"]), abs=1e-3)
    frames = list(VideoReader(outputs[0]))
    assert len(frames) == 12
    red = [np.argwhere((f.image[..., 0] > 180) & (f.image[..., 1] < 90))[:, 1] for f in frames]
    assert all(len(columns) for columns in red), "what was drawn is in the video"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.csv", "a.json", "a.mp4"]


@pytest.mark.parametrize("how", ["none", "mean", "one_euro"])
def test_every_frame_is_written_once(clip, tmp_path, how):
    options = VideoOptions(Span.parse("1", "11", 3), smoothing=how)
    process_video(str(clip), [tmp_path / "a.mp4", tmp_path / "a.csv"], DrawnFollower(), crosses, options)
    frames = list(VideoReader(tmp_path / "a.mp4"))
    assert [f.seconds for f in frames] == pytest.approx([0, 3 / FPS, 6 / FPS, 9 / FPS], abs=2e-3)
    assert sorted({int(r["frame"]) for r in csv.DictReader((tmp_path / "a.csv").open())}) == [1, 4, 7, 10]


def test_frames_without_faces_stay_and_are_told(tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", 6, sound="aac")
    black = DrawnFollower()
    black.detect = lambda image: []
    result = process_video(str(clip), [tmp_path / "a.mp4", tmp_path / "a.csv"], black, crosses)
    with pytest.raises(DataError, match="no frame has a face; use another --detector"):
        result.check()
    assert np.abs(list(VideoReader(tmp_path / "a.mp4"))[5].image.astype(int) - picture(5)).mean() < 6
    assert (tmp_path / "a.csv").read_text() == "frame,seconds,track,left,top,right,bottom,score\n"
    assert read_sound(tmp_path / "a.mp4")[1] == "aac"


class Breaking:
    """A reader whose file breaks, or at whose fifth frame Ctrl-C is pressed."""

    fps, expected_frames = FPS, None

    def __init__(self, interrupt):
        self.interrupt = interrupt

    def __iter__(self):
        for t in range(5):
            yield Frame(t, t / FPS, squares(t))
        if not self.interrupt:
            raise DataError("clip.mp4: damaged after frame 4 (bad data).")
        signal.raise_signal(signal.SIGINT)
        for t in range(5, 50):
            yield Frame(t, t / FPS, squares(t))


@pytest.mark.parametrize("interrupt", [False, True])
def test_what_was_read_before_the_end_is_kept(tmp_path, monkeypatch, interrupt):
    clip = write_clip(tmp_path / "clip.mp4", 2)
    monkeypatch.setattr(process, "open_video", lambda name, span: Breaking(interrupt))
    outputs = [tmp_path / "a.mp4", tmp_path / "a.csv"]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background starts without one
    if interrupt:
        with pytest.raises(KeyboardInterrupt):
            process_video(str(clip), outputs, DrawnFollower(), crosses)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    else:
        result = process_video(str(clip), outputs, DrawnFollower(), crosses)
        with pytest.raises(DataError, match=r"damaged after frame 4 \(bad data\); the frames before it are written"):
            result.check()
    assert len(list(VideoReader(tmp_path / "a.mp4"))) == 5 + interrupt


def test_a_failure_while_drawing_leaves_nothing(clip, tmp_path):
    with pytest.raises(ZeroDivisionError):
        process_video(str(clip), [tmp_path / "a.mp4", tmp_path / "a.csv"], DrawnFollower(), lambda *_: 1 / 0)
    assert list(tmp_path.iterdir()) == []


def test_progress_shows_the_source(clip, tmp_path, capsys):
    process_video(str(clip), [tmp_path / "a.mp4"], DrawnFollower(), crosses)
    shown = capsys.readouterr().err
    assert "clip.mp4" in shown and "/12" in shown and ".tmp" not in shown


def test_few_frames_are_held_at_a_time(tmp_path, monkeypatch):
    clip = write_clip(tmp_path / "clip.mp4", 2)
    alive = []

    class Counting(Breaking):
        def __iter__(self):
            import weakref

            for t in range(30):
                image = squares(t)
                alive.append(weakref.ref(image))
                yield Frame(t, t / FPS, image)
                del image
                assert sum(ref() is not None for ref in alive) < 6

    monkeypatch.setattr(process, "open_video", lambda name, span: Counting(False))
    process_video(str(clip), [tmp_path / "a.csv"], DrawnFollower(), crosses, VideoOptions(smoothing="mean"))
    assert len(alive) == 30


def test_displays(monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert not has_display()
    monkeypatch.setenv("DISPLAY", ":0")
    assert has_display()
