"""The one clock. Nothing else in the house asks the machine what time it is.

Due-ness and cut-off are judged by the database's clock inside its statements (design, decision 5); what is read here
stamps what a process saw and checks a `send_at` before it is stored. On PostgreSQL the clock is anchored to the
database's and runs on the machine's monotonic time between two anchors, so that a step of the node's wall clock moves
nothing. On SQLite the database's clock *is* the machine's.

The test clock is an offset, kept in the database and added on both sides.
"""

import time
from typing import Protocol

from heliograph.domain.instant import MILLISECOND, Instant

PROMPT = 100 * MILLISECOND
"""How long an answer that tells the time may take to be taken at its word."""
_MICROSECOND_NS = 1_000


class Clock(Protocol):
    """Tells the time."""

    offset: int
    """Microseconds that the test clock is ahead of the machine's; 0 outside the sandbox."""

    def now(self) -> Instant:
        """This moment."""


class SystemClock:
    """The machine's wall clock and an offset."""

    def __init__(self, offset: int = 0) -> None:
        self.offset = offset

    def now(self) -> Instant:
        """This moment."""
        return Instant(time.time_ns() // _MICROSECOND_NS + self.offset)


class AnchoredClock:
    """Another machine's clock, as last told by `anchor`, carried on by our monotonic time."""

    def __init__(self) -> None:
        self.offset = 0
        self._ahead = time.time_ns() // _MICROSECOND_NS - monotonic()

    def anchor(self, told: Instant, asked_at: int, answered_at: int) -> None:
        """Take `told`, without the offset, as the time it was half way between two moments of `monotonic`.

        An answer that was long on its way, as over a network that was cut, may be wrong by half of that: ids would be
        made out of their order, here and when the next answer puts it right. Between these two moments it was right at
        some point, so a clock that agrees with that stays, and any other moves as little as it must.
        """
        if answered_at - asked_at <= PROMPT:
            self._ahead = told - (asked_at + answered_at) // 2
        else:
            self._ahead = min(max(self._ahead, told - answered_at), told - asked_at)

    def now(self) -> Instant:
        """This moment."""
        return Instant(monotonic() + self._ahead + self.offset)


def monotonic() -> int:
    """Microseconds on a clock that never steps, for deadlines within this process.

    It counts the time a machine sleeps where the system can tell, so that a lease is over after a suspend.
    """
    nanoseconds = time.clock_gettime_ns(_BOOT_TIME) if _BOOT_TIME else time.monotonic_ns()
    return nanoseconds // _MICROSECOND_NS


_BOOT_TIME = getattr(time, "CLOCK_BOOTTIME", 0)
