"""Writing videos: what players open, sound in step, nothing half written."""

import resource

import av
import cv2
import numpy as np
import pytest

from common.errors import DataError
from tests.video.clips import FPS, RATE, TONE_HZ, picture, read_sound, write_clip
from video import writer as writer_module
from video.movies import write_movie
from video.reader import VideoReader
from video.writer import encoder_name, open_writer


def write(path, count=12, shape=(48, 64), **options):
    with open_writer(path, FPS, **options) as writer:
        for number in range(count):
            writer.write(picture(number, shape))
    return path


def copy(source, target, numbers=range(10**6)):
    with open_writer(target, FPS, sound=str(source)) as writer:
        for frame in VideoReader(source):
            if frame.number in numbers:
                writer.write(frame.image, frame.seconds)


def test_players_open_it(tmp_path):
    path = write(tmp_path / "a.mp4")
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert float(stream.average_rate) == pytest.approx(FPS)
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat"), "the index lies in front, so that it plays while it loads"
    capture = cv2.VideoCapture(str(path))
    for number in range(12):
        read, frame = capture.read()
        assert read and np.abs(frame[..., ::-1].astype(int) - picture(number)).mean() < 4
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_odd_sides_are_filled_up(tmp_path):
    frames = list(VideoReader(write(tmp_path / "a.mp4", 3, (47, 63))))
    assert frames[0].image.shape == (48, 64, 3)
    assert np.abs(frames[0].image[:47, :63].astype(int) - picture(0, (47, 63))).mean() < 4


def test_without_h264_it_is_mpeg4(tmp_path, monkeypatch):
    encoder_name.cache_clear()
    monkeypatch.setattr(writer_module, "_has", lambda name: name == "mpeg4")
    try:
        path = write(tmp_path / "a.mp4")
    finally:
        encoder_name.cache_clear()
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name == "mpeg4"
    assert len(list(VideoReader(path))) == 12


def test_times_of_frames_are_kept(tmp_path):
    times = [0.0, 0.05, 0.2, 0.21, 0.6]
    with open_writer(tmp_path / "a.mp4", FPS) as writer:
        for number, seconds in enumerate(times):
            writer.write(picture(number), 3 + seconds)
    assert [f.seconds for f in VideoReader(tmp_path / "a.mp4")] == pytest.approx(times, abs=1e-3)


@pytest.mark.parametrize(("suffix", "codec"), [("mp4", "aac"), ("mkv", "pcm_s16le"), ("mkv", "aac")])
@pytest.mark.parametrize("first", [0, 16])
def test_the_sound_stays_in_step(tmp_path, suffix, codec, first):
    clip = write_clip(tmp_path / f"clip.{suffix}", 40, sound=codec)  # two seconds, of which the second one sounds
    copy(clip, tmp_path / "out.mp4", range(first, 36))
    samples, name = read_sound(tmp_path / "out.mp4")
    assert name == "aac"
    begin = 1.0 - first / FPS
    assert np.flatnonzero(np.abs(samples) > 0.2)[0] / RATE == pytest.approx(begin, abs=0.08)
    loud = samples[round((begin + 0.2) * RATE) : round((begin + 0.7) * RATE)]
    assert np.abs(np.fft.rfft(loud)).argmax() * RATE / len(loud) == pytest.approx(TONE_HZ, abs=4)
    assert len(samples) / RATE == pytest.approx((36 - first) / FPS, abs=0.15)


def test_copied_sound_is_that_of_the_source_bit_for_bit(tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", 40, sound="aac")
    copy(clip, tmp_path / "out.mp4")
    packets = []
    for path in (clip, tmp_path / "out.mp4"):
        with av.open(str(path)) as container:
            packets.append([bytes(p) for p in container.demux(container.streams.audio[0]) if p.size])
    assert len(packets[1]) > 25 and set(packets[1]) <= set(packets[0])


def test_a_silent_source_gives_a_silent_video(tmp_path):
    copy(write_clip(tmp_path / "clip.mp4", 4), tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert not container.streams.audio


def noise(count):
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (240, 320, 3), dtype=np.uint8) for _ in range(count)]


def test_a_full_disk_is_never_taken_for_a_written_video(tmp_path):
    old = write(tmp_path / "a.mp4", 2).read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))
    try:
        with pytest.raises(DataError, match=r"a\.mp4: cannot be written .*; free some space or choose another place"):
            write_movie(tmp_path / "a.mp4", noise(40), FPS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"] and (tmp_path / "a.mp4").read_bytes() == old


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_a_short_file_is_noticed_although_no_write_failed(tmp_path, monkeypatch, share):
    close = writer_module.VideoWriter.close

    def close_and_lose(writer):
        close(writer)
        content = writer.path.read_bytes()
        writer.path.write_bytes(content[: int(share * len(content))])

    monkeypatch.setattr(writer_module.VideoWriter, "close", close_and_lose)
    with pytest.raises(DataError, match="cannot be written"):
        write_movie(tmp_path / "a.mp4", noise(12), FPS)
    assert list(tmp_path.iterdir()) == []


def test_a_failing_source_leaves_nothing_behind(tmp_path):
    with pytest.raises(ZeroDivisionError), open_writer(tmp_path / "a.mp4", FPS) as writer:
        writer.write(picture(0))
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_frames_of_another_size_are_refused(tmp_path):
    with pytest.raises(DataError, match="give all the same size"), open_writer(tmp_path / "a.mp4", FPS) as writer:
        writer.write(picture(0))
        writer.write(picture(0, (60, 80)))


@pytest.mark.parametrize("name", ["a.mp4", "a.gif", "a.png"])
def test_progress_shows_the_name_of_the_result(tmp_path, name, capsys):
    write_movie(tmp_path / name, [picture(number) for number in range(5)], FPS)
    shown = capsys.readouterr().err
    assert name in shown and ".tmp" not in shown


def test_a_folder_in_the_way_is_told(tmp_path):
    (tmp_path / "a.mp4").mkdir()
    with pytest.raises(DataError, match=r"a\.mp4: cannot be written"):
        write(tmp_path / "a.mp4", 2)
