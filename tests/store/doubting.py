"""Messages in doubt, late answers and receipts, for tests."""

from collections.abc import Sequence
from typing import Any

from heliograph.domain.errors import Code
from heliograph.domain.ids import uuid7
from heliograph.domain.instant import HOUR, SECOND, Instant
from heliograph.domain.lifecycle import Change, Status
from heliograph.domain.message import Message, Progress
from heliograph.domain.outcome import EXPIRED, LEASE_LOST, NEVER_ANSWERED, delivery_error
from heliograph.domain.receipt import Receipt
from heliograph.store.doubts import Settlement
from heliograph.store.lapses import Expiry, Recovery
from heliograph.store.outcomes import Outcome
from heliograph.store.store import Store
from tests.builders import claim, new_id
from tests.store.histories import overdue, read

UNKNOWN = delivery_error(Code.OUTCOME_UNKNOWN, "The link was lost.")
FAILURE = delivery_error(Code.NOT_ROUTABLE, "A landline.")
SETTLES = Recovery([], {"sandbox": HOUR}, 100, LEASE_LOST)
EXPIRY = Expiry(100, EXPIRED, NEVER_ANSWERED)
LONG_AGO = uuid7(Instant(0), 0)


async def recorded(
    store: Store, change: Change, ids: Sequence[str | None] = (), total: int = 1, **given: Any
) -> Message:
    """A message that was given to its carrier, which told the ids of some parts."""
    outcome = {name: given.pop(name) for name in ("due_at", "deadline_at", "left_at") if name in given}
    message = await overdue(store, parts=total, **given)
    token, claimed = await claim(store)
    assert message.id in [each.id for each in claimed]
    now, progress = store.clock.now(), Progress("sandbox", tuple(ids), total) if ids else None
    about: dict[str, Any] = {"left_at": now, "progress": progress, "in_doubt": True} | outcome
    error = None if change is Change.DEFER else UNKNOWN
    assert await store.record(Outcome(message.id, token, change, now, error=error, **about))
    return message


async def doubted(store: Store, *ids: str | None, total: int = 1, **given: Any) -> Message:
    """A message in doubt, whose carrier may still tell."""
    return await recorded(store, Change.DOUBT, ids, total, deadline_at=Instant(store.clock.now() + HOUR), **given)


async def repeated(store: Store, *ids: str | None, total: int = 1, **given: Any) -> Message:
    """A message in doubt that is due again, as the operator prefers twice over never."""
    return await recorded(store, Change.DEFER, ids, total, due_at=Instant(store.clock.now() + SECOND), **given)


async def late(store: Store, message: Message, *ids: str | None, carrier: str = "sandbox") -> bool:
    """The carrier answers after nobody waited for it any more."""
    now = store.clock.now()
    return await store.settle(Settlement(message.id, carrier, ids, now, Instant(now + HOUR)))


async def reported(store: Store, message: Message, carrier_id: str, **given: Any) -> None:
    """A receipt that names both numbers of a message."""
    about: dict[str, Any] = {"change": Change.DELIVER, "at": store.clock.now(), "carrier": "sandbox"}
    about |= {"recipient": message.recipient, "sender": message.sender, "text": "Hello, Wor"} | given
    await store.keep_receipt(Receipt(new_id(store), carrier_message_id=carrier_id, **about))


async def unmatched(store: Store) -> int:
    """How many receipts belong to nobody."""
    return (await store.reports.overview()).unmatched_receipts


async def in_doubt(store: Store, message: Message) -> bool:
    """Whether a message is still in doubt, and says why."""
    found = await read(store, message)
    return (found.status, found.errors) == (Status.SENDING, (UNKNOWN,))


async def lost_lease(store: Store, **given: Any) -> Message:
    """A message whose dispatcher vanished, and which is in doubt since."""
    message = await overdue(store, **given)
    await claim(store, lease=0)
    await store.recover(SETTLES)
    return message
