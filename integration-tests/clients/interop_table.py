#!/usr/bin/env python3
"""Writes the table of docs/interop.md from the rows that the interop tests left.

    interop_table.py ROWS_FOLDER docs/interop.md

Only what stands between the two marks in the document is replaced.
"""

import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- begin: make interop -->", "<!-- end: make interop -->"
#: Rows without which the table would tell less than the document promises.
EXPECTED = 14

Row = dict[str, Any]


def table(rows: list[Row]) -> str:
    """Both tables, publishers and players, as Markdown."""
    parts = [machine()]
    for role, title in (("publish", "Publishing"), ("play", "Playing")):
        chosen = sorted((row for row in rows if row["role"] == role), key=lambda row: row["client"].lower())
        parts += ["", f"### {title}", "", *header(role), *(line(row) for row in chosen)]
    return "\n".join(parts)


def header(role: str) -> list[str]:
    """The first two lines of a table."""
    names = ["client", "version", "first picture", "moment: pictures seen / sent, styled, longest gap"]
    names += ["ICE restart", "crash and return", "DELETE on leave"]
    if role == "publish":
        names.insert(2, "live after")
    return [f"| {' | '.join(names)} |", "|" + "---|" * len(names)]


def line(row: Row) -> str:
    """One client."""
    moment = f"{row['seen']} / {row['expected']}, {row['styled']}, {row['gap_ms']:.0f} ms"
    cells = [row["client"], row["version"], f"{row['first_picture_ms']:.0f} ms", moment]
    cells += [{None: "has none", True: "yes", False: "its own code fails, goes on"}[row["ice_restart"]]]
    cells += [f"{row['reconnect_ms']:.0f} ms", row["delete"]]
    if row["role"] == "publish":
        cells.insert(2, f"{row['live_ms']:.0f} ms")
    return f"| {' | '.join(cells)} |"


def machine() -> str:
    """What the figures were measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = f"{platform.system()} on {platform.machine()}"
    return f"Measured on {os.cpu_count()} cores, {memory:.0f} GiB, {system}; server and clients on the same machine."


def main() -> int:
    """Replaces the table; fails where rows are missing."""
    folder, document = (Path(argument) for argument in sys.argv[1:3])
    rows = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    if len(rows) != EXPECTED:
        print(f"{len(rows)} rows in {folder}, not {EXPECTED}: some tests did not run", file=sys.stderr)
        return 1
    text = document.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    document.write_text(f"{before}{BEGIN}\n{table(rows)}\n{END}{after}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
