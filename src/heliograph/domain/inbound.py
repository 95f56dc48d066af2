"""Messages that come in: as a carrier hands them over, and as they are kept."""

from enum import StrEnum

import msgspec

from heliograph.domain.accounts import Profile, Sender
from heliograph.domain.ids import MessageId, OrganizationId, ProfileId
from heliograph.domain.instant import Instant
from heliograph.domain.message import Media, MessageType
from heliograph.domain.numbers import NumberDirectory
from heliograph.domain.text import Encoding, RequestedEncoding, encode


class Operation(StrEnum):
    """What a keyword asks for: `autoresponse_type` of an inbound message (Contract 7.2)."""

    STOP = "STOP"
    START = "START"
    HELP = "HELP"


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """A whole message as a carrier hands it over, its parts put together."""

    carrier: str
    sender: str
    """Who wrote it: E.164, a short code or an alphanumeric sender."""
    recipient: str
    """Our number that it was sent to."""
    text: str | None = None
    subject: str | None = None
    media: tuple[Media, ...] = ()
    encoding: Encoding | None = None
    """As it came over the air; None where the carrier does not tell, and the text decides."""
    parts: int | None = None
    """Likewise."""
    reference: str | None = None
    """The carrier's own id of it: what is handed over twice is kept once."""


class InboundFacts(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was true when the message came. It is kept with the message and never changes."""

    encoding: Encoding
    num_chars: int
    subject: str | None = None
    media: tuple[Media, ...] = ()
    tags: tuple[str, ...] = ()
    from_carrier: str = ""
    from_line_type: str = ""
    to_carrier: str = ""
    to_line_type: str = ""
    webhook_url: str | None = None
    webhook_failover_url: str | None = None
    currency: str = "USD"
    campaign_id: str | None = None
    campaign_billable: bool = False
    campaign_registered: str | None = None
    no_reply: str | None = None
    """Why its keyword was not answered by itself, where one would expect an answer."""


class InboundMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message that somebody sent to one of our numbers."""

    id: MessageId
    organization_id: OrganizationId
    profile_id: ProfileId
    type: MessageType
    sender: str
    recipient: str
    text: str | None
    parts: int
    received_at: Instant
    carrier: str
    facts: InboundFacts
    carrier_reference: str | None = None
    operation: Operation | None = None


class NotOurs(Exception):
    """The number that a message was sent to is nobody's here; the text says so to whoever handed it over."""


def received(
    arrival: Arrival,
    number: Sender,
    profile: Profile,
    directory: NumberDirectory,
    *,
    message_id: MessageId,
    now: Instant,
    operation: Operation | None,
    no_reply: str | None = None,
) -> InboundMessage:
    """An arrival as it is kept, for the number it was sent to and the profile of that number."""
    mms = bool(arrival.media) or arrival.subject is not None
    encoded = encode(arrival.text or "", RequestedEncoding.AUTO, smart=False)
    person = directory.facts(arrival.sender)
    campaign = number.campaign
    facts = InboundFacts(
        encoding=arrival.encoding or encoded.encoding,
        num_chars=encoded.num_chars,
        subject=arrival.subject,
        media=arrival.media,
        tags=number.tags,
        from_carrier=person.carrier,
        from_line_type=person.line_type,
        to_carrier=number.carrier,
        to_line_type=number.line_type,
        webhook_url=profile.settings.webhook_url,
        webhook_failover_url=profile.settings.webhook_failover_url,
        campaign_id=campaign.id if campaign else None,
        campaign_billable=campaign.billable if campaign else False,
        campaign_registered=campaign.registered if campaign else None,
        no_reply=no_reply,
    )
    return InboundMessage(
        id=message_id,
        organization_id=profile.organization_id,
        profile_id=profile.id,
        type=MessageType.MMS if mms else MessageType.SMS,
        sender=arrival.sender,
        recipient=arrival.recipient,
        text=arrival.text,
        parts=1 if mms else arrival.parts or encoded.parts,
        received_at=now,
        carrier=arrival.carrier,
        carrier_reference=arrival.reference,
        operation=operation,
        facts=facts,
    )
