"""A program that prints one JSON object per line, run as a child and listened to."""

import asyncio
import json
import os
import signal
from asyncio.subprocess import PIPE
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

Event = dict[str, Any]

#: Seconds a child may take to end when asked, before it is killed.
GRACE = 10


class Died(Exception):
    """A child ended, or kept silent, before what was waited for."""


class Child:
    """One running program; its lines so far are in `events`."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.events: list[Event] = []
        self._process = process
        self._news = asyncio.Event()
        self._reader = asyncio.create_task(self._read())
        self._reader.add_done_callback(lambda _: self._news.set())

    @classmethod
    async def start(
        cls, name: str, *command: str | Path, env: Mapping[str, str] | None = None, log: IO[bytes] | None
    ) -> "Child":
        """Starts a program in a session of its own, so that only its parent hears Ctrl-C.

        Its stdin is a pipe that closes with the parent, and its stderr goes to `log`.
        """
        process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, stderr=log, env=env, start_new_session=True
        )
        return cls(name, process)

    async def until(self, wanted: Callable[[Event], bool], seconds: float, what: str) -> Event:
        """The first event, past or future, that is wanted; raises `Died` when it does not come."""
        try:
            return await asyncio.wait_for(self._find(wanted, what), seconds)
        except TimeoutError:
            raise Died(f"{self.name}: no {what} within {seconds:.0f} s") from None

    async def stop(self) -> int:
        """Asks with SIGTERM, insists with SIGKILL after the grace; returns the exit status."""
        self._signal(signal.SIGTERM)
        try:
            status = await asyncio.wait_for(self._process.wait(), GRACE)
        except TimeoutError:
            self._signal(signal.SIGKILL)
            status = await self._process.wait()
        await self._reader
        return status

    async def ended(self) -> None:
        """Waits until the program is gone."""
        await self._reader

    def _signal(self, number: signal.Signals) -> None:
        # Not Process.send_signal: it may reap the child first, and asyncio then never learns its status.
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, number)

    async def _find(self, wanted: Callable[[Event], bool], what: str) -> Event:
        seen = 0
        while True:
            for event in self.events[seen:]:
                if wanted(event):
                    return event
            seen = len(self.events)
            if self._reader.done():
                raise Died(f"{self.name} ended before its {what}; it last said {self.events[-1:]}")
            self._news.clear()
            await self._news.wait()

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.events.append(json.loads(line))
            self._news.set()
