"""Receipts of parts, folded into what became of their message."""

import asyncio
from itertools import permutations

import pytest

from heliograph.domain.errors import Code
from heliograph.domain.instant import SECOND, Instant
from heliograph.domain.lifecycle import Change, Status
from heliograph.domain.message import Message
from heliograph.domain.outcome import delivery_error
from heliograph.domain.receipt import Receipt
from heliograph.store.outcomes import Outcome
from heliograph.store.store import Store
from tests.builders import claim, new_id
from tests.store.doubting import LONG_AGO, unmatched
from tests.store.histories import history, overdue, read

FAILURE = delivery_error(Code.NOT_ROUTABLE, "A landline.")
DELIVER, FAIL = Change.DELIVER, Change.FAIL
IDS = ("a", "b", "c")


def receipt(store: Store, carrier_id: str, change: Change = DELIVER, after: int = 0) -> Receipt:
    at = Instant(store.clock.now() + after)
    return Receipt(new_id(store), "sandbox", carrier_id, change, at, FAILURE if change is FAIL else None)


async def told(store: Store, carrier_id: str, change: Change = DELIVER, after: int = 0) -> None:
    await store.keep_receipt(receipt(store, carrier_id, change, after))


async def claimed(store: Store) -> tuple[str, Message]:
    message = await overdue(store, parts=3)
    token, _ = await claim(store)
    return token, message


async def answer(store: Store, token: str, message: Message) -> None:
    await store.record(Outcome(message.id, token, Change.ACCEPT, store.clock.now(), ids=IDS))


async def sent(store: Store) -> Message:
    token, message = await claimed(store)
    await answer(store, token, message)
    return message


@pytest.mark.parametrize("order", list(permutations("abc")), ids="".join)
async def test_in_any_order_it_is_delivered_with_the_last_of_its_parts(store: Store, order: tuple[str, ...]) -> None:
    message = await sent(store)
    for each in order[:2]:
        await told(store, each)
        assert (await read(store, message)).status is Status.SENT
    await told(store, order[2])
    assert await history(store, message) == ["claim", "accept", "deliver"]


@pytest.mark.parametrize("order", list(permutations("abcA")), ids="".join)
async def test_the_answer_may_come_at_any_place_among_its_receipts(store: Store, order: tuple[str, ...]) -> None:
    token, message = await claimed(store)
    for each in order:
        await (answer(store, token, message) if each == "A" else told(store, each))
    assert await history(store, message) == ["claim", "accept", "deliver"]
    assert await unmatched(store) == 0


async def test_all_at_once_it_is_delivered_once(store: Store) -> None:
    token, message = await claimed(store)
    await asyncio.gather(*(told(store, each) for each in IDS), answer(store, token, message))
    assert await history(store, message) == ["claim", "accept", "deliver"]


async def test_it_is_delivered_at_the_moment_of_its_last_part(store: Store) -> None:
    message = await sent(store)
    receipts = [receipt(store, each, after=after * SECOND) for each, after in zip(IDS, (1, 9, 5), strict=True)]
    for each in receipts:
        await store.keep_receipt(each)
    assert (await read(store, message)).completed_at == receipts[1].at


@pytest.mark.parametrize("number", [1, 2, 3])
async def test_one_part_that_failed_fails_the_message_and_is_named(store: Store, number: int) -> None:
    message = await sent(store)
    await told(store, IDS[number - 1], FAIL)
    found = await read(store, message)
    assert found.status is Status.DELIVERY_FAILED
    assert [each.detail for each in found.errors] == [f"Part {number} of 3: A landline."]
    assert await history(store, message) == ["claim", "accept", "fail"]


async def test_after_one_failed_the_others_change_nothing(store: Store) -> None:
    message = await sent(store)
    for each, change in (("a", DELIVER), ("b", FAIL), ("c", FAIL), ("a", FAIL)):
        await told(store, each, change)
    assert await history(store, message) == ["claim", "accept", "fail"]
    assert await unmatched(store) == 0


async def test_a_failure_before_the_answer_fails_it_with_the_answer(store: Store) -> None:
    token, message = await claimed(store)
    await told(store, "b", FAIL)
    await answer(store, token, message)
    assert await history(store, message) == ["claim", "accept", "fail"]


async def test_a_part_told_of_twice_counts_once(store: Store) -> None:
    message = await sent(store)
    for _ in range(3):
        await told(store, "a")
    assert (await read(store, message)).status is Status.SENT


async def test_of_two_receipts_for_one_part_the_first_decides(store: Store) -> None:
    message = await sent(store)
    for each, change in (("a", DELIVER), ("a", FAIL), ("b", DELIVER), ("c", DELIVER)):
        await told(store, each, change)
    assert await history(store, message) == ["claim", "accept", "deliver"]


async def test_of_two_in_one_commit_for_one_part_the_first_decides(store: Store) -> None:
    message = await sent(store)
    await told(store, "a")
    await told(store, "b")
    await asyncio.gather(told(store, "c"), told(store, "c", FAIL))
    assert await history(store, message) == ["claim", "accept", "deliver"]


async def test_parts_are_found_by_other_forms_of_their_ids(store: Store) -> None:
    message = await overdue(store, parts=2)
    token, _ = await claim(store)
    await store.record(Outcome(message.id, token, Change.ACCEPT, store.clock.now(), ids=("2A", "43")))
    for each in ("42", "2B"):
        kept = Receipt(new_id(store), "sandbox", each, DELIVER, store.clock.now(), recipient=message.recipient)
        await store.keep_receipt(kept)
    assert await history(store, message) == ["claim", "accept", "deliver"]


async def test_receipts_of_two_messages_do_not_mix(store: Store) -> None:
    first, second = await sent(store), await overdue(store, parts=2)
    token, _ = await claim(store)
    await store.record(Outcome(second.id, token, Change.ACCEPT, store.clock.now(), ids=("x", "y")))
    for each in ("a", "x", "b", "y"):
        await told(store, each)
    assert (await read(store, first)).status is Status.SENT
    assert (await read(store, second)).status is Status.DELIVERED


async def test_two_nodes_that_are_each_told_of_a_part_do_not_miss_the_others(store: Store, beside: Store) -> None:
    made = []
    for number in range(40):
        message = await overdue(store, parts=2)
        token, _ = await claim(store)
        ids = (f"n{number}a", f"n{number}b")
        await store.record(Outcome(message.id, token, Change.ACCEPT, store.clock.now(), ids=ids))
        made.append(message)
    for number in range(40):
        await asyncio.gather(told(store, f"n{number}a"), told(beside, f"n{number}b"))
    assert [await history(store, each) for each in made] == [["claim", "accept", "deliver"]] * 40


async def test_a_receipt_of_a_part_that_crossed_is_found_at_the_next_look(store: Store, beside: Store) -> None:
    token, message = await claimed(store)
    await asyncio.gather(answer(store, token, message), *(told(beside, each) for each in IDS))
    await store.match_receipts(LONG_AGO, 100)
    assert await history(store, message) == ["claim", "accept", "deliver"]
