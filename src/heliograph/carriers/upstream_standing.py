"""How an upstream stands, and so how much is given to it. Pure: moments and chances come in, room comes out.

    asking --probe answered--> up --429--> resting --rest over--> trying --a message answered--> up
       ^                        |                                   |
       |                        +--cannot be reached, key refused,--+
       |                           answer lost--> down --probe answered--> trying

An upstream that takes no messages where they were sent to goes down for longer: its probe is answered all the same.

While it is down only a probe is sent, which carries no message. Then one message at a time goes until one is answered:
an upstream that loses its answers would otherwise put a whole queue in doubt. Moments are of `clock.monotonic`.
"""

from dataclasses import dataclass
from enum import StrEnum
from math import exp

from heliograph.domain.instant import MINUTE, SECOND
from heliograph.domain.retry import backoff

RATE_OVER = 10 * SECOND
"""What "lately" means for the rate: a submit counts a third of itself after this."""


class Condition(StrEnum):
    """In one word, for people."""

    ASKING = "asking"
    UP = "up"
    RESTING = "resting"
    TRYING = "trying"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Pauses:
    """How long to wait before an upstream is asked again, in microseconds; doubled from `first` to `longest`."""

    first: int = SECOND
    longest: int = MINUTE
    misdirected_first: int = 10 * SECOND
    """The same for one that takes no messages at its address: somebody has to put that right."""
    misdirected_longest: int = 10 * MINUTE


@dataclass(slots=True)
class Counts:
    """Messages since the start of the process, by what the upstream said of them."""

    taken: int = 0
    throttled: int = 0
    refused: int = 0
    unknown: int = 0


class Standing:
    """How one upstream stands, as one process sees it."""

    def __init__(self, window: int, pauses: Pauses, now: int) -> None:
        self.window = window
        self.in_flight = 0
        self.counts = Counts()
        self._pauses = pauses
        self._asked = False
        self._probe_at: int | None = now
        """When it is asked whether it is there; None while that is known."""
        self._rest_until = now
        self._careful = False
        self._failures = 0
        self._misdirected = 0
        self._throttles = 0
        self._rate = 0.0
        self._rate_at = now
        self._condition = Condition.ASKING
        self._since = now

    def condition(self, now: int) -> Condition:
        """How it stands at this moment."""
        if self._probe_at is not None:
            return Condition.DOWN if self._asked else Condition.ASKING
        if now < self._rest_until:
            return Condition.RESTING
        return Condition.TRYING if self._careful else Condition.UP

    def since(self, now: int) -> int:
        """From when it has stood so, as far as somebody has looked."""
        if (condition := self.condition(now)) is not self._condition:
            self._condition, self._since = condition, now
        return self._since

    def up(self) -> bool:
        """Whether it can be reached."""
        return self._probe_at is None

    def room(self, now: int) -> int:
        """How many messages it would take."""
        if not self.up() or now < self._rest_until:
            return 0
        return max(0, (1 if self._careful else self.window) - self.in_flight)

    def rest_until(self, now: int) -> int | None:
        """Until when it is left alone after throttling; None when it is not."""
        return self._rest_until if now < self._rest_until else None

    def probe_due(self, now: int) -> bool:
        """Whether it is to be asked now whether it is there."""
        return self._probe_at is not None and now >= self._probe_at

    def next_change(self, now: int) -> int | None:
        """When the next probe is due or its rest is over; None while nothing comes by itself."""
        return self._probe_at if self._probe_at is not None else self.rest_until(now)

    def probed(self) -> None:
        """It is there."""
        self._asked = True
        self._probe_at = None

    def probe_failed(self, now: int, chance: float) -> None:
        """It is not there, or refuses us."""
        self._asked = True
        self._pause(now, chance)

    def answered(self, now: int) -> None:
        """It spoke of a message as an upstream should. What was under way before it went down changes nothing."""
        if self.up() and now >= self._rest_until:
            self._careful = False
            self._failures = self._misdirected = self._throttles = 0

    def failed(self, now: int, chance: float) -> None:
        """It cannot be reached, refuses us, or its answer was lost. Many at once, of one window, count as one."""
        if self.up():
            self._pause(now, chance)

    def misdirected(self, now: int, chance: float) -> None:
        """It takes no messages at its address. Only a message that it answers ends the doubling, not a probe."""
        if self.up():
            self._misdirected += 1
            waits = self._pauses
            wait = backoff(self._misdirected, waits.misdirected_first, waits.misdirected_longest, chance)
            self._careful = True
            self._probe_at = now + wait

    def throttled(self, now: int, asked: int | None, chance: float) -> None:
        """It wants no more for as long as it asked, or for a growing time where it did not; never longer than ours."""
        if now >= self._rest_until:
            self._throttles += 1
        waits = self._pauses
        rest = backoff(max(1, self._throttles), waits.first, waits.longest, chance) if asked is None else asked
        self._rest_until = max(self._rest_until, now + min(rest, waits.longest))
        self._careful = True

    def took(self, now: int) -> None:
        """It took a message."""
        self.counts.taken += 1
        self._rate = self.rate(now) + SECOND / RATE_OVER
        self._rate_at = now

    def rate(self, now: int) -> float:
        """Messages a second that it took lately."""
        return self._rate * exp(-max(0, now - self._rate_at) / RATE_OVER)

    def _pause(self, now: int, chance: float) -> None:
        self._failures += 1
        self._careful = True
        self._probe_at = now + backoff(self._failures, self._pauses.first, self._pauses.longest, chance)
