"""What stands behind a carrier in its tests: an inbox and a book in memory, and a carrier that is bound."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from heliograph import randomness
from heliograph.carriers.interface import LateAnswer
from heliograph.carriers.smpp.carrier import SmppCarrier
from heliograph.carriers.smpp.inbound import Apply
from heliograph.clock import SystemClock, monotonic
from heliograph.domain.ids import MessageId, OrganizationId, ProfileId
from heliograph.domain.inbound import Arrival, InboundFacts, InboundMessage, NotOurs
from heliograph.domain.instant import SECOND, Instant
from heliograph.domain.message import Message, MessageType
from heliograph.domain.receipt import Receipt
from heliograph.domain.text import Encoding
from tests.carriers.smpp.messages import message_of, options_of

CLOCK = SystemClock()


class Desk:
    """An inbox: keeps what it is handed, once for each reference, unless it is told to fail."""

    def __init__(self) -> None:
        self.receipts: asyncio.Queue[Receipt] = asyncio.Queue()
        self.messages: asyncio.Queue[Arrival] = asyncio.Queue()
        self.answers: asyncio.Queue[LateAnswer] = asyncio.Queue()
        self.references: set[str] = set()
        self.nobodys: set[str] = set()
        self.fault: Exception | None = None

    async def receipt(self, receipt: Receipt) -> None:
        self._fail()
        self.receipts.put_nowait(receipt)

    async def message(self, arrival: Arrival) -> InboundMessage:
        self._fail()
        if arrival.recipient in self.nobodys:
            raise NotOurs("It is nobody's.")
        if arrival.reference is None or arrival.reference not in self.references:
            self.messages.put_nowait(arrival)
        self.references |= {arrival.reference} if arrival.reference else set()
        return _kept(arrival)

    async def late(self, answer: LateAnswer) -> None:
        self._fail()
        self.answers.put_nowait(answer)

    def _fail(self) -> None:
        if self.fault is not None:
            raise self.fault


def _kept(arrival: Arrival) -> InboundMessage:
    now = CLOCK.now()
    return InboundMessage(
        id=MessageId(randomness.new_id(now)),
        organization_id=OrganizationId("o"),
        profile_id=ProfileId("p"),
        type=MessageType.SMS,
        sender=arrival.sender,
        recipient=arrival.recipient,
        text=arrival.text,
        parts=arrival.parts or 1,
        received_at=now,
        carrier=arrival.carrier,
        facts=InboundFacts(Encoding.GSM7, 0),
    )


class Shelves:
    """A book; it makes every change twice, as it may."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], tuple[Instant, bytes]] = {}
        self.fault: Exception | None = None

    async def change(self, carrier: str, key: str, at: Instant, apply: Apply) -> bytes | None:
        await asyncio.sleep(0)
        if self.fault is not None:
            raise self.fault
        _, before = self.kept.pop((carrier, key), (at, None))
        after = apply(before)
        assert apply(after) == after
        if after is not None:
            self.kept[carrier, key] = at, after
        return after

    async def resting(self, carrier: str, before: Instant, limit: int) -> Sequence[tuple[str, bytes]]:
        if self.fault is not None:
            raise self.fault
        found = [(at, key, content) for (name, key), (at, content) in self.kept.items() if name == carrier]
        return [(key, content) for at, key, content in sorted(found) if at < before][:limit]


class Sending:
    """A started carrier and what stands behind it."""

    def __init__(self, carrier: SmppCarrier, desk: Desk, book: Shelves) -> None:
        self.carrier = carrier
        self.desk = desk
        self.book = book
        self._changed = asyncio.Event()
        carrier.changed = self._changed.set

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return once something holds, looking again when the carrier says that it changed, and now and then."""
        while not holds():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), 0.01)
            self._changed.clear()

    async def up(self, room: int = 1) -> None:
        """Return once it has room for so many."""
        await self.until(lambda: self.carrier.room >= room)

    async def sends(self, text: str = "Hello", *, within: int = 30 * SECOND, **given: Any) -> tuple[str, ...]:
        """The ids of a message that is sent. Raises what the carrier raises."""
        return await self.gives(message_of(text, now=CLOCK.now(), **given), within)

    async def gives(self, message: Message, within: int = 30 * SECOND) -> tuple[str, ...]:
        """The same for a message that is there."""
        return (await self.carrier.submit(message, monotonic() + within)).ids

    def starts_sending(self, *texts: str, within: int = 30 * SECOND) -> "list[asyncio.Task[tuple[str, ...]]]":
        """One task for each text, in their order."""
        return [asyncio.create_task(self.sends(text, within=within)) for text in texts]


@asynccontextmanager
async def a_carrier(
    port: int, *, book: Shelves | None = None, room: int | None = 1, **options: Any
) -> AsyncIterator[Sending]:
    """A carrier with room for so many submits; with `None` nobody waits for that."""
    shelves = book or Shelves()
    sending = Sending(SmppCarrier(options_of(port, **options), shelves, CLOCK), Desk(), shelves)
    await sending.carrier.start(sending.desk)
    try:
        if room is not None:
            await sending.up(room)
        yield sending
    finally:
        await sending.carrier.stop()
