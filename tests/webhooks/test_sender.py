"""From a change of a message to its event at a receiver: which events there are, what they say, where they go."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from heliograph.domain.delivery import DeliveryStatus
from heliograph.domain.events import EventType
from heliograph.domain.ids import MessageId
from heliograph.domain.inbound import InboundFacts, InboundMessage, Operation
from heliograph.domain.instant import DAY, HOUR, MINUTE, SECOND, Instant
from heliograph.domain.lifecycle import Change, Status
from heliograph.domain.message import Facts, Message, MessageType
from heliograph.domain.outcome import EXPIRED, LEASE_LOST, NEVER_ANSWERED
from heliograph.domain.text import Encoding
from heliograph.store.inbound import Received, Reception
from heliograph.store.lapses import Expiry, Recovered, Recovery
from heliograph.store.messages import Cancellation
from heliograph.webhooks.signing import signed_headers_v1
from tests.builders import accept, advance, claim, epoch, new_id, status_of
from tests.sdk.test_webhook_verifiers import lib, standard
from tests.webhooks.conftest import OWN_URL, PROFILE, Desk, Office, own
from tests.webhooks.receiver import Behaviour, answer

KEPT = 10 * 1024
"""Bytes of an answer that are kept (Contract 10)."""


# ------------------------------------------------------------------------------------- which events for which changes


async def cancel(desk: Desk, message: Message) -> None:
    """Ask for a cancel, whatever comes of it."""
    await desk.store.cancel(Cancellation(desk.organization.id, message.id, 0, await epoch(desk.store)))


async def delivered(desk: Desk) -> Message:
    message = await desk.sent()
    await desk.receipt(message, Change.DELIVER)
    return message


async def delivery_failed(desk: Desk) -> Message:
    message = await desk.sent()
    await desk.receipt(message, Change.FAIL)
    return message


async def without_receipt(desk: Desk) -> Message:
    message = await desk.sent()
    await advance(desk.store, 2 * HOUR)
    assert await desk.store.unconfirm(100) == 1
    return message


async def lost(desk: Desk) -> Message:
    message = await desk.message()
    await desk.outcome(Change.DEFER, due_at=Instant(desk.store.clock.now()), in_doubt=True)
    await advance(desk.store, 2 * HOUR)
    assert await desk.store.expire(Expiry(100, EXPIRED, NEVER_ANSWERED)) == (0, 1)
    return message


async def refused(desk: Desk) -> Message:
    return await desk.refused()


async def expired(desk: Desk) -> Message:
    message = await desk.message(send_in=MINUTE)
    await advance(desk.store, 2 * HOUR)
    assert await desk.store.expire(Expiry(100, EXPIRED, NEVER_ANSWERED)) == (1, 0)
    return message


async def opted_out(desk: Desk) -> Message:
    message = await desk.message(send_in=HOUR)
    await came_in(desk, message.recipient, Operation.STOP)
    return message


async def came_in(desk: Desk, person: str, operation: Operation | None = None) -> InboundMessage:
    """A message that a person wrote."""
    message = InboundMessage(
        id=MessageId(new_id(desk.store)),
        organization_id=desk.organization.id,
        profile_id=desk.profile.id,
        type=MessageType.SMS,
        sender=person,
        recipient="+18445550001",
        text="Hello",
        parts=1,
        received_at=desk.store.clock.now(),
        carrier="sandbox",
        operation=operation,
        facts=InboundFacts(Encoding.GSM7, 5),
    )
    assert await desk.store.receive(Reception(message, await epoch(desk.store))) is Received.KEPT
    return message


ENDS = [
    (delivered, Status.DELIVERED, Change.DELIVER),
    (delivery_failed, Status.DELIVERY_FAILED, Change.FAIL),
    (without_receipt, Status.DELIVERY_UNCONFIRMED, Change.UNCONFIRM),
    (lost, Status.DELIVERY_UNCONFIRMED, Change.LOSE),
    (refused, Status.SENDING_FAILED, Change.REFUSE),
    (expired, Status.EXPIRED, Change.EXPIRE),
    (opted_out, Status.SENDING_FAILED, Change.OPT_OUT),
]


@pytest.mark.parametrize(("end", "status", "change"), ENDS, ids=[change for *_, change in ENDS])
async def test_every_end_is_told_once_under_the_id_of_its_change(
    desk: Desk, end: Callable[[Desk], Awaitable[Message]], status: Status, change: Change
) -> None:
    message = await end(desk)
    await desk.play_out()
    [told] = [each for each in desk.receiver.requests if each.event == EventType.FINALIZED]
    assert told.event_id == (await desk.logged(message))[change] == told.headers["webhook-id"]
    payload = told.told["data"]["payload"]
    assert (payload["id"], payload["to"][0]["status"]) == (message.id, status)


async def test_an_accepted_message_is_told_as_it_was_when_it_was_sent(desk: Desk) -> None:
    message = await delivered(desk)
    await desk.play_out()
    assert sorted(desk.events()) == [EventType.FINALIZED, EventType.SENT]
    [told] = [each for each in desk.receiver.requests if each.event == EventType.SENT]
    assert told.told["data"]["payload"]["to"][0]["status"] == Status.SENT
    assert told.event_id == (await desk.logged(message))[Change.ACCEPT]


async def test_a_second_receipt_is_told_to_nobody(desk: Desk) -> None:
    message = await delivered(desk)
    await desk.receipt(message, Change.FAIL)
    await desk.play_out()
    assert sorted(desk.events()) == [EventType.FINALIZED, EventType.SENT]


@pytest.mark.parametrize("change", [Change.DEFER, Change.HAND_BACK])
async def test_what_happens_on_the_way_is_no_event(desk: Desk, change: Change) -> None:
    await desk.message()
    await desk.outcome(change, due_at=Instant(desk.store.clock.now() + DAY))
    assert await desk.all_reports() == []


async def test_a_recovered_claim_is_no_event(desk: Desk) -> None:
    message = await desk.message()
    await desk.outcome(Change.DEFER, due_at=desk.store.clock.now())
    await claim(desk.store, lease=SECOND)
    await advance(desk.store, HOUR // 2)
    assert await desk.store.recover(Recovery(["sandbox"], {}, 100, LEASE_LOST)) == Recovered(again=1)
    assert set(await desk.logged(message)) == {Change.CLAIM, Change.DEFER, Change.RECOVER}
    assert await desk.all_reports() == []


async def test_a_schedule_and_its_cancel_are_told_to_nobody_who_did_not_ask(desk: Desk) -> None:
    message = await desk.message(send_in=HOUR)
    await cancel(desk, message)
    assert await status_of(desk.store, message) is Status.CANCELLED
    assert await desk.all_reports() == []


async def test_a_schedule_and_its_cancel_are_told_once_where_asked_for(office: Office) -> None:
    desk = await office.desk(optional=[EventType.SCHEDULED, EventType.CANCELLED])
    message = await desk.message(send_in=HOUR)
    await asyncio.gather(*(cancel(desk, message) for _ in range(5)))
    await cancel(desk, message)
    await desk.play_out()
    assert sorted(desk.events()) == [EventType.CANCELLED, EventType.SCHEDULED]
    told = {each.event: each for each in desk.receiver.requests}
    assert told["message.cancelled"].event_id == (await desk.logged(message))[Change.CANCEL]
    assert told["message.scheduled"].told["data"]["payload"]["to"][0]["status"] == Status.SCHEDULED


async def test_a_message_taken_twice_is_scheduled_once(office: Office) -> None:
    desk = await office.desk(optional=[EventType.SCHEDULED])
    message = await desk.message(send_in=HOUR)
    await accept(desk.store, message)
    await desk.play_out()
    assert desk.events() == [EventType.SCHEDULED]


async def test_a_message_for_now_is_not_scheduled(office: Office) -> None:
    desk = await office.desk(optional=[EventType.SCHEDULED])
    await desk.message()
    assert await desk.all_reports() == []


async def test_each_recipient_of_a_group_has_an_event_of_its_own(desk: Desk) -> None:
    group = MessageId(new_id(desk.store))
    facts = own(desk.receiver.url("/group"))
    numbers = [f"+1866555000{digit}" for digit in range(3)]
    members = [desk.made(facts, recipient=number, type=MessageType.MMS, group_id=group) for number in numbers]
    await accept(desk.store, *members)
    await desk.accept_of_carrier()
    await desk.play_out()
    told = [each.told["data"]["payload"] for each in desk.receiver.at("/group")]
    assert {each["group_message_id"] for each in told} == {group}
    assert sorted([to["phone_number"] for to in each["to"]] for each in told) == [[number] for number in numbers]
    assert len({each.event_id for each in desk.receiver.requests}) == 3


async def test_a_message_that_came_in_is_told_to_its_profile(desk: Desk) -> None:
    await desk.set_profile(webhook_url=desk.receiver.url("/profile"))
    message = await came_in(desk, "+18665550001")
    await desk.play_out()
    [told] = desk.receiver.at("/profile")
    assert (told.event, told.told["data"]["payload"]["id"]) == (EventType.RECEIVED, message.id)


# --------------------------------------------------------------------------------------------- what an attempt says


def times(count: int, status: int = 500) -> list[Behaviour]:
    """So many failures."""
    return [answer(status)] * count


async def test_all_attempts_of_an_event_have_one_id_and_the_same_data_and_their_own_meta(desk: Desk) -> None:
    first = desk.receiver.script("/first", *times(3))
    second = desk.receiver.script("/second", *times(1), answer())
    message = await desk.refused(own(first, second), text="Grüße 👋🏽")
    await desk.play_out()
    came = desk.receiver.requests
    event_id = (await desk.logged(message))[Change.REFUSE]
    assert {each.event_id for each in came} == {each.headers["webhook-id"] for each in came} == {event_id}
    assert len({each.data for each in came}) == 1
    assert [each.told["meta"] for each in came] == [
        {"attempt": number, "delivered_to": url} for number, url in enumerate([first] * 3 + [second] * 2, 1)
    ]


async def test_what_is_sent_again_is_what_was_sent_first_though_the_message_moved_on(desk: Desk) -> None:
    desk.receiver.script(OWN_URL, *times(1), answer())
    message = await desk.sent()
    await desk.settle()
    await desk.receipt(message, Change.DELIVER)
    await desk.play_out()
    told = [each for each in desk.receiver.requests if each.event == EventType.SENT]
    assert len(told) == 2
    assert told[0].data == told[1].data


async def test_each_attempt_is_signed_anew_and_both_verifiers_take_it(desk: Desk) -> None:
    desk.receiver.script(OWN_URL, *times(2), answer())
    await desk.refused()
    await desk.play_out()
    [key] = await desk.store.webhook_keys.of(desk.organization.id, desk.store.clock.now())
    for each in desk.receiver.requests:
        lib(each.body, each.headers, key)
        standard(each.body, each.headers, key)
    signatures = {each.headers["telnyx-signature-ed25519"] for each in desk.receiver.requests}
    assert len(signatures) == 3


async def test_a_signature_bears_the_true_time_whatever_the_test_clock_says(desk: Desk) -> None:
    await advance(desk.store, 30 * DAY)
    await desk.refused()
    await desk.settle()
    [came] = desk.receiver.requests
    [key] = await desk.store.webhook_keys.of(desk.organization.id, desk.store.clock.now())
    lib(came.body, came.headers, key)


async def test_a_profile_of_version_1_gets_flat_records_signed_with_its_secret(desk: Desk) -> None:
    url = desk.receiver.script("/v1", *times(1), answer())
    await desk.set_profile(webhook_url=url, webhook_api_version="1", v1_secret="hush")
    message = await desk.refused(PROFILE)
    await desk.play_out()
    first, second = desk.receiver.at("/v1")
    assert first.body == second.body
    assert (first.told["sms_id"], first.told["status"]) == (message.id, Status.SENDING_FAILED)
    assert "webhook-id" not in first.headers
    for each in (first, second):
        signature = each.headers["x-telnyx-signature"]
        seconds = int(signature.split(",")[0].removeprefix("t="))
        assert signature == signed_headers_v1("hush", seconds, each.body)["X-Telnyx-Signature"]


async def test_an_event_keeps_the_version_of_its_first_attempt(desk: Desk) -> None:
    url = desk.receiver.script("/url", *times(1), answer())
    await desk.set_profile(webhook_url=url)
    await desk.refused(PROFILE)
    await desk.settle()
    await desk.set_profile(webhook_api_version="1")
    await desk.play_out()
    first, second = desk.receiver.at("/url")
    assert first.data == second.data


# ------------------------------------------------------------------------------------------------------- where it goes


async def visited(desk: Desk) -> list[str]:
    """The paths that were tried, in their order, when nothing is ever taken."""
    desk.receiver.otherwise(answer(500))
    await desk.play_out()
    return [each.path for each in desk.receiver.requests]


async def test_each_url_has_its_tries_the_messages_own_before_those_of_its_profile(desk: Desk) -> None:
    url = desk.receiver.url
    await desk.set_profile(webhook_url=url("/p"), webhook_failover_url=url("/pf"))
    await desk.refused(own(url("/o"), url("/of")))
    assert await visited(desk) == ["/o"] * 3 + ["/of"] * 3 + ["/p"] * 3 + ["/pf"] * 3
    report = await desk.report()
    assert (report.status, report.reason, len(report.attempts)) == (DeliveryStatus.FAILED, None, 12)


async def test_the_profiles_urls_are_left_alone_when_the_message_says_so(desk: Desk) -> None:
    url = desk.receiver.url
    await desk.set_profile(webhook_url=url("/p"))
    await desk.refused(own(url("/o"), use_profile_webhooks=False))
    assert await visited(desk) == ["/o"] * 3


async def test_a_url_that_stands_twice_is_tried_once(desk: Desk) -> None:
    url = desk.receiver.url
    await desk.set_profile(webhook_url=url("/o"), webhook_failover_url=url("/pf"))
    await desk.refused(own(url("/o"), url("/o")))
    assert await visited(desk) == ["/o"] * 3 + ["/pf"] * 3


async def test_a_failover_url_alone_is_a_url(desk: Desk) -> None:
    facts = Facts(Encoding.GSM7, 13, webhook_failover_url=desk.receiver.url("/f"), own_webhooks=True)
    await desk.refused(facts)
    await desk.play_out()
    assert [each.path for each in desk.receiver.requests] == ["/f"]


@pytest.mark.parametrize("facts", [PROFILE, Facts(Encoding.GSM7, 13, use_profile_webhooks=False)])
async def test_without_a_url_there_is_no_delivery(desk: Desk, facts: Facts) -> None:
    message = await desk.refused(facts)
    assert Change.REFUSE in await desk.logged(message)
    assert await desk.all_reports() == []


async def test_a_profile_that_names_a_url_later_tells_nothing_of_before(desk: Desk) -> None:
    await desk.refused(PROFILE)
    await desk.set_profile(webhook_url=desk.receiver.url("/p"))
    await desk.settle()
    assert desk.receiver.requests == []


async def test_a_changed_profile_counts_from_the_next_attempt_on(desk: Desk) -> None:
    url = desk.receiver.url
    await desk.set_profile(webhook_url=url("/old"))
    desk.receiver.script("/old", answer(500))
    await desk.refused(PROFILE)
    await desk.settle()
    await desk.set_profile(webhook_url=url("/new"))
    await desk.play_out()
    assert [each.path for each in desk.receiver.requests] == ["/old", "/new"]
    assert (await desk.report()).status is DeliveryStatus.DELIVERED


async def test_a_profile_that_took_its_url_back_ends_what_waits_with_a_reason(desk: Desk) -> None:
    await desk.set_profile(webhook_url=desk.receiver.script("/old", answer(500)))
    await desk.refused(PROFILE)
    await desk.settle()
    await desk.set_profile(webhook_url=None)
    await desk.play_out()
    report = await desk.report()
    assert (report.status, report.reason) == (DeliveryStatus.FAILED, "There is no URL any more.")
    assert len(report.attempts) == 1


async def test_a_failover_url_that_was_taken_back_is_not_said_to_be_turned_off(desk: Desk) -> None:
    url = desk.receiver.script("/p", answer(500))
    await desk.set_profile(webhook_url=url, webhook_failover_url=desk.receiver.script("/pf", answer(500)))
    await desk.refused(PROFILE)
    await desk.settle()
    for _ in range(2):
        await desk.later(HOUR)
    assert desk.receiver.at("/pf")
    await desk.set_profile(webhook_failover_url=None)
    await desk.play_out()
    assert (await desk.report()).reason == "There is no further URL any more."
