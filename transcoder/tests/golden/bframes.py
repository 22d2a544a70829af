#!/usr/bin/env python3
"""Writes bframes_320x180.bin: 45 bar code pictures by x264, main profile, two B-frames between references.

    .venv/bin/python transcoder/tests/golden/bframes.py

Each access unit, in decoding order: frame number of presentation (32 bits, big endian), length (32 bits), Annex B.
"""

import fractions
import struct
import sys
from pathlib import Path

import av

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "../../../integration-tests/clients"))
from live import Picture  # noqa: E402

codec = av.CodecContext.create("libx264", "w")
codec.width, codec.height, codec.pix_fmt = 320, 180, "yuv420p"
codec.time_base, codec.framerate = fractions.Fraction(1, 30), 30
parameters = "b-adapt=0:bframes=2:scenecut=0:threads=1:annexb=1:repeat-headers=1"
codec.options = {"preset": "medium", "g": "60", "profile": "main", "x264-params": parameters}
picture = Picture(320, 180)
packets = []
for number in range(45):
    frame = picture.paint(number + 1, number)
    frame.pts, frame.time_base = number, codec.time_base
    packets += codec.encode(frame)
packets += codec.encode(None)
with (HERE / "bframes_320x180.bin").open("wb") as out:
    for packet in packets:
        out.write(struct.pack(">II", packet.pts, packet.size) + bytes(packet))
