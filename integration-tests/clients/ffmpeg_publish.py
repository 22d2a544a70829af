#!/usr/bin/env python3
"""Publishes the live bar code picture and a tone with FFmpeg's whip muxer, through PyAV.

    ffmpeg_publish.py --url http://HOST/whip/CHANNEL [--token T] [--certificate p256|own]
                      [--size 640x360] [--fps 30] [--pan left]

`--certificate own` leaves the DTLS certificate to FFmpeg. Stops on SIGTERM, SIGINT, a line `stop` on
stdin or the end of a piped stdin, and then closes the muxer, which deletes the session. Exit status: 0
stopped, 2 the muxer did not open (refused, or no DTLS), 3 writing failed.
"""

import argparse
import datetime
import tempfile
import threading
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from blocking import stop_requested
from lines import emit, milliseconds_since
from make_clip import size
from picture import Picture

RATE = 48_000
#: Samples of one 20 ms packet.
SAMPLES = 960


def main() -> int:
    """Runs until told to stop; returns the exit status."""
    args = arguments()
    emit("version", version=f"FFmpeg {av.ffmpeg_version_info}, PyAV {av.__version__}")
    stop = stop_requested()
    posted = time.time()
    # The muxer takes milliseconds for the DTLS handshake; its default of 5000 hides a refusal well enough.
    options = {"handshake_timeout": "5000"}
    if args.token:
        options["authorization"] = args.token
    with tempfile.TemporaryDirectory() as folder:
        if args.certificate == "p256":
            options |= p256(Path(folder))
        container = av.open(args.url, "w", format="whip", options=options)
        try:
            return publish(container, args, stop, posted)
        finally:
            close(container)


def publish(
    container: av.container.OutputContainer, args: argparse.Namespace, stop: threading.Event, posted: float
) -> int:
    """Connects with the first packet, then sends in real time until told to stop."""
    width, height = args.size
    picture = container.add_stream("libx264", rate=args.fps)
    picture.width, picture.height, picture.pix_fmt = width, height, "yuv420p"
    picture.bit_rate = 1_200_000
    # It cannot be asked for keyframes: the muxer ignores PLI.
    picture.codec_context.options = {
        "profile": "baseline",
        "preset": "ultrafast",
        "tune": "zerolatency",
        "x264-params": f"keyint={args.fps}:min-keyint={args.fps}:scenecut=0:bframes=0:repeat-headers=1",
    }
    sound = container.add_stream("libopus", rate=RATE, layout="stereo")
    try:
        container.start_encoding()
    except av.FFmpegError as error:
        emit("refused", error=str(error), ms=milliseconds_since(posted))
        return 2
    emit("connection", state="connected", ms=milliseconds_since(posted))
    painter = Picture(width, height)
    begin, number, blocks = time.time(), 0, 0
    try:
        while not stop.wait(max(0.0, begin + number / args.fps - time.time())):
            frame = av.VideoFrame.from_ndarray(
                painter.planes(number + 1, int(time.time() * 1000)), format="yuv420p"
            )
            frame.pts, frame.time_base = number, Fraction(1, args.fps)
            container.mux(picture.encode(frame))
            while blocks * SAMPLES / RATE <= number / args.fps:
                container.mux(sound.encode(tone(blocks, args.pan)))
                blocks += 1
            number += 1
            if number == 1:
                emit("first_rtp", ms=milliseconds_since(posted))
    except av.FFmpegError as error:
        emit("lost", error=str(error))
        return 3
    emit("summary", video_frames=number, audio_frames=blocks)
    return 0


def close(container: av.container.OutputContainer) -> None:
    """Ends the muxer, which sends DELETE; one that never opened or lost its peer may refuse."""
    try:
        container.close()
        emit("closed")
    except av.FFmpegError as error:
        emit("closed", error=str(error))


def tone(block: int, pan: str) -> av.AudioFrame:
    """20 ms of a 440 Hz sine, stereo, at a quarter of full scale; `left` leaves the right channel silent."""
    at = np.arange(block * SAMPLES, (block + 1) * SAMPLES)
    samples = (np.sin(at * (2 * np.pi * 440 / RATE)) * 8192).astype(np.int16)
    both = np.stack([samples, samples * (pan != "left")], axis=1)
    frame = av.AudioFrame.from_ndarray(both.reshape(1, -1), format="s16", layout="stereo")
    frame.sample_rate, frame.pts, frame.time_base = RATE, block * SAMPLES, Fraction(1, RATE)
    return frame


def p256(folder: Path) -> dict[str, str]:
    """A self-signed certificate on the curve that every WebRTC stack must take (RFC 8827 section 6.5)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ffmpeg")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    )
    return {"cert_file": str(folder / "cert.pem"), "key_file": str(folder / "key.pem")}


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True)
    parser.add_argument("--token")
    parser.add_argument("--certificate", choices=["p256", "own"], default="p256")
    parser.add_argument("--size", type=size, default=(640, 360), metavar="WIDTHxHEIGHT")
    parser.add_argument("--fps", type=int, default=30)
    parser.add_argument("--pan", choices=["both", "left"], default="both", help="where the tone is")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
