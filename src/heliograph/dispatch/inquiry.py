"""Asking carriers what became of messages whose receipts are missing, before nothing is awaited any more.

sent, and its wait for a receipt nearly over --> the carrier is asked, once a process --> a receipt, as if it had come
"""

from heliograph.carriers.interface import Inbox, Queried
from heliograph.domain.instant import MINUTE, SECOND, Instant
from heliograph.log import get_logger
from heliograph.service import Loop
from heliograph.store.inquiries import Unconfirmed
from heliograph.store.store import Store

logger = get_logger("inquiry")

INTERVAL = 5 * SECOND
AT_ONCE = 100


class Inquiry(Loop):
    """Looks every few seconds; several processes may ask about the same message, which does no harm."""

    name = "inquiry"

    def __init__(self, store: Store, carrier: Queried, inbox: Inbox, unconfirmed_after: int) -> None:
        super().__init__()
        self._store = store
        self._carrier = carrier
        self._inbox = inbox
        self._lead = min(5 * MINUTE, unconfirmed_after // 4)
        self._asked: dict[str, Instant] = {}

    async def run_pass(self) -> int:
        """One look; again at once while there is more to ask.

        Nothing is asked while the carrier is down or rests: what was asked in vain would not be asked again.
        """
        if not self._answers():
            return INTERVAL
        now = self._store.clock.now()
        self._asked = {name: until for name, until in self._asked.items() if until > now}
        before = Instant(now + self._lead)
        limit = AT_ONCE + len(self._asked)
        found = await self._store.inquiries.unconfirmed(self._carrier.name, before, limit)
        new = [each for each in found if each.message.id not in self._asked][:AT_ONCE]
        for each in new:
            if not self._answers():
                return INTERVAL
            await self._ask(each)
        return 0 if len(new) == AT_ONCE else INTERVAL

    def _answers(self) -> bool:
        return self._carrier.up and self._carrier.room > 0

    async def _ask(self, each: Unconfirmed) -> None:
        self._asked[each.message.id] = each.deadline_at
        receipts = await self._carrier.query(each.message, each.ids)
        for receipt in receipts:
            await self._inbox.receipt(receipt)
        if receipts:
            what = {"message_id": each.message.id, "carrier": self._carrier.name}
            logger.info("a missing receipt was asked for", action="receipt_asked_for", **what)
