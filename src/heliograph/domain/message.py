"""An outbound message, from the request that made it to its last status."""

from enum import StrEnum

import msgspec

from heliograph.domain.ids import MessageId, OrganizationId, ProfileId
from heliograph.domain.instant import Instant
from heliograph.domain.lifecycle import Status
from heliograph.domain.text import Encoding


class MessageType(StrEnum):
    """`type` of a message."""

    SMS = "SMS"
    MMS = "MMS"


class Media(msgspec.Struct, frozen=True):
    """One item of an MMS; all but the URL are unknown until it is fetched (Contract 4.3)."""

    url: str
    content_type: str | None = None
    sha256: str | None = None
    size: int | None = None


class DeliveryError(msgspec.Struct, frozen=True):
    """Why a message failed, as it stands in its `errors[]`."""

    code: str
    title: str
    detail: str


class Progress(msgspec.Struct, frozen=True):
    """How much of a message its carrier has, while not all of it is known to be taken.

    Such a message is never given to another carrier: a handset would get its beginning twice.
    """

    carrier: str
    ids: tuple[str | None, ...]
    """Its id of each part that left, in order; None for one of which nobody knows."""
    total: int = 1
    """How many parts it has with that carrier."""


class Facts(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was true when the message was taken. It is kept with the message and never changes."""

    encoding: Encoding
    num_chars: int
    body: str | None = None
    """The text as it goes to the carrier, where smart encoding or short links changed it."""
    smart_encoding_applied: bool = False
    subject: str | None = None
    media: tuple[Media, ...] = ()
    tags: tuple[str, ...] = ()
    from_carrier: str = ""
    from_line_type: str = ""
    to_carrier: str = ""
    to_line_type: str = ""
    campaign_id: str | None = None
    campaign_billable: bool = False
    campaign_registered: str | None = None
    campaign_class: str | None = None
    """What its campaign's throughput goes by (`campaign_classes.MessageClass`)."""
    webhook_url: str | None = None
    webhook_failover_url: str | None = None
    own_webhooks: bool = False
    """The two URLs came with the message, not from its profile."""
    use_profile_webhooks: bool = True
    currency: str = "USD"


class Message(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One message to one recipient. A group MMS is one of these for each recipient, with one `group_id`."""

    id: MessageId
    organization_id: OrganizationId
    profile_id: ProfileId
    type: MessageType
    status: Status
    sender: str
    recipient: str
    text: str | None
    parts: int
    rate: int
    """Price of the whole message in 1/100000 of `facts.currency`; so is `carrier_fee`."""
    carrier_fee: int
    received_at: Instant
    send_at: Instant | None
    """When the caller wants it to leave; None means at once."""
    valid_until: Instant
    facts: Facts
    group_id: MessageId | None = None
    due_at: Instant | None = None
    """From when a dispatcher may claim it; None while it is claimed and after the last try."""
    left_at: Instant | None = None
    """When its bytes were given to the carrier."""
    sent_at: Instant | None = None
    completed_at: Instant | None = None
    attempts: int = 0
    carrier: str | None = None
    carrier_message_id: str | None = None
    errors: tuple[DeliveryError, ...] = ()
    progress: Progress | None = None
    fetched: tuple[Media, ...] | None = None
    """Its media as they were fetched for the carrier; None before that."""
    answers: MessageId | None = None
    """The inbound message that it answers by itself. Such a reply passes an opt-out: it is what confirms it."""

    @property
    def body(self) -> str | None:
        """The text as it goes to the carrier."""
        return self.text if self.facts.body is None else self.facts.body

    @property
    def media(self) -> tuple[Media, ...]:
        """What is known of its media."""
        return self.facts.media if self.fetched is None else self.fetched

    @property
    def wait(self) -> int:
        """Microseconds that it waits for the next free slot of its sender or account; 0 once it is on its way."""
        if self.status is not Status.QUEUED or self.due_at is None:
            return 0
        return max(0, self.due_at - (self.received_at if self.send_at is None else self.send_at))

    def postponed(self, due_at: Instant) -> "Message":
        """The same, due later; its validity is counted from then on."""
        before = self.due_at if self.due_at is not None else due_at
        return msgspec.structs.replace(
            self, due_at=due_at, valid_until=Instant(self.valid_until + max(0, due_at - before))
        )

    @property
    def lateness(self) -> int | None:
        """Microseconds between the moment it was wanted and the moment it left (promise P4)."""
        if self.left_at is None:
            return None
        return self.left_at - (self.received_at if self.send_at is None else self.send_at)

    @property
    def charged(self) -> bool:
        """Whether it costs anything: a message is charged when it is released (Contract 2.5, code 40014).

        One that we held back ourselves at its release, and gave to no carrier, is not.
        """
        held_back = self.status is Status.SENDING_FAILED and self.left_at is None
        return not held_back and self.status not in {Status.SCHEDULED, Status.CANCELLED, Status.EXPIRED}
