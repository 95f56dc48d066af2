"""What became of claimed messages, recorded under their token."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from heliograph.domain.errors import Code
from heliograph.domain.instant import HOUR, MINUTE, SECOND, Instant
from heliograph.domain.lifecycle import Change, Status
from heliograph.domain.message import Media, Message, Progress
from heliograph.domain.outcome import delivery_error
from heliograph.domain.receipt import Receipt
from heliograph.store.claims import Claim
from heliograph.store.outcomes import Outcome
from heliograph.store.store import Store
from tests.builders import advance, claim, new_id
from tests.store.histories import history, overdue, read

REFUSED = delivery_error(Code.UNDELIVERABLE, "No such number.")
UNKNOWN = delivery_error(Code.OUTCOME_UNKNOWN, "The link was lost.")
PARTLY = Progress("sandbox", ("a",), 3)


async def claimed(store: Store, **given: Any) -> tuple[str, Message]:
    await overdue(store, **given)
    token, messages = await claim(store)
    return token, messages[0]


async def record(store: Store, token: str, message: Message, change: Change, **given: Any) -> bool:
    return await store.record(Outcome(message.id, token, change, store.clock.now(), **given))


def soon(store: Store, micros: int = 0) -> Instant:
    """So long after a moment that is past by the database's clock too, which ours follows to a few milliseconds."""
    return Instant(store.clock.now() - SECOND + micros)


async def test_a_message_of_several_parts_is_known_by_its_first_and_matched_by_each(store: Store) -> None:
    token, message = await claimed(store, parts=2)
    assert await record(store, token, message, Change.ACCEPT, ids=("A1", "A2"))
    found = await read(store, message)
    assert (found.status, found.carrier_message_id, found.progress) == (Status.SENT, "A1", None)
    for each in ("a2", "a1"):
        await store.keep_receipt(Receipt(new_id(store), "sandbox", each, Change.DELIVER, store.clock.now()))
    assert await history(store, message) == ["claim", "accept", "deliver"]


async def test_a_message_in_doubt_is_sending_in_nobodys_hands_and_shown(store: Store) -> None:
    token, message = await claimed(store)
    given = {"left_at": soon(store), "deadline_at": soon(store, HOUR), "in_doubt": True, "error": UNKNOWN}
    assert await record(store, token, message, Change.DOUBT, **given)
    found = await read(store, message)
    assert (found.status, found.errors, found.due_at) == (Status.SENDING, (UNKNOWN,), None)
    assert found.completed_at is None
    assert (await store.reports.overview()).unknown == 1
    assert (await claim(store))[1] == []
    assert await history(store, message) == ["claim", "doubt"]


async def test_what_was_refused_for_good_says_why_and_when(store: Store) -> None:
    token, message = await claimed(store)
    await record(store, token, message, Change.REFUSE, left_at=soon(store), error=REFUSED)
    found = await read(store, message)
    assert (found.status, found.errors) == (Status.SENDING_FAILED, (REFUSED,))
    assert found.completed_at is not None
    assert await history(store, message) == ["claim", "refuse"]


async def test_what_one_carrier_refused_for_now_is_the_next_ones_to_claim(store: Store) -> None:
    token, message = await claimed(store)
    await record(store, token, message, Change.DEFER, due_at=soon(store), carrier="other", detail="Not now.")
    assert (await claim(store))[1] == []
    assert [each.carrier for each in (await claim(store, carrier="other"))[1]] == ["other"]
    assert [row["detail"] for row in await store.messages.timeline(message.id)] == ["sandbox", "Not now.", "other"]
    assert await history(store, message) == ["claim", "defer", "claim"]


async def test_what_was_taken_in_part_is_claimed_with_what_is_known_of_it(store: Store) -> None:
    token, message = await claimed(store, parts=3)
    await record(store, token, message, Change.DEFER, due_at=soon(store), progress=PARTLY)
    token, (again,) = await claim(store)
    assert again.progress == PARTLY
    await record(store, token, again, Change.HAND_BACK, due_at=soon(store), progress=again.progress)
    token, (third,) = await claim(store)
    assert third.progress == PARTLY
    await record(store, token, third, Change.ACCEPT, ids=("a", "b", "c"))
    assert (await read(store, message)).progress is None
    assert await history(store, message) == ["claim", "defer", "claim", "hand_back", "claim", "accept"]


async def test_the_moment_it_left_stays_when_a_later_try_did_not_leave(store: Store) -> None:
    token, message = await claimed(store)
    left_at = soon(store)
    await record(store, token, message, Change.DEFER, due_at=soon(store), left_at=left_at, progress=PARTLY)
    token, (again,) = await claim(store)
    await record(store, token, again, Change.DEFER, due_at=soon(store), progress=PARTLY)
    assert (await read(store, message)).left_at == left_at


async def test_what_was_learned_of_its_media_is_kept(store: Store) -> None:
    token, message = await claimed(store)
    media = (Media("https://example.com/a.jpg", "image/jpeg", "00", 3),)
    await record(store, token, message, Change.ACCEPT, ids=("m1",), media=media)
    found = await read(store, message)
    assert (found.fetched, found.media) == (media, media)


async def test_an_outcome_is_recorded_once(store: Store) -> None:
    token, message = await claimed(store)
    assert await record(store, token, message, Change.ACCEPT, ids=("c1",))
    assert not await record(store, token, message, Change.ACCEPT, ids=("c1",))
    assert not await record(store, token, message, Change.REFUSE, error=REFUSED)
    assert await history(store, message) == ["claim", "accept"]


async def test_an_outcome_that_is_given_again_is_known_as_what_stands(store: Store) -> None:
    token, message = await claimed(store)
    outcome = Outcome(message.id, token, Change.DEFER, store.clock.now(), due_at=soon(store), detail="Not now.")
    assert await store.record(outcome)
    assert await store.record(outcome)
    again, _ = await claim(store)
    assert await store.record(outcome)  # also when the message has gone on
    for other in (replace(outcome, at=soon(store)), replace(outcome, detail=None), replace(outcome, detail="No.")):
        assert not await store.record(other)
    taken = Outcome(message.id, again, Change.ACCEPT, store.clock.now(), ids=("c1",))
    assert list(await asyncio.gather(*(store.record(taken) for _ in range(3)))) == [True] * 3
    assert not await store.record(replace(taken, ids=("c2",)))
    assert await history(store, message) == ["claim", "defer", "claim", "accept"]


async def test_of_two_outcomes_in_one_commit_the_first_counts(store: Store) -> None:
    token, message = await claimed(store)
    answers = await asyncio.gather(
        record(store, token, message, Change.ACCEPT, ids=("c1",)),
        record(store, token, message, Change.REFUSE, error=REFUSED),
    )
    assert list(answers) == [True, False]
    assert await history(store, message) == ["claim", "accept"]


async def test_an_outcome_after_the_lease_counts_as_long_as_nobody_has_decided(store: Store) -> None:
    token, message = await claimed(store)
    await advance(store, 2 * HOUR)
    assert await record(store, token, message, Change.ACCEPT, ids=("c1",))
    assert await history(store, message) == ["claim", "accept"]


async def test_many_outcomes_in_one_commit_each_find_their_message(store: Store) -> None:
    made = [await overdue(store) for _ in range(30)]
    token, messages = await claim(store)
    changes = [Change.ACCEPT, Change.REFUSE, Change.DEFER]
    given: list[dict[str, Any]] = [{"ids": ("x",)}, {"error": REFUSED}, {"due_at": soon(store, MINUTE)}]
    answers = await asyncio.gather(
        *(record(store, token, each, changes[index % 3], **given[index % 3]) for index, each in enumerate(messages))
    )
    assert all(answers)
    assert [(await history(store, each))[-1] for each in made] == ["accept", "refuse", "defer"] * 10


@pytest.mark.parametrize("change", [Change.DEFER, Change.HAND_BACK])
async def test_what_is_due_again_waits_for_its_moment(store: Store, change: Change) -> None:
    token, message = await claimed(store)
    await record(store, token, message, change, due_at=soon(store, 5 * SECOND))
    assert (await claim(store))[1] == []
    await advance(store, 6 * SECOND)
    assert [each.id for each in (await claim(store))[1]] == [message.id]


async def test_a_claim_tells_what_its_carrier_may_have_by_an_earlier_try(store: Store) -> None:
    token, message = await claimed(store)
    await record(store, token, message, Change.DEFER, due_at=soon(store), in_doubt=True)
    await overdue(store)
    found = await store.claim(Claim(new_id(store), "sandbox", 10, MINUTE))
    assert (len(found.messages), set(found.in_doubt)) == (2, {message.id})


async def test_without_a_receipt_to_come_none_is_awaited(store: Store) -> None:
    token, message = await claimed(store)
    await record(store, token, message, Change.ACCEPT, ids=("c1",), deadline_at=None)
    await advance(store, 1000 * HOUR)
    assert await store.unconfirm(100) == 0
    assert (await read(store, message)).status is Status.SENT
