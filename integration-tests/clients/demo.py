#!/usr/bin/env python3
"""What `make demo` shows: a clip published and watched through a server of its own, and one moment.

    demo.py --server target/release/reverie [--out demo] [--keep]

Prints a report and writes OUT/before.png and OUT/after.png, then stops everything it started, also when
interrupted. With --keep the server and the publisher stay until Ctrl-C and the page addresses are
printed. Exit status: 0 when transformed pictures were seen and the moment completed, otherwise 1.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

import make_clip
from child import Child, Died, Event
from lines import stop_requested
from measure import Round, Seen
from report import SETTLE, Shown, report, say

HERE = Path(__file__).resolve().parent
CHANNEL = "demo"
CLIP_SECONDS = 20
MOMENT_SECONDS = 5
#: Seconds watched before the moment and after it.
BEFORE, AFTER = 5, 2
#: Seconds a step may take on a busy machine.
PATIENCE = 30
#: Only this machine, on whatever ports are free.
SETTINGS = {
    "REVERIE__HTTP__LISTEN": "127.0.0.1:0",
    "REVERIE__METRICS__LISTEN": "127.0.0.1:0",
    "REVERIE__MEDIA__LISTEN": "0.0.0.0:0",
    "REVERIE__PIPELINE__DEFAULT": "debug-invert",
}


async def main() -> int:
    """Runs the demo, or as much of it as there is time for before a signal."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", type=Path, required=True, help="the reverie binary")
    parser.add_argument("--out", type=Path, default=Path("demo"), help="where the pictures go")
    parser.add_argument("--keep", action="store_true", help="leave the server up until Ctrl-C")
    args = parser.parse_args()
    if not args.server.is_file():
        parser.error(f"no such file: {args.server}")
    stop = asyncio.create_task(stop_requested(stdin=False).wait())
    show = asyncio.create_task(demo(args.server, args.out, args.keep))
    await asyncio.wait([stop, show], return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if not show.done():
        show.cancel()
        await asyncio.wait([show])
        return 0 if args.keep else 1
    try:
        return show.result()
    except (Died, aiohttp.ClientError) as failure:
        say(f"the demo failed: {failure}; the server's log is {args.out / 'server.log'}")
        return 1


async def demo(server: Path, out: Path, keep: bool) -> int:
    """Starts everything, shows it and stops it; returns the exit status."""
    out.mkdir(parents=True, exist_ok=True)
    for name in ("before.png", "after.png"):
        (out / name).unlink(missing_ok=True)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        log = stack.enter_context((out / "server.log").open("wb"))
        http = await stack.enter_async_context(aiohttp.ClientSession())

        say("making a clip: testsrc2 640x360 at 30 fps in H264, sine in Opus")
        clip = folder / "clip.mp4"
        await asyncio.to_thread(make_clip.make, clip, CLIP_SECONDS, 640, 360, 30)

        say("starting the server")
        env = environment(folder / "data")
        running = Child.start("server", server, "serve", "--print-ready", env=env, log=log)
        reverie = await stack.enter_async_context(stopping(running))
        ready = await reverie.until(lambda event: "ready" in event, PATIENCE, "ready line")
        base = f"http://{ready['http']}"

        say(f"publishing to {base}/whip/{CHANNEL}")
        publisher = await stack.enter_async_context(
            stopping(client("aiortc_publish.py", "--url", f"{base}/whip/{CHANNEL}", "--clip", clip))
        )
        await publisher.until(named("first_rtp"), PATIENCE, "first RTP packet")
        loop = await publisher.until(named("loop"), PATIENCE, "first round of the clip")
        round_ = Round(loop["origin"], loop["seconds"], loop["frames"])

        shown = await watch(http, base, round_, out)
        good = report(shown, out)
        if keep:
            say(f"\nthe server stays up until Ctrl-C: {base}/")
            say(f"  this clip         {base}/watch/{CHANNEL}")
            say(f"  your own camera   {base}/bridge/camera and {base}/watch/camera")
            await reverie.ended()
        return 0 if good else 1


async def watch(http: aiohttp.ClientSession, base: str, clip: Round, out: Path) -> Shown:
    """Watches before, during and after one moment."""
    say(f"watching {base}/whep/{CHANNEL}")
    watching = client(
        *("aiortc_watch.py", "--url", f"{base}/whep/{CHANNEL}", "--wait"),
        *("--png-before", out / "before.png", "--png-after", out / "after.png"),
    )
    async with stopping(watching) as viewer:
        first = await viewer.until(named("first_frame"), PATIENCE, "first picture")
        asking = first["t"] + SETTLE + BEFORE
        asked = await viewer.until(
            lambda event: event["event"] == "frame" and event["t"] >= asking, PATIENCE, "pictures"
        )
        say(f"asking for a moment of {MOMENT_SECONDS} s")
        moment = await run_moment(http, base)
        last = time.time() + AFTER
        await viewer.until(
            lambda event: event["event"] == "frame" and event["t"] >= last, PATIENCE, "pictures"
        )
    pictures = [
        Seen(event["t"], event["n"], event["clock"], event["inverted"])
        for event in viewer.events
        if event["event"] == "frame" and event["n"] is not None
    ]
    sound = [event["frames"] for event in viewer.events if event["event"] == "audio"]
    return Shown(first["ms"], clip, pictures, sound, asked["t"], moment)


async def run_moment(http: aiohttp.ClientSession, base: str) -> dict[str, Any]:
    """Asks for a moment and waits until it has ended; returns it as it then is."""
    channel = f"{base}/v1/channels/{CHANNEL}"
    endless = aiohttp.ClientTimeout(total=None)
    wish = {"prompt": "everything inside out", "duration_s": MOMENT_SECONDS, "pipeline": "debug-invert"}
    async with http.get(f"{channel}/events", timeout=endless, raise_for_status=True) as events:
        async with http.post(f"{channel}/moments", json=wish) as response:
            if response.status != 201:
                raise Died(f"the moment was refused: {response.status} {await response.text()}")
            moment = await response.json()
        try:
            async with asyncio.timeout(PATIENCE + MOMENT_SECONDS):
                async for event in server_sent(events.content):
                    about = event["data"] if event["type"].startswith("moment.") else {}
                    if about.get("id") != moment["id"]:
                        continue
                    if about["state"] in ("completed", "failed", "cancelled", "expired"):
                        return about
        except TimeoutError:
            raise Died(f"the moment {moment['id']} did not end in time") from None
    raise Died("the event stream ended before the moment")


async def server_sent(stream: aiohttp.StreamReader) -> AsyncIterator[dict[str, Any]]:
    """The JSON objects in the data lines of a server-sent event stream."""
    async for line in stream:
        if line.startswith(b"data:"):
            yield json.loads(line[5:])


def environment(data: Path) -> dict[str, str]:
    """The environment of the server: no setting of the user's own reaches it."""
    plain = {key: value for key, value in os.environ.items() if not key.startswith("REVERIE__")}
    return {**plain, **SETTINGS, "REVERIE__DATA_DIR": str(data)}


def client(script: str, *arguments: str | Path) -> Coroutine[None, None, Child]:
    """Starts one of the clients beside this file."""
    return Child.start(script, sys.executable, HERE / script, *arguments, log=None)


def named(name: str) -> Callable[[Event], bool]:
    """Matches events of one name."""
    return lambda event: event["event"] == name


@asynccontextmanager
async def stopping(starting: Awaitable[Child]) -> AsyncIterator[Child]:
    """A child that is stopped when the block is left, whatever the reason."""
    child = await starting
    try:
        yield child
    finally:
        status = await asyncio.shield(child.stop())
        if status != 0:
            say(f"{child.name} ended with status {status}")


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
