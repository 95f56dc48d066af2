"""Messages on their way out."""

import asyncio

from heliograph.domain.instant import HOUR, MINUTE, SECOND, Instant
from heliograph.domain.lifecycle import Change, Status
from heliograph.domain.outcome import EXPIRED, LEASE_LOST, NEVER_ANSWERED
from heliograph.store.claims import Claim
from heliograph.store.lapses import Expiry, Recovered, Recovery
from heliograph.store.outcomes import Outcome
from heliograph.store.store import Store
from tests.builders import accepted, advance, claim, new_id, status_of

EXPIRY = Expiry(100, EXPIRED, NEVER_ANSWERED)
GIVES_UP = Recovery([], {}, 100, LEASE_LOST, ["sandbox"])


async def test_nothing_is_claimed_before_its_time(store: Store) -> None:
    await accepted(store, send_in=MINUTE)
    assert (await claim(store))[1] == []


async def test_what_is_due_is_claimed_in_the_order_it_fell_due(store: Store) -> None:
    late, early = await accepted(store, send_in=2 * MINUTE), await accepted(store, send_in=MINUTE)
    await advance(store, 3 * MINUTE)
    _, claimed = await claim(store)
    assert [each.id for each in claimed] == [early.id, late.id]
    assert {each.status for each in claimed} == {Status.SENDING}


async def test_no_two_claims_take_the_same_message(store: Store) -> None:
    messages = [await accepted(store, send_in=None) for _ in range(20)]
    claims = await asyncio.gather(*(claim(store, limit=5) for _ in range(8)))
    taken = [each.id for _, claimed in claims for each in claimed]
    assert sorted(taken) == sorted(each.id for each in messages)


async def test_a_claim_asked_again_finds_what_it_was_given(store: Store) -> None:
    message = await accepted(store, send_in=None)
    asked = Claim(new_id(store), "sandbox", 10, MINUTE)
    first, second = await store.claim(asked), await store.claim(asked)
    assert [each.id for each in second.messages] == [each.id for each in first.messages] == [message.id]


async def outcome(store: Store, token: str, message_id: object, change: Change, **given: object) -> bool:
    return await store.record(Outcome(message_id, token, change, store.clock.now(), **given))  # type: ignore[arg-type]  # any field may be given


async def test_an_accepted_message_is_sent(store: Store) -> None:
    message = await accepted(store, send_in=None)
    token, _ = await claim(store)
    assert await outcome(store, token, message.id, Change.ACCEPT, ids=("c1",))
    found, _ = await store.messages.find(message.organization_id, message.id)
    assert found is not None
    assert (found.status, found.carrier_message_id) == (Status.SENT, "c1")
    assert found.sent_at is not None


async def test_an_outcome_under_another_token_changes_nothing(store: Store) -> None:
    message = await accepted(store, send_in=None)
    await claim(store)
    assert not await outcome(store, new_id(store), message.id, Change.ACCEPT)
    assert await status_of(store, message) is Status.SENDING


async def test_a_deferred_message_is_claimed_again_when_it_is_due(store: Store) -> None:
    message = await accepted(store, send_in=None)
    token, _ = await claim(store)
    await outcome(store, token, message.id, Change.DEFER, due_at=Instant(store.clock.now() + SECOND))
    assert (await claim(store))[1] == []
    await advance(store, 2 * SECOND)
    assert [each.attempts for each in (await claim(store))[1]] == [2]


async def test_a_lost_lease_is_unknown_and_not_sent_again(store: Store) -> None:
    message = await accepted(store, send_in=None)
    await claim(store, lease=SECOND)
    await advance(store, 2 * SECOND)
    assert await store.recover(GIVES_UP) == Recovered(lost=1)
    found, _ = await store.messages.find(message.organization_id, message.id)
    assert found is not None
    assert (found.status, found.errors) == (Status.DELIVERY_UNCONFIRMED, (LEASE_LOST,))
    assert (await store.reports.overview()).unknown == 1


async def test_the_lease_of_a_carrier_that_is_unknown_here_is_left_to_those_who_know_it(store: Store) -> None:
    message = await accepted(store, send_in=None)
    await claim(store, lease=SECOND)
    await advance(store, HOUR)
    assert await store.recover(Recovery(["again"], {"tells": HOUR}, 100, LEASE_LOST, ["other"])) == Recovered()
    assert await status_of(store, message) is Status.SENDING
    assert await store.recover(Recovery(["sandbox"], {}, 100, LEASE_LOST)) == Recovered(again=1)


async def test_the_lease_of_a_carrier_that_nobody_knows_any_more_is_given_up_in_the_end(store: Store) -> None:
    message = await accepted(store, send_in=None)
    await claim(store, lease=SECOND)
    await advance(store, HOUR + 2 * SECOND)
    assert await store.recover(Recovery(["again"], {"tells": HOUR}, 100, LEASE_LOST, ["other"])) == Recovered(lost=1)
    assert await status_of(store, message) is Status.DELIVERY_UNCONFIRMED


async def test_a_lost_lease_is_due_again_where_the_carrier_accepts_repeats(store: Store) -> None:
    message = await accepted(store, send_in=None)
    await claim(store, lease=SECOND)
    await advance(store, 2 * SECOND)
    assert await store.recover(Recovery(["sandbox"], {}, 100, LEASE_LOST)) == Recovered(again=1)
    assert [each.id for each in (await claim(store))[1]] == [message.id]


async def test_an_outcome_after_the_lease_was_lost_is_refused(store: Store) -> None:
    message = await accepted(store, send_in=None)
    token, _ = await claim(store, lease=SECOND)
    await advance(store, 2 * SECOND)
    await store.recover(GIVES_UP)
    assert not await outcome(store, token, message.id, Change.ACCEPT, ids=("c1",))
    assert await status_of(store, message) is Status.DELIVERY_UNCONFIRMED


async def test_a_lease_that_holds_is_left_alone(store: Store) -> None:
    await accepted(store, send_in=None)
    await claim(store, lease=MINUTE)
    assert await store.recover(GIVES_UP) == Recovered()


async def test_what_waits_past_its_validity_expires_unsent(store: Store) -> None:
    message = await accepted(store, send_in=MINUTE)
    await advance(store, 2 * HOUR)
    assert (await claim(store))[1] == []
    assert await store.expire(EXPIRY) == (1, 0)
    assert await status_of(store, message) is Status.EXPIRED


async def test_what_may_have_been_sent_does_not_expire_as_unsent(store: Store) -> None:
    message = await accepted(store, send_in=None)
    token, _ = await claim(store)
    due = Instant(store.clock.now() + SECOND)
    await outcome(store, token, message.id, Change.DEFER, due_at=due, in_doubt=True)
    await advance(store, 2 * HOUR)
    assert await store.expire(EXPIRY) == (0, 1)
    assert await status_of(store, message) is Status.DELIVERY_UNCONFIRMED


async def test_a_receipt_is_awaited_until_its_deadline(store: Store) -> None:
    message = await accepted(store, send_in=None)
    token, _ = await claim(store)
    await outcome(store, token, message.id, Change.ACCEPT, deadline_at=Instant(store.clock.now() + HOUR))
    assert await store.unconfirm(100) == 0
    await advance(store, 2 * HOUR)
    assert await store.unconfirm(100) == 1
    assert await status_of(store, message) is Status.DELIVERY_UNCONFIRMED


async def test_of_a_lost_and_a_current_claim_in_one_batch_only_the_current_is_recorded(store: Store) -> None:
    message = await accepted(store, send_in=None)
    lost, _ = await claim(store, lease=0)
    await store.recover(Recovery(["sandbox"], {}, 100, LEASE_LOST))
    current, _ = await claim(store)
    answers = await asyncio.gather(
        outcome(store, lost, message.id, Change.REFUSE), outcome(store, current, message.id, Change.ACCEPT)
    )
    assert list(answers) == [False, True]
    changes = [row["change"] for row in await store.messages.timeline(message.id)]
    assert changes == ["claim", "recover", "claim", "accept"]
