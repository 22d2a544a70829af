"""The demo clip is what the server takes and what the bar code readers read."""

import tempfile
import unittest
from pathlib import Path

import av
from av.video.frame import PictureType

import barcode
import clip
import make_clip

SECONDS, FPS = 2, 30


class ClipTest(unittest.TestCase):
    path: Path
    loaded: clip.Clip

    @classmethod
    def setUpClass(cls) -> None:
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.path = Path(folder.name) / "clip.mp4"
        make_clip.make(cls.path, SECONDS, 640, 360, FPS)
        cls.loaded = clip.load(cls.path)

    def test_it_is_constrained_baseline_with_a_keyframe_each_second_and_no_b_frames(self) -> None:
        with av.open(str(self.path)) as container:
            stream = container.streams.video[0]
            frames = container.decode(stream)
            kinds = "".join(PictureType(frame.pict_type).name for frame in frames)
            self.assertEqual(stream.codec_context.profile, "Constrained Baseline")
        self.assertEqual(kinds, ("I" + "P" * (FPS - 1)) * SECONDS)

    def test_both_streams_are_equally_long(self) -> None:
        self.assertEqual(len(self.loaded.video), SECONDS * FPS)
        self.assertEqual(len(self.loaded.audio), SECONDS * clip.AUDIO_RATE)
        self.assertEqual(self.loaded.seconds, SECONDS)

    def test_each_keyframe_brings_its_parameter_sets(self) -> None:
        for number, unit in enumerate(self.loaded.video):
            kinds = [nal[0] & 0x1F for nal in unit.split(b"\0\0\1")[1:]]
            if number % FPS == 0:
                self.assertTrue({5, 7, 8} <= set(kinds), f"unit {number}: {kinds}")
            else:
                self.assertEqual(set(kinds), {1}, f"unit {number}")

    def test_every_picture_decoded_from_the_annex_b_units_carries_its_number_and_clock(self) -> None:
        decoder = av.CodecContext.create("h264", "r")
        frames = [f for unit in self.loaded.video for f in decoder.decode(av.Packet(unit))]
        frames += decoder.decode(None)
        codes = [barcode.read(frame.to_ndarray(format="gray")) for frame in frames]
        expected = [barcode.Code(n, n * 1000 // FPS, False) for n in range(1, SECONDS * FPS + 1)]
        self.assertEqual(codes, expected)

    def test_b_frames_are_sent_before_those_that_they_are_shown_after(self) -> None:
        path = self.path.with_name("b_frames.mp4")
        make_clip.make(path, 1, 320, 180, FPS, b_frames=2)
        order = clip.load(path).order
        self.assertEqual(sorted(order), list(range(FPS)))
        self.assertEqual(order[:7], [0, 3, 1, 2, 6, 4, 5])
        self.assertEqual(self.loaded.order, list(range(SECONDS * FPS)))

    def test_the_code_is_also_readable_from_rgb(self) -> None:
        with av.open(str(self.path)) as container:
            for number, frame in enumerate(container.decode(video=0), start=1):
                rgb = frame.to_ndarray(format="rgb24")
                luma = (rgb @ [0.299, 0.587, 0.114]).astype("uint8")
                code = barcode.read(luma)
                self.assertEqual(code and code.number, number)


if __name__ == "__main__":
    unittest.main()
