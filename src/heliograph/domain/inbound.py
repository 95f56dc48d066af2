"""Messages that come in: as a carrier hands them over, and as they are kept."""

from enum import StrEnum

import msgspec

from heliograph.domain.ids import MessageId, OrganizationId, ProfileId
from heliograph.domain.instant import Instant
from heliograph.domain.message import Media, MessageType
from heliograph.domain.text import Encoding


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
