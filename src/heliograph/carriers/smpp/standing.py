"""What one process counts of a carrier, for people: submits, which are parts of messages, and what is delivered."""

from collections import deque
from dataclasses import dataclass, field

from heliograph.clock import Clock, monotonic
from heliograph.domain.instant import SECOND, Instant

LATELY = 10
"""Seconds that a rate is taken over."""


@dataclass(slots=True)
class Tally:
    """Counts since the start of the process."""

    clock: Clock
    taken: int = 0
    throttled: int = 0
    refused: int = 0
    unknown: int = 0
    receipts: int = 0
    """Those that decide nothing included."""
    inbound: int = 0
    """Messages handed over."""
    last_error: str | None = None
    last_error_at: Instant | None = None
    _seconds: deque[list[int]] = field(default_factory=lambda: deque(maxlen=LATELY))
    """Second of the monotonic clock, and how many were taken in it."""

    def took(self) -> None:
        """The carrier took one."""
        self.taken += 1
        second = monotonic() // SECOND
        if self._seconds and self._seconds[-1][0] == second:
            self._seconds[-1][1] += 1
        else:
            self._seconds.append([second, 1])

    def troubled(self, why: str) -> None:
        """Something went wrong; the last of it is shown."""
        self.last_error, self.last_error_at = why, self.clock.now()

    @property
    def rate(self) -> float:
        """Submits a second that it took lately."""
        since = monotonic() // SECOND - LATELY
        return sum(count for second, count in self._seconds if second > since) / LATELY
