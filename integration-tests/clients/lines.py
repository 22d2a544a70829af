"""What every client here speaks: one JSON object per line on stdout, `stop` on stdin or a signal to end.

A client also stops when its stdin is a pipe that closes, so none outlives the program that started it.
"""

import asyncio
import json
import os
import signal
import stat
import sys
import time

STDIN = 0


def emit(event: str, **fields: object) -> None:
    """Prints one event with `t`, the Unix time in seconds (a field `t` of the caller's own wins)."""
    sys.stdout.write(json.dumps({"event": event, "t": time.time(), **fields}) + "\n")
    sys.stdout.flush()


def milliseconds_since(start: float) -> float:
    """Milliseconds since a `time.time()`, to a tenth."""
    return round((time.time() - start) * 1000, 1)


def stop_requested(stdin: bool = True) -> asyncio.Event:
    """An event set by SIGTERM, by SIGINT and, with `stdin`, by what `listen` hears there."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if stdin:
        listen(stop)
    return stop


def listen(stop: asyncio.Event) -> None:
    """Sets the event on a line `stop` on stdin, or when stdin is a pipe and ends."""
    loop = asyncio.get_running_loop()
    pending = b""

    def on_input() -> None:
        nonlocal pending
        chunk = os.read(STDIN, 4096)
        *lines, pending = (pending + chunk).split(b"\n")
        if not chunk or b"stop" in lines:
            loop.remove_reader(STDIN)
            stop.set()

    mode = os.fstat(STDIN).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        loop.add_reader(STDIN, on_input)
