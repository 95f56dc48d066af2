"""What is reported, when, and where to (Contract 3.2, 3.7).

Every change of a message has one event id, kept in its log; some changes are reported under it. What an event says is
the message as it was at that change: `as_of` takes it from the message as it is now, for everything else about a
message either never changes or belongs to a later change.

Some events are not a change of a message: they are a profile's, go to its URLs alone, and what they say is written down
when they happen.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from hashlib import sha256

import msgspec

from heliograph.domain.accounts import ProfileSettings
from heliograph.domain.ids import OrganizationId
from heliograph.domain.lifecycle import FINAL, Change, Status, result
from heliograph.domain.message import Facts, Message


class EventType(StrEnum):
    """`event_type` of an event."""

    RECEIVED = "message.received"
    SENT = "message.sent"
    FINALIZED = "message.finalized"
    SCHEDULED = "message.scheduled"
    CANCELLED = "message.cancelled"
    SPEND_LIMIT_REACHED = "messaging-profile.spend-limit-reached"
    LINK_CLICKED = "link_clicked"
    """Of a click its payload is sent alone, without an `event_type`: it is listed under its `record_type`."""


OPTIONAL = (EventType.SCHEDULED, EventType.CANCELLED)
"""Extensions: the provider reports neither (Contract 1.7), so they are sent only where the operator asks for them."""

OF_PROFILES = frozenset({EventType.RECEIVED, EventType.SPEND_LIMIT_REACHED, EventType.LINK_CLICKED})
"""Those that only the URLs of the profile are asked for: no URL came with a request."""

REPORTED: Mapping[Change, EventType] = {
    change: EventType.SENT if result(change) is Status.SENT else EventType.FINALIZED
    for change in Change
    if result(change) in FINAL | {Status.SENT}
} | {Change.CANCEL: EventType.CANCELLED}


def reported(change: Change, optional: Iterable[EventType]) -> EventType | None:
    """The event that reports `change`; None for one that is not reported, or an optional one not asked for."""
    event = REPORTED.get(change)
    return None if event in OPTIONAL and event not in optional else event


def as_of(message: Message, event: EventType) -> Message:
    """The message as it was when `event` happened, from the message as it is at any later time."""
    if event is EventType.SCHEDULED:
        early = {"left_at": None, "carrier": None, "carrier_message_id": None, "due_at": message.send_at}
        nothing = {"sent_at": None, "completed_at": None, "errors": (), "attempts": 0}
        return msgspec.structs.replace(message, status=Status.SCHEDULED, **early, **nothing)
    if event is EventType.SENT:
        return msgspec.structs.replace(message, status=Status.SENT, completed_at=None, errors=())
    if event is EventType.FINALIZED and message.status is Status.CANCELLED:
        # Its recipient wrote STOP. `cancelled` is no word of a webhook (Contract 3.2), and the SDKs leave an event with
        # an unknown one untyped: it says that the message was not handed over, and its errors say why.
        return msgspec.structs.replace(message, status=Status.SENDING_FAILED)
    return message


def own_urls(facts: Facts) -> Sequence[str]:
    """The URLs that came with a message, in the order they are tried."""
    return _present(facts.webhook_url, facts.webhook_failover_url) if facts.own_webhooks else ()


def profile_urls(settings: ProfileSettings) -> Sequence[str]:
    """The URLs of a profile, in the order they are tried."""
    return _present(settings.webhook_url, settings.webhook_failover_url)


def urls_for(facts: Facts | None, settings: ProfileSettings | None) -> Sequence[str]:
    """Where an event goes: the message's URLs, then its profile's as they are now (Contract 3.7, 13 #8).

    Each URL stands there once. `facts` None stands for an event that has only its profile's; `settings` None for a
    deleted profile.
    """
    own = own_urls(facts) if facts is not None else ()
    if settings is None or (facts is not None and not facts.use_profile_webhooks):
        return _once(own)
    return _once([*own, *profile_urls(settings)])


def endpoint_id(organization_id: OrganizationId, url: str) -> str:
    """The name of one URL of one organisation, under which its pace and its state are kept."""
    return sha256(f"{organization_id} {url}".encode()).hexdigest()[:32]


def _once(urls: Iterable[str]) -> Sequence[str]:
    return list(dict.fromkeys(urls))


def _present(*urls: str | None) -> Sequence[str]:
    return [url for url in urls if url]
