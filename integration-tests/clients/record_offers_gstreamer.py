#!/usr/bin/python3
"""Records the offers of GStreamer's webrtcbin into fixtures/sdp (Debian's python3-gi)."""

import pathlib

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstWebRTC  # noqa: E402

FOLDER = pathlib.Path(__file__).parent.parent / "fixtures" / "sdp"
PUBLISH = """
    webrtcbin name=bin bundle-policy=max-bundle
    videotestsrc is-live=true ! x264enc tune=zerolatency ! video/x-h264,profile=constrained-baseline
        ! rtph264pay aggregate-mode=zero-latency config-interval=-1
        ! application/x-rtp,media=video,encoding-name=H264,payload=96,clock-rate=90000 ! bin.
    audiotestsrc is-live=true ! opusenc ! rtpopuspay
        ! application/x-rtp,media=audio,encoding-name=OPUS,payload=97,clock-rate=48000 ! bin.
"""

def record(name: str, description: str) -> None:
    pipeline = Gst.parse_launch(description)
    bin_ = pipeline.get_by_name("bin")
    loop = GLib.MainLoop()

    def gathered(*_) -> None:
        if bin_.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            loop.quit()

    def made(promise: Gst.Promise, *_) -> None:
        offer = promise.get_reply().get_value("offer")
        bin_.emit("set-local-description", offer, None)

    def needed(*_) -> None:
        bin_.emit("create-offer", None, Gst.Promise.new_with_change_func(made, None))

    bin_.connect("on-negotiation-needed", needed)
    bin_.connect("notify::ice-gathering-state", gathered)
    pipeline.set_state(Gst.State.PLAYING)
    GLib.timeout_add_seconds(20, loop.quit)
    loop.run()
    sdp = bin_.get_property("local-description").sdp.as_text()
    pipeline.set_state(Gst.State.NULL)
    # WHIP clients send only; webrtcbin is for both ways by default.
    sdp = sdp.replace("a=sendrecv", "a=sendonly")
    (FOLDER / f"gstreamer-{name}.sdp").write_text(sdp, newline="")


def main() -> None:
    Gst.init(None)
    record("publish", PUBLISH)
    print(Gst.version_string())


if __name__ == "__main__":
    main()
