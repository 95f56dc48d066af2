"""Bodies of the API alone: what callers send, what they are answered. Field order is the provider's (Contract 4.7).

A shape, a domain object and a row are three things; the functions here turn one into another. What webhooks show as
well is in `bodies.py`.
"""

from collections.abc import Sequence

import msgspec
from msgspec import UNSET, Struct, field

from heliograph.bodies import Cost, FromBody, ToBody, from_body, time_text, to_body
from heliograph.domain.compose import Form, SendCommand
from heliograph.domain.errors import Code, Refusal
from heliograph.domain.handset import HandsetMessage
from heliograph.domain.instant import MILLISECOND, to_text
from heliograph.domain.message import DeliveryError, Media, Message


class SendRequest(Struct, kw_only=True):
    """The body of every send endpoint; which fields an endpoint takes: Contract 4.1. Unknown fields are ignored."""

    to: str | list[str] | None = None
    sender: str | None = field(default=None, name="from")
    messaging_profile_id: str | None = None
    text: str | None = None
    subject: str | None = None
    media_urls: list[str] | None = None
    type: str | None = None
    webhook_url: str | None = None
    webhook_failover_url: str | None = None
    use_profile_webhooks: bool | None = None
    auto_detect: bool | None = None
    encoding: str | None = None
    send_at: str | None = None


class CancelledBody(Struct, kw_only=True):
    """A cancelled message: the keys of the cancel page in its order, then further documented ones."""

    record_type: str = "message"
    direction: str = "outbound"
    id: str
    type: str
    messaging_profile_id: str
    organization_id: str
    sender: FromBody = field(name="from")
    to: list[ToBody]
    cc: list[str] = []
    text: str
    subject: str | None
    media: Sequence[Media]
    webhook_url: str | None
    webhook_failover_url: str | None
    encoding: str
    parts: int
    tags: Sequence[str]
    cost: Cost
    cost_breakdown: None = None
    tcr_campaign_id: str | None
    tcr_campaign_billable: bool
    tcr_campaign_registered: str | None
    received_at: str
    sent_at: None = None
    completed_at: None = None
    valid_until: None = None
    errors: Sequence[DeliveryError]
    num_chars: int
    smart_encoding_applied: bool
    send_at: str | None


class Data(Struct):
    """The envelope of an answer."""

    data: object
    meta: object = UNSET


class EventBody(Struct):
    """One entry of a timeline."""

    id: str
    change: str
    status: str
    occurred_at: str
    detail: str | None


class ArrivalBody(Struct):
    """A message on a handset."""

    id: str
    message_id: str
    sender: str = field(name="from")
    to: str
    type: str
    subject: str | None
    text: str | None
    segments: Sequence[str]
    media_urls: Sequence[str]
    arrived_at: str


def to_command(form: Form, request: SendRequest) -> SendCommand:
    """A body as the domain takes it. Raises a `Refusal` for a NUL, which no carrier and no database can hold."""
    for name in ("text", "subject", "sender"):
        if "\0" in (getattr(request, name) or ""):
            pointer = "/from" if name == "sender" else f"/{name}"
            raise Refusal(Code.BAD_REQUEST, "The character U+0000 cannot be sent.", pointer)
    return SendCommand(
        form=form,
        to=request.to,
        sender=request.sender,
        profile_id=request.messaging_profile_id,
        text=request.text,
        subject=request.subject,
        media_urls=request.media_urls,
        type=request.type,
        webhook_url=request.webhook_url or None,
        webhook_failover_url=request.webhook_failover_url or None,
        use_profile_webhooks=request.use_profile_webhooks is not False,
        auto_detect=bool(request.auto_detect),
        encoding=request.encoding,
        send_at=request.send_at,
    )


def cancelled_body(message: Message) -> CancelledBody:
    """The answer to DELETE; the same however often it is asked."""
    facts = message.facts
    return CancelledBody(
        id=message.id,
        type=message.type,
        messaging_profile_id=message.profile_id,
        organization_id=message.organization_id,
        sender=from_body(message),
        to=[to_body(message)],
        text=message.text or "",
        subject=facts.subject,
        media=facts.media,
        webhook_url=facts.webhook_url,
        webhook_failover_url=facts.webhook_failover_url,
        encoding=facts.encoding,
        parts=message.parts,
        tags=facts.tags,
        cost=Cost(),
        tcr_campaign_id=facts.campaign_id,
        tcr_campaign_billable=facts.campaign_billable,
        tcr_campaign_registered=facts.campaign_registered,
        received_at=to_text(message.received_at),
        errors=message.errors,
        num_chars=facts.num_chars,
        smart_encoding_applied=facts.smart_encoding_applied,
        send_at=time_text(message.send_at),
    )


def arrival_body(arrival: HandsetMessage) -> ArrivalBody:
    """A message on a handset."""
    return ArrivalBody(
        id=arrival.id,
        message_id=arrival.message_id,
        sender=arrival.sender,
        to=arrival.handset,
        type=arrival.type,
        subject=arrival.subject,
        text=arrival.text,
        segments=arrival.segments,
        media_urls=arrival.media_urls,
        arrived_at=to_text(arrival.arrived_at),
    )


def lateness_ms(message: Message) -> float | None:
    """How long after its time a message left, in milliseconds (promise P4)."""
    return None if message.lateness is None else message.lateness / MILLISECOND


encode = msgspec.json.Encoder().encode
SEND_DECODER = msgspec.json.Decoder(SendRequest)
