"""Known rows of pictures give known numbers."""

import unittest

from measure import Round, Seen, quantile, window

CLIP = Round(origin=1000.0, seconds=2.0, frames=60)


def seen(number: int, delay: float) -> Seen:
    """Picture `number` counted without going round, seen `delay` seconds after it was due."""
    in_round = (number - 1) % 60 + 1
    due = CLIP.origin + number / 30
    return Seen(t=due + delay, number=in_round, clock=in_round * 1000 // 30, inverted=False)


class MeasureTest(unittest.TestCase):
    def test_a_steady_stream_loses_nothing_also_where_the_clip_goes_round(self) -> None:
        found = window([seen(n, 0.040) for n in range(31, 151)], CLIP)
        assert found is not None
        self.assertAlmostEqual(found.fps_in, 30, places=6)
        self.assertAlmostEqual(found.fps_out, 30, places=6)
        self.assertEqual(found.dropped, 0)
        self.assertAlmostEqual(found.p50_ms, 40, delta=1.01)
        self.assertAlmostEqual(found.max_gap_ms, 1000 / 30, places=3)

    def test_missing_pictures_are_counted_and_lower_the_rate_seen(self) -> None:
        found = window([seen(n, 0.040) for n in range(1, 122, 2)], CLIP)
        assert found is not None
        self.assertAlmostEqual(found.fps_in, 30, places=6)
        self.assertAlmostEqual(found.fps_out, 15, places=6)
        self.assertEqual(found.dropped, 60)

    def test_the_slow_tail_shows_in_p95_only(self) -> None:
        found = window([seen(n, 0.5 if n % 10 == 0 else 0.1) for n in range(1, 101)], CLIP)
        assert found is not None
        self.assertAlmostEqual(found.p50_ms, 100, delta=1.01)
        self.assertAlmostEqual(found.p95_ms, 500, delta=1.01)

    def test_a_picture_shown_twice_is_not_a_loss(self) -> None:
        found = window([seen(1, 0.04), seen(1, 0.05), seen(2, 0.04)], CLIP)
        assert found is not None
        self.assertEqual(found.dropped, 0)

    def test_one_picture_is_nothing_to_measure(self) -> None:
        self.assertIsNone(window([seen(1, 0.0)], CLIP))

    def test_quantiles_are_values_that_occurred(self) -> None:
        self.assertEqual([quantile([3, 1, 2, 4], q) for q in (0.5, 0.75, 0.95, 1.0)], [2, 3, 4, 4])


if __name__ == "__main__":
    unittest.main()
