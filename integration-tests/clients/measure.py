"""What a row of watched pictures says about the stream: rates, losses, gaps and latency. Pure, no clock."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Seen:
    """One picture as a viewer saw it: `t` in Unix seconds, `clock` in milliseconds as read from it."""

    t: float
    number: int
    clock: int
    inverted: bool


@dataclass(frozen=True)
class Round:
    """A clip that goes round: picture n of a round is due at `origin` + its clock + k * `seconds`."""

    origin: float
    seconds: float
    frames: int

    def latency_ms(self, seen: Seen) -> float:
        """Milliseconds from when the picture was due to when it was seen; must be shorter than a round."""
        return (seen.t - self.origin - seen.clock / 1000) % self.seconds * 1000


@dataclass(frozen=True)
class Window:
    """A stretch of the stream: pictures per second published and seen, latencies and gaps in milliseconds."""

    fps_in: float
    fps_out: float
    dropped: int
    p50_ms: float
    p95_ms: float
    max_gap_ms: float


def window(seen: Sequence[Seen], clip: Round) -> Window | None:
    """Measures consecutive pictures; None for fewer than two."""
    if len(seen) < 2:
        return None
    span = seen[-1].t - seen[0].t
    steps = [(b.number - a.number) % clip.frames for a, b in pairwise(seen)]
    latencies = [clip.latency_ms(picture) for picture in seen]
    return Window(
        fps_in=sum(steps) / span,
        fps_out=len(steps) / span,
        dropped=sum(max(0, step - 1) for step in steps),
        p50_ms=quantile(latencies, 0.50),
        p95_ms=quantile(latencies, 0.95),
        max_gap_ms=max(b.t - a.t for a, b in pairwise(seen)) * 1000,
    )


def quantile(values: Sequence[float], q: float) -> float:
    """The smallest value that at least a share `q` of the values does not exceed."""
    return sorted(values)[max(0, math.ceil(len(values) * q) - 1)]
