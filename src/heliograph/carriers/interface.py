"""What a carrier is to the rest of the house.

A carrier takes one message at a time and says what became of it: it returns, or raises one of the failures below.
Policy, such as whether to try again, is not the carrier's: it lives in `domain.outcome`.

    CarrierFailure
        Unreachable         there was no way to it, or not in time; not a byte left
        Throttled           it does not want more just now; not taken
        TemporarilyRefused  it cannot take this message now; not taken
        Refused             it will never take this message
        OutcomeUnknown      the bytes left, or may have; whether it was taken is not known
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from heliograph.domain.carriers import CarrierState
from heliograph.domain.ids import MessageId
from heliograph.domain.inbound import Arrival, InboundMessage
from heliograph.domain.message import DeliveryError, Media, Message
from heliograph.domain.receipt import Receipt


class CarrierFailure(Exception):
    """The message was not taken as a whole, or nobody knows. `error` says why in the words of the API.

    `taken` are the carrier's ids of its parts, in order, as far as they are known; None for a part of which nothing is
    known, and nothing at the end for parts that did not leave. It is empty where no part was taken. `parts` is how many
    there are.
    """

    def __init__(self, error: DeliveryError, taken: Sequence[str | None] = (), parts: int = 1) -> None:
        super().__init__(error.detail)
        self.error = error
        self.taken = tuple(taken)
        self.parts = max(parts, len(self.taken))


class Unreachable(CarrierFailure):
    """No way there, or not in time; not taken."""


class Throttled(CarrierFailure):
    """Too much at once; not taken."""


class TemporarilyRefused(CarrierFailure):
    """Not now; not taken."""


class Refused(CarrierFailure):
    """Never; not taken."""


class OutcomeUnknown(CarrierFailure):
    """Perhaps taken. Promise P3 decides what follows."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a carrier says of a message it took."""

    ids: tuple[str, ...]
    """Its id of each part, in order."""
    media: tuple[Media, ...] | None = None
    """What is known of the media of an MMS since it was fetched for it; None where it was not."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a carrier declares of itself."""

    repeatable: bool
    """It recognises our id: giving it a message twice sends it once."""
    receipts: bool
    mms: bool
    settles: bool = False
    """What is in doubt with it may be settled later, by a late answer or a receipt: it is worth to wait for that."""


@dataclass(frozen=True, slots=True)
class LateAnswer:
    """What a carrier says of a message after nobody waited for it any more."""

    message_id: MessageId
    carrier: str
    ids: tuple[str | None, ...]
    """Of each part that it answers for; None elsewhere. As long as the message has parts."""


class Inbox(Protocol):
    """Takes what a carrier hands over, and returns once it is kept: what is acknowledged cannot be lost."""

    async def receipt(self, receipt: Receipt) -> None:
        """A receipt for a message that the carrier was given."""

    async def message(self, arrival: Arrival) -> InboundMessage:
        """A message for one of our numbers. Raises `NotOurs`, which is on record then."""

    async def late(self, answer: LateAnswer) -> None:
        """The carrier has a message that was in doubt."""


class Carrier(Protocol):
    """Somebody who delivers messages."""

    name: str
    abilities: Abilities
    changed: Callable[[], None]
    """Called by the carrier when `room` or `up` may have grown; set by whoever waits for that."""

    @property
    def room(self) -> int:
        """How many messages it would take at this moment; 0 while it is down, full or rests after throttling."""

    @property
    def up(self) -> bool:
        """Whether it can be reached from this process; one that only rests is up."""

    def state(self) -> CarrierState:
        """How it stands, for people."""

    async def submit(self, message: Message, until: int) -> Taken:
        """Give a message to the carrier. Raises a `CarrierFailure`.

        `until` is a moment of `clock.monotonic`: from then on no byte of it may leave any more, for the message may be
        somebody else's (promises P1, P3). Parts that `message.progress` names with this carrier are not given again.
        """

    def hold(self) -> None:
        """Let nothing leave that has not left, and give back what only waits, as `Unreachable` or `Throttled`.

        What was sent is still waited for, and what comes in is taken. It lasts until `resume`, or the next start.
        """

    def resume(self) -> None:
        """Take messages again."""

    async def start(self, inbox: Inbox) -> None:
        """Connect, and hand receipts and messages to `inbox` from now on. Returns before there is a connection."""

    async def stop(self) -> None:
        """Finish what is in hand, and disconnect."""


class Queried(Protocol):
    """A carrier that may be asked what became of a message."""

    name: str

    @property
    def room(self) -> int:
        """As of `Carrier`."""

    @property
    def up(self) -> bool:
        """As of `Carrier`."""

    async def query(self, message: Message, ids: Sequence[str]) -> Sequence[Receipt]:
        """Ask about parts of a message by the ids that the carrier gave them.

        A receipt for each that has come to an end; none for those of which nothing is learnt.
        """
