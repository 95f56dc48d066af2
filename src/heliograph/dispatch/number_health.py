"""Measures how well each number's messages arrive, every few minutes; whichever process comes first does it for all."""

from heliograph.domain.instant import HOUR, Instant
from heliograph.log import get_logger
from heliograph.service import Loop
from heliograph.store.store import Store

logger = get_logger("number_health")

AT_ONCE = 1_000
"""Sticky senders taken away in one transaction."""


class NumberHealthCheck(Loop):
    """Keeps what pools are picked by: the health of numbers, and sticky senders that are not over."""

    name = "number-health"

    def __init__(self, store: Store, interval: int) -> None:
        """`interval` is how often numbers are measured, in microseconds."""
        super().__init__()
        self._store = store
        self._interval = interval
        self._next_at = Instant(0)

    async def run_pass(self) -> int:
        """One look, when it is time for one."""
        await self.check()
        return self._interval

    async def check(self) -> None:
        """Measure, unless somebody has within the interval; by the database's clock, so that a test moves it too."""
        now = self._store.clock.now()
        if now < self._next_at:
            return
        self._next_at = Instant(now + self._interval)
        if now < await self._store.number_health.measured_at() + self._interval:
            return
        numbers = await self._store.number_health.measure()
        ended = await self._store.forget_sticky(Instant(now - HOUR), AT_ONCE)
        if numbers or ended:
            logger.info("numbers measured", action="number_health", numbers=numbers, sticky_senders_ended=ended)
