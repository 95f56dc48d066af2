"""Messages called off: one conditional write that answers with the row either way."""

import asyncio

from sqlalchemy import text

from heliograph.domain.ids import MessageId
from heliograph.domain.instant import HOUR, MINUTE, SECOND
from heliograph.domain.lifecycle import Status
from heliograph.domain.message import Message
from heliograph.store.messages import REFUSE, Accepted, CancelAnswer, Cancellation
from heliograph.store.store import Store
from tests.builders import (
    accept,
    accepted,
    advance,
    change_account,
    claim,
    epoch,
    make_account,
    make_message,
    new_id,
    status_of,
)
from tests.chaos.evidence import seen
from tests.chaos.workload import until


async def cancel(store: Store, message: Message, cutoff: int = MINUTE) -> CancelAnswer:
    return await store.cancel(Cancellation(message.organization_id, message.id, cutoff, await epoch(store)))


async def test_a_scheduled_message_is_cancelled(store: Store) -> None:
    message = await accepted(store)
    answer = await cancel(store, message)
    assert answer.won
    assert answer.message is not None
    assert answer.message.status is Status.CANCELLED


async def test_asking_again_answers_with_the_same_row(store: Store) -> None:
    message = await accepted(store)
    first, second = await cancel(store, message), await cancel(store, message)
    assert not second.won
    assert second.message == first.message


async def test_two_at_once_both_see_it_cancelled(store: Store) -> None:
    message = await accepted(store)
    answers = await asyncio.gather(*(cancel(store, message) for _ in range(5)))
    assert {each.message.status for each in answers if each.message} == {Status.CANCELLED}
    assert [row["change"] for row in await store.messages.timeline(message.id)] == ["cancel"]


async def test_who_comes_too_late_is_told_what_another_process_does_at_that_moment(store: Store, beside: Store) -> None:
    message = await accepted(store)
    in_time = Cancellation(message.organization_id, message.id, MINUTE, await epoch(store))
    async with beside.engine.transaction() as transaction:
        (first,) = await beside.messages.cancel(transaction, [in_time])
        too_late = asyncio.create_task(cancel(store, message, cutoff=HOUR))
        await seen(lambda: answered_or_waiting(too_late, beside))
    second = await too_late
    assert (first.won, second.won) == (True, False)
    assert second.message == first.message


async def test_who_gets_to_a_message_after_the_cut_off_is_too_late_whenever_it_was_asked(
    store: Store, beside: Store
) -> None:
    message = await accepted(store, send_in=SECOND // 2)
    assert message.send_at is not None
    async with beside.engine.transaction() as transaction:
        # As a cancel that was refused leaves it.
        await transaction.batch(REFUSE, [(message.id, message.organization_id)])
        asked = asyncio.create_task(cancel(store, message, cutoff=0))
        await until(message.send_at, store.clock)
    answer = await asked
    assert answer.message is not None
    assert (answer.won, answer.message.status) == (False, Status.SCHEDULED)


async def answered_or_waiting(asked: "asyncio.Task[CancelAnswer]", beside: Store) -> bool:
    """Whether an answer is there, or waits for a lock; on SQLite whoever writes waits for the transaction before."""
    if asked.done() or beside.engine.sqlalchemy.dialect.name == "sqlite":
        return True
    waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return bool(await beside.engine.fetch(text(waiting)))


async def test_what_was_cancelled_is_never_claimed(store: Store) -> None:
    message = await accepted(store)
    await cancel(store, message)
    await advance(store, 20 * MINUTE)
    assert (await claim(store))[1] == []


async def test_at_the_cut_off_it_is_too_late(store: Store) -> None:
    message = await accepted(store, send_in=MINUTE)
    answer = await cancel(store, message)
    assert not answer.won
    assert answer.message == message


async def test_a_second_before_the_cut_off_it_is_not(store: Store) -> None:
    assert (await cancel(store, await accepted(store, send_in=MINUTE + SECOND))).won


async def test_what_is_claimed_cannot_be_cancelled(store: Store) -> None:
    message = await accepted(store)
    await advance(store, 11 * MINUTE)
    await claim(store)
    answer = await cancel(store, message, cutoff=0)
    assert not answer.won
    assert await status_of(store, message) is Status.SENDING


async def test_an_immediate_message_cannot_be_cancelled(store: Store) -> None:
    message = await accepted(store, send_in=None)
    answer = await cancel(store, message, cutoff=0)
    assert answer.message is not None
    assert answer.message.status is Status.QUEUED


async def test_an_unknown_id_answers_with_no_row(store: Store) -> None:
    message = await accepted(store)
    unknown = Cancellation(message.organization_id, MessageId(new_id(store)), 0, await epoch(store))
    assert (await store.cancel(unknown)).message is None


async def test_another_organisation_can_neither_see_nor_cancel_it(store: Store) -> None:
    message = await accepted(store)
    organization, _ = await make_account(store)
    answer = await store.cancel(Cancellation(organization.id, message.id, 0, await epoch(store)))
    assert answer.message is None
    assert await status_of(store, message) is Status.SCHEDULED


async def test_owner_and_stranger_in_one_batch_get_their_own_answers(store: Store) -> None:
    message = await accepted(store)
    organization, _ = await make_account(store)
    current = await epoch(store)
    mine, theirs = await asyncio.gather(
        store.cancel(Cancellation(message.organization_id, message.id, 0, current)),
        store.cancel(Cancellation(organization.id, message.id, 0, current)),
    )
    assert mine.won
    assert theirs.message is None


async def test_a_caller_recognised_under_an_older_epoch_cancels_nothing(store: Store) -> None:
    organization, _ = await make_account(store)
    message, before = await accepted(store, organization_id=organization.id), await epoch(store)
    await change_account(store, organization)
    answer = await store.cancel(Cancellation(message.organization_id, message.id, 0, before))
    assert answer.stale
    assert await status_of(store, message) is Status.SCHEDULED


async def test_a_cancelled_message_makes_room_for_another(store: Store) -> None:
    message = await accepted(store, send_in=10 * MINUTE)
    assert await accept(store, make_message(store), max_pending=1) is Accepted.FULL
    await cancel(store, message)
    assert await accept(store, make_message(store), max_pending=1) is Accepted.TAKEN
