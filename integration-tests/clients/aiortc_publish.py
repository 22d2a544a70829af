#!/usr/bin/env python3
"""Publishes H264 and Opus over WHIP with aiortc: the live bar code picture and a tone, or an encoded clip.

    aiortc_publish.py --url http://HOST/whip/CHANNEL [--token T] [--size 640x360 ...] [--fps 30] [--clip FILE]

Stops on SIGTERM, SIGINT, a line `stop` on stdin or the end of a piped stdin, and then deletes its
session. Exit status: 0 stopped, 2 refused by the server, 3 connection lost.
"""

import argparse
import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
import aiortc
from aiortc import RTCPeerConnection

import clip
from lines import emit, milliseconds_since, stop_requested
from live import PictureTrack, ToneTrack
from make_clip import size
from whip import Refused, Session, h264_only, peer

Video = PictureTrack | clip.ClipTrack
Audio = ToneTrack | clip.ClipTrack


async def main() -> int:
    """Runs until told to stop; returns the exit status."""
    args = arguments()
    emit("version", version=f"aiortc {aiortc.__version__}")
    stop = stop_requested()
    posted = time.time()

    def on_video(sent: int) -> None:
        # Asked for the second frame, the sender has packetised and sent the first.
        if sent == 1:
            emit("first_rtp", ms=milliseconds_since(posted))

    video: Video
    audio: Audio
    if args.clip:
        video, audio = clip_tracks(clip.load(args.clip), on_video)
    else:
        video, audio = PictureTrack(args.size, args.fps, on_video), ToneTrack()
    pc = peer()
    lost = watch_connection(pc, posted)
    if args.only != "video":
        pc.addTransceiver(audio, direction="sendonly")
    if args.only != "audio":
        pc.addTransceiver(video, direction="sendonly").setCodecPreferences(h264_only())
    async with aiohttp.ClientSession() as http:
        try:
            session = await Session.open(http, args.url, args.token, pc, hide=args.hide)
        except Refused as refused:
            emit("refused", status=refused.status, headers=refused.headers, body=refused.body)
            await pc.close()
            return 2
        emit("session", url=session.url, ms=milliseconds_since(posted))
        await publish(pc, video, audio, stop, lost)
        if lost.is_set():
            status = 3
        else:
            status = 0
            first, second = await session.close()
            emit("deleted", status=first, again=second)
        await pc.close()
        emit("summary", video_frames=video.sent, audio_frames=audio.sent)
        return status


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True)
    parser.add_argument("--token")
    parser.add_argument("--hide", action="store_true", help="name no address in the offer")
    parser.add_argument(
        "--size",
        type=size,
        nargs="+",
        default=[(640, 360)],
        metavar="WIDTHxHEIGHT",
        help="several take turns",
    )
    parser.add_argument("--fps", type=int, default=30)
    parser.add_argument("--only", choices=["audio", "video"], help="send one of the two")
    parser.add_argument("--clip", type=Path, help="an encoded clip of make_clip.py, sent as it is")
    return parser.parse_args()


def clip_tracks(source: clip.Clip, on_video: Callable[[int], None]) -> tuple[clip.ClipTrack, clip.ClipTrack]:
    """Both tracks of a clip; each round is announced with `origin`, so that clock + origin = due time."""
    start = clip.Start()

    def on_packet(sent: int) -> None:
        on_video(sent)
        if sent % len(source.video) == 0:
            # The first frame carries the clock of one frame interval, not zero.
            origin = start.at() + (sent - 1) / source.fps
            emit("loop", origin=origin, seconds=source.seconds, frames=len(source.video))

    return (
        clip.ClipTrack("video", source.video, source.fps, start, on_packet, source.order),
        clip.ClipTrack("audio", source.audio, clip.AUDIO_RATE, start, lambda _: None),
    )


def watch_connection(pc: RTCPeerConnection, posted: float) -> asyncio.Event:
    """Reports the states of a connection; the event is set when it is lost."""
    lost = asyncio.Event()

    @pc.on("connectionstatechange")
    def on_state() -> None:
        emit("connection", state=pc.connectionState, ms=milliseconds_since(posted))
        if pc.connectionState in ("failed", "closed"):
            lost.set()

    return lost


async def publish(
    pc: RTCPeerConnection, video: Video, audio: Audio, stop: asyncio.Event, lost: asyncio.Event
) -> None:
    """Prints statistics each second until told to stop or disconnected."""
    ending = [asyncio.ensure_future(event.wait()) for event in (stop, lost)]
    while True:
        done, _ = await asyncio.wait(ending, timeout=1, return_when=asyncio.FIRST_COMPLETED)
        if done:
            break
        emit("stats", video_frames=video.sent, audio_frames=audio.sent, rtp=await outbound(pc))
    for waiting in ending:
        waiting.cancel()


async def outbound(pc: RTCPeerConnection) -> dict[str, dict[str, int | float | None]]:
    """Packets and octets sent per kind, and what the server reports about them."""
    report = (await pc.getStats()).values()
    result: dict[str, dict[str, int | float | None]] = {}
    for entry in report:
        if entry.type == "outbound-rtp":
            sent = {"ssrc": entry.ssrc, "packets": entry.packetsSent, "octets": entry.bytesSent}
            result.setdefault(entry.kind, {}).update(sent)
        elif entry.type == "remote-inbound-rtp":
            heard = {"lost": entry.packetsLost, "rtt": entry.roundTripTime}
            result.setdefault(entry.kind, {}).update(heard)
    return result


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
