#!/usr/bin/env python3
"""Makes the demo clip from FFmpeg's own test sources, with the bar code of the test picture on every frame.

    make_clip.py OUT.mp4 --seconds 20 --size 640x360 --fps 30 [--b-frames 2]

H264 with a keyframe each second, constrained baseline unless it has B-frames, Opus stereo at 48 kHz. Frame n
(from 1) carries the clock n * 1000 / fps, in milliseconds.
"""

import argparse
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import av
import numpy as np
from av.filter import Graph

import barcode

VIDEO_BIT_RATE = 1_200_000
AUDIO_BIT_RATE = 64_000
SAMPLE_RATE = 48_000


def make(out: Path, seconds: int, width: int, height: int, fps: int, b_frames: int = 0) -> None:
    """Writes the clip; the container follows the file's extension."""
    with av.open(str(out), "w") as container:
        picture = container.add_stream("libx264", rate=fps)
        picture.width, picture.height, picture.pix_fmt = width, height, "yuv420p"
        picture.bit_rate = VIDEO_BIT_RATE
        picture.codec_context.options = {
            "profile": "main" if b_frames else "baseline",
            "level": "3.1",
            "preset": "veryfast",
            "x264-params": f"keyint={fps}:min-keyint={fps}:scenecut=0:open-gop=0:b-adapt=0:repeat-headers=1"
            f":bframes={b_frames}"
            f":vbv-maxrate={VIDEO_BIT_RATE // 1000}:vbv-bufsize={VIDEO_BIT_RATE // 2000}",
        }
        sound = container.add_stream("libopus", rate=SAMPLE_RATE, layout="stereo")
        sound.bit_rate = AUDIO_BIT_RATE
        frames, tones = pictures(seconds, width, height, fps), tone(seconds)
        for _ in range(seconds):
            container.mux([p for frame in islice(frames, fps) for p in picture.encode(frame)])
            container.mux([p for frame in islice(tones, 50) for p in sound.encode(frame)])
        container.mux(picture.encode(None))
        container.mux(sound.encode(None))


def pictures(seconds: int, width: int, height: int, fps: int) -> Iterator[av.VideoFrame]:
    """FFmpeg's testsrc2 with the bar code drawn over it."""
    graph = Graph()
    source = graph.add("testsrc2", f"size={width}x{height}:rate={fps}")
    graph.link_nodes(source, graph.add("format", "yuv420p"), graph.add("buffersink")).configure()
    for number in range(1, seconds * fps + 1):
        frame = graph.vpull()
        planes = np.ascontiguousarray(frame.to_ndarray(), dtype=np.uint8)
        barcode.stamp(planes, number, number * 1000 // fps)
        stamped = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        stamped.pts, stamped.time_base = frame.pts, frame.time_base
        yield stamped


def tone(seconds: int) -> Iterator[av.AudioFrame]:
    """FFmpeg's sine with its beep each second, in frames of 20 ms."""
    graph = Graph()
    source = graph.add("sine", f"frequency=440:beep_factor=4:sample_rate={SAMPLE_RATE}:samples_per_frame=960")
    stereo = graph.add("aformat", "sample_fmts=s16:channel_layouts=stereo")
    graph.link_nodes(source, stereo, graph.add("abuffersink")).configure()
    for _ in range(seconds * 50):
        frame = graph.pull()
        assert isinstance(frame, av.AudioFrame)
        yield frame


def size(text: str) -> tuple[int, int]:
    """Parses WIDTHxHEIGHT, both even."""
    width, height = (int(part) for part in text.split("x"))
    if width % 2 or height % 2 or width < 64 or height < 36:
        raise argparse.ArgumentTypeError("both sides even, 64x36 or more")
    return width, height


def main() -> None:
    """Parses the arguments and makes the clip."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--size", type=size, default=(640, 360), metavar="WIDTHxHEIGHT")
    parser.add_argument("--fps", type=int, default=30)
    parser.add_argument("--b-frames", type=int, default=0, metavar="N", help="between two others")
    args = parser.parse_args()
    width, height = args.size
    make(args.out, args.seconds, width, height, args.fps, args.b_frames)


if __name__ == "__main__":
    main()
