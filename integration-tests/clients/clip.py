"""An encoded clip held in memory and played in real time, round and round, without encoding it again."""

import asyncio
import fractions
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av.bitstream import BitStreamFilterContext

#: Opus packets of 20 ms.
AUDIO_RATE = 50


@dataclass(frozen=True)
class Clip:
    """Annex B access units with parameter sets before each keyframe, and 20 ms Opus packets, equally long.

    `order[i]` is the place at which unit `i` is shown; only B-frames make it another than `i`.
    """

    fps: int
    video: list[bytes]
    audio: list[bytes]
    order: list[int]

    @property
    def seconds(self) -> float:
        """Length of one round."""
        return len(self.video) / self.fps


def load(path: Path) -> Clip:
    """Reads a clip as `make_clip.py` writes it: H264 at a whole frame rate, and Opus."""
    with av.open(str(path)) as container:
        picture, sound = container.streams.video[0], container.streams.audio[0]
        to_annex_b = BitStreamFilterContext("h264_mp4toannexb", picture)
        video: list[bytes] = []
        audio: list[bytes] = []
        times: list[int] = []
        for packet in container.demux(picture, sound):
            if packet.stream is picture:
                # The demuxer ends with an empty packet, which is also how the filter is flushed.
                flush = packet.size == 0
                for unit in to_annex_b.filter(None if flush else packet):
                    assert unit.pts is not None, "a file says when a picture is shown"
                    video.append(bytes(unit))
                    times.append(unit.pts)
            elif packet.size:
                audio.append(bytes(packet))
        assert picture.average_rate is not None, "a file has a frame rate"
        fps = round(picture.average_rate)
    whole_seconds = min(len(video) // fps, len(audio) // AUDIO_RATE)
    if whole_seconds == 0:
        raise ValueError(f"{path} is shorter than a second")
    kept = whole_seconds * fps
    shown = sorted(times[:kept])
    order = [shown.index(at) for at in times[:kept]]
    return Clip(fps, video[:kept], audio[: whole_seconds * AUDIO_RATE], order)


class Start:
    """The instant at which both tracks of a clip begin: that of the first packet asked for."""

    def __init__(self) -> None:
        self._at: float | None = None

    def at(self) -> float:
        """Unix time in seconds."""
        if self._at is None:
            self._at = time.time()
        return self._at


class ClipTrack(MediaStreamTrack):
    """One stream of a clip, each packet handed over when it is due."""

    def __init__(
        self,
        kind: str,
        packets: list[bytes],
        rate: int,
        start: Start,
        on_packet: Callable[[int], None],
        order: list[int] | None = None,
    ) -> None:
        super().__init__()
        self._order = order or list(range(len(packets)))
        self.kind = kind
        self._packets = packets
        self._rate = rate
        self._start = start
        self._on_packet = on_packet
        self.sent = 0

    async def recv(self) -> av.Packet:
        """Waits until the next packet is due."""
        if self.readyState != "live":
            raise MediaStreamError
        await asyncio.sleep(self._start.at() + self.sent / self._rate - time.time())
        self._on_packet(self.sent)
        place = self.sent % len(self._packets)
        packet = av.Packet(self._packets[place])
        packet.pts = self.sent - place + self._order[place]
        packet.time_base = fractions.Fraction(1, self._rate)
        self.sent += 1
        return packet
