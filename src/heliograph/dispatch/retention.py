"""Makes room ahead and clears up behind: partitions for the coming days, and an end to what is past its time."""

from heliograph.domain.instant import MINUTE, SECOND, Instant
from heliograph.log import get_logger
from heliograph.service import Loop
from heliograph.store.engine import StoreUnavailable
from heliograph.store.retention import Ages, Forgotten
from heliograph.store.store import Store

logger = get_logger("retention")

INTERVAL = MINUTE
AGAIN = 5 * SECOND
"""After a lock that was not to be had."""


class Retention(Loop):
    """Looks once a minute; any number of nodes may do so at the same time."""

    name = "retention"

    def __init__(self, store: Store, *, messages: int, links: int, reports: int) -> None:
        """How long each is kept, in microseconds."""
        super().__init__()
        self._store = store
        self._kept = (messages, links, reports)

    async def run_pass(self) -> int:
        """One look; again at once while there is more."""
        await self._store.engine.synchronize_clock()
        try:
            await self.make_room()
            done = await self.clear()
        except StoreUnavailable as error:
            # Mostly a lock: somebody reads a partition for long. Nobody may be kept waiting behind us.
            logger.info("retention waits", action="retention_waits", reason=str(error))
            return AGAIN
        return 0 if done.full else INTERVAL

    async def make_room(self) -> None:
        """Make the partitions of today and the next days."""
        made = await self._store.partitions.make_ahead()
        if made:
            logger.info("partitions made", action="partitions_made", partitions=", ".join(made))

    async def clear(self) -> Forgotten:
        """Forget what is past its time."""
        now = self._store.clock.now()
        messages, links, reports = (Instant(now - kept) for kept in self._kept)
        done = await self._store.retention.forget(Ages(messages, links, reports))
        if done.any:
            said = {"partitions": done.partitions, "messages": done.messages, "other_rows": done.others}
            logger.info("forgotten", action="forgotten", **said)
        return done
