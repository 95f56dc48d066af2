"""How carriers stand, as it is kept for people and for the other processes."""

import msgspec

from heliograph.domain.instant import Instant


class LinkState(msgspec.Struct, frozen=True, kw_only=True):
    """One connection to a carrier."""

    name: str
    state: str
    """In the carrier's own words, such as `bound` or `waiting`."""
    since: Instant
    in_flight: int = 0
    window: int = 0


class CarrierState(msgspec.Struct, frozen=True, kw_only=True):
    """One carrier as one process sees it. Counts are from the start of the process."""

    name: str
    kind: str
    up: bool
    links: tuple[LinkState, ...] = ()
    resting_until: Instant | None = None
    """When it is asked again after throttling."""
    taken: int = 0
    """Submits that it took; for SMPP these are parts."""
    throttled: int = 0
    refused: int = 0
    unknown: int = 0
    receipts: int = 0
    inbound: int = 0
    rate: float = 0.0
    """Submits a second it took lately."""
    last_error: str | None = None
    last_error_at: Instant | None = None
    steady: bool = False
    """It stands like this for as long as its process runs: it need not be told again while nothing happens."""
