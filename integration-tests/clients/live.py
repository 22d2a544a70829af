"""Live tracks: the bar code picture drawn now, and a steady tone."""

import asyncio
import fractions
import time
from collections.abc import Callable

import numpy as np
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, VideoFrame

import barcode

VIDEO_CLOCK = fractions.Fraction(1, 90_000)
SAMPLE_RATE = 48_000
TONE_HZ = 440
#: Samples of one 20 ms audio frame.
AUDIO_SAMPLES = 960


class Picture:
    """Paints the test picture: bar code, colour gradients and a box that moves one column a frame."""

    def __init__(self, width: int, height: int) -> None:
        self._width, self._height = width, height
        across = np.linspace(70, 190, width)
        down = np.linspace(-20, 20, height)
        luma = across[None, :] + down[:, None]
        shape = (height // 2, width // 2)
        blue = np.broadcast_to(np.linspace(90, 166, width // 2)[None, :], shape)
        red = np.broadcast_to(np.linspace(166, 90, height // 2)[:, None], shape)
        planes = [plane.astype(np.uint8).reshape(-1) for plane in (luma, blue, red)]
        self._planes = np.concatenate(planes).reshape(height * 3 // 2, width)

    def paint(self, number: int, clock: int) -> VideoFrame:
        """One yuv420p frame; `clock` is in milliseconds."""
        planes = self._planes.copy()
        side = self._height // 4
        left = number * self._width // barcode.COLUMNS % max(1, self._width - side)
        planes[self._height // 2 : self._height // 2 + side, left : left + side] = 210
        barcode.stamp(planes, number, clock)
        return VideoFrame.from_ndarray(planes, format="yuv420p")


class PictureTrack(MediaStreamTrack):
    """Frames numbered from 1, each with the clock it was drawn at; late ones are skipped."""

    kind = "video"

    def __init__(self, width: int, height: int, fps: int, on_frame: Callable[[int], None]) -> None:
        super().__init__()
        self._picture = Picture(width, height)
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
        frame = self._picture.paint(self.sent, int(time.time() * 1000))
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
