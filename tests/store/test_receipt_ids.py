"""Which message a receipt is about: ids in any form, used again, or told before they were given."""

import asyncio
from typing import Any

import pytest

from heliograph.domain.ids import MessageId
from heliograph.domain.instant import DAY, HOUR, MINUTE, Instant
from heliograph.domain.lifecycle import Change, Status
from heliograph.domain.message import Message
from heliograph.domain.receipt import Receipt, normal
from heliograph.store.engine import Transaction
from heliograph.store.outcomes import Outcome
from heliograph.store.receipts import KEEP
from heliograph.store.store import Store
from tests.builders import advance, claim, new_id
from tests.store.doubting import LONG_AGO, unmatched
from tests.store.histories import history, overdue, read

PERSON, SOMEBODY_ELSE = "+18665550001", "+18665550009"


async def sent(store: Store, *ids: str, **given: Any) -> Message:
    """A message that its carrier took under some ids, one for each part."""
    message = await overdue(store, parts=len(ids), **given)
    token, _ = await claim(store, carrier=message.carrier or "")
    deadline = Instant(store.clock.now() + HOUR)
    await store.record(Outcome(message.id, token, Change.ACCEPT, store.clock.now(), ids=ids, deadline_at=deadline))
    return message


def receipt(store: Store, carrier_id: str, **given: Any) -> Receipt:
    about: dict[str, Any] = {"carrier": "sandbox", "change": Change.DELIVER, "at": store.clock.now()} | given
    return Receipt(id=new_id(store), carrier_message_id=carrier_id, **about)


async def told(store: Store, carrier_id: str, **given: Any) -> None:
    await store.keep_receipt(receipt(store, carrier_id, **given))


async def delivered(store: Store, message: Message) -> bool:
    return (await read(store, message)).status is Status.DELIVERED


# --------------------------------------------------------------------------------------------------------------- forms


@pytest.mark.parametrize(
    ("answered", "reported"),
    [
        ("1D305B4C", "1d305b4c"),
        ("1d305b4c", "1D305B4C"),
        ("0000042", "42"),
        ("42", "0000042"),
        ("a1-B2", "A1-b2"),
        ("0", "000"),
        (" 42", "42 "),
    ],
)
async def test_case_zeros_and_spaces_make_no_other_id(store: Store, answered: str, reported: str) -> None:
    message = await sent(store, answered)
    await told(store, reported)
    assert await delivered(store, message)


@pytest.mark.parametrize(
    ("answered", "reported"),
    [("1d305b4c", "0489708364"), ("489708364", "1D305B4C"), ("2a", "42"), ("42", "2A")],
)
async def test_an_id_in_another_base_is_believed_of_its_recipient(store: Store, answered: str, reported: str) -> None:
    message = await sent(store, answered)
    await told(store, reported, recipient=PERSON)
    assert await delivered(store, message)
    assert (await read(store, message)).carrier_message_id == answered


@pytest.mark.parametrize("recipient", [SOMEBODY_ELSE, None])
async def test_a_guess_about_anybody_else_is_not_believed(store: Store, recipient: str | None) -> None:
    message = await sent(store, "1d305b4c")
    await told(store, "0489708364", recipient=recipient)
    assert (await read(store, message)).status is Status.SENT
    assert await unmatched(store) == 1


async def test_the_id_as_it_stands_comes_before_a_guess(store: Store) -> None:
    exact, guess = await sent(store, "42", recipient=SOMEBODY_ELSE), await sent(store, "2a")
    await told(store, "42", recipient=PERSON)
    assert await delivered(store, exact)
    assert (await read(store, guess)).status is Status.SENT


async def test_a_guess_that_overtook_its_answer_is_applied_with_it(store: Store) -> None:
    message = await overdue(store)
    token, _ = await claim(store)
    await told(store, "0489708364", recipient=PERSON)
    await told(store, "0489708364", recipient=SOMEBODY_ELSE, change=Change.FAIL)
    await store.record(Outcome(message.id, token, Change.ACCEPT, store.clock.now(), ids=("1D305B4C",)))
    assert await delivered(store, message)
    assert await unmatched(store) == 1


@pytest.mark.parametrize("others", [("b2",), ("x", "0B2"), ("177", "178")])
async def test_any_name_that_a_receipt_gives_will_do(store: Store, others: tuple[str, ...]) -> None:
    message = await sent(store, "b2")
    await told(store, "unheard-of", other_ids=others, recipient=PERSON)
    assert await delivered(store, message)


async def test_the_same_id_of_another_carrier_is_another_id(store: Store) -> None:
    message = await sent(store, "c1")
    await told(store, "c1", carrier="other")
    assert (await read(store, message)).status is Status.SENT
    assert await unmatched(store) == 1


# ---------------------------------------------------------------------------------------------------------- used again


async def test_of_several_with_one_id_it_is_about_the_newest_that_waits(store: Store) -> None:
    _, second, third = [await sent(store, "7") for _ in range(3)]
    await told(store, "7")
    await told(store, "7")
    assert await delivered(store, third)
    assert await delivered(store, second)


async def test_of_several_with_one_id_it_is_about_the_recipient_it_names(store: Store) -> None:
    named, newer = await sent(store, "7"), await sent(store, "7", recipient=SOMEBODY_ELSE)
    await told(store, "7", recipient=PERSON)
    assert await delivered(store, named)
    assert (await read(store, newer)).status is Status.SENT


async def test_what_is_delivered_gives_way_to_what_waits(store: Store) -> None:
    waiting, done = await sent(store, "7"), await sent(store, "7")
    await told(store, "7")
    assert await delivered(store, done)
    await told(store, "7")
    assert await delivered(store, waiting)


async def test_an_old_receipt_that_was_nobodys_is_not_for_a_message_made_since(store: Store) -> None:
    await told(store, "7")
    await advance(store, DAY)
    message = await sent(store, "7")
    assert (await read(store, message)).status is Status.SENT
    assert await unmatched(store) == 1


async def test_a_receipt_between_two_tries_is_found_though_the_second_tells_its_id(store: Store) -> None:
    message = await overdue(store)
    token, _ = await claim(store)
    again = Instant(store.clock.now() + MINUTE)
    await store.record(Outcome(message.id, token, Change.DEFER, store.clock.now(), due_at=again, in_doubt=True))
    await told(store, "c1")
    await advance(store, 10 * MINUTE)
    token, _ = await claim(store)
    now = store.clock.now()
    await store.record(Outcome(message.id, token, Change.ACCEPT, now, left_at=now, ids=("c1",)))
    assert await history(store, message) == ["claim", "defer", "claim", "accept", "deliver"]


# ------------------------------------------------------------------------------------------------------------- crossed


async def keep_apart(transaction: Transaction, each: Receipt) -> None:
    """As another process leaves it, whose transaction did not see the message's id yet."""
    key = normal(each.carrier_message_id)
    row = (each.id, each.carrier, each.carrier_message_id, each.change, None, each.at, key, each.recipient, None, "")
    await transaction.batch(KEEP, [row])


async def test_a_receipt_that_crossed_with_its_answer_is_found_at_the_next_look(store: Store) -> None:
    message = await sent(store, "1d305b4c")
    async with store.engine.transaction() as transaction:
        await keep_apart(transaction, receipt(store, "0489708364", recipient=PERSON))
    assert await store.match_receipts(LONG_AGO, 100) == 1
    assert await store.match_receipts(LONG_AGO, 100) == 0
    assert await history(store, message) == ["claim", "accept", "deliver"]


async def test_many_that_are_nobodys_do_not_hide_one_that_crossed(store: Store) -> None:
    for number in range(20):
        await told(store, f"foreign{number}")
    message = await sent(store, "c1")
    async with store.engine.transaction() as transaction:
        await keep_apart(transaction, receipt(store, "c1"))
    assert await store.match_receipts(LONG_AGO, 5) == 1
    assert await delivered(store, message)
    assert await unmatched(store) == 20


async def test_a_look_goes_no_further_back_than_it_is_asked_to(store: Store) -> None:
    message = await sent(store, "c1")
    async with store.engine.transaction() as transaction:
        await keep_apart(transaction, receipt(store, "c1"))
    assert await store.match_receipts(new_id(store), 100) == 0
    assert (await read(store, message)).status is Status.SENT


async def test_answers_and_receipts_on_two_nodes_cross_and_all_are_found(store: Store, beside: Store) -> None:
    made = [await overdue(store) for _ in range(40)]
    token, _ = await claim(store)

    async def answer(message_id: MessageId, number: int) -> None:
        await store.record(Outcome(message_id, token, Change.ACCEPT, store.clock.now(), ids=(f"n{number}",)))

    answers = (answer(each.id, number) for number, each in enumerate(made))
    receipts = (told(beside, f"N{number}") for number in range(40))
    await asyncio.gather(*answers, *receipts)
    await store.match_receipts(LONG_AGO, 100)
    assert [await history(store, each) for each in made] == [["claim", "accept", "deliver"]] * 40
    assert await unmatched(store) == 0


# ------------------------------------------------------------------------------------------------------------- unknown


async def test_what_belongs_to_nobody_is_shown_as_it_came(store: Store) -> None:
    about = {"recipient": PERSON, "sender": "+18445550001", "text": "Hello"}
    kept = receipt(store, "00AB", **about)
    await store.keep_receipt(kept)
    assert list(await store.reports.unmatched(10)) == [kept]


async def test_a_receipt_given_twice_in_one_commit_is_kept_once(store: Store) -> None:
    kept = receipt(store, "stranger")
    await asyncio.gather(store.keep_receipt(kept), store.keep_receipt(kept))
    assert await unmatched(store) == 1


async def test_a_receipt_given_again_after_it_was_applied_changes_nothing(store: Store) -> None:
    message = await sent(store, "c1")
    kept = receipt(store, "c1")
    for _ in range(3):
        await store.keep_receipt(kept)
    assert await history(store, message) == ["claim", "accept", "deliver"]
    assert await unmatched(store) == 0
