#!/usr/bin/python3
"""Plays a channel with GStreamer's `whepsrc`, decodes every picture and prints what its bar code says.

    gst_watch.py --url http://HOST/whep/CHANNEL [--token T] [--certificate p256|own]

Prints the same events as aiortc_watch.py and ends like every client here. Exit status: 0 stopped, 3
failed, 4 not installed.
"""

import argparse
import time

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402
import numpy as np  # noqa: E402

import gst_common  # noqa: E402
from gst_certificate import Certificate  # noqa: E402
from lines import emit, milliseconds_since  # noqa: E402
from seen import tell  # noqa: E402

#: Its default offers every codec without parameters; H264 then means packetization mode 0, which is not sent.
VIDEO_CAPS = (
    "application/x-rtp,media=video,payload=103,encoding-name=H264,clock-rate=90000,"
    "packetization-mode=(string)1,profile-level-id=(string)42e01f"
)


class Viewer:
    """Links what whepsrc brings to decoders and reads the pictures."""

    def __init__(self, pipeline: Gst.Pipeline, posted: float) -> None:
        self._pipeline, self._posted = pipeline, posted
        self.frames = self.sounds = 0

    def pad_added(self, _source: Gst.Element, pad: Gst.Pad) -> None:
        """A track came."""
        # The pad itself has no caps yet; the one behind it, of webrtcbin, does.
        caps = pad.get_target().get_current_caps() or pad.query_caps(None)
        emit("track", caps=caps.to_string())
        if caps.get_structure(0).get_string("media") == "video":
            self._link(pad, "rtph264depay ! avdec_h264 ! videoconvert ! video/x-raw,format=I420", self._picture)
        else:
            self._link(pad, "rtpopusdepay ! opusdec", self._sound)

    def _link(self, pad: Gst.Pad, elements: str, on_sample: object) -> None:
        text = f"queue ! {elements} ! appsink name=sink emit-signals=true sync=false"
        branch = Gst.parse_bin_from_description(text, True)
        branch.get_by_name("sink").connect("new-sample", on_sample)
        self._pipeline.add(branch)
        branch.sync_state_with_parent()
        pad.link(branch.get_static_pad("sink"))

    def _sound(self, sink: Gst.Element) -> Gst.FlowReturn:
        sink.emit("pull-sample")
        self.sounds += 1
        if self.sounds % 50 == 0:
            emit("audio", frames=50)
        return Gst.FlowReturn.OK

    def _picture(self, sink: Gst.Element) -> Gst.FlowReturn:
        sample = sink.emit("pull-sample")
        now = time.time()
        about = sample.get_caps().get_structure(0)
        width, height = about.get_value("width"), about.get_value("height")
        buffer = sample.get_buffer()
        stride = (width + 3) // 4 * 4
        plane = np.frombuffer(buffer.extract_dup(0, stride * height), dtype=np.uint8)
        luma = plane.reshape(height, stride)[:, :width]
        if self.frames == 0:
            emit("first_frame", t=now, ms=milliseconds_since(self._posted), size=f"{width}x{height}")
        self.frames += 1
        tell(luma, now, (width, height))
        return Gst.FlowReturn.OK


def main() -> int:
    """Runs until told to stop; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True)
    parser.add_argument("--token")
    parser.add_argument("--certificate", choices=["p256", "own"], default="p256")
    parser.add_argument("--video-caps", default=VIDEO_CAPS, help="what is offered; `default` for its own")
    args = parser.parse_args()
    emit("version", version=gst_common.version("whepsrc"))
    pipeline = Gst.Pipeline.new(None)
    if args.certificate == "p256":
        certificate = Certificate()
        certificate.give(pipeline)
        args.url = certificate.forwarded(args.url)
    source = Gst.ElementFactory.make("whepsrc", None)
    source.set_property("whep-endpoint", args.url)
    if args.video_caps != "default":
        source.set_property("video-caps", Gst.Caps.from_string(args.video_caps))
    if args.token:
        source.set_property("auth-token", args.token)
    viewer = Viewer(pipeline, time.time())
    source.connect("pad-added", viewer.pad_added)
    pipeline.add(source)
    status = gst_common.run(pipeline, lambda: None)
    emit("summary", frames=viewer.frames, audio_frames=viewer.sounds)
    return status


if __name__ == "__main__":
    raise SystemExit(main())
