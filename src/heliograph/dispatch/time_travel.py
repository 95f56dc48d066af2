"""Moving the test clock: time goes in steps, from one thing that falls due to the next.

A jump from noon to midnight would send everything at midnight. Steps send each message at its own moment, in order,
so that what a test sees is what a day of waiting would have shown.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from heliograph.domain.instant import Instant
from heliograph.store.store import Store

Settle = Callable[[], Awaitable[object]]
"""Does everything that is due at this moment."""


class TimeTravel:
    """Advances the test clock of a store."""

    def __init__(self, store: Store, settlers: Sequence[Settle]) -> None:
        self._store = store
        self._settlers = settlers
        self._moving = asyncio.Lock()

    async def advance(self, target: Instant) -> None:
        """Move to `target`, and return when everything due until then is done. Two callers go one after the other."""
        async with self._moving:
            await self._settle()
            done_until = self._store.clock.now()
            while (due := await self._store.next_moment(done_until)) is not None and due <= target:
                await self._move_to(due)
                await self._settle()
                done_until = max(due, done_until)
            await self._move_to(target)
            await self._settle()

    async def _move_to(self, moment: Instant) -> None:
        clock = self._store.clock
        machine = clock.now() - clock.offset
        if moment > clock.now():
            await self._store.sandbox.set_ahead(moment - machine)

    async def _settle(self) -> None:
        for settle in self._settlers:
            await settle()
