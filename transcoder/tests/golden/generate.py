#!/usr/bin/env python3
"""Golden pictures for convert.rs and scale.rs, from references that share no code with them.

convert_*.bin  ITU-R BT.601-7 and BT.709-6 equations in double precision, rounded to nearest:
               I420 of 66x34, the RGB it stands for (chroma repeated), then
               RGB of 66x34, the I420 it becomes (chroma of the 2x2 mean).
scale_*.bin    FFmpeg's libswscale (flags bilinear+accurate_rnd+bitexact), plane by plane:
               I420 of 64x36, then the scaled I420; the target size is in the file name.
sps_*.hex      sequence parameter sets written by libx264 (see `parameter_sets`).

Usage: python3 generate.py    (needs ffmpeg with libx264; made with FFmpeg 5.1.9)
"""

import pathlib
import re
import subprocess
import tempfile

HERE = pathlib.Path(__file__).parent
MATRICES = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}


def noise(seed):
    """Bytes of a linear congruential generator (Knuth's MMIX constants)."""
    state = seed
    while True:
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        yield state >> 56


def byte(value):
    return max(0, min(255, int(value + 0.5)))


def to_rgb(width, height, i420, matrix, full):
    kr, kb = MATRICES[matrix]
    kg = 1 - kr - kb
    luma, u, v = i420[: width * height], i420[width * height : width * height * 5 // 4], i420[width * height * 5 // 4 :]
    black, luma_span, chroma_span = (0, 255, 255) if full else (16, 219, 224)
    rgb = bytearray()
    for y in range(height):
        for x in range(width):
            chroma = (y // 2) * (width // 2) + x // 2
            e_y = (luma[y * width + x] - black) / luma_span
            e_cb = (u[chroma] - 128) / chroma_span
            e_cr = (v[chroma] - 128) / chroma_span
            r = e_y + 2 * (1 - kr) * e_cr
            b = e_y + 2 * (1 - kb) * e_cb
            g = (e_y - kr * r - kb * b) / kg
            rgb += bytes(byte(255 * c) for c in (r, g, b))
    return bytes(rgb)


def from_rgb(width, height, rgb, matrix, full):
    kr, kb = MATRICES[matrix]
    kg = 1 - kr - kb
    black, luma_span, chroma_span = (0, 255, 255) if full else (16, 219, 224)

    def pixel(x, y):
        at = 3 * (y * width + x)
        return [c / 255 for c in rgb[at : at + 3]]

    def luma(r, g, b):
        return kr * r + kg * g + kb * b

    y_plane = bytes(byte(black + luma_span * luma(*pixel(x, y))) for y in range(height) for x in range(width))
    u_plane, v_plane = bytearray(), bytearray()
    for y in range(0, height, 2):
        for x in range(0, width, 2):
            square = [pixel(x, y), pixel(x + 1, y), pixel(x, y + 1), pixel(x + 1, y + 1)]
            r, g, b = (sum(p[c] for p in square) / 4 for c in range(3))
            e_y = luma(r, g, b)
            u_plane.append(byte(128 + chroma_span * (b - e_y) / (2 * (1 - kb))))
            v_plane.append(byte(128 + chroma_span * (r - e_y) / (2 * (1 - kr))))
    return y_plane + bytes(u_plane) + bytes(v_plane)


def smooth_rgb(width, height, seed):
    """Gradients in the left half, noise in the right one."""
    random = noise(seed)
    return bytes(
        (x * 7 + y * 3 + c * 80) % 256 if x < width // 2 else next(random)
        for y in range(height)
        for x in range(width)
        for c in range(3)
    )


def convert():
    width, height = 66, 34
    for matrix in MATRICES:
        for full in (False, True):
            random = noise(len(matrix) + full)
            luma, chroma = ((0, 255), (0, 255)) if full else ((16, 235), (16, 240))
            i420 = bytes(
                low + next(random) * (high - low) // 255
                for (low, high), count in ((luma, width * height), (chroma, width * height // 2))
                for _ in range(count)
            )
            rgb = smooth_rgb(width, height, 7)
            name = f"convert_{matrix}_{'full' if full else 'limited'}.bin"
            (HERE / name).write_bytes(
                i420 + to_rgb(width, height, i420, matrix, full) + rgb + from_rgb(width, height, rgb, matrix, full)
            )


def swscale(plane, source, target):
    return subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "rawvideo", "-pix_fmt", "gray", "-s", "%dx%d" % source, "-i", "-",
         "-vf", "scale=%d:%d:flags=bilinear+accurate_rnd+bitexact" % target,
         "-f", "rawvideo", "-pix_fmt", "gray", "-"],
        input=plane, stdout=subprocess.PIPE, check=True,
    ).stdout  # fmt: skip


def scale():
    width, height = 64, 36
    random = noise(3)
    planes = []
    for (w, h) in ((width, height), (width // 2, height // 2), (width // 2, height // 2)):
        planes.append(bytes(40 + (x * 5 + y * 9) % 128 + next(random) % 24 for y in range(h) for x in range(w)))
    for (w, h) in ((32, 18), (40, 22), (64, 20), (96, 54), (130, 74)):
        scaled = swscale(planes[0], (width, height), (w, h))
        for plane in planes[1:]:
            scaled += swscale(plane, (width // 2, height // 2), (w // 2, h // 2))
        (HERE / f"scale_{w}x{h}.bin").write_bytes(b"".join(planes) + scaled)


def parameter_sets():
    bt709 = "-colorspace bt709 -color_primaries bt709 -color_trc bt709 -color_range tv".split()
    for name, size, profile, extra in (
        ("high_640x360_bt709", "640x360", "high", bt709),
        ("baseline_1280x720", "1280x720", "baseline", []),
    ):
        with tempfile.NamedTemporaryFile(suffix=".h264") as stream:
            subprocess.run(
                ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", f"testsrc=s={size}:d=0.1", "-pix_fmt", "yuv420p",
                 "-c:v", "libx264", "-profile:v", profile, *extra, stream.name],
                check=True,
            )  # fmt: skip
            units = re.split(b"\0\0\0?\1", pathlib.Path(stream.name).read_bytes())
        sps = next(unit for unit in units if unit and unit[0] & 31 == 7)
        (HERE / f"sps_{name}.hex").write_text(sps.hex() + "\n")


convert()
scale()
parameter_sets()
