"""Events that are not a message's: they go to the URLs of their profile, once, and say the same at every attempt."""

from typing import Any

import pytest

from heliograph.bodies import click_payload
from heliograph.domain.delivery import DeliveryStatus
from heliograph.domain.events import EventType
from heliograph.domain.ids import MessageId
from heliograph.domain.instant import Instant
from heliograph.store.deliveries import DeliveryFilter
from heliograph.store.outbox import ProfileEvent
from tests.builders import new_id
from tests.sdk.test_webhook_verifiers import lib, standard
from tests.webhooks.conftest import Desk
from tests.webhooks.receiver import answer

HOOK = "/profile"
FAILOVER = "/failover"
AT = Instant(1_780_000_000_250_000)
PAYLOAD = {"configured_limit": "5.00", "current_cost": "5.01"}


def reached(desk: Desk) -> ProfileEvent:
    """The event of a limit that is reached."""
    told = {**PAYLOAD, "profile_id": desk.profile.id}
    event = EventType.SPEND_LIMIT_REACHED
    return ProfileEvent(new_id(desk.store), event, desk.organization.id, desk.profile.id, AT, told)


async def announce(desk: Desk, *events: ProfileEvent) -> None:
    async with desk.store.engine.transaction() as transaction:
        await desk.store.outbox.announce_profile(transaction, events)


async def verified(desk: Desk, request: Any) -> None:
    """That the receivers' own verifiers take a request."""
    [key] = await desk.store.webhook_keys.of(desk.organization.id, desk.store.clock.now())
    lib(request.body, request.headers, key)
    standard(request.body, request.headers, key)


@pytest.mark.parametrize("version", ["2", "1"])
async def test_an_event_of_a_profile_is_told_signed_and_in_the_form_of_version_2(desk: Desk, version: str) -> None:
    await desk.set_profile(webhook_url=desk.receiver.url(HOOK), webhook_api_version=version)
    event = reached(desk)
    await announce(desk, event)
    await desk.play_out()
    [request] = desk.receiver.at(HOOK)
    assert request.told == {
        "data": {
            "event_type": "messaging-profile.spend-limit-reached",
            "id": event.event_id,
            "occurred_at": "2026-05-28T20:26:40.250Z",
            "payload": {**PAYLOAD, "profile_id": desk.profile.id},
            "record_type": "event",
        },
        "meta": {"attempt": 1, "delivered_to": desk.receiver.url(HOOK)},
    }
    assert request.headers["webhook-id"] == event.event_id
    await verified(desk, request)


async def test_given_twice_in_one_commit_or_in_two_it_is_told_once(desk: Desk) -> None:
    await desk.set_profile(webhook_url=desk.receiver.url(HOOK))
    event = reached(desk)
    await announce(desk, event, event)
    await desk.play_out()
    await announce(desk, event)
    await desk.play_out()
    assert desk.events() == [EventType.SPEND_LIMIT_REACHED]


async def test_it_is_tried_again_byte_for_byte_and_then_at_the_failover(desk: Desk) -> None:
    urls = {"webhook_url": desk.receiver.url(HOOK), "webhook_failover_url": desk.receiver.url(FAILOVER)}
    await desk.set_profile(**urls)
    desk.receiver.script(HOOK, answer(500))
    await announce(desk, reached(desk))
    await desk.play_out()
    tried, [taken] = desk.receiver.at(HOOK), desk.receiver.at(FAILOVER)
    assert {each.data for each in tried} == {taken.data}
    assert [each.told["meta"]["attempt"] for each in [*tried, taken]] == [1, 2, 3, 4]
    assert (await desk.report()).status is DeliveryStatus.DELIVERED


async def test_without_a_url_nothing_is_kept(desk: Desk) -> None:
    await announce(desk, reached(desk))
    assert await desk.all_reports() == []


async def test_one_whose_profile_has_no_url_any_more_ends_with_a_reason(desk: Desk) -> None:
    await desk.set_profile(webhook_url=desk.receiver.url(HOOK))
    await announce(desk, reached(desk))
    await desk.set_profile(webhook_url=None)
    await desk.play_out()
    report = await desk.report()
    assert (report.status, report.reason) == (DeliveryStatus.FAILED, "There is no URL any more.")
    assert desk.receiver.requests == []


async def test_it_is_listed_by_its_type_and_replayed(desk: Desk) -> None:
    await desk.set_profile(webhook_url=desk.receiver.url(HOOK))
    await announce(desk, reached(desk))
    await desk.settle()
    book = desk.store.deliveries
    wanted = DeliveryFilter(events=[EventType.SPEND_LIMIT_REACHED])
    total, [report] = await book.page(desk.organization.id, wanted, 0, 9)
    assert (total, report.delivery.message_id) == (1, None)
    assert await book.replay(desk.organization.id, report.delivery, None) is not None
    assert await book.replay_since(desk.organization.id, Instant(0), [EventType.SPEND_LIMIT_REACHED], None) == 1
    await desk.play_out()
    first, *again = desk.receiver.at(HOOK)
    assert [each.data for each in again] == [first.data] * 2


async def test_a_click_has_the_body_that_its_description_has_and_is_signed(desk: Desk) -> None:
    await desk.set_profile(webhook_url=desk.receiver.url(HOOK))
    message_id, event_id = MessageId(new_id(desk.store)), new_id(desk.store)
    said = click_payload(message_id, "+18445550001", "https://example.com/ü?a=1&b=2", AT)
    click = EventType.LINK_CLICKED
    await announce(desk, ProfileEvent(event_id, click, desk.organization.id, desk.profile.id, AT, said))
    await desk.play_out()
    [request] = desk.receiver.at(HOOK)
    told = {
        "message_id": message_id,
        "record_type": "link_clicked",
        "time_clicked": "2026-05-28T20:26:40.250Z",
        "to": "18445550001",
        "url": "https://example.com/ü?a=1&b=2",
    }
    assert request.told == {"data": told}
    assert request.headers["webhook-id"] == event_id
    await verified(desk, request)
