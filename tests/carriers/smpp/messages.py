"""Messages and options that the tests of the SMPP carrier are made of."""

from itertools import count
from typing import Any

from msgspec.structs import replace

from heliograph.carriers.smpp.options import SmppOptions
from heliograph.domain.ids import MessageId, OrganizationId, ProfileId
from heliograph.domain.instant import HOUR, MILLISECOND, SECOND, Instant
from heliograph.domain.lifecycle import Status
from heliograph.domain.message import Facts, Message, MessageType
from heliograph.domain.text import RequestedEncoding, encode

SENDER, RECIPIENT = "+18445550001", "+18665550001"
_numbers = count(1)


def message_of(text: str = "Hello", *, now: int, **given: Any) -> Message:
    """A message with a text, taken at `now` and valid for an hour."""
    encoded = encode(text, RequestedEncoding.AUTO, smart=False)
    message = Message(
        id=MessageId(f"00000000-0000-7000-8000-{next(_numbers):012}"),
        organization_id=OrganizationId("00000000-0000-7000-8000-000000000001"),
        profile_id=ProfileId("00000000-0000-7000-8000-000000000002"),
        type=MessageType.SMS,
        status=Status.SENDING,
        sender=SENDER,
        recipient=RECIPIENT,
        text=text,
        parts=encoded.parts,
        rate=0,
        carrier_fee=0,
        received_at=Instant(now),
        send_at=None,
        valid_until=Instant(now + HOUR),
        facts=Facts(encoded.encoding, encoded.num_chars),
    )
    return replace(message, **given)


def options_of(port: int = 2775, **given: Any) -> SmppOptions:
    """A carrier on this machine whose waits are short."""
    waits = dict.fromkeys(("rebind_base", "refused_base", "throttle_base"), 20 * MILLISECOND)
    usual: dict[str, Any] = {"name": "north", "host": "127.0.0.1", "port": port, "system_id": "me", "password": "pw"}
    usual["unbind_timeout"] = 2 * SECOND
    return SmppOptions(**usual | waits | given)
