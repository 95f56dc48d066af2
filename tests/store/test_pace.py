"""Slots of senders and carriers: due times that hold on every node and after every restart."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from structlog.testing import capture_logs

from heliograph.domain.inbound import Operation
from heliograph.domain.instant import HOUR, MILLISECOND, MINUTE, SECOND, Instant
from heliograph.domain.lifecycle import Status
from heliograph.domain.message import Message
from heliograph.domain.outcome import EXPIRED, NEVER_ANSWERED
from heliograph.domain.pacing import Pace, carrier_key
from heliograph.store.claims import HORIZON, Claim, Claimed
from heliograph.store.engine import open_engine
from heliograph.store.lapses import Expiry
from heliograph.store.messages import Acceptance, AcceptAnswer, Accepted, Cancellation
from heliograph.store.pace import hold_slots
from heliograph.store.store import Store
from tests.builders import MANY, accepted, advance, change_account, epoch, make_account, make_message, new_id
from tests.chaos.evidence import pending
from tests.store.histories import history, overdue, read
from tests.store.test_inbound import said

STEP = MINUTE
"""From one slot to the next: longer than a test may last, so that none goes by while a busy machine is slow."""
SENDER = Pace("sender:one", STEP, HOUR)
OTHER = Pace("sender:two", STEP, HOUR)
SHORT = Pace("sender:short", STEP, 3 * STEP)
EXPIRY = Expiry(100, EXPIRED, NEVER_ANSWERED)


async def take(store: Store, *paces: Pace, **given: Any) -> AcceptAnswer:
    """A message for now, at some rates."""
    message = make_message(store, send_in=None, **given)
    return await store.accept(Acceptance([message], await epoch(store), MANY, paces))


async def due(store: Store, *paces: Pace, **given: Any) -> Instant:
    """When a message that was taken is due."""
    answer = await take(store, *paces, **given)
    (message,) = answer.messages
    assert message.due_at is not None
    return message.due_at


async def free_slot(store: Store, pace: Pace) -> Instant:
    async with store.engine.transaction() as transaction:
        return (await hold_slots(transaction, [pace])).next_at[pace.key]


async def claim(store: Store, *paces: Pace, limit: int = 100, interval: int = 0) -> Claimed:
    """A claim where every scheduled message is subject to the same rates."""
    return await store.claim(Claim(new_id(store), "sandbox", limit, MINUTE, interval, lambda _: paces))


def apart(moments: Sequence[Instant]) -> set[int]:
    return {later - sooner for sooner, later in pairwise(sorted(moments))}


# ------------------------------------------------------------------------------------------------- messages for now


async def test_what_is_taken_at_a_rate_is_due_in_its_order(store: Store) -> None:
    moments = [await due(store, SENDER) for _ in range(4)]
    assert moments == sorted(moments)
    assert apart(moments[1:]) == {STEP}
    assert moments[1] - moments[0] <= STEP + STEP // 2


async def test_the_first_does_not_wait_and_the_next_says_how_long_it_does(store: Store) -> None:
    first, second = [(await take(store, SENDER)).messages[0] for _ in range(2)]
    assert first.wait == 0
    assert 0 < second.wait <= STEP
    assert await read(store, second) == second


async def test_what_waits_is_not_claimed_before_its_slot(store: Store) -> None:
    answers = [await take(store, SENDER) for _ in range(2)]
    assert [each.id for each in (await claim(store)).messages] == [answers[0].messages[0].id]
    await advance(store, STEP)
    assert [each.id for each in (await claim(store)).messages] == [answers[1].messages[0].id]


async def test_messages_of_one_commit_have_a_slot_each(store: Store) -> None:
    moments = await asyncio.gather(*(due(store, SENDER) for _ in range(20)))
    assert apart(sorted(moments)[1:]) == {STEP}


async def test_a_message_of_several_parts_takes_as_many_slots(store: Store) -> None:
    first, second = await due(store, SENDER), await due(store, SENDER, parts=3)
    assert await due(store, SENDER) - second == 3 * STEP
    assert second - first <= STEP + STEP // 2


async def test_messages_of_one_group_are_due_together_and_take_a_slot_each(store: Store) -> None:
    await due(store, SENDER)
    group = [make_message(store, send_in=None) for _ in range(3)]
    answer = await store.accept(Acceptance(group, await epoch(store), MANY, [SENDER]))
    moments = {each.due_at for each in answer.messages}
    assert len(moments) == 1
    assert await due(store, SENDER) - moments.pop() == 3 * STEP  # type: ignore[operator]  # it is queued, and due


async def test_two_nodes_give_out_the_slots_of_one_sender(store: Store, beside: Store) -> None:
    moments = await asyncio.gather(*(due(node, SENDER) for _ in range(20) for node in (store, beside)))
    assert len(moments) == 40
    assert apart(sorted(moments)[1:]) == {STEP}


async def test_slots_outlive_a_restart(store: Store, prepared_database_url: str) -> None:
    moments = [await due(store, SENDER) for _ in range(3)]
    await store.stop()
    again = Store(open_engine(prepared_database_url, sandbox=True))
    await again.start()
    assert await due(again, SENDER) - moments[-1] == STEP
    await again.stop()


async def test_time_that_went_by_unused_is_not_made_up_for(store: Store) -> None:
    await due(store, SENDER)
    await advance(store, HOUR)
    first, second = [(await take(store, SENDER)).messages[0] for _ in range(2)]
    assert first.wait == 0
    assert second.wait > 0


async def test_the_validity_of_what_waits_begins_when_it_is_due(store: Store) -> None:
    for _ in range(3):
        await take(store, SENDER)
    message = (await take(store, SENDER)).messages[0]
    assert message.due_at is not None
    assert message.valid_until == message.due_at + HOUR


async def test_what_waits_for_its_slot_does_not_expire_before_it_had_one(store: Store) -> None:
    slow = Pace("sender:slow", 2 * HOUR, 0)
    first, second = [(await take(store, slow)).messages[0] for _ in range(2)]
    await advance(store, HOUR + MINUTE)
    assert await store.expire(EXPIRY) == (1, 0)
    assert await history(store, first) == ["expire"]
    await advance(store, 2 * HOUR)
    assert await store.expire(EXPIRY) == (1, 0)
    assert await history(store, second) == ["expire"]


async def test_what_was_not_postponed_is_kept_as_it_was_given(store: Store) -> None:
    message = make_message(store, send_in=None)
    answer = await store.accept(Acceptance([message], await epoch(store), MANY, [SENDER]))
    assert list(answer.messages) == [message]


# --------------------------------------------------------------------------------------------------- a queue is full


async def test_a_full_queue_takes_nothing_and_says_why(store: Store) -> None:
    for _ in range(3):
        await take(store, SHORT)
    before, full = await free_slot(store, SHORT), make_message(store, send_in=None)
    answer = await store.accept(Acceptance([full], await epoch(store), MANY, [SHORT]))
    assert (answer.outcome, list(answer.messages)) == (Accepted.QUEUE_FULL, [])
    assert answer.detail == "2 parts wait, and the limit is 3: wait, then send again."
    assert (await store.messages.find(full.organization_id, full.id))[0] is None
    assert await free_slot(store, SHORT) == before


async def test_a_queue_that_is_full_takes_nothing_from_the_other_rate(store: Store) -> None:
    for _ in range(3):
        await take(store, SHORT)
    before = await free_slot(store, OTHER)
    assert (await take(store, SHORT, OTHER)).outcome is Accepted.QUEUE_FULL
    assert await free_slot(store, OTHER) == before


async def test_there_is_room_again_once_time_has_gone_by(store: Store) -> None:
    for _ in range(3):
        await take(store, SHORT)
    await advance(store, 2 * STEP)
    assert (await take(store, SHORT)).outcome is Accepted.TAKEN


async def test_in_one_commit_only_those_of_a_full_queue_are_refused(store: Store) -> None:
    for _ in range(3):
        await take(store, SHORT)
    paces = [[SHORT], [SENDER], [], [SHORT, SENDER]]
    outcomes = [each.outcome for each in await asyncio.gather(*(take(store, *each) for each in paces))]
    assert outcomes == [Accepted.QUEUE_FULL, Accepted.TAKEN, Accepted.TAKEN, Accepted.QUEUE_FULL]


async def test_a_refused_message_takes_no_slot(store: Store) -> None:
    organization, _ = await make_account(store)
    stale = await epoch(store)
    await change_account(store, organization)
    message = make_message(store, send_in=None, organization_id=organization.id)
    before = await free_slot(store, SENDER)
    answer = await store.accept(Acceptance([message], stale, MANY, [SENDER]))
    assert answer.outcome is Accepted.STALE
    assert await free_slot(store, SENDER) == before


async def test_a_commit_whose_answer_was_lost_is_answered_again_as_it_was(store: Store) -> None:
    for _ in range(2):
        await take(store, SHORT)
    asked = Acceptance([make_message(store, send_in=None)], await epoch(store), MANY, [SHORT])
    first = await store.accept(asked)
    after = await free_slot(store, SHORT)
    again = await store.accept(asked)
    assert again == first
    assert again.outcome is Accepted.TAKEN
    assert await free_slot(store, SHORT) == after


# ----------------------------------------------------------------------------------------------- scheduled messages


async def ripe(store: Store, count: int = 1, **given: Any) -> list[Message]:
    """Scheduled messages whose time has come, the first to be due first."""
    made = [await accepted(store, send_in=MINUTE + index * MILLISECOND, **given) for index in range(count)]
    await advance(store, 2 * MINUTE)
    return made


async def test_a_scheduled_message_takes_no_slot_before_its_time(store: Store) -> None:
    message = make_message(store, send_in=MINUTE)
    answer = await store.accept(Acceptance([message], await epoch(store), MANY, [SENDER]))
    assert list(answer.messages) == [message]
    assert (await take(store, SENDER)).messages[0].wait == 0


async def test_scheduled_messages_get_their_slots_when_their_time_has_come(store: Store) -> None:
    first, second, third = await ripe(store, 3)
    claimed = await claim(store, SENDER)
    assert [each.id for each in claimed.messages] == [first.id]
    waiting = [await read(store, each) for each in (second, third)]
    assert [each.status for each in waiting] == [Status.QUEUED, Status.QUEUED]
    assert apart([each.due_at for each in waiting if each.due_at]) == {STEP}
    assert [await history(store, each) for each in (first, third)] == [["release", "claim"], ["release"]]


async def test_the_wait_of_a_released_message_is_counted_from_its_time_and_makes_it_valid_longer(store: Store) -> None:
    _, second = await ripe(store, 2)
    await claim(store, SENDER)
    waiting = await read(store, second)
    assert waiting.send_at is not None
    assert waiting.due_at is not None
    assert waiting.wait == waiting.due_at - waiting.send_at > MINUTE // 2
    assert waiting.valid_until - second.valid_until == waiting.wait


async def test_a_released_message_is_claimed_at_its_slot(store: Store) -> None:
    _, second = await ripe(store, 2)
    await claim(store, SENDER)
    assert (await claim(store, SENDER)).messages == []
    await advance(store, STEP)
    assert [each.id for each in (await claim(store, SENDER)).messages] == [second.id]
    assert await history(store, second) == ["release", "claim"]


async def test_messages_for_one_moment_are_released_in_the_order_they_were_taken(store: Store) -> None:
    moment = Instant(store.clock.now() + MINUTE)
    made = [await accepted(store, send_at=moment, due_at=moment) for _ in range(10)]
    await advance(store, 2 * MINUTE)
    await claim(store, SENDER)
    slots = [(await read(store, each)).due_at for each in made]
    assert slots[1:] == sorted(slots[1:], key=lambda each: each or 0)
    assert apart([each for each in slots[1:] if each is not None]) == {STEP}


async def test_no_scheduled_message_passes_by_its_rate(store: Store, beside: Store) -> None:
    made = await ripe(store, 30)
    await beside.engine.synchronize_clock()
    for _ in range(10):
        found = await asyncio.gather(*(claim(node, SENDER, limit=7) for node in (store, beside)))
        assert sum(len(each.messages) for each in found) <= 1
    assert {(await history(store, each))[0] for each in made} == {"release"}


async def test_a_message_is_released_once_though_two_nodes_look(store: Store, beside: Store) -> None:
    made = await ripe(store, 20)
    await beside.engine.synchronize_clock()
    found = await asyncio.gather(*(claim(node, SENDER) for _ in range(5) for node in (store, beside)))
    assert sum(len(each.messages) for each in found) == 1
    histories = [await history(store, each) for each in made]
    assert histories.count(["release"]) == 19
    slots = [each.due_at for each in [await read(store, message) for message in made] if each.due_at]
    assert apart(slots) == {STEP}


async def test_what_has_no_rate_is_claimed_when_its_time_has_come(store: Store) -> None:
    made = await ripe(store, 3)
    assert [each.id for each in (await claim(store)).messages] == [each.id for each in made]
    assert all([(await read(store, each)).valid_until == each.valid_until for each in made])


async def test_what_was_scheduled_is_not_refused_when_its_queue_is_full(store: Store) -> None:
    made = await ripe(store, 10)
    await claim(store, SHORT)
    assert [(await history(store, each))[0] for each in made] == ["release"] * 10
    assert (await take(store, SHORT)).outcome is Accepted.QUEUE_FULL


async def test_a_scheduled_message_past_its_validity_is_not_released(store: Store) -> None:
    message = await accepted(store, send_in=MINUTE)
    await advance(store, 2 * HOUR)
    await claim(store, SENDER)
    assert await history(store, message) == []
    assert await store.expire(EXPIRY) == (1, 0)


async def cancel(store: Store, message: Message) -> bool:
    asked = Cancellation(message.organization_id, message.id, 0, await epoch(store))
    return (await store.cancel(asked)).won


async def test_a_scheduled_message_can_be_cancelled_until_it_is_released(store: Store) -> None:
    early, late = [await accepted(store, send_in=minutes * MINUTE) for minutes in (5, 1)]
    assert await cancel(store, early)
    await advance(store, 2 * MINUTE)
    await take(store, SENDER)
    await claim(store, SENDER)
    assert not await cancel(store, late)
    assert await history(store, early) == ["cancel"]
    assert await history(store, late) == ["release"]


async def test_a_released_message_counts_as_scheduled_until_it_is_claimed(store: Store) -> None:
    await ripe(store, 3)
    assert await pending(store) == 3
    await claim(store, SENDER)
    assert await pending(store) == 2
    await advance(store, STEP)
    await claim(store, SENDER)
    assert await pending(store) == 1


async def test_a_released_message_that_expires_counts_no_more(store: Store) -> None:
    await ripe(store, 2)
    await claim(store, SENDER)
    await advance(store, 3 * HOUR)
    assert await store.expire(EXPIRY) == (1, 0)
    assert await pending(store) == 0


async def test_a_released_message_that_its_recipient_stops_counts_no_more(store: Store) -> None:
    _, profile = await make_account(store)
    owner = {"organization_id": profile.organization_id, "profile_id": profile.id}
    made = await ripe(store, 2, **owner)
    await claim(store, SENDER)
    await said(store, profile, Operation.STOP, cancel_pending=True)
    assert await history(store, made[1]) == ["release", "opt_out"]
    assert await pending(store) == 0


async def test_a_claim_asked_again_counts_what_it_was_given_once(store: Store) -> None:
    await ripe(store, 2)
    asked = Claim(new_id(store), "sandbox", 10, MINUTE, 0, lambda _: [SENDER])
    first, second = await store.claim(asked), await store.claim(asked)
    assert [each.id for each in first.messages] == [each.id for each in second.messages]
    assert await pending(store) == 1


# ---------------------------------------------------------------------------------------------- a carrier's throughput

TEN_A_SECOND = SECOND // 10
AT_ONCE = HORIZON // TEN_A_SECOND + 1


async def test_a_carrier_is_given_as_much_as_its_throughput_lets_through(store: Store) -> None:
    made = [await overdue(store) for _ in range(10)]
    claimed = await claim(store, interval=TEN_A_SECOND)
    assert [each.id for each in claimed.messages] == [each.id for each in made[:AT_ONCE]]


async def test_a_carrier_is_given_nothing_more_before_its_time(store: Store) -> None:
    for _ in range(2):
        await overdue(store)
    assert len((await claim(store, interval=STEP)).messages) == 1
    assert (await claim(store, interval=STEP)).messages == []


async def test_a_claim_says_when_the_carrier_may_be_given_more(store: Store) -> None:
    for _ in range(10):
        await overdue(store)
    await claim(store, interval=STEP)
    claimed = await claim(store, interval=STEP)
    assert claimed.again_at is not None
    wait = claimed.again_at - store.clock.now()
    assert 0 < wait <= STEP
    await advance(store, wait)
    assert len((await claim(store, interval=STEP)).messages) == 1


async def test_where_the_throughput_is_no_bound_nothing_is_said(store: Store) -> None:
    await overdue(store)
    assert (await claim(store, interval=TEN_A_SECOND)).again_at is None
    assert (await claim(store)).again_at is None


async def test_each_part_takes_of_the_throughput(store: Store) -> None:
    for _ in range(2):
        await overdue(store, parts=10)
    assert len((await claim(store, limit=1, interval=STEP)).messages) == 1
    await advance(store, 9 * STEP)
    claimed = await claim(store, interval=STEP)
    assert claimed.messages == []
    await advance(store, STEP)
    assert len((await claim(store, interval=STEP)).messages) == 1


async def test_two_nodes_share_the_throughput_of_a_carrier(store: Store, beside: Store) -> None:
    for _ in range(20):
        await overdue(store)
    found = await asyncio.gather(*(claim(node, limit=5, interval=MINUTE) for _ in range(4) for node in (store, beside)))
    assert sum(len(each.messages) for each in found) == 1


async def test_carriers_do_not_share_their_throughput(store: Store) -> None:
    message = await overdue(store, carrier="other")
    await overdue(store)
    await claim(store, interval=MINUTE)
    found = await store.claim(Claim(new_id(store), "other", 10, MINUTE, MINUTE))
    assert [each.id for each in found.messages] == [message.id]


async def test_an_empty_claim_takes_none_of_the_throughput(store: Store) -> None:
    await claim(store, interval=MINUTE)
    assert await free_slot(store, Pace(carrier_key("sandbox"), MINUTE, 0)) == 0


async def test_a_paced_message_is_paced_at_its_carrier_too(store: Store) -> None:
    await ripe(store, 5)
    assert len((await claim(store, OTHER, interval=TEN_A_SECOND)).messages) == 1
    await advance(store, 10 * STEP)
    assert len((await claim(store, OTHER, interval=TEN_A_SECOND)).messages) == AT_ONCE


# -------------------------------------------------------------------------------------------------- at the same time


async def test_nodes_that_accept_release_and_claim_at_once_never_wait_in_a_circle(store: Store, beside: Store) -> None:
    senders = [Pace(f"sender:{number}", MILLISECOND, 0) for number in range(4)]

    def of(message: Message) -> Sequence[Pace]:
        return [senders[int(message.id[-1], 16) % 4], senders[int(message.id[-2], 16) % 4]]

    async def busy(node: Store) -> None:
        current = await epoch(node)
        for number in range(40):
            ripe = [make_message(node, send_in=0, carrier=f"carrier{each}") for each in range(2)]
            paces = senders[number % 4], senders[(number + 1) % 4]
            for_now = Acceptance([make_message(node, send_in=None)], current, MANY, paces)
            asked = Claim(new_id(node), f"carrier{number % 2}", 5, MINUTE, MILLISECOND, of)
            taken = (node.accept(Acceptance([each], current, MANY)) for each in ripe)
            await asyncio.gather(*taken, node.accept(for_now), node.claim(asked))

    with capture_logs() as lines:
        await asyncio.gather(busy(store), busy(beside))
    assert [line for line in lines if line.get("action") == "store_retry"] == []
