"""A message as it is taken, with every part that does not matter filled in."""

from typing import Any

from msgspec.structs import replace

from heliograph.domain.ids import MessageId, OrganizationId, ProfileId
from heliograph.domain.instant import HOUR, Instant, parse
from heliograph.domain.lifecycle import Status
from heliograph.domain.message import Facts, Message, MessageType
from heliograph.domain.text import Encoding

NOW = parse("2026-01-01T00:00:00Z")
_SMS = Message(
    id=MessageId("01900000-0000-7000-8000-000000000003"),
    organization_id=OrganizationId("00000000-0000-7000-8000-000000000001"),
    profile_id=ProfileId("00000000-0000-7000-8000-000000000002"),
    type=MessageType.SMS,
    status=Status.QUEUED,
    sender="+18445550001",
    recipient="+18665550001",
    text="Hello, World!",
    parts=1,
    rate=205,
    carrier_fee=305,
    received_at=NOW,
    send_at=None,
    due_at=NOW,
    valid_until=Instant(NOW + HOUR),
    facts=Facts(Encoding.GSM7, 13),
)


def a_message(**given: Any) -> Message:
    """An SMS to be sent at once, from a toll-free number, with some fields changed."""
    return replace(_SMS, **given)
