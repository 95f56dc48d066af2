"""Who may send now: the one queue before the windows of a carrier.

    turn --> open                          and room in a window     --> send
         --> resting, since it was too much                         wait
         --> trying: the rest is over      one goes, the others wait for what becomes of it

Everything that has to wait waits here and in the order of its number, so nothing newer overtakes what was throttled.
What is behind this gate leaves at once: a session has nothing left that could go out while the carrier rests.
"""

import asyncio
from collections.abc import Callable
from enum import Enum
from heapq import heappop, heappush, nsmallest

from heliograph import randomness
from heliograph.clock import monotonic
from heliograph.domain.instant import SECOND
from heliograph.domain.retry import backoff

CALM_AFTER = 10
"""So many submits in a row that were not throttled begin the rests at the shortest again."""


class Standing(Enum):
    """How the gate is."""

    OPEN = "open"
    RESTING = "resting"
    TRYING = "trying"
    CLOSED = "closed"


class GateClosed(Exception):
    """Nothing is sent any more."""


class _Waiter:
    """One who waits for their turn; `ready` says whether there would be room for them."""

    def __init__(self, ready: Callable[[], bool]) -> None:
        self.ready = ready
        self.woken = asyncio.Event()


class Gate:
    """Lets submits through in order, and none while the carrier rests.

    `base` and `maximum` are the shortest and the longest rest in microseconds. `opened` is called when a rest is over
    or a try has gone well; `room` says how many would leave at once if there were no gate.
    """

    def __init__(self, base: int, maximum: int, opened: Callable[[], None], room: Callable[[], int]) -> None:
        self.standing = Standing.OPEN
        self.resting_until: int | None = None
        """A moment of `clock.monotonic`; None unless the carrier rests."""
        self._base = base
        self._maximum = maximum
        self._opened = opened
        self._room = room
        self._waiting: dict[int, _Waiter] = {}
        self._line: list[int] = []
        """A heap of their numbers; those who gave up are left in it."""
        self._tried: int | None = None
        self._rests = 0
        self._calm = 0
        self._rested_at = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return len(self._waiting)

    @property
    def resting(self) -> bool:
        """It was too much lately, and no try has gone well since."""
        return self.standing in {Standing.RESTING, Standing.TRYING}

    @property
    def allowance(self) -> int | None:
        """How many more may be given to it now; None while only the windows set a bound."""
        match self.standing:
            case Standing.OPEN:
                return None
            case Standing.TRYING if self._tried is None and not self._waiting:
                return 1
            case _:
                return 0

    async def space(self, interval: int, until: int) -> None:
        """Let the time between two parts of a message go by, but no more than there is until a moment."""
        await asyncio.sleep(max(0, min(interval, until - monotonic())) / SECOND)

    async def turn(self, order: int, until: int, ready: Callable[[], bool]) -> None:
        """Return when it is the turn of number `order`, which is to send at once then, and to tell `ended`.

        Lower numbers go first; `ready` is asked again whenever `poke` is called. Raises `TimeoutError` at `until` of
        `clock.monotonic`, and `GateClosed`.
        """
        if self._waiting or not self._may_go(order, ready):
            await self._wait(order, until, ready)
        if self.standing is Standing.TRYING:
            self._tried = order

    def ended(self, order: int, sent_at: int, throttled: bool | None) -> None:
        """Tell what became of a submit: whether it was too much; None where that is not known."""
        if self._tried == order:
            self._tried = None
        # What was sent before the last rest began says nothing about now.
        if throttled is not None and sent_at > self._rested_at and self.standing is not Standing.CLOSED:
            if throttled:
                self._rest()
            else:
                self._went_well()
        self.poke()

    def poke(self) -> None:
        """There may be room now."""
        if not self._waiting or self.standing is Standing.CLOSED:
            return
        first = self._first()
        if not self._may_go(first, self._waiting[first].ready):
            return
        # All for whom there is room, so that what they send shares a write; each looks again when it is its turn.
        count = self._room() if self.standing is Standing.OPEN else 1
        for order in nsmallest(max(1, count), self._waiting):
            self._waiting[order].woken.set()

    def open(self) -> None:
        """Let through again what `close` kept out."""
        if self.standing is Standing.CLOSED:
            self.standing = Standing.OPEN

    def close(self) -> None:
        """Let nothing through any more; who waits is told."""
        self._become(Standing.CLOSED)
        for waiter in self._waiting.values():
            waiter.woken.set()

    # ---- waiting

    def _may_go(self, order: int, ready: Callable[[], bool]) -> bool:
        match self.standing:
            case Standing.CLOSED:
                raise GateClosed
            case Standing.RESTING:
                return False
            case Standing.TRYING if self._tried not in {None, order}:
                return False
            case _:
                return ready()

    def _first(self) -> int:
        """Whose turn is next, of those who wait."""
        while self._line[0] not in self._waiting:
            heappop(self._line)
        return self._line[0]

    async def _wait(self, order: int, until: int, ready: Callable[[], bool]) -> None:
        waiter = self._waiting[order] = _Waiter(ready)
        heappush(self._line, order)
        try:
            async with asyncio.timeout(max(0, until - monotonic()) / SECOND):
                while not (self._first() == order and self._may_go(order, ready)):
                    await waiter.woken.wait()
                    waiter.woken.clear()
        finally:
            del self._waiting[order]
            # In the next turn of the loop: who has waited sends before the next in line is asked.
            asyncio.get_running_loop().call_soon(self.poke)

    # ---- resting

    def _rest(self) -> None:
        self._rests += 1
        self._calm = 0
        wait = backoff(self._rests, self._base, self._maximum, randomness.fraction())
        self._become(Standing.RESTING)
        self._rested_at = monotonic()
        self.resting_until = self._rested_at + wait
        self._timer = asyncio.get_running_loop().call_later(wait / SECOND, self._rest_is_over)

    def _rest_is_over(self) -> None:
        self._become(Standing.TRYING)
        self.poke()
        self._opened()

    def _went_well(self) -> None:
        self._calm += 1
        if self._calm >= CALM_AFTER:
            self._rests = 0
        if self.standing is Standing.TRYING:
            self._become(Standing.OPEN)
            self._opened()

    def _become(self, standing: Standing) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        self.resting_until = None
        self._tried = None
        self.standing = standing
