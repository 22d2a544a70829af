"""What the GStreamer clients share: sources of the test picture and sound, and a loop with a way to end.

Runs on the system's Python, which has GStreamer's bindings; nothing here is in the virtual environment.
"""

import sys
import threading
import time
from collections.abc import Callable

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst  # noqa: E402

from blocking import stop_requested  # noqa: E402
from lines import emit  # noqa: E402
from picture import Picture  # noqa: E402

#: Encoded as a live source is: no B-frames, a keyframe each second, parameter sets before each.
VIDEO = (
    "appsrc name=picture is-live=true format=time do-timestamp=true block=false "
    "caps=video/x-raw,format=I420,width={width},height={height},framerate={fps}/1 "
    "! queue max-size-buffers=4 leaky=downstream "
    "! x264enc tune=zerolatency speed-preset=ultrafast bitrate=1200 key-int-max={fps} bframes=0 "
    "! video/x-h264,profile=constrained-baseline,stream-format=byte-stream "
    "! rtph264pay config-interval=-1 aggregate-mode=zero-latency pt=96 "
    "! application/x-rtp,media=video,encoding-name=H264,payload=96,clock-rate=90000"
)
AUDIO = (
    "audiotestsrc is-live=true freq=440 volume=0.25 ! audioconvert ! audioresample "
    "! audio/x-raw,rate=48000,channels=2 ! opusenc ! rtpopuspay pt=97 "
    "! application/x-rtp,media=audio,encoding-name=OPUS,payload=97,clock-rate=48000"
)


class Painter:
    """Pushes numbered pictures into the `appsrc` named `picture` in real time."""

    def __init__(self, pipeline: Gst.Pipeline, width: int, height: int, fps: int) -> None:
        self._source = pipeline.get_by_name("picture")
        self._picture = Picture(width, height)
        self._fps = fps
        self.sent = 0

    def start(self) -> None:
        """Begins; ends with the program."""
        threading.Thread(target=self._paint, daemon=True).start()

    def _paint(self) -> None:
        begin = time.time()
        while True:
            due = begin + self.sent / self._fps - time.time()
            if due > 0:
                time.sleep(due)
            self.sent += 1
            planes = self._picture.planes(self.sent, int(time.time() * 1000))
            if self._source.emit("push-buffer", Gst.Buffer.new_wrapped(planes.tobytes())) != Gst.FlowReturn.OK:
                return


def run(pipeline: Gst.Pipeline, on_stop: Callable[[], None]) -> int:
    """Runs until told to stop (0) or until the pipeline fails (3)."""
    loop = GLib.MainLoop()
    status = 0
    stop = stop_requested()

    def on_message(_bus: Gst.Bus, message: Gst.Message) -> None:
        nonlocal status
        if message.type == Gst.MessageType.ERROR:
            error, detail = message.parse_error()
            emit("error", error=error.message, detail=detail)
            status = 3
            loop.quit()

    bus = pipeline.get_bus()
    bus.add_signal_watch()
    bus.connect("message", on_message)

    def look() -> bool:
        if stop.is_set():
            loop.quit()
        return not stop.is_set()

    GLib.timeout_add(50, look)
    pipeline.set_state(Gst.State.PLAYING)
    loop.run()
    on_stop()
    pipeline.set_state(Gst.State.NULL)
    return status


def version(element: str) -> str:
    """`element VERSION`, for the table; ends the program where the element is missing."""
    Gst.init(None)
    factory = Gst.ElementFactory.find(element)
    if factory is None:
        print(f"no GStreamer element {element}; run scripts/setup interop", file=sys.stderr)
        raise SystemExit(4)
    found = factory.get_plugin().get_version()
    return f"{element} {found}, GStreamer {'.'.join(str(n) for n in Gst.version()[:3])}"
