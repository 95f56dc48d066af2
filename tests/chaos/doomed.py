"""A server that kills itself at a named point, where nobody could aim from outside.

    python -m tests.chaos.doomed POINT NTH serve ...

One function of the program, or one event of its database library, is wrapped before it starts. At the NTH time that it
gets there it says so on standard error, with what it was about, and is gone by SIGKILL. Of several API processes the
first is doomed.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from copy import copy
from dataclasses import dataclass
from enum import Enum
from functools import partial, wraps
from itertools import count
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
from sqlalchemy import event
from sqlalchemy.engine import Engine

from heliograph.carriers import sandbox
from heliograph.cli import main
from heliograph.commands import processes
from heliograph.domain.lifecycle import Change
from heliograph.store import partitions, retention
from heliograph.store.claims import ClaimVerbs
from heliograph.store.engine import Transaction
from heliograph.store.lanes import DeliveryLanes
from heliograph.store.lapses import LapseVerbs, Recovered
from heliograph.store.messages import Acceptance, Accepted, MessageVerbs
from heliograph.store.outcomes import OutcomeVerbs
from heliograph.store.partitions import Partitions
from heliograph.store.receipts import ReceiptVerbs
from heliograph.store.store import Store
from heliograph.store.writer import GroupCommit

READING = ("SELECT", "PRAGMA", "SHOW", "BEGIN", "SET")
"""How statements begin that change nothing."""
STDERR = 2
HELIOGRAPH = (sys.executable, "-m", "heliograph")
"""How the command of an API process begins."""


class Fallen(msgspec.Struct, frozen=True):
    """What a doomed process says last."""

    doomed: str
    """The point."""
    about: Sequence[str]
    """What was in its hands there: ids of messages, of events, or other names."""


class Doom:
    """Counts how often a process gets to its point, and ends it there."""

    def __init__(self, point: str, nth: int) -> None:
        self._point = point
        self._nth = nth
        self.passed = 0

    def passes(self, about: Iterable[object]) -> None:
        """It is there once more, with these in hand."""
        self.passed += 1
        if self.passed == self._nth:
            os.write(STDERR, msgspec.json.encode(Fallen(self._point, [*map(str, about)])) + b"\n")
            os.kill(os.getpid(), signal.SIGKILL)


Watch = Callable[[Doom], None]
"""Wraps the point."""
About = Callable[[Sequence[Any], Sequence[Any]], Iterable[object]]
"""What of the items of a verb it did something to, by its answers."""


@dataclass(frozen=True, slots=True)
class Point:
    """A place in the program."""

    watch: Watch
    most: int = 5
    """It may be doomed to fall there at any time up to this one: every load gets there so often."""


class Moment(Enum):
    """Where in a commit."""

    BEFORE = "before"
    """Everything is written, and COMMIT is not sent."""
    UNDER_WAY = "under way"
    """COMMIT is with the database, and its answer is not here."""
    AFTER = "after"
    """It is committed, and nobody has heard of it."""


def at_commit(owner: Any, verb: str, about: About, moment: Moment) -> Watch:
    """At a commit of what a verb did something in; a commit in which it had nothing to do is none."""

    def watch(doom: Doom) -> None:
        concerned: WeakKeyDictionary[Transaction, list[object]] = WeakKeyDictionary()
        do = getattr(owner, verb)

        @wraps(do)  # the group commit sorts verbs by their names
        async def noting(self: Any, transaction: Transaction, items: Sequence[Any]) -> Sequence[Any]:
            answers: Sequence[Any] = await do(self, transaction, items)
            concerned.setdefault(transaction, []).extend(about(items, answers))
            return answers

        setattr(owner, verb, noting)
        _MOMENTS[moment](doom, concerned)

    return watch


Concerned = Mapping[Transaction, Sequence[object]]


def _before_commit(doom: Doom, concerned: Concerned) -> None:
    _after_finish(lambda transaction: _fall(doom, concerned, transaction))


def _commit_under_way(doom: Doom, concerned: Concerned) -> None:
    # In the next turn of the event loop: in this one COMMIT is handed to the driver.
    _after_finish(lambda each: asyncio.get_running_loop().call_soon(_fall, doom, concerned, each))


def _after_finish(then: Callable[[Transaction], object]) -> None:
    finish, replaced = Transaction.finish, _open(Transaction)

    async def finishing(self: Transaction) -> None:
        await finish(self)
        then(self)

    replaced.finish = finishing


def _after_commit(doom: Doom, concerned: Concerned) -> None:
    committed, replaced = Transaction.committed, _open(Transaction)

    def committing(self: Transaction) -> None:
        _fall(doom, concerned, self)
        committed(self)

    replaced.committed = committing


def _fall(doom: Doom, concerned: Concerned, transaction: Transaction) -> None:
    if about := concerned.get(transaction):
        doom.passes(about)


def _open(owner: Any) -> Any:
    """A class or module in which something is to be replaced."""
    return owner


_MOMENTS: Mapping[Moment, Callable[[Doom, Concerned], None]] = {
    Moment.BEFORE: _before_commit,
    Moment.UNDER_WAY: _commit_under_way,
    Moment.AFTER: _after_commit,
}


# ------------------------------------------------------------------------------------------------- what verbs have done


def _taken(_items: Sequence[Any], answers: Sequence[Any]) -> Iterable[object]:
    return [each.id for answer in answers if answer.outcome is Accepted.TAKEN for each in answer.messages]


def _won(_items: Sequence[Any], answers: Sequence[Any]) -> Iterable[object]:
    return [answer.message.id for answer in answers if answer.won]


def _claimed(_items: Sequence[Any], answers: Sequence[Any]) -> Iterable[object]:
    return [each.id for answer in answers for each in answer.messages]


def _answered(items: Sequence[Any], answers: Sequence[Any]) -> Iterable[object]:
    """What the carrier took or refused, and is recorded."""
    told = {Change.ACCEPT, Change.REFUSE}
    return [item.message_id for item, held in zip(items, answers, strict=True) if held and item.change in told]


def _received(items: Sequence[Any], _answers: Sequence[Any]) -> Iterable[object]:
    return [item.carrier_message_id.removeprefix("sandbox-") for item in items]


def _told(items: Sequence[Any], answers: Sequence[Any]) -> Iterable[object]:
    return [item.delivery.event_id for item, held in zip(items, answers, strict=True) if held and item.attempt]


def _judged(_items: Sequence[Any], answers: Sequence[Any]) -> Iterable[object]:
    return [str(each) for each in answers if each.again or each.lost]


# ------------------------------------------------------------------------------------------------------- other points


def within_a_batch(doom: Doom) -> None:
    """After a statement of a transaction in which several requests share a commit."""
    commit, batch = GroupCommit._commit, Transaction.batch
    # Of the task that commits: what others do beside it is no part of the batch.
    shared: ContextVar[Sequence[Any]] = ContextVar("shared", default=())

    async def committing(self: Any, waiting: list[Any]) -> list[Any]:
        shared.set([each.item for each in waiting])
        return await commit(self, waiting)

    async def running(self: Any, *given: Any, **scalars: Any) -> Any:
        rows = await batch(self, *given, **scalars)
        if len(items := shared.get()) > 1:
            taking = (each for each in items if isinstance(each, Acceptance))
            doom.passes(message.id for each in taking for message in each.messages)
        return rows

    _open(GroupCommit)._commit = committing
    _open(Transaction).batch = running


def on_the_carriers_record(doom: Doom) -> None:
    """The carrier has it in writing, and has not answered."""
    append = sandbox._Record.append

    def appending(self: Any, message: Any) -> None:
        append(self, message)
        doom.passes([message.id])

    _open(sandbox._Record).append = appending


def between_match_and_recover(doom: Doom) -> None:
    """Receipts were matched, and leases that ended are not judged."""
    recover = Store.recover

    async def recovering(self: Store, recovery: Any) -> Recovered:
        doom.passes([])
        return await recover(self, recovery)

    _open(Store).recover = recovering


def partition_made(doom: Doom) -> None:
    """A partition is made and attached, and not committed."""
    make = partitions._make

    async def making(transaction: Transaction, table: str, day: int) -> bool:
        made = await make(transaction, table, day)
        if made:
            doom.passes([table, day])
        return made

    _open(partitions)._make = making


def partitions_dropped(doom: Doom) -> None:
    """Partitions are dropped, and it is not committed."""
    drop = Partitions.drop

    async def dropping(self: Partitions, transaction: Transaction, parts: Sequence[Any]) -> None:
        await drop(self, transaction, parts)
        doom.passes(part.name for part in parts)

    _open(Partitions).drop = dropping


def charges_added_up(doom: Doom) -> None:
    """What is to be forgotten is added to the sum of what was charged, and is still there."""
    remember = _open(retention).remember

    async def remembering(transaction: Transaction, charges: Iterable[Any]) -> None:
        given = [*charges]
        await remember(transaction, given)
        if given:
            doom.passes(given)

    _open(retention).remember = remembering


def a_change_of_the_schema(doom: Doom) -> None:
    """After a statement that changes something."""
    event.listen(Engine, "after_cursor_execute", partial(_changing, doom))


@contextmanager
def counting_changes() -> Iterator[Doom]:
    """Counts the statements in this process that change something."""
    doom = Doom("", -1)
    listener = partial(_changing, doom)
    event.listen(Engine, "after_cursor_execute", listener)
    try:
        yield doom
    finally:
        event.remove(Engine, "after_cursor_execute", listener)


def _changing(doom: Doom, _connection: Any, _cursor: Any, statement: str, *_: object) -> None:
    if not statement.lstrip().upper().startswith(READING):
        doom.passes([" ".join(statement.split())[:80]])


ACCEPT_BEFORE, ACCEPT_SENT, ACCEPT_AFTER = "accept, before COMMIT", "accept, COMMIT under way", "accept, after COMMIT"
CANCEL_BEFORE, CANCEL_AFTER = "cancel, before COMMIT", "cancel, after COMMIT"
HALF_A_BATCH = "group commit, half of a batch"
CLAIM_BEFORE, CLAIM_AFTER = "claim, before COMMIT", "claim, after COMMIT"
SUBMIT = "submit, on the carrier's record"
OUTCOME_BEFORE, OUTCOME_AFTER = "outcome, before COMMIT", "outcome, after COMMIT"
UPKEEP, RECOVER_BEFORE, RECOVER_AFTER = "upkeep, matched", "recover, before COMMIT", "recover, after COMMIT"
RECEIPT_BEFORE, RECEIPT_AFTER = "receipt, before COMMIT", "receipt, after COMMIT"
WEBHOOK_BEFORE, WEBHOOK_AFTER = "webhook, before COMMIT", "webhook, after COMMIT"
PARTITION, DROP, FORGET = "partition, made", "partitions, dropped", "forget, charges added up"
MIGRATION = "migration"

POINTS: Mapping[str, Point] = {
    ACCEPT_BEFORE: Point(at_commit(MessageVerbs, "accept", _taken, Moment.BEFORE)),
    ACCEPT_SENT: Point(at_commit(MessageVerbs, "accept", _taken, Moment.UNDER_WAY)),
    ACCEPT_AFTER: Point(at_commit(MessageVerbs, "accept", _taken, Moment.AFTER)),
    CANCEL_BEFORE: Point(at_commit(MessageVerbs, "cancel", _won, Moment.BEFORE)),
    CANCEL_AFTER: Point(at_commit(MessageVerbs, "cancel", _won, Moment.AFTER)),
    HALF_A_BATCH: Point(within_a_batch, most=60),
    CLAIM_BEFORE: Point(at_commit(ClaimVerbs, "claim", _claimed, Moment.BEFORE)),
    CLAIM_AFTER: Point(at_commit(ClaimVerbs, "claim", _claimed, Moment.AFTER)),
    SUBMIT: Point(on_the_carriers_record, most=60),
    OUTCOME_BEFORE: Point(at_commit(OutcomeVerbs, "record", _answered, Moment.BEFORE)),
    OUTCOME_AFTER: Point(at_commit(OutcomeVerbs, "record", _answered, Moment.AFTER)),
    UPKEEP: Point(between_match_and_recover, most=1),
    RECOVER_BEFORE: Point(at_commit(LapseVerbs, "recover", _judged, Moment.BEFORE), most=1),
    RECOVER_AFTER: Point(at_commit(LapseVerbs, "recover", _judged, Moment.AFTER), most=1),
    RECEIPT_BEFORE: Point(at_commit(ReceiptVerbs, "keep", _received, Moment.BEFORE)),
    RECEIPT_AFTER: Point(at_commit(ReceiptVerbs, "keep", _received, Moment.AFTER)),
    WEBHOOK_BEFORE: Point(at_commit(DeliveryLanes, "record", _told, Moment.BEFORE)),
    WEBHOOK_AFTER: Point(at_commit(DeliveryLanes, "record", _told, Moment.AFTER)),
    PARTITION: Point(partition_made),
    DROP: Point(partitions_dropped),
    FORGET: Point(charges_added_up),
    MIGRATION: Point(a_change_of_the_schema),
}


def program(point: str, nth: int) -> Sequence[str]:
    """What to run, before the arguments of `heliograph`."""
    return (sys.executable, "-m", "tests.chaos.doomed", point, str(nth))


def fallen(log: str) -> Sequence[Fallen]:
    """Where processes have fallen, by what they wrote."""
    return [msgspec.json.decode(line, type=Fallen) for line in log.splitlines() if line.startswith('{"doomed"')]


def doom_the_first_child(point: str, nth: int) -> None:
    """Whoever is begun after it is not."""
    family: Any = processes._Family
    begin, children = family._begin, count()

    async def beginning(self: Any) -> Any:
        parent = copy(self)
        if next(children) == 0:
            parent._command = [*program(point, nth), *self._command[len(HELIOGRAPH) :]]
        return await begin(parent)

    family._begin = beginning


if __name__ == "__main__":
    _, _point, _nth, *_arguments = sys.argv
    if "--processes" in _arguments:
        doom_the_first_child(_point, int(_nth))
    else:
        POINTS[_point].watch(Doom(_point, int(_nth)))
    sys.exit(main(_arguments))
