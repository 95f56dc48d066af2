"""A sender's rate is a due time: how messages get their slots (GCRA). Nothing sleeps, and nothing waits in memory.

Each key (a sender, a campaign, an account, a carrier) keeps one moment, that of its next free slot. A message of n
parts takes n slots from there on; when it is due follows, on every node and after every restart. That a burst needs
seven hours is arithmetic (design, decision 8).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from heliograph.domain.address import AddressKind, parse_sender
from heliograph.domain.campaign_classes import THROUGHPUTS
from heliograph.domain.instant import Instant
from heliograph.domain.message import Message, MessageType


@dataclass(frozen=True, slots=True)
class Pace:
    """One rate that a message is subject to."""

    key: str
    interval: int
    """Microseconds that each part takes."""
    queue: int
    """How far in the future the last slot of a queue may lie, in microseconds: the limit in parts times `interval`."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Microseconds for each part by the kind of sender, and for the account; 0 is without bound (Contract 8.1, 8.2)."""

    long_code: int
    toll_free: int
    short_code: int
    alphanumeric: int
    campaign: int
    """For a long code of a campaign without a class. 0 lifts the rates of the classes too."""
    account: int
    account_mms: int
    queue: int
    """How long the queue of each may get, in microseconds."""


UNPACED = Rates(0, 0, 0, 0, 0, 0, 0, 0)


def paces_of(message: Message, rates: Rates) -> Sequence[Pace]:
    """The rates that a message is subject to: its sender's or its campaign's, then its account's.

    None where there is no bound.
    """
    kind = "mms" if message.type is MessageType.MMS else "sms"
    account = rates.account_mms if message.type is MessageType.MMS else rates.account
    found = (
        _campaign_pace(message, kind, rates) or _sender_pace(message, kind, _sender_interval(message, rates), rates),
        Pace(f"account:{message.organization_id}:{kind}", account, rates.queue),
    )
    return [each for each in found if each.interval]


def _campaign_pace(message: Message, kind: str, rates: Rates) -> Pace | None:
    """What its class grants the campaign of a message, or each number of it; None without a class (Contract 8.2)."""
    throughput = THROUGHPUTS.get(message.facts.campaign_class or "")
    if throughput is None or not rates.campaign or parse_sender(message.sender).kind is not AddressKind.LONG_CODE:
        return None
    interval = throughput.interval(mms=message.type is MessageType.MMS)
    if throughput.per_number:
        return _sender_pace(message, kind, interval, rates)
    return Pace(f"campaign:{message.facts.campaign_id}:{kind}", interval, rates.queue)


def _sender_pace(message: Message, kind: str, interval: int, rates: Rates) -> Pace:
    return Pace(f"sender:{message.organization_id}:{message.sender}:{kind}", interval, rates.queue)


def _sender_interval(message: Message, rates: Rates) -> int:
    kind = parse_sender(message.sender).kind
    if kind is AddressKind.LONG_CODE:
        return rates.campaign if message.facts.campaign_id else rates.long_code
    if kind is AddressKind.TOLL_FREE:
        return rates.toll_free
    return rates.short_code if kind is AddressKind.SHORT_CODE else rates.alphanumeric


def carrier_key(carrier: str) -> str:
    """The key of a carrier's throughput, which all nodes share."""
    return f"carrier:{carrier}"


class QueueFull(Exception):
    """A queue would get longer than it may; `limit` is in parts."""

    def __init__(self, pace: Pace, waiting: int) -> None:
        self.limit = pace.queue // pace.interval
        super().__init__(f"{waiting:,} parts wait, and the limit is {self.limit:,}: wait, then send again.")


class Slots:
    """Next free slots as they stand in the database, and as they are after what is given out here."""

    def __init__(self, next_at: dict[str, Instant], now: Instant) -> None:
        self.next_at = next_at
        self.now = now

    def take(self, paces: Sequence[Pace], parts: int) -> Instant:
        """When a message of so many parts is due; its slots are taken. Raises `QueueFull`, and takes none then.

        The first pace is the narrowest: its next slot is counted from when the message is due, so that what waited for
        a wider one does not leave in a burst. The slots of a wider one are those that it would have given alone: a
        sender with a long queue must not keep them from the others.
        """
        starts = [max(self.next_at.get(pace.key, self.now), self.now) for pace in paces]
        for pace, start in zip(paces, starts, strict=True):
            ahead = start - self.now
            if pace.queue and ahead + parts * pace.interval > max(pace.queue, parts * pace.interval):
                raise QueueFull(pace, ahead // pace.interval)
        due = max(starts, default=self.now)
        for pace, start in zip(paces, [due, *starts[1:]], strict=False):
            self.next_at[pace.key] = Instant(start + parts * pace.interval)
        return Instant(due)


def room_until(next_at: Instant, now: Instant, interval: int, horizon: int) -> int:
    """How many parts a carrier may be given now, if as much as falls into `horizon` may leave at once; at least one
    when its slot has come.
    """
    start = max(next_at, now)
    return max(0, (now + horizon - start) // interval + 1) if start <= now + horizon else 0
