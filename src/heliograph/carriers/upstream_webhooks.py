"""What an upstream tells us: webhooks, verified, become receipts, late answers and inbound messages (Contract 3).

    headers, raw body --Ed25519, time--> event --+-- message.sent       late answer
                                                 +-- message.finalized  late answer, receipt
                                                 +-- message.received   arrival
                                                 +-- anything else      acknowledged
    kept by the inbox --> returned --> answered with 2xx

Our message's id stands in the URL that we gave the upstream with the message, so that what is in doubt can be told by
an event alone. The URL is taken from `meta.delivered_to`, which is signed, where the event has that.
"""

import json
from base64 import b64decode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from re import ASCII
from re import compile as regex
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import msgspec
from nacl.bindings import crypto_sign_BYTES, crypto_sign_open, crypto_sign_PUBLICKEYBYTES
from nacl.exceptions import BadSignatureError

from heliograph.carriers.interface import Inbox, LateAnswer
from heliograph.carriers.upstream_answers import delivery_error_of, read_errors, usable_id
from heliograph.carriers.webhooks import NotReady, NotVerified, Unreadable
from heliograph.clock import Clock
from heliograph.domain.errors import Code
from heliograph.domain.ids import RANDOM_BITS, MessageId, canonical_uuid, uuid7
from heliograph.domain.inbound import Arrival, NotOurs
from heliograph.domain.instant import SECOND, Instant, TimeWithoutZone, UnreadableTime, parse
from heliograph.domain.lifecycle import Change
from heliograph.domain.message import DeliveryError, Media
from heliograph.domain.outcome import delivery_error
from heliograph.domain.receipt import Receipt
from heliograph.domain.text import Encoding
from heliograph.log import get_logger

logger = get_logger("upstream")

TOLERANCE = 300
"""Seconds that a webhook's time may be off ours, either way (Contract 3.4)."""
MESSAGE = "message"
"""The parameter of our callback URL that holds our id of the message."""
LONGEST_ADDRESS = 64
_VERSION = 14
"""Where a UUID has its version."""

_TIMESTAMP = regex(r"\d{1,12}", ASCII).fullmatch
_SURROGATES = regex("[\ud800-\udfff]")
_FAILED: Mapping[str, Code] = {
    "delivery_failed": Code.UNDELIVERABLE,
    "sending_failed": Code.UNDELIVERABLE,
    "cancelled": Code.UNDELIVERABLE,
    "expired": Code.EXPIRED_ON_ITS_WAY,
}
"""Final statuses that say that a message did not arrive, and the code where the event tells no error."""


class _Party(msgspec.Struct):
    phone_number: str | None = None
    status: str | None = None


class _Item(msgspec.Struct):
    url: str
    content_type: str | None = None
    sha256: str | None = None
    hash_sha256: str | None = None
    """The name of it in the provider's description (Contract 13 #23)."""
    size: int | None = None


class _Outbound(msgspec.Struct):
    id: str
    to: Sequence[_Party] | None = None
    errors: Any = None
    group_message_id: str | None = None


class _Inbound(msgspec.Struct):
    id: str
    sender: _Party | str = msgspec.field(name="from")
    to: Sequence[_Party]
    type: str | None = None
    text: str | None = None
    subject: str | None = None
    media: Sequence[_Item] | None = None
    encoding: str | None = None
    parts: int | None = None


class _Event(msgspec.Struct):
    id: str = ""
    event_type: str = ""
    """A click on a link has neither (Contract 3.2)."""
    payload: msgspec.Raw = msgspec.Raw(b"{}")
    occurred_at: str | None = None


class _Meta(msgspec.Struct):
    delivered_to: str | None = None


class _Webhook(msgspec.Struct):
    data: _Event
    meta: _Meta | None = None


Shape = TypeVar("Shape")


class UpstreamWebhooks:
    """Takes the webhooks of one upstream. A `Receiver`; `inbox` is set by whoever has one, None until then."""

    def __init__(self, carrier: str, public_keys: Sequence[str], clock: Clock) -> None:
        self.inbox: Inbox | None = None
        self.receipts = 0
        self.inbound = 0
        self._carrier = carrier
        self._keys = [read_public_key(each) for each in public_keys]
        self._clock = clock

    async def webhook(self, headers: Mapping[str, str], body: bytes, query: Mapping[str, str]) -> None:
        """Keep what a webhook says. Raises a `WebhookProblem`, and whatever the inbox raises."""
        verify(self._keys, headers, body, (self._clock.now() - self._clock.offset) // SECOND)
        inbox = self.inbox
        if inbox is None:
            raise NotReady("The service is not ready to take webhooks.")
        told = _webhook(body)
        kind = told.data.event_type
        if kind == "message.received":
            await self._received(inbox, _shaped(told.data.payload, _Inbound))
        elif kind in {"message.sent", "message.finalized"}:
            await self._outbound(inbox, told, query)
        else:
            logger.info("an event was passed over", action="event_ignored", carrier=self._carrier, kind=kind[:64])

    async def _outbound(self, inbox: Inbox, told: _Webhook, query: Mapping[str, str]) -> None:
        payload = _shaped(told.data.payload, _Outbound)
        theirs = _id(payload.id)
        ours = _our_id(told.meta, query)
        if ours is not None:
            await inbox.late(LateAnswer(ours, self._carrier, (theirs,)))
        if told.data.event_type == "message.finalized" and (receipt := self._receipt(told.data, payload)):
            await inbox.receipt(receipt)
            self.receipts += 1

    def _receipt(self, event: _Event, payload: _Outbound) -> Receipt | None:
        """None where nothing is decided: we have our own end of the wait for a receipt."""
        status = (payload.to[0].status if payload.to else None) or ""
        if status != "delivered" and status not in _FAILED:
            what = {"carrier": self._carrier, "status": status[:64]}
            logger.info("an end that decides nothing was passed over", action="end_ignored", **what)
            return None
        group = usable_id(payload.group_message_id)
        return Receipt(
            id=self._receipt_id(event),
            carrier=self._carrier,
            carrier_message_id=payload.id,
            change=Change.DELIVER if status == "delivered" else Change.FAIL,
            at=self._moment(event),
            error=None if status == "delivered" else _why(status, payload.errors),
            other_ids=(group,) if group and group != payload.id else (),
        )

    async def _received(self, inbox: Inbox, payload: _Inbound) -> None:
        arrival = _arrival(self._carrier, payload)
        try:
            await inbox.message(arrival)
        except NotOurs as error:
            # It is on record, and would be nobody's at the next try.
            logger.warning("a message came in for nobody", action="inbound_refused", reason=str(error))
        self.inbound += 1

    def _receipt_id(self, event: _Event) -> str:
        """A UUIDv7, since receipts are found by when they came; the same each time the event comes."""
        if not event.id:
            raise Unreadable("The event has no id.")
        found = canonical_uuid(event.id)
        if found is not None and found[_VERSION] == "7":
            return found
        digest = sha256(f"{self._carrier} {found or event.id}".encode()).digest()
        return uuid7(_instant(event.occurred_at) or Instant(0), int.from_bytes(digest) >> 256 - RANDOM_BITS)

    def _moment(self, event: _Event) -> Instant:
        """When it happened by the upstream's clock, moved with ours, and not after now."""
        now, told = self._clock.now(), _instant(event.occurred_at)
        return now if told is None else min(now, Instant(told + self._clock.offset))


def read_public_key(text: str) -> bytes:
    """A key as the upstream shows it: 32 bytes in base64. Raises `ValueError`."""
    try:
        key = b64decode(text.strip(), validate=True)
    except ValueError:
        key = b""
    if len(key) != crypto_sign_PUBLICKEYBYTES:
        raise ValueError(f"A public key is {crypto_sign_PUBLICKEYBYTES} bytes in base64; this one is not.")
    return key


def verify(keys: Sequence[bytes], headers: Mapping[str, str], body: bytes, seconds: int) -> None:
    """Raise `NotVerified` unless one of the keys signed this body, and its time is near `seconds` (Contract 3.4)."""
    if not keys:
        raise NotVerified("No public key is set to verify webhooks with.")
    timestamp = headers.get("telnyx-timestamp", "")
    if not _TIMESTAMP(timestamp):
        raise NotVerified("The header telnyx-timestamp is missing or is not a Unix time.")
    signature = _signature(headers.get("telnyx-signature-ed25519", ""))
    signed = signature + timestamp.encode() + b"|" + body
    if not any(_opens(signed, key) for key in keys):
        raise NotVerified("The signature does not match the body, its time and the public key.")
    if abs(seconds - int(timestamp)) > TOLERANCE:
        raise NotVerified(f"The time of the webhook is more than {TOLERANCE} seconds from ours.")


def _signature(text: str) -> bytes:
    try:
        signature = b64decode(text, validate=True)
    except ValueError:
        signature = b""
    if len(signature) != crypto_sign_BYTES:
        raise NotVerified("The header telnyx-signature-ed25519 is missing or is not a signature in base64.")
    return signature


def _opens(signed: bytes, key: bytes) -> bool:
    try:
        crypto_sign_open(signed, key)
    except BadSignatureError:
        return False
    return True


def _webhook(body: bytes) -> _Webhook:
    """Raises `Unreadable`. Half a surrogate pair, which carriers make where they cut a text, becomes U+FFFD."""
    try:
        return _decode(body, _Webhook)
    except Unreadable:
        try:
            told = json.loads(body)
        except (ValueError, RecursionError):
            raise Unreadable("The body is not valid JSON.") from None
        whole = _SURROGATES.sub("\ufffd", json.dumps(told, ensure_ascii=False))
        return _decode(whole.encode(), _Webhook)


def _shaped(payload: msgspec.Raw, shape: type[Shape]) -> Shape:
    return _decode(payload, shape)


def _decode(body: bytes | msgspec.Raw, shape: type[Shape]) -> Shape:
    try:
        return msgspec.json.decode(body, type=shape, strict=False)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"The event cannot be read: {error}.") from None


def _our_id(meta: _Meta | None, query: Mapping[str, str]) -> MessageId | None:
    """Our id of the message that an event is about: signed if it can be, else as the URL has it."""
    told = query.get(MESSAGE, "")
    if meta is not None and meta.delivered_to:
        told = _parameter(meta.delivered_to)
    found = canonical_uuid(told)
    return None if found is None else MessageId(found)


def _parameter(url: str) -> str:
    try:
        return parse_qs(urlsplit(url).query).get(MESSAGE, [""])[0]
    except ValueError:
        return ""


def _instant(text: str | None) -> Instant | None:
    try:
        return parse(text or "")
    except (UnreadableTime, TimeWithoutZone):
        return None


def _id(told: str) -> str:
    if (found := usable_id(told)) is None:
        raise Unreadable("The event has no id of its message.")
    return found


def _why(status: str, told: Any) -> DeliveryError:
    errors = read_errors(told)
    if errors:
        return delivery_error_of(errors[0], "The upstream reports")
    return delivery_error(_FAILED[status], f"The upstream reports {status}, and no error.")


def _arrival(carrier: str, payload: _Inbound) -> Arrival:
    media = tuple(_media(each) for each in payload.media or ())
    text_alone = payload.type == "MMS" and not media
    return Arrival(
        carrier=carrier,
        sender=_address(payload.sender.phone_number if isinstance(payload.sender, _Party) else payload.sender),
        recipient=_address(payload.to[0].phone_number if payload.to else None),
        text=_text(payload.text),
        # A subject makes an MMS of a message without media; captures have an empty one in every SMS.
        subject=_text(payload.subject) or ("" if text_alone else None),
        media=media,
        encoding=next((each for each in Encoding if each == payload.encoding), None),
        parts=payload.parts if payload.parts and payload.parts > 0 else None,
        reference=_id(payload.id),
    )


def _media(item: _Item) -> Media:
    return Media(_clean(item.url), _text(item.content_type), _text(item.sha256 or item.hash_sha256), item.size)


def _address(told: str | None) -> str:
    if told is None or not told.strip() or len(told) > LONGEST_ADDRESS or not told.isprintable():
        raise Unreadable("The event does not say from whom and to whom the message is.")
    return told.strip()


def _text(told: str | None) -> str | None:
    return None if told is None else _clean(told)


def _clean(told: str) -> str:
    """PostgreSQL holds no NUL."""
    return told.replace("\0", "\ufffd")
