"""The states of a message: every transition there is stands in this file, and nowhere else.

A message is born `scheduled` (it has a `send_at`) or `queued` (it is for now). Every later change is one `Change`; the
table says from which statuses it may happen and where it leads. A pair that is not in the table cannot happen: `after`
raises, and the statements of the store take their conditions from `sources`.

Statuses only move forward (promise P5): `RANK` never falls along the table. A message that waits for another try
stays `sending`; the handing-over has begun, so it can no longer be cancelled.

Wire names and meanings: Contract 3.1.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum


class Status(StrEnum):
    """`to[].status` of an outbound message."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    DELIVERED = "delivered"
    DELIVERY_FAILED = "delivery_failed"
    DELIVERY_UNCONFIRMED = "delivery_unconfirmed"
    SENDING_FAILED = "sending_failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class Change(StrEnum):
    """What happened to a message."""

    CANCEL = "cancel"
    OPT_OUT = "opt_out"
    EXPIRE = "expire"
    RELEASE = "release"
    CLAIM = "claim"
    HAND_BACK = "hand_back"
    RECOVER = "recover"
    DEFER = "defer"
    DOUBT = "doubt"
    ACCEPT = "accept"
    REFUSE = "refuse"
    LOSE = "lose"
    DELIVER = "deliver"
    FAIL = "fail"
    UNCONFIRM = "unconfirm"


MEANING: Mapping[Change, str] = {
    Change.CANCEL: "the caller changed their mind in time",
    Change.OPT_OUT: "its recipient wrote STOP before it left",
    Change.EXPIRE: "it waited longer than `valid_until`",
    Change.RELEASE: "its time has come, and it waits for the next free slot of its sender",
    Change.CLAIM: "a dispatcher took it to hand it to a carrier",
    Change.HAND_BACK: "the dispatcher stopped before any byte left; it is due again",
    Change.RECOVER: "its dispatcher vanished, and the carrier may be given it again; it is due again",
    Change.DEFER: "the carrier refused it for now; it is due again later",
    Change.DOUBT: "nobody knows whether the carrier took it; a late answer or a receipt may still tell",
    Change.ACCEPT: "the carrier took it",
    Change.REFUSE: "the carrier refused it for good",
    Change.LOSE: "nobody knows whether the carrier took it, and it is not sent again",
    Change.DELIVER: "a receipt says that it arrived",
    Change.FAIL: "a receipt says that it did not arrive",
    Change.UNCONFIRM: "no receipt came in time",
}

TABLE: Mapping[tuple[Status, Change], Status] = {
    (Status.SCHEDULED, Change.CANCEL): Status.CANCELLED,
    (Status.SCHEDULED, Change.OPT_OUT): Status.CANCELLED,
    (Status.SCHEDULED, Change.EXPIRE): Status.EXPIRED,
    (Status.SCHEDULED, Change.RELEASE): Status.QUEUED,
    (Status.SCHEDULED, Change.CLAIM): Status.SENDING,
    (Status.QUEUED, Change.OPT_OUT): Status.CANCELLED,
    (Status.QUEUED, Change.EXPIRE): Status.EXPIRED,
    (Status.QUEUED, Change.CLAIM): Status.SENDING,
    (Status.SENDING, Change.CLAIM): Status.SENDING,
    (Status.SENDING, Change.HAND_BACK): Status.SENDING,
    (Status.SENDING, Change.RECOVER): Status.SENDING,
    (Status.SENDING, Change.DEFER): Status.SENDING,
    (Status.SENDING, Change.DOUBT): Status.SENDING,
    (Status.SENDING, Change.EXPIRE): Status.EXPIRED,
    (Status.SENDING, Change.ACCEPT): Status.SENT,
    (Status.SENDING, Change.REFUSE): Status.SENDING_FAILED,
    (Status.SENDING, Change.LOSE): Status.DELIVERY_UNCONFIRMED,
    (Status.SENT, Change.DELIVER): Status.DELIVERED,
    (Status.SENT, Change.FAIL): Status.DELIVERY_FAILED,
    (Status.SENT, Change.UNCONFIRM): Status.DELIVERY_UNCONFIRMED,
}

FINAL = frozenset(
    {
        Status.CANCELLED,
        Status.EXPIRED,
        Status.SENDING_FAILED,
        Status.DELIVERED,
        Status.DELIVERY_FAILED,
        Status.DELIVERY_UNCONFIRMED,
    }
)

RANK: Mapping[Status, int] = {
    Status.SCHEDULED: 0,
    Status.QUEUED: 1,
    Status.SENDING: 2,
    Status.SENT: 3,
    **dict.fromkeys(FINAL, 4),
}


class ImpossibleChange(Exception):
    """The table has no such transition."""


def after(status: Status, change: Change) -> Status:
    """Where `change` leads from `status`; raises `ImpossibleChange` when it may not happen there."""
    try:
        return TABLE[status, change]
    except KeyError:
        raise ImpossibleChange(f"{change} cannot happen to a message that is {status}") from None


def result(change: Change) -> Status:
    """Where `change` leads; the same from every status it may happen in."""
    (status,) = {target for (_, each), target in TABLE.items() if each is change}
    return status


def sources(change: Change) -> list[Status]:
    """The statuses in which `change` may happen, in the order of the table."""
    return [status for (status, each) in TABLE if each is change]


def born(*, scheduled: bool) -> Status:
    """The first status of a message."""
    return Status.SCHEDULED if scheduled else Status.QUEUED


def replay(first: Status, changes: Iterable[Change]) -> Status:
    """The status that the log of a message leads to."""
    status = first
    for change in changes:
        status = after(status, change)
    return status


def diagram() -> str:
    """The table as a Mermaid state diagram, for the documentation."""
    lines = ["stateDiagram-v2", "    [*] --> scheduled", "    [*] --> queued"]
    lines += [f"    {source} --> {target}: {change}" for (source, change), target in TABLE.items()]
    lines += [f"    {status} --> [*]" for status in Status if status in FINAL]
    return "\n".join(lines)
