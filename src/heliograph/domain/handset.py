"""What the simulated carrier deals in: messages on handsets, and receipts still to come."""

from collections.abc import Sequence
from dataclasses import dataclass

from heliograph.domain.ids import MessageId
from heliograph.domain.instant import Instant
from heliograph.domain.lifecycle import Change
from heliograph.domain.message import DeliveryError


@dataclass(frozen=True, slots=True)
class HandsetMessage:
    """A message as it arrived on a handset."""

    id: str
    message_id: MessageId
    handset: str
    sender: str
    type: str
    subject: str | None
    text: str | None
    segments: Sequence[str]
    media_urls: Sequence[str]
    arrived_at: Instant


@dataclass(frozen=True, slots=True)
class HandsetSend:
    """A message that somebody writes on a handset."""

    handset: str
    to: str
    text: str | None
    subject: str | None
    media_urls: Sequence[str]


@dataclass(frozen=True, slots=True)
class ComingReceipt:
    """A receipt that the simulated carrier has yet to send."""

    id: str
    carrier_message_id: str
    change: Change
    due_at: Instant
    error: DeliveryError | None = None


@dataclass(frozen=True, slots=True)
class Submission:
    """What follows from one submit: a message on a handset, or none, and receipts."""

    message_id: MessageId
    arrival: HandsetMessage | None
    receipts: Sequence[ComingReceipt]
    once: bool
    """Whether a second submit of the same message changes nothing."""
