"""Messages that came in, and what follows from them in the same commit."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import select

from heliograph.domain.accounts import Profile
from heliograph.domain.errors import Code
from heliograph.domain.ids import MessageId, OrganizationId, ProfileId
from heliograph.domain.inbound import InboundFacts, InboundMessage, Operation
from heliograph.domain.instant import HOUR, MINUTE, SECOND, Instant
from heliograph.domain.lifecycle import Change, Status, born, replay
from heliograph.domain.message import Message, MessageType
from heliograph.domain.text import Encoding
from heliograph.store.consent import OptOutFilter
from heliograph.store.engine import Row, open_engine
from heliograph.store.inbound import Received, Reception, RefusedInbound
from heliograph.store.messages import Accepted, CancelAnswer, Cancellation
from heliograph.store.outcomes import Outcome
from heliograph.store.store import Store
from heliograph.store.tables import inbound_messages, messages, opt_outs, webhook_deliveries
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

NUMBER = "+18445550001"
OTHER_NUMBER = "+18445550002"
PERSON = "+18665550001"
SOMEBODY_ELSE = "+18665550002"
HOOK = "https://example.com/hook"


@pytest.fixture
async def wide(prepared_database_url: str) -> AsyncIterator[Store]:
    """A store under which an opt-out counts for the whole account."""
    opened = Store(open_engine(prepared_database_url, sandbox=True), account_wide_opt_outs=True)
    await opened.start()
    yield opened
    await opened.stop()


@pytest.fixture
async def beside(prepared_database_url: str, store: Store) -> AsyncIterator[Store]:
    """Another process on the database of `store`."""
    opened = Store(open_engine(prepared_database_url, sandbox=True))
    await opened.start()
    yield opened
    await opened.stop()


def make_inbound(store: Store, profile: Profile, **given: Any) -> InboundMessage:
    values: dict[str, Any] = {
        "id": new_id(store),
        "organization_id": profile.organization_id,
        "profile_id": profile.id,
        "type": MessageType.SMS,
        "sender": PERSON,
        "recipient": NUMBER,
        "text": "Hello",
        "parts": 1,
        "received_at": store.clock.now(),
        "carrier": "sandbox",
        "facts": InboundFacts(Encoding.GSM7, 5),
    }
    return InboundMessage(**(values | given))


async def receive(store: Store, message: InboundMessage, **given: Any) -> Received:
    return await store.receive(Reception(message, await epoch(store), **given))


async def said(store: Store, profile: Profile, operation: Operation | None, **given: Any) -> InboundMessage:
    """Somebody wrote a keyword, or anything else."""
    asked = {name: given.pop(name) for name in ("reply", "cancel_pending") if name in given}
    message = make_inbound(store, profile, operation=operation, **given)
    assert await receive(store, message, keyword=operation, **asked) is Received.KEPT
    return message


def answer_to(store: Store, profile: Profile, inbound: InboundMessage) -> Message:
    return make_message(
        store,
        send_in=None,
        organization_id=profile.organization_id,
        profile_id=profile.id,
        recipient=inbound.sender,
        answers=inbound.id,
    )


async def waiting(store: Store, profile: Profile, **given: Any) -> Message:
    """A message to the person that was taken."""
    values: dict[str, Any] = {
        "organization_id": profile.organization_id,
        "profile_id": profile.id,
        "recipient": PERSON,
    }
    return await accepted(store, **(values | given))


async def try_to_send(store: Store, profile: Profile, **given: Any) -> Accepted:
    values: dict[str, Any] = {
        "organization_id": profile.organization_id,
        "profile_id": profile.id,
        "recipient": PERSON,
    }
    return await accept(store, make_message(store, **(values | given)))


async def read(store: Store, message: Message) -> Message:
    found, _ = await store.messages.find(message.organization_id, message.id)
    assert found is not None
    return found


async def changes(store: Store, message_id: MessageId) -> list[str]:
    return [row["change"] for row in await store.messages.timeline(message_id)]


async def deliveries(store: Store, message_id: MessageId) -> Sequence[Row]:
    of_it = webhook_deliveries.c.message_id == message_id
    return await store.engine.fetch(select(*webhook_deliveries.c).where(of_it))


async def replies(store: Store) -> list[str]:
    rows = await store.engine.fetch(select(messages.c.answers).where(messages.c.answers.is_not(None)))
    return [str(row["answers"]) for row in rows]


async def holding(store: Store, profile: Profile) -> list[tuple[str, str]]:
    _, found = await store.consent.opt_outs(profile.organization_id, 0, 250, OptOutFilter())
    return sorted((each.sender, each.recipient) for each in found)


async def cancel(store: Store, message: Message) -> CancelAnswer:
    return await store.cancel(Cancellation(message.organization_id, message.id, MINUTE, await epoch(store)))


async def test_a_message_is_kept_as_it_came(store: Store) -> None:
    _, profile = await make_account(store)
    facts = InboundFacts(Encoding.UCS2, 3, subject="Hi", tags=("a",), no_reply="why not")
    message = make_inbound(store, profile, text="äöé 🎉", parts=2, operation=Operation.HELP, facts=facts)
    assert await receive(store, message) is Received.KEPT
    found, _ = await store.inbound.find(message.organization_id, message.id)
    assert found == message


async def test_a_message_of_another_organisation_does_not_exist(store: Store) -> None:
    _, profile = await make_account(store)
    other, _ = await make_account(store, "Other")
    message = await said(store, profile, None)
    assert (await store.inbound.find(other.id, message.id))[0] is None


async def test_its_arrival_is_in_the_log_and_told_to_its_profile_under_one_event_id(store: Store) -> None:
    _, profile = await make_account(store, webhook_url=HOOK)
    message = await said(store, profile, Operation.HELP)
    (event,) = await store.messages.timeline(message.id)
    (delivery,) = await deliveries(store, message.id)
    assert (event["change"], event["status"], event["detail"]) == ("receive", "received", "HELP")
    assert (delivery["event_type"], delivery["occurred_at"]) == ("message.received", message.received_at)
    assert str(delivery["event_id"]) == str(event["id"])


async def test_a_profile_without_a_url_is_told_nothing(store: Store) -> None:
    _, profile = await make_account(store)
    message = await said(store, profile, None)
    assert await deliveries(store, message.id) == []


async def test_what_a_carrier_hands_over_twice_is_kept_once(store: Store) -> None:
    _, profile = await make_account(store, webhook_url=HOOK)
    stop = Operation.STOP
    first, second = (make_inbound(store, profile, operation=stop, carrier_reference="r1") for _ in range(2))
    answer = answer_to(store, profile, second)
    assert await receive(store, first, keyword="STOP") is Received.KEPT
    assert await receive(store, second, keyword="STOP", reply=answer) is Received.KNOWN
    assert await store.inbound.kept("sandbox", "r1") == first
    assert await deliveries(store, second.id) == []
    assert await replies(store) == []


async def test_what_is_handed_over_twice_at_once_is_kept_once(store: Store, beside: Store) -> None:
    _, profile = await make_account(store, webhook_url=HOOK)
    given = [make_inbound(store, profile, carrier_reference="r1") for _ in range(8)]
    both = [store, beside] * 4
    answers = await asyncio.gather(*(receive(each, message) for each, message in zip(both, given, strict=True)))
    assert sorted(each.value for each in answers) == ["kept"] + ["known"] * 7
    rows = await store.engine.fetch(select(webhook_deliveries.c.id))
    assert len(rows) == 1


async def test_a_reference_is_a_carriers_own(store: Store) -> None:
    _, profile = await make_account(store)
    for carrier in ("one", "two"):
        message = make_inbound(store, profile, carrier=carrier, carrier_reference="r1")
        assert await receive(store, message) is Received.KEPT


async def test_messages_without_a_reference_are_not_mistaken_for_each_other(store: Store) -> None:
    _, profile = await make_account(store)
    for _ in range(2):
        assert await receive(store, make_inbound(store, profile)) is Received.KEPT


async def test_the_answer_to_a_commit_may_be_lost_and_nothing_follows_twice(store: Store) -> None:
    _, profile = await make_account(store, webhook_url=HOOK)
    message = make_inbound(store, profile, operation=Operation.HELP)
    asked = Reception(message, await epoch(store), "HELP", answer_to(store, profile, message))
    assert [await store.receive(asked), await store.receive(asked)] == [Received.KEPT, Received.KNOWN]
    assert len(await deliveries(store, message.id)) == len(await replies(store)) == 1


async def test_what_was_kept_is_known_also_when_accounts_changed_since(store: Store) -> None:
    organization, profile = await make_account(store)
    asked = Reception(make_inbound(store, profile), await epoch(store))
    assert await store.receive(asked) is Received.KEPT
    await change_account(store, organization)
    assert await store.receive(asked) is Received.KNOWN


async def test_what_was_judged_by_older_accounts_is_not_kept(store: Store) -> None:
    organization, profile = await make_account(store)
    asked = Reception(make_inbound(store, profile, operation=Operation.STOP), await epoch(store), "STOP")
    await change_account(store, organization)
    assert await store.receive(asked) is Received.STALE
    assert await store.engine.fetch(select(inbound_messages.c.id)) == []
    assert await holding(store, profile) == []


async def test_of_a_stale_and_a_current_one_in_one_commit_each_has_its_answer(store: Store) -> None:
    organization, profile = await make_account(store)
    before = await epoch(store)
    await change_account(store, organization)
    now = await epoch(store)
    asked = [Reception(make_inbound(store, profile), each) for each in (before, now, before)]
    answers = await asyncio.gather(*map(store.receive, asked))
    assert answers == [Received.STALE, Received.KEPT, Received.STALE]


async def test_a_message_for_nobody_is_on_record_newest_first(store: Store) -> None:
    refused = [
        RefusedInbound(new_id(store), "sandbox", PERSON, NUMBER, f"Reason {count}.", store.clock.now())
        for count in range(3)
    ]
    for each in refused:
        await store.refuse_inbound(each)
    assert await store.inbound.refused(2) == [refused[2], refused[1]]


async def test_a_stop_holds_for_the_profile_and_nobody_else(store: Store) -> None:
    organization, profile = await make_account(store)
    other = ProfileId(new_id(store))
    await said(store, profile, Operation.STOP)
    assert await holding(store, profile) == [(NUMBER, PERSON)]
    assert await try_to_send(store, profile) is Accepted.OPTED_OUT
    assert await try_to_send(store, profile, send_in=None, sender=OTHER_NUMBER) is Accepted.OPTED_OUT
    assert await try_to_send(store, profile, recipient=SOMEBODY_ELSE) is Accepted.TAKEN
    assert await try_to_send(store, profile, profile_id=other) is Accepted.TAKEN
    assert await try_to_send(store, profile, organization_id=OrganizationId(new_id(store))) is Accepted.TAKEN
    assert organization.id == profile.organization_id


async def test_a_stop_may_hold_for_the_whole_account(wide: Store) -> None:
    _, profile = await make_account(wide)
    stranger = OrganizationId(new_id(wide))
    await said(wide, profile, Operation.STOP)
    assert await try_to_send(wide, profile, profile_id=ProfileId(new_id(wide))) is Accepted.OPTED_OUT
    assert await try_to_send(wide, profile, organization_id=stranger) is Accepted.TAKEN


@pytest.mark.parametrize("operation", [None, Operation.HELP])
async def test_only_a_stop_opts_out(store: Store, operation: Operation | None) -> None:
    _, profile = await make_account(store)
    message = await waiting(store, profile)
    await said(store, profile, operation)
    assert await holding(store, profile) == []
    assert await status_of(store, message) is Status.SCHEDULED


async def test_a_start_lifts_every_opt_out_from_the_profile(store: Store) -> None:
    _, profile = await make_account(store)
    for number in (NUMBER, OTHER_NUMBER):
        await said(store, profile, Operation.STOP, recipient=number)
    await said(store, profile, Operation.STOP, sender=SOMEBODY_ELSE)
    await said(store, profile, Operation.START)
    assert await holding(store, profile) == [(NUMBER, SOMEBODY_ELSE)]
    assert await try_to_send(store, profile) is Accepted.TAKEN


async def test_a_start_to_one_profile_lifts_nothing_from_another(store: Store) -> None:
    _, profile = await make_account(store)
    other = ProfileId(new_id(store))
    await said(store, profile, Operation.STOP)
    await said(store, profile, Operation.START, profile_id=other)
    assert await try_to_send(store, profile) is Accepted.OPTED_OUT


async def test_a_start_may_lift_what_holds_for_the_account(wide: Store) -> None:
    _, profile = await make_account(wide)
    await said(wide, profile, Operation.STOP)
    await said(wide, profile, Operation.START, profile_id=ProfileId(new_id(wide)))
    assert await try_to_send(wide, profile) is Accepted.TAKEN


async def test_who_stops_starts_and_stops_again_has_opted_out_once(store: Store) -> None:
    _, profile = await make_account(store)
    for operation in (Operation.STOP, Operation.START, Operation.STOP, Operation.STOP):
        await said(store, profile, operation)
    assert await holding(store, profile) == [(NUMBER, PERSON)]
    rows = await store.engine.fetch(select(opt_outs.c.ended_at).order_by(opt_outs.c.id))
    assert [row["ended_at"] is None for row in rows] == [False, True]


async def test_one_recipient_who_opted_out_keeps_a_whole_group_from_being_taken(store: Store) -> None:
    _, profile = await make_account(store)
    await said(store, profile, Operation.STOP)
    owner = {"organization_id": profile.organization_id, "profile_id": profile.id}
    group = [make_message(store, send_in=None, recipient=each, **owner) for each in (SOMEBODY_ELSE, PERSON)]
    assert await accept(store, *group) is Accepted.OPTED_OUT
    assert await store.messages.unwanted(group) == [PERSON]
    assert await store.engine.fetch(select(messages.c.id)) == []


async def test_what_was_taken_before_the_stop_is_answered_as_taken_again(store: Store) -> None:
    _, profile = await make_account(store)
    message = await waiting(store, profile)
    await said(store, profile, Operation.STOP)
    assert await accept(store, message) is Accepted.TAKEN


@pytest.mark.parametrize("operation", list(Operation))
async def test_a_keyword_is_answered_in_the_same_commit(store: Store, operation: Operation) -> None:
    _, profile = await make_account(store)
    message = make_inbound(store, profile, operation=operation)
    reply = answer_to(store, profile, message)
    assert await receive(store, message, keyword=operation, reply=reply) is Received.KEPT
    assert await replies(store) == [message.id]
    assert [each.id for each in (await claim(store))[1]] == [reply.id]


async def test_a_second_stop_is_kept_and_not_answered(store: Store) -> None:
    _, profile = await make_account(store)
    first, second = (make_inbound(store, profile, operation=Operation.STOP) for _ in range(2))
    for each in (first, second):
        reply = answer_to(store, profile, each)
        assert await receive(store, each, keyword="STOP", reply=reply) is Received.KEPT
    assert await replies(store) == [first.id]


async def test_stops_at_once_at_several_processes_are_answered_once(store: Store, beside: Store) -> None:
    _, profile = await make_account(store)
    for round_ in range(20):
        person = f"+1866555{round_:04d}"
        given = [make_inbound(store, profile, operation=Operation.STOP, sender=person) for _ in range(4)]
        asked = [Reception(each, await epoch(store), "STOP", answer_to(store, profile, each)) for each in given]
        told = zip([store, beside] * 2, asked, strict=True)
        answers = await asyncio.gather(*(each.receive(reception) for each, reception in told))
        assert answers == [Received.KEPT] * 4
    assert len(await replies(store)) == len(await holding(store, profile)) == 20


@pytest.mark.parametrize("operation", [Operation.START, Operation.HELP])
async def test_every_start_and_help_is_answered(store: Store, operation: Operation) -> None:
    _, profile = await make_account(store)
    given = [make_inbound(store, profile, operation=operation) for _ in range(2)]
    for each in given:
        await receive(store, each, keyword=operation, reply=answer_to(store, profile, each))
    assert sorted(await replies(store)) == sorted(each.id for each in given)


async def test_a_stop_calls_off_what_is_scheduled_and_what_is_queued(store: Store) -> None:
    _, profile = await make_account(store, webhook_url=HOOK)
    scheduled, queued = await waiting(store, profile), await waiting(store, profile, send_in=None)
    await said(store, profile, Operation.STOP)
    for each in (scheduled, queued):
        found = await read(store, each)
        assert (found.status, found.due_at) == (Status.CANCELLED, None)
        assert [error.code for error in found.errors] == [Code.OPTED_OUT]
        assert PERSON in found.errors[0].detail
        assert await changes(store, each.id) == ["opt_out"]
        assert [row["event_type"] for row in await deliveries(store, each.id)] == ["message.finalized"]


async def test_each_that_is_called_off_names_its_own_sender(store: Store) -> None:
    _, profile = await make_account(store)
    sent = [await waiting(store, profile, sender=each) for each in (NUMBER, OTHER_NUMBER)]
    await said(store, profile, Operation.STOP)
    for each in sent:
        assert (await read(store, each)).errors[0].detail.startswith(f"{each.sender} may not message {PERSON}")


async def test_messages_of_others_and_to_others_stay(store: Store) -> None:
    _, profile = await make_account(store)
    stay = [
        await waiting(store, profile, recipient=SOMEBODY_ELSE),
        await waiting(store, profile, profile_id=ProfileId(new_id(store))),
        await waiting(store, profile, organization_id=OrganizationId(new_id(store))),
    ]
    await said(store, profile, Operation.STOP)
    assert {await status_of(store, each) for each in stay} == {Status.SCHEDULED}


async def test_a_stop_to_the_account_calls_off_what_waits_on_every_profile(wide: Store) -> None:
    _, profile = await make_account(wide)
    message = await waiting(wide, profile, profile_id=ProfileId(new_id(wide)))
    foreign = await waiting(wide, profile, organization_id=OrganizationId(new_id(wide)))
    await said(wide, profile, Operation.STOP)
    assert await status_of(wide, message) is Status.CANCELLED
    assert await status_of(wide, foreign) is Status.SCHEDULED


async def test_what_a_stop_calls_off_makes_room(store: Store) -> None:
    _, profile = await make_account(store)
    for _ in range(2):
        await waiting(store, profile)
    await waiting(store, profile, send_in=None)
    other = make_message(store, organization_id=profile.organization_id, recipient=SOMEBODY_ELSE)
    assert await accept(store, other, max_pending=1) is Accepted.FULL
    await said(store, profile, Operation.STOP)
    assert await accept(store, other, max_pending=1) is Accepted.TAKEN
    another = replace(other, id=MessageId(new_id(store)))
    assert await accept(store, another, max_pending=1) is Accepted.FULL


async def test_a_cancel_after_the_stop_sees_it_cancelled_and_why(store: Store) -> None:
    _, profile = await make_account(store)
    message = await waiting(store, profile)
    await said(store, profile, Operation.STOP)
    answer = await cancel(store, message)
    assert answer.message is not None
    assert (answer.won, answer.message.status) == (False, Status.CANCELLED)
    assert [error.code for error in answer.message.errors] == [Code.OPTED_OUT]


async def test_a_stop_after_the_cancel_changes_nothing(store: Store) -> None:
    _, profile = await make_account(store)
    message = await waiting(store, profile)
    answer = await cancel(store, message)
    await said(store, profile, Operation.STOP)
    assert await read(store, message) == answer.message
    assert await changes(store, message.id) == ["cancel"]


async def test_a_reply_that_waits_is_not_called_off(store: Store) -> None:
    _, profile = await make_account(store)
    helped = make_inbound(store, profile, operation=Operation.HELP)
    reply = answer_to(store, profile, helped)
    await receive(store, helped, keyword="HELP", reply=reply)
    await said(store, profile, Operation.STOP)
    assert [each.id for each in (await claim(store))[1]] == [reply.id]


async def test_what_waits_may_be_left_and_fails_at_its_release(store: Store) -> None:
    _, profile = await make_account(store, webhook_url=HOOK)
    message = await waiting(store, profile)
    await said(store, profile, Operation.STOP, cancel_pending=False)
    assert await status_of(store, message) is Status.SCHEDULED
    await advance(store, HOUR // 2)
    assert (await claim(store))[1] == []
    found = await read(store, message)
    assert (found.status, found.left_at) == (Status.SENDING_FAILED, None)
    assert [error.code for error in found.errors] == [Code.OPTED_OUT]
    assert [row["event_type"] for row in await deliveries(store, message.id)] == ["message.finalized"]


async def test_an_opt_out_from_others_withholds_nothing(store: Store) -> None:
    _, profile = await make_account(store)
    message = await waiting(store, profile)
    for other in ({"profile_id": ProfileId(new_id(store))}, {"organization_id": OrganizationId(new_id(store))}):
        await said(store, profile, Operation.STOP, cancel_pending=False, **other)
    await advance(store, HOUR // 2)
    assert [each.id for each in (await claim(store))[1]] == [message.id]


async def test_an_opt_out_from_the_account_withholds_on_every_profile(wide: Store) -> None:
    _, profile = await make_account(wide)
    message = await waiting(wide, profile, profile_id=ProfileId(new_id(wide)))
    await said(wide, profile, Operation.STOP, cancel_pending=False)
    await advance(wide, HOUR // 2)
    assert (await claim(wide))[1] == []
    assert await status_of(wide, message) is Status.SENDING_FAILED


async def test_what_failed_at_its_release_is_counted_as_waiting_no_more(store: Store) -> None:
    _, profile = await make_account(store)
    await waiting(store, profile)
    await said(store, profile, Operation.STOP, cancel_pending=False)
    await advance(store, HOUR // 2)
    await claim(store)
    other = make_message(store, organization_id=profile.organization_id, recipient=SOMEBODY_ELSE)
    assert await accept(store, other, max_pending=1) is Accepted.TAKEN


async def test_a_claim_asked_again_does_not_give_out_what_was_withheld(store: Store) -> None:
    _, profile = await make_account(store)
    withheld = await waiting(store, profile)
    given = await waiting(store, profile, recipient=SOMEBODY_ELSE)
    await said(store, profile, Operation.STOP, cancel_pending=False)
    await advance(store, HOUR // 2)
    _, claimed = await claim(store)
    assert [each.id for each in claimed] == [given.id]
    assert await changes(store, withheld.id) == ["claim", "refuse"]


async def test_what_is_withheld_does_not_hide_what_is_due_behind_it(store: Store) -> None:
    _, profile = await make_account(store)
    for _ in range(5):
        await waiting(store, profile, send_in=MINUTE)
    given = await waiting(store, profile, recipient=SOMEBODY_ELSE, send_in=2 * MINUTE)
    await said(store, profile, Operation.STOP, cancel_pending=False)
    await advance(store, HOUR // 2)
    _, claimed = await claim(store, limit=2)
    assert [each.id for each in claimed] == [given.id]


async def deferred(store: Store, profile: Profile, *, in_doubt: bool) -> Message:
    """A message that waits for another try."""
    message = await waiting(store, profile, send_in=None)
    token, _ = await claim(store)
    now = store.clock.now()
    again = Instant(now + SECOND)
    assert await store.record(Outcome(message.id, token, Change.DEFER, now, due_at=again, in_doubt=in_doubt))
    return message


async def test_what_waits_for_another_try_is_withheld_from_it(store: Store) -> None:
    _, profile = await make_account(store)
    message = await deferred(store, profile, in_doubt=False)
    await said(store, profile, Operation.STOP)
    assert await status_of(store, message) is Status.SENDING
    await advance(store, 2 * SECOND)
    assert (await claim(store))[1] == []
    found = await read(store, message)
    assert (found.status, [error.code for error in found.errors]) == (Status.SENDING_FAILED, [Code.OPTED_OUT])


async def test_what_may_have_left_before_the_stop_is_shown_and_counted_as_unknown(store: Store) -> None:
    _, profile = await make_account(store)
    message = await deferred(store, profile, in_doubt=True)
    await said(store, profile, Operation.STOP)
    await advance(store, 2 * SECOND)
    assert (await claim(store))[1] == []
    found = await read(store, message)
    assert (found.status, [error.code for error in found.errors]) == (
        Status.DELIVERY_UNCONFIRMED,
        [Code.OUTCOME_UNKNOWN],
    )
    assert (await store.reports.overview()).unknown == 1
    log = [Change(each) for each in await changes(store, message.id)]
    assert replay(born(scheduled=False), log) is Status.DELIVERY_UNCONFIRMED


async def test_what_was_claimed_before_the_stop_goes_its_way(store: Store) -> None:
    _, profile = await make_account(store)
    message = await waiting(store, profile, send_in=None)
    token, _ = await claim(store)
    await said(store, profile, Operation.STOP)
    outcome = Outcome(message.id, token, Change.ACCEPT, store.clock.now(), ids=("c1",))
    assert await store.record(outcome)
    assert await status_of(store, message) is Status.SENT


async def test_a_start_before_the_release_lets_it_go(store: Store) -> None:
    _, profile = await make_account(store)
    message = await waiting(store, profile)
    await said(store, profile, Operation.STOP, cancel_pending=False)
    await said(store, profile, Operation.START)
    await advance(store, HOUR // 2)
    assert [each.id for each in (await claim(store))[1]] == [message.id]


async def test_a_start_does_not_bring_back_what_was_called_off(store: Store) -> None:
    _, profile = await make_account(store)
    message = await waiting(store, profile)
    await said(store, profile, Operation.STOP)
    await said(store, profile, Operation.START)
    await advance(store, HOUR // 2)
    assert (await claim(store))[1] == []
    assert await status_of(store, message) is Status.CANCELLED
