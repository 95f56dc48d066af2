"""What a carrier says about a message after it took it."""

from dataclasses import dataclass

from heliograph.domain.instant import Instant
from heliograph.domain.lifecycle import Change
from heliograph.domain.message import DeliveryError


@dataclass(frozen=True, slots=True)
class Receipt:
    """A carrier's word on a message it took. `change` is `DELIVER` or `FAIL`."""

    id: str
    carrier: str
    carrier_message_id: str
    change: Change
    at: Instant
    error: DeliveryError | None = None
