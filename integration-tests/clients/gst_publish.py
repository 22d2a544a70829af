#!/usr/bin/python3
"""Publishes the bar code picture and a tone with GStreamer, by `webrtcbin` itself or by `whipsink`.

    gst_publish.py --url http://HOST/whip/CHANNEL --with webrtcbin|whipsink [--token T]
                   [--certificate p256|own] [--size 640x360] [--fps 30]

With webrtcbin the HTTP side is here, in full: offer after gathering, answer, and DELETE. whipsink does its
own. `--certificate own` leaves the DTLS certificate to GStreamer, which makes RSA. Ends like every client here. Exit status: 0 stopped, 2 refused, 3 failed, 4 not installed.
"""

import argparse
from email.message import Message
import time
import urllib.error
import urllib.request
from urllib.parse import urljoin

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstWebRTC", "1.0")
gi.require_version("GstSdp", "1.0")
from gi.repository import Gst, GstSdp, GstWebRTC  # noqa: E402

import gst_common  # noqa: E402
from gst_certificate import Certificate  # noqa: E402
from lines import emit, milliseconds_since  # noqa: E402


class Signalling:
    """WHIP for one webrtcbin."""

    def __init__(self, rtc: Gst.Element, url: str, token: str | None) -> None:
        self._rtc, self._url, self._token = rtc, url, token
        self._posted = time.time()
        self._session: str | None = None
        rtc.connect("on-negotiation-needed", self._offer)
        rtc.connect("notify::ice-gathering-state", self._gathered)
        rtc.connect("notify::connection-state", self._state)

    def _offer(self, rtc: Gst.Element) -> None:
        if self._session is None:
            rtc.emit("create-offer", None, Gst.Promise.new_with_change_func(self._offered))

    def _offered(self, promise: Gst.Promise) -> None:
        # The offer lives in the reply, which must outlive it.
        reply = promise.get_reply()
        offer = reply.get_value("offer")
        self._rtc.emit("set-local-description", offer, Gst.Promise.new())

    def _gathered(self, rtc: Gst.Element, _spec: object) -> None:
        complete = rtc.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE
        if complete and self._session is None:
            self._post(rtc.get_property("local-description").sdp.as_text())

    def _post(self, offer: str) -> None:
        status, headers, body = self.request("POST", self._url, offer.encode(), "application/sdp")
        if status != 201:
            emit("refused", status=status, body=body, offer=offer)
            return
        self._session = urljoin(self._url, headers["Location"])
        emit("session", url=self._session, ms=milliseconds_since(self._posted))
        _, answer = GstSdp.SDPMessage.new_from_text(body)
        description = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, answer)
        self._rtc.emit("set-remote-description", description, Gst.Promise.new())

    def _state(self, rtc: Gst.Element, _spec: object) -> None:
        state = rtc.get_property("connection-state").value_nick
        emit("connection", state=state, ms=milliseconds_since(self._posted))

    def close(self) -> None:
        """Deletes the session, twice."""
        if self._session:
            statuses = [self.request("DELETE", self._session)[0] for _ in range(2)]
            emit("deleted", status=statuses[0], again=statuses[1])

    def request(
        self, method: str, url: str, body: bytes | None = None, kind: str | None = None
    ) -> tuple[int, Message, str]:
        """One request; every status is an answer."""
        headers = {"Content-Type": kind} if kind else {}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        request = urllib.request.Request(url, data=body, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.headers, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read().decode()


def main() -> int:
    """Runs until told to stop; returns the exit status."""
    args = arguments()
    emit("version", version=gst_common.version(args.element))
    width, height = (int(part) for part in args.size.split("x"))
    # webrtcbin takes pads in the order of linking; its sections follow.
    text = " ".join(
        [
            f"{args.element} name=rtc",
            gst_common.AUDIO,
            "! rtc.sink_0",
            gst_common.VIDEO.format(width=width, height=height, fps=args.fps),
            "! rtc.sink_1",
        ]
    )
    pipeline = Gst.parse_launch(text)
    if args.certificate == "p256":
        certificate = Certificate()
        certificate.give(pipeline)
        args.url = certificate.forwarded(args.url)
    rtc = pipeline.get_by_name("rtc")
    closing = lambda: None  # noqa: E731
    if args.element == "webrtcbin":
        rtc.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
        for number in range(2):
            pad = rtc.get_static_pad(f"sink_{number}")
            pad.get_property("transceiver").set_property(
                "direction", GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY
            )
        closing = Signalling(rtc, args.url, args.token).close
    else:
        rtc.set_property("whip-endpoint", args.url)
        if args.token:
            rtc.set_property("auth-token", args.token)
        rtc.get_by_name("whip-webrtcbin").connect("notify::connection-state", state_of)
    painter = gst_common.Painter(pipeline, width, height, args.fps)
    painter.start()
    status = gst_common.run(pipeline, closing)
    emit("summary", video_frames=painter.sent)
    return status


def state_of(rtc: Gst.Element, _spec: object) -> None:
    """Says how the connection inside whipsink is."""
    emit("connection", state=rtc.get_property("connection-state").value_nick)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True)
    parser.add_argument("--token")
    parser.add_argument("--with", dest="element", choices=["webrtcbin", "whipsink"], default="webrtcbin")
    parser.add_argument("--certificate", choices=["p256", "own"], default="p256")
    parser.add_argument("--size", default="640x360", metavar="WIDTHxHEIGHT")
    parser.add_argument("--fps", type=int, default=30)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
