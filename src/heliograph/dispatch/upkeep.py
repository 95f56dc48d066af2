"""What time does to messages that nobody touches: leases end, validity ends, receipts do not come."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from heliograph.carriers.interface import Carrier
from heliograph.domain.ids import uuid7
from heliograph.domain.instant import HOUR, SECOND, Instant
from heliograph.domain.outcome import EXPIRED, LEASE_LOST, NEVER_ANSWERED, RepeatPolicy
from heliograph.log import get_logger
from heliograph.service import Attention, Loop
from heliograph.store.lapses import Expiry, Recovery
from heliograph.store.store import Store

logger = get_logger("upkeep")

AT_ONCE = 500
INTERVAL = SECOND
IDLE = 4 * SECOND
"""How often to look when there was nothing at the last looks: each is two transactions."""
CROSSED = HOUR
"""How long after it came a receipt is still looked at: what was unmatched longer belongs to nobody here."""


@dataclass(frozen=True, slots=True)
class Upkept:
    """What one pass did, in messages."""

    recovered: int
    doubted: int
    """In doubt from now on: what settles them may come at any moment."""
    lost: int
    expired: int
    unconfirmed: int
    matched: int
    """By a receipt: its own, or the one that settles its doubt."""

    @property
    def full(self) -> bool:
        """Whether there may be more of something."""
        return max(self._counts) >= AT_ONCE

    @property
    def any(self) -> bool:
        """Whether it did anything."""
        return any(self._counts)

    @property
    def _counts(self) -> Sequence[int]:
        return self.recovered, self.doubted, self.lost, self.expired, self.unconfirmed, self.matched


class Upkeep(Loop):
    """Looks once a second, less often while there is nothing; any number of nodes may do so at the same time."""

    name = "upkeep"

    def __init__(
        self,
        store: Store,
        carriers: Sequence[Carrier],
        policy: RepeatPolicy,
        settle_after: Mapping[str, int] | None = None,
    ) -> None:
        """`settle_after` is how long each carrier may take to tell what became of a message in doubt.

        `carriers` are all that this process knows. The leases of others are left to the processes that know them.
        """
        super().__init__()
        self._store = store
        self._attention = Attention(INTERVAL, IDLE)
        given = settle_after or {}
        self._settling = {each.name: given.get(each.name, 0) for each in carriers if each.abilities.settles}
        self._known = [each.name for each in carriers]
        everything = policy is RepeatPolicy.RATHER_TWICE
        self._repeatable = [each.name for each in carriers if everything or each.abilities.repeatable]

    async def run_pass(self) -> int:
        """One look; again at once while there is more."""
        await self._store.engine.synchronize_clock()
        done = await self.tidy()
        if done.any:
            self._attention.found()
            logger.info("upkeep", action="upkeep", **{name: getattr(done, name) for name in Upkept.__slots__})
        return 0 if done.full else self._attention.pause

    async def tidy(self) -> Upkept:
        """Decide about everything whose time is over."""
        since = uuid7(Instant(self._store.clock.now() - CROSSED), 0)
        # Before anything is given up: what settles it may have come while nobody looked.
        matched = await self._store.match_receipts(since, AT_ONCE)
        judged, (expired, unknown), unconfirmed = await asyncio.gather(
            self._store.recover(Recovery(self._repeatable, self._settling, AT_ONCE, LEASE_LOST, self._known)),
            self._store.expire(Expiry(AT_ONCE, EXPIRED, NEVER_ANSWERED)),
            self._store.unconfirm(AT_ONCE),
        )
        return Upkept(judged.again, judged.doubted, judged.lost + unknown, expired, unconfirmed, matched)
