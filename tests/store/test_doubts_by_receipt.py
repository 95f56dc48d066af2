"""A receipt of an id that nobody was told: when it settles a doubt, and when it must not."""

import asyncio

import pytest

from heliograph.domain.instant import DAY, HOUR, MINUTE, SECOND, Instant
from heliograph.domain.lifecycle import Change, Status
from heliograph.domain.message import Message, Progress
from heliograph.domain.receipt import Receipt
from heliograph.store.engine import Transaction
from heliograph.store.outcomes import Outcome
from heliograph.store.store import Store
from heliograph.store.tables import messages
from tests.builders import advance, claim, new_id
from tests.store.doubting import (
    FAILURE,
    LONG_AGO,
    SETTLES,
    doubted,
    in_doubt,
    late,
    repeated,
    reported,
    unmatched,
)
from tests.store.histories import history, overdue, read


async def test_a_receipt_of_its_numbers_settles_the_one_doubt_between_them(store: Store) -> None:
    message = await doubted(store)
    await reported(store, message, "c1")
    found = await read(store, message)
    assert (found.status, found.errors, found.carrier_message_id) == (Status.DELIVERED, (), "c1")
    assert await history(store, message) == ["claim", "doubt", "accept", "deliver"]
    assert await unmatched(store) == 0


async def test_a_receipt_of_failure_settles_it_too(store: Store) -> None:
    message = await doubted(store)
    await reported(store, message, "c1", change=Change.FAIL, error=FAILURE)
    assert (await read(store, message)).errors == (FAILURE,)
    assert await history(store, message) == ["claim", "doubt", "accept", "fail"]


async def test_a_receipt_of_its_numbers_stops_a_repeat(store: Store) -> None:
    message = await repeated(store)
    await reported(store, message, "c1")
    await advance(store, MINUTE)
    assert (await claim(store))[1] == []
    assert await history(store, message) == ["claim", "defer", "accept", "deliver"]


async def test_the_receipt_kept_again_changes_nothing(store: Store) -> None:
    message = await doubted(store)
    kept = Receipt(
        new_id(store), "sandbox", "c1", Change.DELIVER, store.clock.now(),
        recipient=message.recipient, sender=message.sender,
    )  # fmt: skip
    for _ in range(2):
        await store.keep_receipt(kept)
    assert await history(store, message) == ["claim", "doubt", "accept", "deliver"]


async def test_a_carrier_that_repeats_no_text_is_believed(store: Store) -> None:
    message = await doubted(store)
    await reported(store, message, "c1", text="")
    assert (await read(store, message)).status is Status.DELIVERED


async def test_letters_that_a_carrier_cannot_repeat_speak_against_nothing(store: Store) -> None:
    message = await doubted(store, text="Grüße, Bob: 42")
    await reported(store, message, "c1", text="Gr??e, Bob")
    assert (await read(store, message)).status is Status.DELIVERED


async def not_settled(store: Store, message: Message) -> bool:
    """Still in doubt, the receipt kept and shown; at the next look of the upkeep too."""
    await store.match_receipts(LONG_AGO, 100)
    return await in_doubt(store, message) and await unmatched(store) > 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("recipient", "+18665550009"),
        ("recipient", None),
        ("sender", "+18445550009"),
        ("sender", None),
        ("carrier", "other"),
        ("text", "Your code is 4711"),
        ("text", "Hello, Bob"),
        ("text", "Goodbye, World! And goodbye to all the others who were meant."),
    ],
)
async def test_a_receipt_that_something_speaks_against_settles_nothing(
    store: Store, name: str, value: str | None
) -> None:
    message = await doubted(store)
    await reported(store, message, "c1", **{name: value})
    assert await not_settled(store, message)


async def test_a_receipt_from_before_it_left_settles_nothing(store: Store) -> None:
    message = await doubted(store)
    await reported(store, message, "c1", at=Instant(store.clock.now() - 2 * MINUTE))
    assert await not_settled(store, message)


async def test_carriers_that_count_in_minutes_are_forgiven_one(store: Store) -> None:
    message = await doubted(store)
    await reported(store, message, "c1", at=Instant(store.clock.now() - 50 * SECOND))
    found = await read(store, message)
    assert found.status is Status.DELIVERED
    assert found.sent_at == found.left_at


async def test_a_receipt_between_two_numbers_with_two_doubts_settles_neither(store: Store) -> None:
    messages = [await doubted(store) for _ in range(2)]
    await reported(store, messages[0], "c1")
    assert [await not_settled(store, each) for each in messages] == [True, True]


async def test_two_receipts_between_two_numbers_settle_nothing_together(store: Store) -> None:
    message = await doubted(store)
    await asyncio.gather(reported(store, message, "c1"), reported(store, message, "c2"))
    assert await not_settled(store, message)
    assert await unmatched(store) == 2


async def test_a_receipt_that_was_handed_over_twice_settles_as_one(store: Store) -> None:
    message = await doubted(store)
    other = await overdue(store)
    token, _ = await claim(store)
    for _ in range(2):
        await reported(store, message, "c1")
    await store.record(Outcome(other.id, token, Change.ACCEPT, store.clock.now(), ids=("c2",)))
    await store.match_receipts(LONG_AGO, 100)
    assert await history(store, message) == ["claim", "doubt", "accept", "deliver"]
    assert await unmatched(store) == 0


async def test_doubts_between_other_numbers_are_no_obstacle(store: Store) -> None:
    message, other = await doubted(store), await doubted(store, recipient="+18665550009")
    await reported(store, message, "c1")
    assert (await read(store, message)).status is Status.DELIVERED
    assert await in_doubt(store, other)


async def test_a_receipt_that_may_be_of_a_message_in_hand_settles_nothing(store: Store) -> None:
    message = await doubted(store)
    other = await overdue(store)
    token, _ = await claim(store)
    await reported(store, message, "c1")
    assert await not_settled(store, message)
    # It overtook the answer that tells its id.
    await store.record(Outcome(other.id, token, Change.ACCEPT, store.clock.now(), ids=("c1",)))
    assert await history(store, other) == ["claim", "accept", "deliver"]
    assert await in_doubt(store, message)


async def test_it_settles_what_it_can_be_about_once_nothing_else_is_in_hand(store: Store) -> None:
    message = await doubted(store)
    other = await overdue(store)
    token, _ = await claim(store)
    await reported(store, message, "c1")
    await store.record(Outcome(other.id, token, Change.ACCEPT, store.clock.now(), ids=("c2",)))
    await store.match_receipts(LONG_AGO, 100)
    assert await history(store, message) == ["claim", "doubt", "accept", "deliver"]


async def test_a_repeat_in_hand_is_not_settled_under_its_dispatcher(store: Store) -> None:
    message = await repeated(store)
    await advance(store, MINUTE)
    token, _ = await claim(store)
    await reported(store, message, "c1")
    assert await store.record(Outcome(message.id, token, Change.ACCEPT, store.clock.now(), ids=("c2",)))
    assert await history(store, message) == ["claim", "defer", "claim", "accept"]
    assert await unmatched(store) == 1


async def test_a_receipt_that_may_be_of_a_doubt_given_up_lately_settles_nothing(store: Store) -> None:
    lost, message = await doubted(store), await doubted(store)
    await reported(store, message, "c1")
    async with store.engine.transaction() as transaction:
        await give_up(transaction, store, lost)
    assert await not_settled(store, message)


async def give_up(transaction: Transaction, store: Store, message: Message) -> None:
    """As the upkeep does at the end of the wait."""
    values = {"status": Status.DELIVERY_UNCONFIRMED.value, "deadline_at": None}
    await transaction.execute(messages.update().where(messages.c.id == message.id).values(**values))


async def test_a_doubt_given_up_days_ago_is_no_obstacle(store: Store) -> None:
    await doubted(store)
    await advance(store, 2 * HOUR)
    await store.recover(SETTLES)
    await advance(store, 2 * DAY)
    message = await doubted(store)
    await reported(store, message, "c1")
    assert (await read(store, message)).status is Status.DELIVERED


async def test_a_doubt_settled_by_its_carrier_is_no_obstacle(store: Store) -> None:
    settled, message = await doubted(store), await doubted(store)
    await late(store, settled, "c1")
    await reported(store, message, "c2")
    assert (await read(store, message)).status is Status.DELIVERED


async def test_what_was_sent_twice_may_have_another_receipt_and_is_an_obstacle(store: Store) -> None:
    twice = await repeated(store)
    await advance(store, MINUTE)
    token, _ = await claim(store)
    await store.record(Outcome(twice.id, token, Change.ACCEPT, store.clock.now(), ids=("c2",)))
    message = await doubted(store)
    await reported(store, message, "c1")
    assert await not_settled(store, message)


async def test_the_receipt_of_a_known_part_is_not_the_missing_ones(store: Store) -> None:
    message = await doubted(store, "a1", "b1", None, total=3)
    await reported(store, message, "00A1")
    assert await not_settled(store, message)


async def test_a_receipt_fills_the_one_hole_of_a_message_of_several_parts(store: Store) -> None:
    message = await doubted(store, "a1", None, total=2)
    await reported(store, message, "b1")
    assert await history(store, message) == ["claim", "doubt", "accept"]
    assert await store.unconfirm(100) == 0
    await reported(store, message, "a1")
    assert await history(store, message) == ["claim", "doubt", "accept", "deliver"]


async def test_a_receipt_fills_no_two_holes(store: Store) -> None:
    message = await doubted(store, None, None, total=2)
    await reported(store, message, "b1")
    assert await not_settled(store, message)


async def test_the_receipt_of_a_part_of_what_waits_for_another_try_settles_nothing_else(store: Store) -> None:
    waiting = await overdue(store, parts=2)
    token, _ = await claim(store)
    progress, due = Progress("sandbox", ("a1",), 2), Instant(store.clock.now() + HOUR)
    await store.record(Outcome(waiting.id, token, Change.DEFER, store.clock.now(), due_at=due, progress=progress))
    message = await doubted(store)
    await reported(store, message, "a1")
    assert await not_settled(store, message)
