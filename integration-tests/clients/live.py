"""Live tracks: the bar code picture drawn now, and a steady tone."""

import asyncio
import fractions
import time
from collections.abc import Callable

import numpy as np
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, VideoFrame

from picture import Picture

VIDEO_CLOCK = fractions.Fraction(1, 90_000)
SAMPLE_RATE = 48_000
TONE_HZ = 440
#: Samples of one 20 ms audio frame.
AUDIO_SAMPLES = 960


#: Seconds for which one size is sent before it is the next one's turn.
TURN = 1.5


class PictureTrack(MediaStreamTrack):
    """Frames numbered from 1, each with the clock it was drawn at; late ones are skipped. Sizes take turns."""

    kind = "video"

    def __init__(self, sizes: list[tuple[int, int]], fps: int, on_frame: Callable[[int], None]) -> None:
        super().__init__()
        self._pictures = [Picture(width, height) for width, height in sizes]
        self._fps = fps
        self._on_frame = on_frame
        self._start: float | None = None
        self._tick = 0
        self.sent = 0

    async def recv(self) -> VideoFrame:
        """Waits until the next frame is due and draws it."""
        if self.readyState != "live":
            raise MediaStreamError
        now = time.time()
        if self._start is None:
            self._start = now
        else:
            self._tick = max(self._tick + 1, int((now - self._start) * self._fps))
            await asyncio.sleep(self._start + self._tick / self._fps - now)
        self._on_frame(self.sent)
        self.sent += 1
        picture = self._pictures[int(self._tick / self._fps / TURN) % len(self._pictures)]
        frame = VideoFrame.from_ndarray(
            picture.planes(self.sent, int(time.time() * 1000)), format="yuv420p"
        )
        frame.pts = self._tick * 90_000 // self._fps
        frame.time_base = VIDEO_CLOCK
        return frame


class ToneTrack(MediaStreamTrack):
    """A steady 440 Hz sine, stereo, at a quarter of full scale."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._start: float | None = None
        self.sent = 0

    async def recv(self) -> AudioFrame:
        """Waits until the next 20 ms are due."""
        if self.readyState != "live":
            raise MediaStreamError
        now = time.time()
        if self._start is None:
            self._start = now
        pts = self.sent * AUDIO_SAMPLES
        await asyncio.sleep(self._start + pts / SAMPLE_RATE - now)
        self.sent += 1
        phase = np.arange(pts, pts + AUDIO_SAMPLES) * (2 * np.pi * TONE_HZ / SAMPLE_RATE)
        samples = (np.sin(phase) * 8192).astype(np.int16)
        frame = AudioFrame.from_ndarray(np.repeat(samples, 2).reshape(1, -1), format="s16", layout="stereo")
        frame.sample_rate = SAMPLE_RATE
        frame.pts = pts
        frame.time_base = fractions.Fraction(1, SAMPLE_RATE)
        return frame
