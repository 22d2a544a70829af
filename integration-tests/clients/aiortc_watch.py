#!/usr/bin/env python3
"""Plays a channel over WHEP with aiortc, decodes every picture and prints what its bar code says.

    aiortc_watch.py --url http://HOST/whep/CHANNEL [--token T] [--wait] [--seconds N]
                    [--png-before FILE] [--png-after FILE]

A picture is decoded when the first packet of the next one arrives (aiortc ignores the marker bit), so
`t` is one frame interval later than in a browser. Stops on SIGTERM, SIGINT, a line `stop` on stdin,
the end of a piped stdin or after N seconds, and then deletes its session. Exit status: 0 stopped,
2 refused by the server, 3 connection lost.
"""

import argparse
import asyncio
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import aiohttp
import aiortc
import numpy as np
from aiortc import MediaStreamTrack, RTCPeerConnection
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, VideoFrame

import barcode
from aiortc_publish import watch_connection
from lines import emit, milliseconds_since, stop_requested
from seen import tell
from whip import Refused, Session, h264_only, peer


@dataclass
class Summary:
    """Totals of one viewing."""

    frames: int = 0
    unreadable: int = 0
    inverted: int = 0
    first_n: int | None = None
    last_n: int | None = None
    max_gap_ms: float = 0.0
    audio_frames: int = 0


class Viewer:
    """Reads both tracks; one line for each picture, one a second for the sound."""

    def __init__(self, posted: float, before: Path | None, after: Path | None) -> None:
        self.summary = Summary()
        self._posted = posted
        self._pictures = {False: before, True: after}
        self._last: float | None = None

    async def read_video(self, track: MediaStreamTrack) -> None:
        """Reports every picture until the track ends."""
        while (frame := await next_frame(track)) is not None:
            assert isinstance(frame, VideoFrame)
            await self._picture(frame, time.time())

    async def read_audio(self, track: MediaStreamTrack) -> None:
        """Reports once a second how much sound came, and how loud (RMS, 1 = full scale), also left and right."""
        due, count, power = 0.0, 0, np.zeros(2)
        while (frame := await next_frame(track)) is not None:
            assert isinstance(frame, AudioFrame)
            due = due or time.time() + 1
            self.summary.audio_frames += 1
            count += 1
            # aiortc decodes every Opus packet to two interleaved channels.
            power += np.mean((frame.to_ndarray().reshape(-1, 2) / 32768.0) ** 2, axis=0)
            if time.time() >= due:
                sides = [round(float(side / count) ** 0.5, 4) for side in power]
                rms = round(float(power.mean() / count) ** 0.5, 4)
                emit("audio", frames=count, rms=rms, sides=sides, pts=frame.pts)
                due, count, power = due + 1, 0, np.zeros(2)

    async def _picture(self, frame: VideoFrame, now: float) -> None:
        summary = self.summary
        if summary.frames == 0:
            size = f"{frame.width}x{frame.height}"
            emit("first_frame", t=now, ms=round((now - self._posted) * 1000, 1), size=size)
        if self._last is not None:
            summary.max_gap_ms = max(summary.max_gap_ms, round((now - self._last) * 1000, 1))
        self._last = now
        summary.frames += 1
        code = tell(luma_of(frame), now, (frame.width, frame.height), pts=frame.pts)
        if code is None:
            summary.unreadable += 1
        else:
            summary.inverted += code.inverted
            summary.first_n = summary.first_n or code.number
            summary.last_n = code.number
        if code is not None and (path := self._pictures[code.inverted]):
            self._pictures[code.inverted] = None
            await asyncio.to_thread(frame.save, str(path))


async def next_frame(track: MediaStreamTrack) -> object | None:
    """The next decoded frame, or None when the track has ended."""
    try:
        return await track.recv()
    except MediaStreamError:
        return None


def luma_of(frame: VideoFrame) -> barcode.Luma:
    """The luma plane without its padding; a view, valid as long as the frame."""
    plane = frame.planes[0]
    rows = np.frombuffer(memoryview(plane), dtype=np.uint8).reshape(-1, plane.line_size)
    return rows[: frame.height, : frame.width]


async def main() -> int:
    """Runs until told to stop; returns the exit status."""
    args = arguments()
    emit("version", version=f"aiortc {aiortc.__version__}")
    stop = stop_requested()
    posted = time.time()
    pc = peer()
    lost = watch_connection(pc, posted)
    viewer = Viewer(posted, args.png_before, args.png_after)
    readers: list[asyncio.Task[None]] = []

    @pc.on("track")
    def on_track(track: MediaStreamTrack) -> None:
        read = viewer.read_video if track.kind == "video" else viewer.read_audio
        readers.append(asyncio.create_task(read(track)))

    pc.addTransceiver("audio", direction="recvonly")
    pc.addTransceiver("video", direction="recvonly").setCodecPreferences(h264_only())
    async with aiohttp.ClientSession() as http:
        more = "&" if "?" in args.url else "?"
        url = f"{args.url}{more}wait=1" if args.wait else args.url
        try:
            session = await Session.open(http, url, args.token, pc, hide=args.hide)
        except Refused as refused:
            emit("refused", status=refused.status, headers=refused.headers, body=refused.body)
            await pc.close()
            return 2
        emit("session", url=session.url, ms=milliseconds_since(posted))
        status = await until_ended(stop, lost, readers, args.seconds)
        if status == 0:
            first, second = await session.close()
            emit("deleted", status=first, again=second)
        received = await inbound(pc)
        await pc.close()
        await asyncio.gather(*readers)
        emit("summary", **asdict(viewer.summary), rtp=received)
        return status


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True)
    parser.add_argument("--token")
    parser.add_argument("--hide", action="store_true", help="name no address in the offer")
    parser.add_argument("--wait", action="store_true", help="wait for the publisher (?wait=1)")
    parser.add_argument("--seconds", type=float, help="stop after this long")
    parser.add_argument("--png-before", type=Path, help="where the first untouched picture goes")
    parser.add_argument("--png-after", type=Path, help="where the first inverted picture goes")
    return parser.parse_args()


async def until_ended(
    stop: asyncio.Event, lost: asyncio.Event, readers: list[asyncio.Task[None]], seconds: float | None
) -> int:
    """Waits for whatever ends the viewing: 0 when asked to stop, 3 when the connection or a track is gone."""
    stopping = asyncio.ensure_future(stop.wait())
    losing = asyncio.ensure_future(lost.wait())
    done, _ = await asyncio.wait(
        [stopping, losing, *readers], timeout=seconds, return_when=asyncio.FIRST_COMPLETED
    )
    stopping.cancel()
    losing.cancel()
    return 3 if done and stopping not in done else 0


async def inbound(pc: RTCPeerConnection) -> dict[str, dict[str, int]]:
    """Packets received, lost and their jitter per kind."""
    return {
        entry.kind: {
            "ssrc": entry.ssrc,
            "packets": entry.packetsReceived,
            "lost": entry.packetsLost,
            "jitter": entry.jitter,
        }
        for entry in (await pc.getStats()).values()
        if entry.type == "inbound-rtp"
    }


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
