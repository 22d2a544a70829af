"""The report of `make demo`: what was watched before, during and after one moment."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measure import Round, Seen, Window, window

#: Seconds left out after the first picture: the server first replays what it kept since the last keyframe.
SETTLE = 1


@dataclass(frozen=True)
class Shown:
    """Everything the report is made of; times in Unix seconds, sound in frames of 20 ms per second."""

    first_frame_ms: float
    clip: Round
    pictures: list[Seen]
    sound: list[int]
    asked_at: float
    moment: dict[str, Any]


def report(shown: Shown, out: Path) -> bool:
    """Prints the table; true when transformed pictures were seen and the moment completed."""
    start = shown.pictures[0].t + SETTLE if shown.pictures else 0.0
    during = [picture for picture in shown.pictures if picture.inverted]
    before = [p for p in shown.pictures if start <= p.t < shown.asked_at and not p.inverted]
    after = [p for p in shown.pictures if during and p.t > during[-1].t]
    whole = [p for p in shown.pictures if start <= p.t]
    columns = [window(part, shown.clip) for part in (before, during, after, whole)]

    say(f"\nfirst frame {shown.first_frame_ms:.0f} ms after the POST")
    if during:
        reaction = (during[0].t - shown.asked_at) * 1000
        say(f"first transformed frame {reaction:.0f} ms after the moment was asked for")
    say(f"moment {shown.moment['state']}" + (f": {why}" if (why := shown.moment.get("reason")) else ""))
    if shown.sound:
        say(f"sound {sum(shown.sound) / len(shown.sound):.1f} frames of 20 ms per second")
    row("", ("before", "during", "after", "whole"))
    rows: dict[str, Callable[[Window], str]] = {
        "fps in": lambda w: f"{w.fps_in:.1f}",
        "fps out": lambda w: f"{w.fps_out:.1f}",
        "glass to glass p50": lambda w: f"{w.p50_ms:.0f} ms",
        "glass to glass p95": lambda w: f"{w.p95_ms:.0f} ms",
        "frames dropped": lambda w: str(w.dropped),
        "longest gap": lambda w: f"{w.max_gap_ms:.0f} ms",
    }
    for name, cell in rows.items():
        row(name, tuple(cell(column) if column else "-" for column in columns))
    say("glass to glass: from when the publisher's picture is due to when it is decoded;")
    say("the viewer (aiortc) decodes a picture when the next one begins, 33 ms of it")
    for name in ("before.png", "after.png"):
        if (out / name).exists():
            say(f"wrote {out / name}")
    return bool(during) and shown.moment["state"] == "completed"


def row(name: str, cells: tuple[str, ...]) -> None:
    """One line of the table."""
    say(f"{name:<20}" + "".join(f"{cell:>12}" for cell in cells))


def say(line: str) -> None:
    """Prints a line of the report at once, also into a pipe."""
    print(line, flush=True)
