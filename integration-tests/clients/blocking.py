"""For clients without an event loop: an event that is set when the program is asked to end."""

import os
import signal
import stat
import sys
import threading


def stop_requested() -> threading.Event:
    """An event set by SIGTERM, SIGINT, a line `stop` on stdin, or the end of a piped stdin."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    mode = os.fstat(sys.stdin.fileno()).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        threading.Thread(target=_listen, args=(stop,), daemon=True).start()
    return stop


def _listen(stop: threading.Event) -> None:
    for line in sys.stdin:
        if line.strip() == "stop":
            break
    stop.set()
