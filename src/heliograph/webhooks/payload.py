"""What a webhook says: bodies become bytes here, once for each event.

    version 2: {"data": {event_type, id, occurred_at, payload, record_type}, "meta": {attempt, delivered_to}}
    a click:   {"data": {message_id, time_clicked, to, url, record_type}}
    version 1: a flat record of a message; an attempt adds nothing to it                  (Contract 3.2, 3.3, 3.8)

The bytes of an event are kept and sent again byte for byte; the envelope of version 2 is put around them for each
attempt. `webhook_api_version` "2010-04-01" is a form of another provider that is not served: it gets version 2. Version
1 has no form for what is not a message: events of a profile and clicks go to it as they go to version 2, signed so too.

Version 1 is told by the provider's older documentation alone: the messaging migration guide (`message.sent`), the v1
pages "Message Detail Records" (sent, delivered), "Receiving Webhooks" and "Inbound Message Signatures" (inbound). No
sample shows a failure, an MMS or a text beyond ASCII; what is said of those is inferred, and marked so below.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, field

from heliograph.bodies import message_body
from heliograph.domain.events import EventType, as_of
from heliograph.domain.inbound import InboundMessage
from heliograph.domain.instant import MILLISECOND, Instant, to_text
from heliograph.domain.lifecycle import Status
from heliograph.domain.message import Media, Message, MessageType
from heliograph.domain.text import Encoding

VERSION_1 = "1"


class _Meta(Struct):
    attempt: int
    delivered_to: str


class _Envelope(Struct):
    data: Raw
    meta: _Meta


class _Payload(Struct):
    payload: Raw


class _Click(Struct):
    data: Raw


class _RecordBody(Struct):
    """The text of a version 1 record, as it went to the carrier where that can differ."""

    text: str
    text_hash: str
    coding: int
    num_chars: int
    num_bytes: int
    bytes_hash: str
    parts: int


class _Record(Struct, kw_only=True):
    """Version 1 of a status update: the "current MDR", with the keys of the migration guide in its order."""

    type: str
    sms_id: str
    sms_gw_id: str
    user_id: str
    profile_id: str
    created: int
    updated: int
    date_created: str
    date_updated: str
    to: str
    sender: str = field(name="from")
    cost: str | None
    currency: str | None
    direction: str = "outbound"
    status: str
    delivery_status: str
    on_net: bool = False
    carrier: str
    line_type: str
    errors: Sequence[str]
    body: _RecordBody


class _RecordMedia(Struct):
    url: str
    content_type: str | None
    hash_sha256: str | None
    size: int | None


class _InboundRecord(Struct, kw_only=True):
    """Version 1 of a message that came in."""

    sms_id: str
    direction: str = "inbound"
    sender: str = field(name="from")
    to: str
    body: str
    media: Sequence[_RecordMedia] | UnsetType = UNSET


def envelope(webhook: bytes, attempt: int, delivered_to: str) -> bytes:
    """The body of one request: what `webhook` gave, verbatim, beside the number of the attempt, from 1, and its URL.

    Of a click its payload alone is sent: the provider's description of it is not that of an event.
    """
    if webhook.startswith(_START_OF_CLICK):
        return _encode(_Click(_decode(webhook).payload))
    return _encode(_Envelope(Raw(webhook), _Meta(attempt, delivered_to)))


def wants_version_1(api_version: str) -> bool:
    """Whether a profile's `webhook_api_version` asks for version 1; every other one gets version 2."""
    return api_version == VERSION_1


def is_version_1(webhook: bytes) -> bool:
    """Whether kept bytes are the whole body of a request already: those of `record_of` or `inbound_record_of`.

    A profile may change its version between two attempts, but not what an event looked like at the first.
    """
    return not webhook.startswith(_START_OF_EVENT)


def record_of(message: Message, event: EventType, occurred_at: Instant) -> bytes:
    """A status update of version 1, to be kept: the message as it was at `event`. It has no event id.

    Statuses are the words of version 2: all that samples show, `sent` and `delivered`, are the same in both. Inferred:
    `delivery_status` is `success` once delivered, else empty; `errors` are codes, as in detail records (Contract 10).
    """
    now = as_of(message, event)
    cost = message_body([now]).cost
    charged = cost if cost is not None and cost.currency is not None else None
    return _encode(
        _Record(
            type=now.type,
            sms_id=now.id,
            sms_gw_id=now.id,
            user_id=now.organization_id,
            profile_id=now.profile_id,
            created=now.received_at // MILLISECOND,
            updated=occurred_at // MILLISECOND,
            date_created=_zoneless(now.received_at),
            date_updated=_zoneless(occurred_at),
            to=now.recipient,
            sender=now.sender,
            cost=str(charged.amount) if charged else None,
            currency=charged.currency if charged else None,
            status=now.status,
            delivery_status="success" if now.status is Status.DELIVERED else "",
            carrier=now.facts.to_carrier,
            line_type=now.facts.to_line_type,
            errors=[error.code for error in now.errors],
            body=_record_body(now),
        )
    )


def inbound_record_of(message: InboundMessage) -> bytes:
    """A message that came in, in version 1, to be kept. It has no event id.

    `media` is there for an MMS; receivers of that time name its hash `hash_sha256`.
    """
    return _encode(
        _InboundRecord(
            sms_id=message.id,
            sender=message.sender,
            to=message.recipient,
            body=message.text or "",
            media=[_record_media(each) for each in message.facts.media] if message.type is MessageType.MMS else UNSET,
        )
    )


_START_OF_EVENT = b'{"event_type":'
_START_OF_CLICK = _START_OF_EVENT + b'"link_clicked",'
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Payload).decode

# `data_coding` of SMPP 3.4, 5.2.19, and how its bytes are counted. The samples' texts are ASCII, where septets, Latin
# and UTF-8 agree; for the rest of GSM-7 its bytes in UTF-8 are inferred.
_CODINGS: Mapping[Encoding, tuple[int, str]] = {Encoding.GSM7: (0, "utf-8"), Encoding.UCS2: (8, "utf-16-be")}


def _record_body(message: Message) -> _RecordBody:
    coding, codec = _CODINGS[message.facts.encoding]
    text = message.text or ""
    sent = (message.body or "").encode(codec)
    return _RecordBody(
        text=text,
        text_hash=sha256(text.encode()).hexdigest(),
        coding=coding,
        num_chars=message.facts.num_chars,
        num_bytes=len(sent),
        bytes_hash=sha256(sent).hexdigest(),
        parts=message.parts,
    )


def _record_media(media: Media) -> _RecordMedia:
    return _RecordMedia(media.url, media.content_type, media.sha256, media.size)


def _zoneless(instant: Instant) -> str:
    """UTC as version 1 writes it: `2020-04-30T21:06:07.640000`."""
    return to_text(instant).removesuffix("Z") + "000"
