"""How many requests a key may make: slots of a second, given out in blocks (GCRA, as `domain.pacing` gives slots).

A key has one moment in the database, that of its next free slot. A process takes a block of slots at a time and serves
requests from it, so that a limit holds across processes without a write for each request; it can be passed by less than
a block a process.
"""

from dataclasses import dataclass

from heliograph.domain.instant import MINUTE, SECOND, Instant

BLOCKS = 10
"""A block is one in so many of a second's requests."""

WAITED = MINUTE
"""What `now` may be behind by, for a statement that waited for others: a step of the clock is longer."""


@dataclass(frozen=True, slots=True)
class RequestRate:
    """At most `limit` requests in any second, and `limit` a second in the long run."""

    limit: int

    @property
    def interval(self) -> int:
        """Microseconds for each request; not less than one."""
        return max(1, SECOND // self.limit)

    @property
    def block(self) -> int:
        """How many are taken at a time."""
        return max(1, self.limit // BLOCKS)


@dataclass(frozen=True, slots=True)
class Block:
    """What a key was given."""

    granted: int
    left: int
    """How many more there were."""
    next_at: Instant
    """The next free slot afterwards."""
    wait: int
    """Microseconds until the next request may be made; 0 when there are more now."""
    reset: int
    """Microseconds until the whole limit is there again."""


def take(rate: RequestRate, next_at: Instant, now: Instant) -> Block:
    """A block, or what is left of this second's requests, or nothing."""
    # `limit` of them fit into a second whatever its division left over.
    period = rate.limit * rate.interval
    # Nobody is given more than that ahead: the clock was put back, and `next_at` says nothing any more.
    start = now if next_at > now + period + WAITED else max(next_at, now)
    room = (now + period - start) // rate.interval
    granted = max(0, min(rate.block, room))
    after = start + granted * rate.interval
    wait = max(0, after + rate.interval - now - period)
    return Block(granted, max(0, room - granted), Instant(after), wait, after - now)
