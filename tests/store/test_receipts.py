"""Receipts of carriers."""

from heliograph.domain.errors import Code
from heliograph.domain.ids import uuid7
from heliograph.domain.instant import Instant
from heliograph.domain.lifecycle import Change, Status
from heliograph.domain.message import Message
from heliograph.domain.outcome import delivery_error
from heliograph.domain.receipt import Receipt
from heliograph.store.outcomes import Outcome
from heliograph.store.receipts import KEEP
from heliograph.store.store import Store
from tests.builders import accepted, claim, new_id, status_of

FAILURE = delivery_error(Code.NOT_ROUTABLE, "A landline.")


LONG_AGO = uuid7(Instant(0), 0)


def receipt(store: Store, change: Change = Change.DELIVER, carrier_message_id: str = "c1") -> Receipt:
    error = FAILURE if change is Change.FAIL else None
    return Receipt(new_id(store), "sandbox", carrier_message_id, change, store.clock.now(), error)


async def claimed(store: Store) -> tuple[str, Message]:
    message = await accepted(store, send_in=None)
    token, _ = await claim(store)
    return token, message


async def sent(store: Store) -> Message:
    token, message = await claimed(store)
    await store.record(Outcome(message.id, token, Change.ACCEPT, store.clock.now(), ids=("c1",)))
    return message


async def test_a_receipt_delivers_its_message(store: Store) -> None:
    message = await sent(store)
    await store.keep_receipt(receipt(store))
    assert await status_of(store, message) is Status.DELIVERED


async def test_a_receipt_of_failure_says_why(store: Store) -> None:
    message = await sent(store)
    await store.keep_receipt(receipt(store, Change.FAIL))
    found, _ = await store.messages.find(message.organization_id, message.id)
    assert found is not None
    assert (found.status, found.errors) == (Status.DELIVERY_FAILED, (FAILURE,))


async def test_a_receipt_that_overtakes_the_answer_is_applied_with_it(store: Store) -> None:
    token, message = await claimed(store)
    await store.keep_receipt(receipt(store))
    assert await status_of(store, message) is Status.SENDING
    await store.record(Outcome(message.id, token, Change.ACCEPT, store.clock.now(), ids=("c1",)))
    assert await status_of(store, message) is Status.DELIVERED


async def test_of_two_receipts_the_first_decides(store: Store) -> None:
    message = await sent(store)
    await store.keep_receipt(receipt(store))
    await store.keep_receipt(receipt(store, Change.FAIL))
    assert await status_of(store, message) is Status.DELIVERED
    assert [row["change"] for row in await store.messages.timeline(message.id)] == ["claim", "accept", "deliver"]


async def test_a_receipt_for_an_id_nobody_knows_is_kept(store: Store) -> None:
    await store.keep_receipt(receipt(store, carrier_message_id="stranger"))
    assert (await store.reports.overview()).unmatched_receipts == 1


async def test_the_same_receipt_kept_twice_is_one(store: Store) -> None:
    again = receipt(store, carrier_message_id="stranger")
    await store.keep_receipt(again)
    await store.keep_receipt(again)
    assert (await store.reports.overview()).unmatched_receipts == 1


async def test_the_upkeep_matches_what_came_apart(store: Store) -> None:
    message = await sent(store)
    # As another node leaves it, whose transaction did not see the message's id yet.
    async with store.engine.transaction() as transaction:
        kept = receipt(store)
        row = (kept.id, kept.carrier, kept.carrier_message_id, kept.change, None, kept.at, "c1", None, None, "")
        await transaction.batch(KEEP, [row])
    assert await store.match_receipts(LONG_AGO, 100) == 1
    assert await status_of(store, message) is Status.DELIVERED
