"""A message as callers and webhooks are shown it, one body for both. Field order is the provider's (Contract 3.3, 4.7).

What is only asked or only answered over HTTP is in `api/shapes.py`; what an attempt wraps around an event, in
`webhooks/payload.py`.
"""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import UNSET, Struct, UnsetType, field

from heliograph.domain.events import EventType, as_of
from heliograph.domain.ids import MessageId
from heliograph.domain.inbound import InboundMessage
from heliograph.domain.instant import SECOND, Instant, to_text
from heliograph.domain.lifecycle import Status
from heliograph.domain.message import DeliveryError, Media, Message, MessageType
from heliograph.domain.pricing import amount_text


class FromBody(Struct):
    phone_number: str
    carrier: str
    line_type: str


class ToBody(Struct):
    phone_number: str
    status: str
    carrier: str
    line_type: str


class Money(Struct):
    amount: str
    currency: str


class Cost(Struct):
    """What a message costs; one that was cancelled costs the number 0 of no currency, as the cancel page has it."""

    amount: str | int = 0
    currency: str | None = None


class CostBreakdown(Struct):
    carrier_fee: Money
    rate: Money


class MessageBody(Struct, kw_only=True):
    """A message as sending and reading answer it, and as its events report it."""

    record_type: str = "message"
    direction: str = "outbound"
    id: str
    type: str
    organization_id: str
    messaging_profile_id: str
    sender: FromBody = field(name="from")
    to: list[ToBody]
    cc: list[str] = []
    text: str
    subject: str | UnsetType | None = UNSET
    media: Sequence[Media]
    webhook_url: str | None
    webhook_failover_url: str | None
    encoding: str
    parts: int
    tags: Sequence[str]
    cost: Cost | None
    tcr_campaign_id: str | None
    tcr_campaign_billable: bool
    tcr_campaign_registered: str | None
    received_at: str
    sent_at: str | None
    completed_at: str | None
    valid_until: str | None
    errors: Sequence[DeliveryError]
    cost_breakdown: CostBreakdown | None
    num_chars: int
    smart_encoding_applied: bool
    wait_seconds: float = 0.0
    send_at: str | UnsetType = UNSET
    group_message_id: str | UnsetType = UNSET


class InboundFromBody(Struct):
    carrier: str
    line_type: str
    phone_number: str


class InboundToBody(Struct):
    carrier: str
    line_type: str
    phone_number: str
    # A real capture has this word on the first attempt already (Contract 3.3).
    status: str = "webhook_delivered"


class InboundBody(Struct, kw_only=True):
    """A message that came in, as reading answers it and as `message.received` reports it.

    The keys of a real capture in its order, the alphabet's, and among them those that only the provider's description
    has: `cost_breakdown`, `num_chars`, `tcr_*` (Contract 3.3). To receive costs nothing, so both costs are null.
    """

    autoresponse_type: str | None
    cc: list[str] = []
    completed_at: None = None
    cost: None = None
    cost_breakdown: None = None
    direction: str = "inbound"
    encoding: str
    errors: list[DeliveryError] = []
    sender: InboundFromBody = field(name="from")
    id: str
    media: Sequence[Media]
    messaging_profile_id: str
    num_chars: int
    organization_id: str
    parts: int
    received_at: str
    record_type: str = "message"
    sent_at: None = None
    subject: str
    tags: Sequence[str]
    tcr_campaign_billable: bool
    tcr_campaign_id: str | None
    tcr_campaign_registered: str | None
    text: str
    to: list[InboundToBody]
    type: str
    valid_until: None = None
    webhook_failover_url: str
    webhook_url: str


class WebhookBody(Struct):
    """An event of version 2 (Contract 3.3)."""

    event_type: str
    id: str
    occurred_at: str
    payload: MessageBody | InboundBody | Mapping[str, str]
    record_type: str = "event"


def payload_of(message: Message | InboundMessage, event: EventType) -> MessageBody | InboundBody:
    """The message as it was at `event`, which any later state of it tells.

    A group MMS has one event for each recipient: `to` holds that one, `id` is its own message's, and
    `group_message_id` names the group (Contract 3.3). `from` has no `status`: the description of outbound messages
    knows none, and the one sample that shows it has a word of inbound ones there.
    """
    if isinstance(message, InboundMessage):
        return inbound_body(message)
    return message_body([as_of(message, event)])


def webhook(
    event_id: str, event: EventType, occurred_at: Instant, payload: MessageBody | InboundBody | Mapping[str, str]
) -> bytes:
    """An event of version 2 as bytes, to be kept: they are sent the same each time.

    The payload of a profile's event is texts by name.
    """
    return _encode(WebhookBody(event, event_id, to_text(occurred_at), payload))


def click_payload(message_id: MessageId, recipient: str, url: str, clicked_at: Instant) -> Mapping[str, str]:
    """A click on a short link: all that is sent of its event (Contract 3.2, S:ReplacedLinkClick).

    `to` is the number without its `+`, as the one sample has it.
    """
    return {
        "message_id": message_id,
        "record_type": "link_clicked",
        "time_clicked": to_text(clicked_at),
        "to": recipient.removeprefix("+"),
        "url": url,
    }


_encode = msgspec.json.Encoder().encode


def message_body(messages: Sequence[Message]) -> MessageBody:
    """One message; or the messages of a group as one, with a recipient each."""
    first = messages[0]
    facts = first.facts
    cost, breakdown = _cost(messages)
    return MessageBody(
        id=first.id,
        type=first.type,
        organization_id=first.organization_id,
        messaging_profile_id=first.profile_id,
        sender=from_body(first),
        to=[to_body(each) for each in messages],
        text=first.text or "",
        subject=facts.subject if facts.subject is not None or first.type is MessageType.MMS else UNSET,
        media=first.media,
        # Unset, they are empty texts here (Contract 3.7, captures) and null on the cancel page.
        webhook_url=facts.webhook_url or "",
        webhook_failover_url=facts.webhook_failover_url or "",
        encoding=facts.encoding,
        parts=first.parts,
        tags=facts.tags,
        cost=cost,
        tcr_campaign_id=facts.campaign_id,
        tcr_campaign_billable=facts.campaign_billable,
        tcr_campaign_registered=facts.campaign_registered,
        received_at=to_text(first.received_at),
        sent_at=time_text(first.sent_at),
        completed_at=time_text(first.completed_at),
        valid_until=to_text(first.valid_until) if first.status is Status.QUEUED else None,
        errors=[error for each in messages for error in each.errors],
        cost_breakdown=breakdown,
        num_chars=facts.num_chars,
        smart_encoding_applied=facts.smart_encoding_applied,
        wait_seconds=max(each.wait for each in messages) / SECOND,
        send_at=UNSET if first.send_at is None else to_text(first.send_at),
        group_message_id=UNSET if first.group_id is None else first.group_id,
    )


def inbound_body(message: InboundMessage) -> InboundBody:
    """A message that came in. What is unset is an empty text, as in captures, `subject` of an SMS too."""
    facts = message.facts
    return InboundBody(
        autoresponse_type=message.operation,
        encoding=facts.encoding,
        sender=InboundFromBody(facts.from_carrier, facts.from_line_type, message.sender),
        id=message.id,
        media=facts.media,
        messaging_profile_id=message.profile_id,
        num_chars=facts.num_chars,
        organization_id=message.organization_id,
        parts=message.parts,
        received_at=to_text(message.received_at),
        subject=facts.subject or "",
        tags=facts.tags,
        tcr_campaign_billable=facts.campaign_billable,
        tcr_campaign_id=facts.campaign_id,
        tcr_campaign_registered=facts.campaign_registered,
        text=message.text or "",
        to=[InboundToBody(facts.to_carrier, facts.to_line_type, message.recipient)],
        type=message.type,
        webhook_failover_url=facts.webhook_failover_url or "",
        webhook_url=facts.webhook_url or "",
    )


def from_body(message: Message) -> FromBody:
    """Who sends."""
    return FromBody(message.sender, message.facts.from_carrier, message.facts.from_line_type)


def to_body(message: Message) -> ToBody:
    """To whom, and how far it has come."""
    return ToBody(message.recipient, message.status, message.facts.to_carrier, message.facts.to_line_type)


def time_text(instant: Instant | None) -> str | None:
    """A moment that may not have come yet."""
    return None if instant is None else to_text(instant)


def _cost(messages: Sequence[Message]) -> tuple[Cost | None, CostBreakdown | None]:
    """What is charged: nothing before the release, nothing for what was cancelled or expired (Contract 9, 2.5)."""
    # All of them: an opt-out can cancel one recipient of a group, and the others are charged.
    statuses = {each.status for each in messages}
    if statuses == {Status.SCHEDULED}:
        return None, None
    if statuses == {Status.CANCELLED}:
        return Cost(), None
    currency = messages[0].facts.currency
    rate = sum(each.rate for each in messages if each.charged)
    fee = sum(each.carrier_fee for each in messages if each.charged)
    if not any(each.charged for each in messages):
        return Cost(amount_text(0, 4), currency), None
    breakdown = CostBreakdown(Money(amount_text(fee, 5), currency), Money(amount_text(rate, 5), currency))
    return Cost(amount_text(rate + fee, 4), currency), breakdown
