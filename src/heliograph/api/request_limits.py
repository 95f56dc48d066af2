"""How often a key may ask: 429 with 10011, and on every answer the three headers (Contract 8.4).

`x-ratelimit-reset` is in seconds from now: of the two readings of the provider's pages the one of the page on limits
(Contract 13 #18).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from heliograph.clock import monotonic
from heliograph.domain.errors import Code, Refusal
from heliograph.domain.instant import SECOND
from heliograph.domain.request_rate import Block, RequestRate
from heliograph.store.engine import StoreUnavailable


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a key stands after a request; times in microseconds."""

    limit: int
    remaining: int
    reset: int
    wait: int | None = None
    """How long until it may ask again; None where this request may pass."""

    @property
    def headers(self) -> Mapping[str, str]:
        """As they stand on the answer."""
        shown = {
            "x-ratelimit-limit": str(self.limit),
            "x-ratelimit-remaining": str(self.remaining),
            "x-ratelimit-reset": str(_seconds(self.reset)),
        }
        return shown if self.wait is None else {**shown, "retry-after": str(_seconds(self.wait))}

    def refusal(self) -> Refusal:
        """Why a request is not taken."""
        detail = f"This key may make {self.limit:,} requests a second. Try again in {_seconds(self.wait or 0)} s."
        return Refusal(Code.TOO_MANY_REQUESTS, detail)


@dataclass(slots=True)
class _Allowance:
    """What one key has been given and has not used; times on the monotonic clock."""

    granted: int = 0
    left: int = 0
    full_at: int = 0
    opens_at: int = 0
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)
    failed: int = 0
    """How often the question for more got no answer."""


class RequestLimits:
    """Counts the requests of keys."""

    def __init__(self, rate: RequestRate, take: Callable[[str], Awaitable[Block]]) -> None:
        """`take` gives a key its next block."""
        self._rate = rate
        self._take = take
        self._allowances: dict[str, _Allowance] = {}

    async def count(self, key_id: str) -> Standing:
        """Count one request of a key that is known. Raises `StoreUnavailable`."""
        allowance = self._allowances.setdefault(key_id, _Allowance())
        # Who waited for the lock may find that others have used up what came meanwhile.
        while not allowance.granted and monotonic() >= allowance.opens_at:
            await self._ask(key_id, allowance)
        now = monotonic()
        if not allowance.granted:
            return self._standing(allowance, now, max(1, allowance.opens_at - now))
        allowance.granted -= 1
        return self._standing(allowance, now, None)

    async def _ask(self, key_id: str, allowance: _Allowance) -> None:
        """One asks for all who wait, and a failure is all theirs: asked by each, a database that hangs takes ages."""
        failed = allowance.failed
        async with allowance.asking:
            if allowance.failed != failed:
                raise StoreUnavailable("the requests of a key could not be counted")
            if allowance.granted or monotonic() < allowance.opens_at:
                return
            try:
                block = await self._take(key_id)
            except StoreUnavailable:
                allowance.failed += 1
                raise
            self._give(allowance, block)

    def _give(self, allowance: _Allowance, block: Block) -> None:
        now = monotonic()
        allowance.granted, allowance.left = block.granted, block.left
        allowance.full_at, allowance.opens_at = now + block.reset, now + block.wait

    def _standing(self, allowance: _Allowance, now: int, wait: int | None) -> Standing:
        return Standing(self._rate.limit, allowance.granted + allowance.left, max(0, allowance.full_at - now), wait)


def _seconds(micros: int) -> int:
    """Rounded up: who waits as long as told is let in."""
    return -(-micros // SECOND)
