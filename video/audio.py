"""The sound of a video, taken over into another one: copied as it is where .mp4 can hold it, else encoded as AAC."""

from collections.abc import Iterator
from fractions import Fraction

import av

COPIED = ("aac", "mp3", "ac3", "eac3", "alac")  # what players expect in an .mp4


class Audio:
    """The first sound track of a file, in step with its pictures.

    Args: name of the file; container that it goes into, before anything is written there.
    Raises: FFmpegError when the file cannot be read.
    """

    def __init__(self, name: str, container: av.container.OutputContainer) -> None:
        self._source = av.open(name, metadata_errors="replace")
        self._stream = next(iter(self._source.streams.audio), None)
        self._container = container
        self._offset: Fraction | None = None
        self._waiting: av.Packet | None = None
        if self._stream is None:
            self._packets: Iterator[av.Packet] = iter(())
        elif self._stream.codec_context.name in COPIED:
            self._target = container.add_stream_from_template(self._stream)
            self._packets = self._copied()
        else:
            self._target = container.add_stream("aac", rate=self._stream.codec_context.sample_rate)
            self._packets = self._encoded()

    def start_at(self, seconds: float) -> None:
        """What the pictures' first frame is worth in seconds of the source."""
        video = self._source.streams.video[0]
        first = (video.start_time or 0) * video.time_base
        self._offset = first + Fraction(seconds).limit_denominator(90_000)
        if self._stream is not None and seconds > 0:
            self._source.seek(int(self._offset / self._stream.time_base), stream=self._stream)

    def write_until(self, seconds: float) -> None:
        """All that sounds before a time, in seconds since `start_at`."""
        while True:
            packet = self._waiting or next(self._packets, None)
            self._waiting = packet
            if packet is None or packet.pts * packet.time_base >= seconds:
                return
            self._waiting = None
            self._container.mux(packet)

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def _copied(self) -> Iterator[av.Packet]:
        shift = round(self._offset / self._stream.time_base)
        for packet in self._source.demux(self._stream):
            if packet.pts is None or packet.pts < shift:
                continue
            packet.pts -= shift
            packet.dts = packet.pts
            packet.stream = self._target
            yield packet

    def _encoded(self) -> Iterator[av.Packet]:
        context = self._target.codec_context
        resampler = av.AudioResampler(format="fltp", layout=self._stream.codec_context.layout, rate=context.sample_rate)
        for frame in self._source.decode(self._stream):
            if frame.pts is None or frame.pts * frame.time_base < self._offset:
                continue
            frame.pts -= round(self._offset / frame.time_base)
            for part in resampler.resample(frame):
                yield from self._target.encode(part)
        yield from self._target.encode(None)
