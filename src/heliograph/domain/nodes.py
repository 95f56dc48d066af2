"""The processes that work on one database, as they tell of themselves."""

from dataclasses import dataclass
from enum import StrEnum

from heliograph.domain.instant import DAY, SECOND, Instant

BEAT = 10 * SECOND
"""How often a process says that it is there."""
LATE = 3 * BEAT
"""Silent for so long, it may be busy or cut off."""
DEAD = 6 * BEAT
"""Silent for so long, nobody counts on it. What it had claimed is decided about by the end of its leases alone."""
FORGOTTEN = DAY
"""Silent for so long, it is taken off the list (`store/retention.py`)."""
_UNKNOWN = Instant(0)


class Role(StrEnum):
    """What of the service a process runs."""

    SERVE = "serve"
    """All of it."""
    API = "api"
    """Requests, and nothing that sends."""
    WORKER = "worker"
    """Everything but requests."""


class Standing(StrEnum):
    """Whether a process may be counted on."""

    UP = "up"
    LATE = "late"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Node:
    """One process."""

    id: str
    role: Role
    host: str
    pid: int
    version: str
    """Of the program."""
    carriers: tuple[str, ...] = ()
    """Those that it sends with."""
    in_hand: int = 0
    """Messages that it has claimed and not yet recorded the outcome of."""
    started_at: Instant = _UNKNOWN
    heard_at: Instant = _UNKNOWN
    """By the database's clock, as `started_at`."""

    def standing(self, now: Instant) -> Standing:
        """How it stands at a moment of the database's clock."""
        silent = now - self.heard_at
        if silent < LATE:
            return Standing.UP
        return Standing.LATE if silent < DEAD else Standing.DEAD
