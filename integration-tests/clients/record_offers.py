#!/usr/bin/env python3
"""Records the offers of FFmpeg's WHIP muxer (through PyAV) and of aiortc into fixtures/sdp."""

import asyncio
import http.server
import multiprocessing
import pathlib

import aiortc
import av

FOLDER = pathlib.Path(__file__).parent.parent / "fixtures" / "sdp"


def dump(port: multiprocessing.Queue, offers: multiprocessing.Queue) -> None:
    """A process of its own: PyAV holds the interpreter while its muxer waits for an answer."""

    class Dump(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            offers.put(self.rfile.read(int(self.headers["content-length"])))
            self.send_error(406)

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Dump)
    port.put(server.server_address[1])
    server.serve_forever()


def ffmpeg(port: int, offers: multiprocessing.Queue, profile: str, picture: bool = True) -> bytes:
    url = f"http://127.0.0.1:{port}/whip/recorded"
    try:
        with av.open(url, "w", format="whip") as out:
            if picture:
                video = out.add_stream("libx264", rate=30)
                video.width, video.height, video.pix_fmt = 1280, 720, "yuv420p"
                video.options = {"profile": profile, "bf": "0"}
            audio = out.add_stream("libopus", rate=48_000)
            audio.layout = "stereo"
            out.start_encoding()
    except (av.FFmpegError, OSError):
        pass
    return offers.get(timeout=10)


async def of_aiortc(publish: bool) -> str:
    pc = aiortc.RTCPeerConnection()
    if publish:
        pc.addTrack(aiortc.mediastreams.AudioStreamTrack())
        pc.addTrack(aiortc.mediastreams.VideoStreamTrack())
    else:
        pc.addTransceiver("audio", direction="recvonly")
        pc.addTransceiver("video", direction="recvonly")
    await pc.setLocalDescription(await pc.createOffer())
    sdp = pc.localDescription.sdp
    await pc.close()
    return sdp


def main() -> None:
    address, offers = multiprocessing.Queue(), multiprocessing.Queue()
    multiprocessing.Process(target=dump, args=(address, offers), daemon=True).start()
    port = address.get()
    for profile in ["baseline", "main", "high"]:
        (FOLDER / f"ffmpeg-publish-{profile}.sdp").write_bytes(ffmpeg(port, offers, profile))
    (FOLDER / "ffmpeg-publish-audio.sdp").write_bytes(ffmpeg(port, offers, "", picture=False))
    for name, publish in [("publish", True), ("watch", False)]:
        sdp = asyncio.run(of_aiortc(publish))
        (FOLDER / f"aiortc-{name}.sdp").write_text(sdp, newline="")
    print("libavformat", av.library_versions["libavformat"], "aiortc", aiortc.__version__)


if __name__ == "__main__":
    main()
