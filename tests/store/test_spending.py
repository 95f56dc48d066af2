"""What profiles spend on a day: counted exactly, given back, told once."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from sqlalchemy import select

from heliograph.domain.accounts import Organization, Profile, RuleOverrides
from heliograph.domain.events import EventType
from heliograph.domain.instant import DAY, HOUR, MINUTE, SECOND, Instant
from heliograph.domain.lifecycle import Change
from heliograph.domain.message import Message
from heliograph.domain.outcome import CANNOT_CARRY, EXPIRED, NEVER_ANSWERED
from heliograph.domain.pacing import Pace
from heliograph.domain.spending import Budget, budget_of, day_of
from heliograph.store.batch import Batch
from heliograph.store.lapses import Expiry
from heliograph.store.messages import (
    CANCEL,
    COUNT_PENDING,
    INSERT,
    PENDING,
    Acceptance,
    AcceptAnswer,
    Accepted,
    Cancellation,
    MessageVerbs,
)
from heliograph.store.outbox import LOG
from heliograph.store.outcomes import Outcome
from heliograph.store.spending import DailySpending
from heliograph.store.store import Store
from heliograph.store.tables import profile_spend, webhook_deliveries
from heliograph.store.writer import LAST, GroupCommit
from tests.builders import MANY, advance, claim, epoch, make_account, make_message

COST = 510
"""Of the message that the builder makes."""


async def limited(store: Store, limit: str = "0.0102", **settings: Any) -> tuple[Organization, Profile]:
    """An organisation whose profile may spend what two messages cost."""
    return await make_account(store, daily_spend_limit=limit, daily_spend_limit_enabled=True, **settings)


def message_of(store: Store, profile: Profile, *, send_in: int | None = None, **given: Any) -> Message:
    return make_message(store, send_in=send_in, organization_id=profile.organization_id, profile_id=profile.id, **given)


async def take(
    store: Store, profile: Profile, *, budget: Budget | None = None, paces: Sequence[Pace] = (), **given: Any
) -> AcceptAnswer:
    message = message_of(store, profile, **given)
    wanted = Acceptance([message], await epoch(store), MANY, paces, budget=budget or budget_of(profile))
    return await store.accept(wanted)


async def taken(store: Store, profile: Profile, **given: Any) -> Message:
    answer = await take(store, profile, **given)
    assert answer.outcome is Accepted.TAKEN
    return answer.messages[0]


async def cancel(store: Store, message: Message) -> bool:
    limited = await store.accounts.limited(message.organization_id)
    answer = await store.cancel(Cancellation(message.organization_id, message.id, MINUTE, await epoch(store), limited))
    return answer.won


async def spent(store: Store, profile: Profile, in_days: int = 0) -> int:
    day = day_of(store.clock.now()) + in_days
    mine = (profile_spend.c.profile_id == profile.id) & (profile_spend.c.day == day)
    rows = await store.engine.fetch(select(profile_spend.c.amount).where(mine))
    return sum(row["amount"] for row in rows)


async def to_noon(store: Store) -> None:
    """To the middle of a day, so that what lies minutes ahead is still on it."""
    await advance(store, DAY - store.clock.now() % DAY + 12 * HOUR)


async def test_a_profile_without_a_limit_is_not_counted(store: Store) -> None:
    _, profile = await make_account(store)
    await taken(store, profile)
    assert await store.engine.fetch(select(profile_spend.c.day)) == []


async def test_what_would_pass_the_limit_is_refused_and_not_counted(store: Store) -> None:
    _, profile = await limited(store)
    answers = [await take(store, profile) for _ in range(3)]
    assert [each.outcome for each in answers] == [Accepted.TAKEN, Accepted.TAKEN, Accepted.SPENT]
    assert "0.0102" in answers[2].detail
    assert await spent(store, profile) == 2 * COST


async def test_two_nodes_keep_to_one_limit_exactly(store: Store, beside: Store) -> None:
    _, profile = await limited(store, limit="0.102")
    await epoch(beside)
    answers = await asyncio.gather(*(take(each, profile) for _ in range(20) for each in (store, beside)))
    assert [each.outcome for each in answers].count(Accepted.TAKEN) == 20
    assert await spent(store, profile) == 20 * COST


async def test_a_message_given_twice_counts_once(store: Store) -> None:
    _, profile = await limited(store)
    wanted = Acceptance([message_of(store, profile)], await epoch(store), MANY, budget=budget_of(profile))
    for _ in range(2):
        answers = await asyncio.gather(store.accept(wanted), store.accept(wanted))
        assert {each.outcome for each in answers} == {Accepted.TAKEN}
    assert await spent(store, profile) == COST


async def test_the_sum_begins_anew_at_midnight_utc(store: Store) -> None:
    _, profile = await limited(store)
    for _ in range(2):
        await taken(store, profile)
    await advance(store, DAY - store.clock.now() % DAY)
    await taken(store, profile)
    assert await spent(store, profile) == COST


async def test_a_limit_that_is_off_counts_and_refuses_nothing(store: Store) -> None:
    _, profile = await make_account(store, daily_spend_limit="0.0102")
    for _ in range(3):
        await taken(store, profile)
    on = Budget(1_020, "0.0102", enforced=True)
    assert (await take(store, profile, budget=on)).outcome is Accepted.SPENT


async def test_a_scheduled_message_counts_on_the_day_it_leaves(store: Store) -> None:
    _, profile = await limited(store)
    await to_noon(store)
    for _ in range(2):
        await taken(store, profile, send_in=DAY)
    assert (await take(store, profile, send_in=DAY)).outcome is Accepted.SPENT
    assert (await spent(store, profile), await spent(store, profile, 1)) == (0, 2 * COST)


async def test_a_cancel_gives_back_once(store: Store) -> None:
    _, profile = await limited(store)
    await to_noon(store)
    first = await taken(store, profile, send_in=DAY)
    await taken(store, profile, send_in=DAY)
    assert [await cancel(store, first) for _ in range(2)] == [True, False]
    assert await spent(store, profile, 1) == COST
    await taken(store, profile, send_in=DAY)


async def test_a_cancel_and_a_request_in_one_commit_see_each_other(store: Store) -> None:
    _, profile = await limited(store)
    await to_noon(store)
    held = [await taken(store, profile, send_in=DAY) for _ in range(2)]
    outcomes = []
    async with store.engine.transaction() as transaction:
        verbs, current = store.messages, await epoch(store)
        gone = Cancellation(profile.organization_id, held[0].id, MINUTE, current, [profile.id])
        await verbs.cancel(transaction, [gone])
        more = [
            Acceptance([message_of(store, profile, send_in=DAY)], current, MANY, budget=budget_of(profile))
            for _ in range(2)
        ]
        outcomes = [each.outcome for each in await verbs.accept(transaction, more)]
    assert outcomes == [Accepted.TAKEN, Accepted.SPENT]
    assert await spent(store, profile, 1) == 2 * COST


async def test_what_expires_unsent_is_given_back(store: Store) -> None:
    _, profile = await limited(store)
    await to_noon(store)
    await taken(store, profile, valid_until=Instant(store.clock.now() + MINUTE))
    await advance(store, 2 * MINUTE)
    assert await store.expire(Expiry(10, EXPIRED, NEVER_ANSWERED)) == (1, 0)
    assert await spent(store, profile) == 0


@pytest.mark.parametrize("left", [False, True])
async def test_what_was_refused_is_given_back_once_unless_it_left(store: Store, left: bool) -> None:
    _, profile = await limited(store)
    await to_noon(store)
    message = await taken(store, profile)
    token, _ = await claim(store)
    now = store.clock.now()
    refused = Outcome(message.id, token, Change.REFUSE, now, left_at=now if left else None, error=CANNOT_CARRY)
    assert [await store.record(refused) for _ in range(2)] == [True, True]  # given again, it stands
    assert await spent(store, profile) == (COST if left else 0)


async def test_what_a_full_queue_refuses_is_not_counted(store: Store) -> None:
    _, profile = await limited(store)
    pace = Pace("sender:x", HOUR, HOUR)
    outcomes = [(await take(store, profile, paces=[pace])).outcome for _ in range(2)]
    assert outcomes == [Accepted.TAKEN, Accepted.QUEUE_FULL]
    assert await spent(store, profile) == COST


async def test_what_the_limit_refuses_takes_no_slot(store: Store) -> None:
    _, profile = await limited(store, limit="0.0051")
    pace = Pace("sender:x", HOUR, 2 * HOUR)
    await take(store, profile, paces=[pace])
    assert (await take(store, profile, paces=[pace])).outcome is Accepted.SPENT
    _, other = await make_account(store, "Other")
    assert (await take(store, other, paces=[pace])).outcome is Accepted.TAKEN


async def deliveries(store: Store) -> list[Any]:
    told = webhook_deliveries.c.event_type == EventType.SPEND_LIMIT_REACHED.value
    rows = await store.engine.fetch(select(webhook_deliveries.c.webhook).where(told))
    return [msgspec.json.decode(row["webhook"])["payload"] for row in rows]


async def test_the_profile_is_told_once_a_day(store: Store) -> None:
    _, profile = await limited(store, webhook_url="https://example.com/hooks")
    for _ in range(5):
        await take(store, profile)
    told = {"configured_limit": "0.0102", "current_cost": "0.0102", "profile_id": profile.id}
    assert await deliveries(store) == [told]
    await advance(store, DAY)
    for _ in range(5):
        await take(store, profile)
    assert await deliveries(store) == [told, told]


async def set_limit(store: Store, profile: Profile, limit: str | None) -> Profile:
    def change(before: Profile) -> Profile:
        settings = replace(before.settings, daily_spend_limit=limit, daily_spend_limit_enabled=True)
        return Profile(before.id, before.organization_id, before.name, settings, before.created_at, before.updated_at)

    return await store.changes.change_profile(profile.organization_id, profile.id, change)


async def test_a_new_limit_counts_what_was_taken_for_today_and_later(store: Store) -> None:
    _, profile = await make_account(store)
    _, other = await make_account(store, "Other")
    await to_noon(store)
    await taken(store, profile, send_in=DAY)
    await advance(store, DAY)
    await taken(store, profile)
    later = await taken(store, profile, send_in=DAY)
    await cancel(store, await taken(store, profile, send_in=DAY))
    await taken(store, other)
    limited = await set_limit(store, profile, "0.01")
    assert [await spent(store, profile, each) for each in (-1, 0, 1)] == [0, 2 * COST, COST]
    assert (await take(store, limited)).outcome is Accepted.SPENT
    await cancel(store, later)
    assert await spent(store, profile, 1) == 0


@pytest.mark.parametrize(("known", "own"), [(30 * DAY, None), (5 * DAY, 30 * DAY), (30 * DAY, DAY)])
async def test_a_new_limit_counts_what_was_scheduled_as_far_ahead_as_it_may_be(
    store: Store, known: int, own: int | None
) -> None:
    made = Store(store.engine, max_lead=known)
    organization, profile = await make_account(store)
    await store.changes.set_rules(organization.id, RuleOverrides(max_lead=own))
    await to_noon(store)
    await advance(store, 12 * HOUR - 2 * SECOND)
    message = message_of(store, profile)
    await advance(store, 5 * SECOND)  # it is taken at a later attempt, on the next day: its id is a little too old
    late = replace(message, send_at=Instant(store.clock.now() + 30 * DAY))
    assert (await store.accept(Acceptance([late], await epoch(store), MANY))).outcome is Accepted.TAKEN
    await advance(store, 30 * DAY + HOUR)
    await set_limit(made, profile, "0.01")
    assert await spent(store, profile) == COST


async def test_a_limit_set_again_does_not_count_twice(store: Store) -> None:
    _, profile = await limited(store)
    await taken(store, profile)
    await set_limit(store, profile, None)
    await set_limit(store, profile, "5")
    await set_limit(store, profile, "6")
    assert await spent(store, profile) == COST


async def test_the_profiles_with_a_limit_are_known(store: Store) -> None:
    organization, profile = await limited(store)
    assert await store.accounts.limited(organization.id) == {profile.id}
    await set_limit(store, profile, None)
    await epoch(store)
    assert await store.accounts.limited(organization.id) == set()


async def test_cancels_and_requests_of_two_nodes_do_not_wait_in_a_circle(store: Store, beside: Store) -> None:
    """Each commit of either calls off what the other does too, and takes more for the same two profiles."""
    _, one = await limited(store, limit="100")
    _, two = await make_account(store, "Other", daily_spend_limit="100", daily_spend_limit_enabled=True)
    await to_noon(store)
    await beside.engine.synchronize_clock()
    for node in (store, beside):
        # A circle that the database breaks is an error here, and not done again.
        await node.writer.stop()
        node.writer = GroupCommit(node.engine, patience=0)
        await node.writer.start()
    pairs = [(node, profile) for _ in range(10) for node in (store, beside) for profile in (one, two)]
    messages = [await taken(node, profile, send_in=DAY) for node, profile in pairs]

    async def both(message: Message, node: Store, profile: Profile) -> None:
        await asyncio.gather(cancel(beside, message), cancel(store, message), taken(node, profile, send_in=DAY))

    await asyncio.gather(*(both(each, *pair) for each, pair in zip(messages, pairs, strict=True)))
    assert [await spent(store, each, 1) for each in (one, two)] == [20 * COST] * 2


def test_locks_are_taken_in_one_order() -> None:
    """What writes sums and slots is the last verb, and sums come before counts at the end."""
    assert {MessageVerbs.accept.__qualname__} == LAST
    assert DailySpending.put_returned.__qualname__ < MessageVerbs._put_pending.__qualname__


@pytest.mark.parametrize("send_in", [None, HOUR])
async def test_what_was_claimed_is_not_given_back(store: Store, send_in: int | None) -> None:
    _, profile = await limited(store)
    await to_noon(store)
    message = await taken(store, profile, send_in=send_in)
    await advance(store, HOUR + MINUTE if send_in else 0)
    assert len((await claim(store))[1]) == 1
    assert not await cancel(store, message)
    assert await spent(store, profile) == COST


async def test_without_a_limit_nothing_more_is_asked_of_the_database(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, profile = await make_account(store)
    asked: list[Batch] = []
    run = store.engine.run_batch

    async def noting(driver: Any, batch: Batch, *given: Any) -> Any:
        asked.append(batch)
        return await run(driver, batch, *given)

    monkeypatch.setattr(store.engine, "run_batch", noting)
    message = await taken(store, profile, send_in=HOUR)
    assert asked == [PENDING, INSERT, COUNT_PENDING]
    asked.clear()
    assert await cancel(store, message)
    assert asked == [CANCEL, LOG, COUNT_PENDING]
