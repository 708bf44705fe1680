"""Reading videos: numbers, times, spans, rotation, and one sentence for what is no video."""

import av
import cv2
import numpy as np
import pytest

from common.errors import DataError
from tests.video.clips import FPS, SIDE, picture, tone_frames, write_clip
from video.reader import Position, Span, VideoReader, is_video, open_video, parse_position, video_stem


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clips") / "clip.mp4")


def numbers_shown(frames):
    return [round(int(frame.image[-4, -4, 0]) / 10) for frame in frames]


def test_frames_come_with_numbers_and_times(clip):
    reader = VideoReader(clip)
    frames = list(reader)
    assert [f.number for f in frames] == numbers_shown(frames) == list(range(20))
    assert [f.seconds for f in frames] == pytest.approx(np.arange(20) / FPS, abs=2e-3)
    assert reader.fps == pytest.approx(FPS) and reader.expected_frames == 20
    assert np.abs(frames[3].image.astype(int) - picture(3)).mean() < 4


@pytest.mark.parametrize(
    ("start", "end", "every", "wanted"),
    [
        ("5", "9", 1, [5, 6, 7, 8]),
        ("0.25s", "0:00.5", 1, [5, 6, 7, 8, 9]),
        ("", "", 6, [0, 6, 12, 18]),
        ("3", "0.5s", 2, [3, 5, 7, 9]),
        ("-1", "2", 1, [0, 1]),
    ],
)
def test_spans(clip, start, end, every, wanted):
    reader = VideoReader(clip, Span.parse(start, end, every))
    frames = list(reader)
    assert [f.number for f in frames] == numbers_shown(frames) == wanted
    assert abs(reader.expected_frames - len(wanted)) <= 1


def test_a_late_start_is_sought_and_gives_the_same_frames(tmp_path, monkeypatch):
    clip = write_clip(tmp_path / "long.mp4", 25)
    monkeypatch.setattr("video.reader.SEEK_FROM_S", 0.1)
    frames = list(VideoReader(clip, Span.parse("0.85s")))
    assert [f.number for f in frames] == numbers_shown(frames) == list(range(17, 25))


@pytest.mark.parametrize("degrees", [90, -90, 180])
def test_rotated_videos_come_upright_as_opencv_shows_them(tmp_path, degrees):
    clip = write_clip(tmp_path / "turned.mp4", 2, rotation=degrees)
    ours = next(iter(VideoReader(clip))).image
    theirs = cv2.cvtColor(cv2.VideoCapture(str(clip)).read()[1], cv2.COLOR_BGR2RGB)
    assert ours.shape == theirs.shape == ((*SIDE, 3) if degrees == 180 else (*SIDE[::-1], 3))
    assert np.abs(ours.astype(int) - theirs).mean() < 6


def test_positions():
    assert parse_position("120", "--start") == Position(120, False)
    assert parse_position("4.5s", "--start") == Position(4.5, True)
    assert parse_position("1:02:03.5", "--start") == Position(3723.5, True)
    assert parse_position("-1", "--end") is None and parse_position("", "--end") is None
    for text in ("1.5", "soon", "1:", "-3", "4m"):
        with pytest.raises(DataError, match="--start .* is no place in a video; give"):
            parse_position(text, "--start")
    with pytest.raises(DataError, match="--end 3 is not after --start 3"):
        Span.parse("3", "3")
    with pytest.raises(DataError, match="--every 0"):
        Span.parse(every=0)


def test_names():
    for name in ("clip.mp4", "a/b.MOV", "webcam:0", "<video0>", "0"):
        assert is_video(name)
    assert not is_video("photo.jpg") and not is_video("webcam:front")
    assert video_stem("a/clip.mp4") == "clip" and video_stem("webcam:1") == video_stem("<video1>") == "webcam1"


def test_what_is_no_video_is_told(clip, tmp_path):
    with pytest.raises(DataError, match="has 20 frames, so none from frame 30 on"):
        list(VideoReader(clip, Span.parse("30")))
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    with pytest.raises(DataError, match="not a readable video"):
        VideoReader(tmp_path / "bad.mp4")
    with pytest.raises(DataError, match="no such video"):
        VideoReader(tmp_path / "none.mp4")
    with pytest.raises(DataError, match="no such camera"):
        open_video("webcam:77")


def test_a_damaged_video_gives_what_it_holds_and_says_so(tmp_path):
    content = write_clip(tmp_path / "whole.avi", codec="mjpeg").read_bytes()
    (tmp_path / "cut.avi").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"cut\.avi: damaged after frame \d+ \("):
        list(VideoReader(tmp_path / "cut.avi"))
    frames = list(_until_damage(tmp_path / "cut.avi"))
    assert 3 < len(frames) < 15 and numbers_shown(frames) == list(range(len(frames)))


def _until_damage(path):
    try:
        yield from VideoReader(path)
    except DataError:
        return


def test_sound_alone_is_no_video(tmp_path):
    with av.open(str(tmp_path / "tone.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=16_000, layout="mono")
        for frame in tone_frames(0.5):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(DataError, match="holds no video"):
        VideoReader(tmp_path / "tone.mp4")
