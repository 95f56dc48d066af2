"""What is reported, where to, and that an event says the same whenever it is asked."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from heliograph.domain.accounts import ProfileSettings
from heliograph.domain.events import OPTIONAL, EventType, as_of, endpoint_id, own_urls, reported, urls_for
from heliograph.domain.ids import OrganizationId
from heliograph.domain.instant import DAY, MINUTE, Instant
from heliograph.domain.lifecycle import FINAL, TABLE, Change, Status, after, born
from heliograph.domain.message import DeliveryError, Facts, Message
from heliograph.domain.text import Encoding
from tests.test_bodies import AT, ORGANIZATION, OUTBOUND

FACTS = Facts(Encoding.GSM7, 13)
OWN, OWN_2, PROFILE, PROFILE_2 = (f"https://example.com/{name}" for name in ("own", "own2", "profile", "profile2"))
ERROR = DeliveryError("40001", "Not routable", "It is a landline.")


def happened(message: Message, change: Change, at: Instant) -> Message:
    """A message after a change, as the statements of the store leave it."""
    status = after(message.status, change)
    fields: dict[str, Any] = {"status": status, "due_at": None}
    if status in FINAL and status is not Status.CANCELLED:
        fields["completed_at"] = at
    match change:
        case Change.CLAIM:
            fields |= {"carrier": "sandbox", "attempts": message.attempts + 1}
        case Change.HAND_BACK | Change.RECOVER | Change.DEFER:
            fields["due_at"] = at
        case Change.ACCEPT:
            fields |= {"left_at": at, "sent_at": at, "carrier_message_id": "c-1"}
        case Change.OPT_OUT | Change.EXPIRE | Change.REFUSE | Change.LOSE | Change.FAIL:
            fields["errors"] = (ERROR,)
    return replace(message, **fields)


def story(first: Message, changes: Sequence[Change]) -> tuple[Message, dict[EventType, Message]]:
    """The message after those of the changes that can happen, and as it was at each of its events."""
    message = first
    told = {EventType.SCHEDULED: first} if first.status is Status.SCHEDULED else {}
    for number, change in enumerate(changes):
        if (message.status, change) not in TABLE:
            continue
        message = happened(message, change, Instant(AT + number * MINUTE))
        if (event := reported(change, OPTIONAL)) is not None:
            # The one word that is another: no webhook knows `cancelled`, but for the event of a cancel.
            stopped = change is Change.OPT_OUT
            told[event] = replace(message, status=Status.SENDING_FAILED) if stopped else message
    return message, told


def first_of(*, scheduled: bool) -> Message:
    """A message as it was taken."""
    send_at = Instant(AT + DAY) if scheduled else None
    return replace(OUTBOUND, status=born(scheduled=scheduled), send_at=send_at, due_at=send_at or AT)


CHANGES = [Change.CLAIM, Change.ACCEPT, *Change]


@given(st.booleans(), st.lists(st.sampled_from(CHANGES), max_size=20))
def test_an_event_says_what_was_true_when_it_happened_whatever_came_later(
    scheduled: bool, changes: list[Change]
) -> None:
    message, told = story(first_of(scheduled=scheduled), changes)
    assert {event: as_of(message, event) for event in told} == told


@pytest.mark.parametrize("end", [Change.DELIVER, Change.FAIL, Change.UNCONFIRM])
def test_sent_is_told_as_sent_after_the_end_came(end: Change) -> None:
    message, told = story(first_of(scheduled=True), [Change.CLAIM, Change.ACCEPT, end])
    assert list(told) == [EventType.SCHEDULED, EventType.SENT, EventType.FINALIZED]
    sent = as_of(message, EventType.SENT)
    assert (sent.status, sent.completed_at, sent.errors) == (Status.SENT, None, ())


@pytest.mark.parametrize("event", EventType)
def test_as_of_again_changes_nothing(event: EventType) -> None:
    message, _ = story(first_of(scheduled=True), [Change.CLAIM, Change.ACCEPT, Change.FAIL])
    once = as_of(message, event)
    assert as_of(once, event) == once


REPORTED = {
    Change.ACCEPT: EventType.SENT,
    Change.CANCEL: EventType.CANCELLED,
    Change.DELIVER: EventType.FINALIZED,
    Change.EXPIRE: EventType.FINALIZED,
    Change.FAIL: EventType.FINALIZED,
    Change.LOSE: EventType.FINALIZED,
    Change.OPT_OUT: EventType.FINALIZED,
    Change.REFUSE: EventType.FINALIZED,
    Change.UNCONFIRM: EventType.FINALIZED,
}


@pytest.mark.parametrize("change", Change)
def test_what_is_sent_and_every_end_is_reported_and_nothing_else(change: Change) -> None:
    assert reported(change, OPTIONAL) == REPORTED.get(change)


def test_a_cancel_is_reported_only_where_it_is_asked_for() -> None:
    assert reported(Change.CANCEL, []) is None
    assert reported(Change.CANCEL, [EventType.SCHEDULED]) is None
    assert reported(Change.CANCEL, [EventType.CANCELLED]) is EventType.CANCELLED
    assert reported(Change.OPT_OUT, []) is EventType.FINALIZED


def own(first: str | None, second: str | None = None, *, use_profile: bool = True) -> Facts:
    """A message that came with URLs."""
    return replace(
        FACTS, webhook_url=first, webhook_failover_url=second, own_webhooks=True, use_profile_webhooks=use_profile
    )


BOTH = ProfileSettings(webhook_url=PROFILE, webhook_failover_url=PROFILE_2)


@pytest.mark.parametrize(
    ("facts", "settings", "urls"),
    [
        (own(OWN, OWN_2), BOTH, [OWN, OWN_2, PROFILE, PROFILE_2]),
        (own(None, OWN_2), BOTH, [OWN_2, PROFILE, PROFILE_2]),
        (own(OWN, use_profile=False), BOTH, [OWN]),
        (own(OWN, OWN), ProfileSettings(webhook_url=OWN), [OWN]),
        (own(PROFILE_2), BOTH, [PROFILE_2, PROFILE]),
        (own(OWN), None, [OWN]),
        (replace(FACTS, webhook_url=OWN), BOTH, [PROFILE, PROFILE_2]),  # the profile's as they were: those now count
        (replace(FACTS, use_profile_webhooks=False), BOTH, []),
        (FACTS, ProfileSettings(webhook_url="", webhook_failover_url=PROFILE_2), [PROFILE_2]),
        (FACTS, ProfileSettings(), []),
        (FACTS, None, []),
        (None, BOTH, [PROFILE, PROFILE_2]),
        (None, ProfileSettings(webhook_url=PROFILE, webhook_failover_url=PROFILE), [PROFILE]),
        (None, None, []),
    ],
)
def test_an_event_goes_to_each_url_once_those_of_the_message_first(
    facts: Facts | None, settings: ProfileSettings | None, urls: list[str]
) -> None:
    assert list(urls_for(facts, settings)) == urls


def test_a_profiles_urls_are_not_a_messages_own() -> None:
    assert list(own_urls(replace(FACTS, webhook_url=PROFILE))) == []


def test_an_endpoint_has_one_name_for_each_organisation_and_url() -> None:
    other = OrganizationId("00000000-0000-7000-8000-000000000009")
    names = {endpoint_id(organization, url) for organization in (ORGANIZATION, other) for url in (OWN, OWN_2)}
    assert len(names) == 4
    assert {len(name) for name in names} == {32}
    assert endpoint_id(ORGANIZATION, OWN) in names
