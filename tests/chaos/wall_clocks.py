"""Wall clocks that a test sets, each for one process: libfaketime stands before the C library.

file --how far ahead--> the time of day of a process      its monotonic clock goes on, as when a machine is set right

The test itself, PostgreSQL and the SMSC are left alone: theirs is the true time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import aiohttp

from heliograph.clock import SystemClock
from heliograph.domain.instant import MINUTE, SECOND, Instant
from tests.chaos.evidence import seen
from tests.chaos.servers import Server

ROOTS = (Path("/usr/lib"), Path("/usr/lib64"))
LIBRARY = "faketime/libfaketimeMT.so.1"
NEAR = MINUTE
"""Steps are of an hour and more: what is so near to a moment tells the same time."""


def library() -> Path | None:
    """Where libfaketime is installed."""
    return next((found for root in ROOTS for found in [*root.glob(f"*/{LIBRARY}"), *root.glob(LIBRARY)]), None)


@dataclass(slots=True)
class Shown:
    """How far ahead the clock was, and when: from when it may have been, until when it certainly was no more."""

    ahead: int
    since: Instant
    until: Instant | None = None


class WallClock:
    """The wall clock of what is started under it. It tells what that shows, as `heliograph.clock.Clock` does."""

    def __init__(self, library: Path, folder: Path) -> None:
        self._true = SystemClock()
        self._library = library
        self._file = folder / "ahead"
        self.offset = 0
        self.history = [Shown(0, self._true.now())]
        self._write(0)

    def now(self) -> Instant:
        """The time it shows."""
        return Instant(self._true.now() + self.offset)

    def under(self, program: Sequence[str]) -> Sequence[str]:
        """A program with this clock. It looks at the file once a second."""
        own = {
            "LD_PRELOAD": self._library,
            "FAKETIME_TIMESTAMP_FILE": self._file,
            "FAKETIME_CACHE_DURATION": 0,
            "FAKETIME_DONT_FAKE_MONOTONIC": 1,
            "FAKETIME_FORCE_MONOTONIC_FIX": 0,  # or waiting threads of Python wake at once, again and again
            "NO_FAKE_STAT": 1,  # files keep their times
        }
        return ["env", *(f"{name}={value}" for name, value in own.items()), *program]

    async def step(self, ahead: int, server: Server) -> None:
        """Put it so far ahead of the true time, forwards or backwards; return once the server's answers are dated so.

        With no such date nothing is tested.
        """
        before = self.history[-1]
        self.history.append(Shown(ahead, self._true.now()))
        self._write(ahead)
        async with aiohttp.ClientSession() as session:

            async def look() -> bool:
                return abs(await server.time_of_day(session) - self._true.now() - ahead) < NEAR

            await seen(look)
        self.offset = ahead
        before.until = self._true.now()

    def latest(self, since: Instant, until: Instant) -> Instant:
        """The latest that it can have shown between two moments of the true time."""
        shown = [each.ahead for each in self.history if each.since <= until and (each.until or until) >= since]
        return Instant(until + max(shown))

    def was_put_back(self, since: Instant, until: Instant) -> bool:
        """Whether it may have been put back between two moments of the true time."""
        return any(
            later.ahead < earlier.ahead and later.since <= until and (earlier.until or until) >= since
            for earlier, later in pairwise(self.history)
        )

    def _write(self, ahead: int) -> None:
        new = self._file.with_suffix(".new")
        new.write_text(f"{ahead // SECOND:+d}\n")
        new.replace(self._file)
