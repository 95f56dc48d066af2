"""The simulated carrier: handsets instead of people, and outcomes scripted by the number that is sent to.

    submit --> script of the destination --> handset, receipts to come --> inbox, when the clock says so

What it takes is written down by its `Book` before it answers, so a restart forgets neither handsets nor receipts.
The magic numbers are in `docs/magic-numbers.md`, which is made from `SCRIPTS`.
"""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from mimetypes import MimeTypes
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

from heliograph import randomness
from heliograph.carriers.interface import Abilities, Inbox, OutcomeUnknown, Refused, Taken, Throttled
from heliograph.clock import Clock, SystemClock
from heliograph.domain.carriers import CarrierState
from heliograph.domain.errors import Code
from heliograph.domain.handset import ComingReceipt, HandsetMessage, HandsetSend, Submission
from heliograph.domain.inbound import Arrival, InboundMessage, NotOurs
from heliograph.domain.instant import MILLISECOND, SECOND, Instant
from heliograph.domain.lifecycle import Change
from heliograph.domain.message import DeliveryError, Media, Message, MessageType
from heliograph.domain.outcome import delivery_error
from heliograph.domain.receipt import Receipt
from heliograph.domain.text import Encoded, split
from heliograph.service import Loop

NAME = "sandbox"
RECEIPTS_AT_ONCE = 500
NEVER = Instant(2**62)
ROOM = 1_000_000
"""It takes whatever it is given; the dispatcher's window is the bound."""
IDLE = 5 * SECOND
"""Receipts that another process wrote down are seen within this."""


@dataclass(frozen=True, slots=True)
class Script:
    """What happens to messages for one destination."""

    meaning: str
    arrives: bool = True
    receipts: Sequence[Change] = (Change.DELIVER,)
    error: DeliveryError | None = None
    slow: bool = False
    throttled_tries: int = 0
    refused: bool = False
    unknown: bool = False
    overtaking: bool = False
    """The receipt is with the service before the submit is answered."""


DELIVERED = Script("A receipt says that it arrived; so it is for every number that is not in this table.")
SCRIPTS: Mapping[str, Script] = {
    "+15005550000": DELIVERED,
    "+15005550001": Script(
        "A receipt says that the destination is a landline or cannot be reached.",
        arrives=False,
        receipts=(Change.FAIL,),
        error=delivery_error(Code.NOT_ROUTABLE, "The destination is a landline or cannot be reached."),
    ),
    "+15005550002": Script(
        "A receipt says that a spam filter of the carrier stopped it.",
        arrives=False,
        receipts=(Change.FAIL,),
        error=delivery_error(Code.BLOCKED_AS_SPAM, "A spam filter of the carrier stopped it."),
    ),
    "+15005550003": Script(
        "The carrier refuses it for good; no receipt follows.",
        arrives=False,
        receipts=(),
        refused=True,
        error=delivery_error(Code.UNDELIVERABLE, "The carrier did not accept it."),
    ),
    "+15005550004": Script(
        "No receipt comes; after `dispatch.unconfirmed_after` none is awaited any more.", receipts=()
    ),
    "+15005550005": Script("The receipt takes `sandbox.slow_delay`, not `sandbox.receipt_delay`.", slow=True),
    "+15005550006": Script(
        "The carrier wants no more just now at the first try, and takes the second.", throttled_tries=1
    ),
    "+15005550007": Script("The receipt is there before the carrier has answered.", overtaking=True),
    "+15005550008": Script("The same receipt comes twice.", receipts=(Change.DELIVER, Change.DELIVER)),
    "+15005550009": Script(
        "The carrier takes it, and the link is lost before it answers: nobody can know.", receipts=(), unknown=True
    ),
    "+15005550010": Script(
        "A receipt says that the destination rejected it.",
        arrives=False,
        receipts=(Change.FAIL,),
        error=delivery_error(Code.REJECTED_BY_DESTINATION, "The destination rejected it."),
    ),
}


class Book(Protocol):
    """Where the simulated carrier writes down what it must not forget."""

    async def submit(self, submission: Submission) -> None:
        """Keep what follows from a submit."""

    async def due_receipts(self, limit: int) -> Sequence[ComingReceipt]:
        """Receipts whose time has come, oldest first."""

    async def forget_receipts(self, ids: Sequence[str]) -> None:
        """These were taken by the inbox."""

    async def next_receipt_at(self) -> Instant | None:
        """When the next receipt is due."""


@dataclass(frozen=True, slots=True)
class SandboxOptions:
    """Delays in microseconds: those of receipts by the service's clock, the answer's by the machine's."""

    receipt_delay: int
    slow_delay: int
    answer_delay: int
    repeatable: bool
    record_file: Path | None = None


class SandboxCarrier(Loop):
    """A carrier for laptops, tests and demonstrations."""

    name = NAME

    def __init__(self, book: Book, clock: Clock, options: SandboxOptions) -> None:
        super().__init__()
        self.abilities = Abilities(repeatable=options.repeatable, receipts=True, mms=True)
        self._book = book
        self._clock = clock
        self._options = options
        self.inbox: Inbox | None = None
        self.changed: Callable[[], None] = lambda: None
        self.room = ROOM
        self.up = True
        self._taken = 0
        self._next_at = NEVER
        self._record = _Record(options.record_file) if options.record_file else None

    async def start(self, inbox: Inbox | None = None) -> None:
        """Hand receipts to `inbox` as they fall due, and messages as handsets send them."""
        self.inbox = inbox or self.inbox
        await super().start()

    async def stop(self) -> None:
        """Send no further receipt; those to come are in the book."""
        await super().stop()
        if self._record:
            self._record.close()

    def hold(self) -> None:
        """Nothing waits in it."""

    def resume(self) -> None:
        """Nothing waits in it."""

    def state(self) -> CarrierState:
        """Always up."""
        return CarrierState(name=NAME, kind=NAME, up=True, taken=self._taken, steady=True)

    async def submit(self, message: Message, until: int) -> Taken:  # noqa: ARG002 - it takes it in this very moment
        """Take a message as the script of its destination says. Raises a `CarrierFailure`."""
        script = SCRIPTS.get(message.recipient, DELIVERED)
        if self._record:
            self._record.append(message)
        if message.attempts <= script.throttled_tries:
            raise Throttled(delivery_error(Code.QUEUE_FULL, "The carrier takes no more at this moment."))
        if script.refused and script.error:
            raise Refused(script.error)
        carrier_message_id = f"sandbox-{message.id}"
        submission = self._submission(message, script, carrier_message_id)
        await self._book.submit(submission)
        self._expect(submission.receipts)
        if script.overtaking:
            await self.deliver_receipts()
        if self._options.answer_delay:
            await asyncio.sleep(self._options.answer_delay / SECOND)
        if script.unknown and message.attempts == 1:
            detail = "The link to the carrier was lost before it answered. The carrier may or may not have it."
            raise OutcomeUnknown(delivery_error(Code.OUTCOME_UNKNOWN, detail))
        self._taken += 1
        return Taken((carrier_message_id,))

    async def send_from_handset(self, message: HandsetSend) -> InboundMessage:
        """Hand over a message that somebody wrote on a handset. Raises `NotOurs`."""
        if self.inbox is None:
            raise NotOurs("The simulated carrier is not started.")
        arrival = Arrival(
            carrier=NAME,
            sender=message.handset,
            recipient=message.to,
            text=message.text,
            subject=message.subject,
            media=tuple(Media(url, _types().guess_type(urlsplit(url).path)[0]) for url in message.media_urls),
        )
        return await self.inbox.message(arrival)

    async def run_pass(self) -> int:
        """Deliver the receipts that are due; microseconds until the next is."""
        self._next_at = NEVER
        upcoming = await self._book.next_receipt_at()
        if upcoming is not None and upcoming <= self._clock.now() and await self.deliver_receipts():
            return 0
        self._next_at = min(self._next_at, upcoming or NEVER)
        return max(MILLISECOND, min(IDLE, self._next_at - self._clock.now()))

    def _expect(self, receipts: Sequence[ComingReceipt]) -> None:
        """Wake only for a receipt that is due before the one that is waited for."""
        soonest = min((receipt.due_at for receipt in receipts), default=NEVER)
        if soonest < self._next_at:
            self._next_at = soonest
            self.wake()

    async def deliver_receipts(self) -> int:
        """Give the inbox every receipt that is due; how many there were."""
        due = await self._book.due_receipts(RECEIPTS_AT_ONCE)
        if not due or self.inbox is None:
            return 0
        # In the order of their times, and together: they share commits.
        await asyncio.gather(*(self.inbox.receipt(self._receipt(each)) for each in due))
        await self._book.forget_receipts([receipt.id for receipt in due])
        return len(due)

    def _receipt(self, coming: ComingReceipt) -> Receipt:
        return Receipt(coming.id, NAME, coming.carrier_message_id, coming.change, self._clock.now(), coming.error)

    def _submission(self, message: Message, script: Script, carrier_message_id: str) -> Submission:
        # Our clock may be a little behind the database's, which said that the message is due.
        now = max(self._clock.now(), message.send_at or message.received_at)
        delay = self._options.slow_delay if script.slow else self._options.receipt_delay
        due = Instant(now if script.overtaking else now + delay)
        receipts = [
            ComingReceipt(randomness.new_id(now), carrier_message_id, change, due, script.error)
            for change in script.receipts
        ]
        arrival = _arrival(message, now) if script.arrives else None
        return Submission(message.id, arrival, receipts, once=self._options.repeatable)


def _arrival(message: Message, now: Instant) -> HandsetMessage:
    body = message.body
    segments: Sequence[str] = [body] if body else []
    if body and message.type is MessageType.SMS:
        facts = message.facts
        segments = split(Encoded(body, facts.encoding, message.parts, facts.num_chars, facts.smart_encoding_applied))
    return HandsetMessage(
        id=randomness.new_id(now),
        message_id=message.id,
        handset=message.recipient,
        sender=message.sender,
        type=message.type.value,
        subject=message.facts.subject,
        text=body,
        segments=segments,
        media_urls=[each.url for each in message.facts.media],
        arrived_at=now,
    )


@cache
def _types() -> MimeTypes:
    """Those that Python knows by itself: what a machine adds would make a test pass on one and fail on another.

    Made when a handset sends media, for Python reads the machine's own all the same.
    """
    return MimeTypes()


class _Record:
    """Every submit, one JSON line each, on disk before it is answered: what the carrier can testify to."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._clock = SystemClock()

    def append(self, message: Message) -> None:
        """One write, so that lines of several processes do not mix."""
        line: dict[str, object] = {"id": message.id, "to": message.recipient, "attempt": message.attempts}
        line |= {"send_at": message.send_at, "at": self._clock.now()}
        os.write(self._file, msgspec.json.encode(line) + b"\n")
        os.fsync(self._file)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
