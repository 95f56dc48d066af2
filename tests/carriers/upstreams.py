"""What tests of the upstream carrier are made of."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from msgspec.structs import replace
from nacl.signing import SigningKey

from heliograph import randomness
from heliograph.carriers.interface import CarrierFailure, LateAnswer, Taken
from heliograph.carriers.upstream import UpstreamCarrier
from heliograph.carriers.upstream_options import UpstreamOptions
from heliograph.carriers.upstream_standing import Pauses
from heliograph.clock import SystemClock, monotonic
from heliograph.domain.ids import MessageId, OrganizationId, ProfileId
from heliograph.domain.inbound import Arrival, InboundFacts, InboundMessage
from heliograph.domain.instant import HOUR, MILLISECOND, SECOND, Instant
from heliograph.domain.lifecycle import Status
from heliograph.domain.message import Facts, Media, Message, MessageType
from heliograph.domain.receipt import Receipt
from heliograph.domain.text import Encoding
from heliograph.outgoing import OutgoingHttp, OutgoingOptions
from tests.webhooks.receiver import Behaviour, Receiver, answer, receiving

NAME = "provider"
KEY = "KEY_of_ours"
PROBE = "/v2/messaging_profiles?page%5Bsize%5D=1"
MESSAGES = "/v2/messages"
THEIR_ID = "40317a6e-8f3c-4a4e-9b1f-0d6e4f1d2c3b"
EVENT = "0198f5a0-0000-4000-8000-000000000001"
OCCURRED = "2026-11-24T10:00:00.250+00:00"
QUICK = Pauses(MILLISECOND, 2 * MILLISECOND)
SLOW = Pauses(HOUR, HOUR)
LOCAL = OutgoingOptions(loopback=True, connect=10 * SECOND)


def message(**given: Any) -> Message:
    """A message that was claimed."""
    now = SystemClock().now()
    made = Message(
        id=MessageId(randomness.new_id(now)),
        organization_id=OrganizationId("00000000-0000-7000-8000-000000000001"),
        profile_id=ProfileId("00000000-0000-7000-8000-000000000002"),
        type=MessageType.SMS,
        status=Status.SENDING,
        sender="+18445550001",
        recipient="+18665550001",
        text="Hello, World!",
        parts=1,
        rate=205,
        carrier_fee=305,
        received_at=now,
        send_at=None,
        valid_until=Instant(now + HOUR),
        facts=Facts(Encoding.GSM7, 13),
        attempts=1,
    )
    return replace(made, **given)


def mms(*urls: str, subject: str | None = None, **given: Any) -> Message:
    """An MMS of these media."""
    facts = Facts(Encoding.GSM7, 13, subject=subject, media=tuple(Media(url) for url in urls))
    return message(type=MessageType.MMS, facts=facts, **given)


def options(base_url: str, **given: Any) -> UpstreamOptions:
    """An upstream without callbacks."""
    named: dict[str, Any] = {"name": NAME, "base_url": base_url, "api_key": KEY, "pauses": SLOW, "timeout": 20 * SECOND}
    return UpstreamOptions(**named | given)


def taken(message_id: str = THEIR_ID, status: int = 200) -> Behaviour:
    """The answer of an upstream that took a message."""
    return answer(status, json.dumps({"data": {"id": message_id, "to": [{"status": "queued"}]}}).encode())


def refused(status: int, code: str, title: str = "Title", detail: str = "Detail.", **headers: str) -> Behaviour:
    """The answer of one that did not."""
    body = {"errors": [{"code": code, "title": title, "detail": detail, "meta": {"url": "https://docs.example"}}]}
    return answer(status, json.dumps(body).encode(), **headers)


class Kept:
    """An inbox that keeps what comes, in order, and raises what it is told to."""

    def __init__(self) -> None:
        self.came: list[Receipt | LateAnswer | Arrival] = []
        self.fails_with: Exception | None = None

    async def receipt(self, receipt: Receipt) -> None:
        """Keep it."""
        self._take(receipt)

    async def late(self, answer: LateAnswer) -> None:
        """Keep it."""
        self._take(answer)

    async def message(self, arrival: Arrival) -> InboundMessage:
        """Keep it."""
        self._take(arrival)
        return InboundMessage(
            id=MessageId(randomness.new_id(SystemClock().now())),
            organization_id=OrganizationId("00000000-0000-7000-8000-000000000001"),
            profile_id=ProfileId("00000000-0000-7000-8000-000000000002"),
            type=MessageType.SMS,
            sender=arrival.sender,
            recipient=arrival.recipient,
            text=arrival.text,
            parts=1,
            received_at=SystemClock().now(),
            carrier=arrival.carrier,
            facts=InboundFacts(Encoding.GSM7, 1),
        )

    def _take(self, came: Receipt | LateAnswer | Arrival) -> None:
        if self.fails_with is not None:
            raise self.fails_with
        self.came.append(came)


@asynccontextmanager
async def upstream() -> AsyncIterator[Receiver]:
    """An upstream that takes all messages."""
    async with receiving() as server:
        server.script(MESSAGES, taken())
        yield server


class Watched:
    """A carrier, and a way to wait for what changes about it."""

    def __init__(self, carrier: UpstreamCarrier) -> None:
        self.carrier = carrier
        self.kept = Kept()
        self._changed = asyncio.Event()
        carrier.changed = self._changed.set

    async def sees(self, condition: Callable[[UpstreamCarrier], bool]) -> None:
        """Return once the carrier has said that it changed, and this is so."""
        while not condition(self.carrier):
            self._changed.clear()
            await self._changed.wait()

    async def submit(self, given: Message | None = None, within: int = 20 * SECOND) -> Taken:
        """Submit a message."""
        return await self.carrier.submit(message() if given is None else given, monotonic() + within)

    async def failure(self, given: Message | None = None, within: int = 20 * SECOND) -> CarrierFailure:
        """Submit a message that is not taken: why not."""
        try:
            told = await self.submit(given, within)
        except CarrierFailure as failure:
            return failure
        raise AssertionError(f"it was taken: {told}")


@asynccontextmanager
async def forwarding(
    server: Receiver, *, wait: bool = True, client: OutgoingOptions = LOCAL, **given: Any
) -> AsyncIterator[Watched]:
    """A carrier that forwards to it; with `wait` once it is known to be up."""
    async with forwarding_to(server.url("/v2"), wait=wait, client=client, **given) as watched:
        yield watched


@asynccontextmanager
async def forwarding_to(
    base_url: str, *, wait: bool = True, client: OutgoingOptions = LOCAL, **given: Any
) -> AsyncIterator[Watched]:
    """The same for any URL."""
    http = OutgoingHttp(client)
    watched = Watched(UpstreamCarrier(options(base_url, **given), http, SystemClock()))
    await http.start()
    await watched.carrier.start(watched.kept)
    try:
        if wait:
            await watched.sees(lambda carrier: carrier.up)
        yield watched
    finally:
        await watched.carrier.stop()
        await http.stop()


class Signer:
    """An upstream's key."""

    def __init__(self) -> None:
        self._key = SigningKey.generate()

    @property
    def public(self) -> str:
        """As the upstream shows it."""
        return b64encode(bytes(self._key.verify_key)).decode()

    def headers(self, body: bytes, late: int = 0) -> dict[str, str]:
        """Of a webhook that left `late` seconds ago."""
        timestamp = str(SystemClock().now() // SECOND - late)
        signature = self._key.sign(timestamp.encode() + b"|" + body).signature
        return {"telnyx-timestamp": timestamp, "telnyx-signature-ed25519": b64encode(signature).decode()}


def event(kind: str, payload: object, delivered_to: str | None = None, **given: Any) -> bytes:
    """A webhook of version 2."""
    data = {"event_type": kind, "id": EVENT, "occurred_at": OCCURRED, "payload": payload, "record_type": "event"}
    meta = {"attempt": 1, "delivered_to": delivered_to}
    return json.dumps({"data": data | given, "meta": meta}).encode()
