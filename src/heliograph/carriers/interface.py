"""What a carrier is to the rest of the house.

A carrier takes one message at a time and says what became of it: it returns, or raises one of the failures below.
Policy, such as whether to try again, is not the carrier's: it lives in `domain.outcome`.

    CarrierFailure
        Throttled           it does not want more just now; the message was not taken
        TemporarilyRefused  it cannot take this message now; the message was not taken
        Refused             it will never take this message
        OutcomeUnknown      the bytes left, or may have; whether it was taken is not known
"""

from dataclasses import dataclass
from typing import Protocol

from heliograph.domain.inbound import Arrival, InboundMessage
from heliograph.domain.message import DeliveryError, Message
from heliograph.domain.receipt import Receipt


class CarrierFailure(Exception):
    """The message was not taken, or nobody knows. `error` says why in the words of the API."""

    def __init__(self, error: DeliveryError) -> None:
        super().__init__(error.detail)
        self.error = error


class Throttled(CarrierFailure):
    """Too much at once; not taken."""


class TemporarilyRefused(CarrierFailure):
    """Not now; not taken."""


class Refused(CarrierFailure):
    """Never; not taken."""


class OutcomeUnknown(CarrierFailure):
    """Perhaps taken. Promise P3 decides what follows."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a carrier declares of itself."""

    repeatable: bool
    """It recognises our id: giving it a message twice sends it once."""
    receipts: bool
    mms: bool


class Inbox(Protocol):
    """Takes what a carrier hands over, and returns once it is kept: what is acknowledged cannot be lost."""

    async def receipt(self, receipt: Receipt) -> None:
        """A receipt for a message that the carrier was given."""

    async def message(self, arrival: Arrival) -> InboundMessage:
        """A message for one of our numbers. Raises `NotOurs`, which is on record then."""


class Carrier(Protocol):
    """Somebody who delivers messages."""

    name: str
    abilities: Abilities

    async def submit(self, message: Message) -> str:
        """Give a message to the carrier; its id there. Raises a `CarrierFailure`."""

    async def start(self, inbox: Inbox) -> None:
        """Connect, and hand receipts and messages to `inbox` from now on."""

    async def stop(self) -> None:
        """Disconnect."""
