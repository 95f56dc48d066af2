"""What time does to messages: their validity ends, leases end, doubts are not settled, receipts do not come."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Text, func, literal_column, not_, null, or_, select, true, update
from sqlalchemy.types import TypeEngine

from heliograph.domain.instant import HOUR
from heliograph.domain.lifecycle import Change, result, sources
from heliograph.domain.message import DeliveryError
from heliograph.domain.outcome import NEVER_SETTLED
from heliograph.store.batch import FLAG, MICROS, TEXT, Batch, Sql, scalar
from heliograph.store.engine import Transaction
from heliograph.store.messages import MESSAGE_COLUMNS, MessageVerbs, to_message, word, words
from heliograph.store.outbox import REPORTED_COLUMNS, Logged, Outbox
from heliograph.store.outcomes import errors_text
from heliograph.store.tables import messages

FORGOTTEN = HOUR
"""How long after its end a lease of a carrier that we do not know is left to the processes that do."""


@dataclass(frozen=True, slots=True)
class Expiry:
    """What to say of messages that waited past their `valid_until`."""

    limit: int
    unsent: DeliveryError
    doubtful: DeliveryError


@dataclass(frozen=True, slots=True)
class Recovery:
    """What to do with claims whose lease is over, and with doubts that were not settled.

    Only carriers that we know are judged: of another one, a process that has it may know that it takes repeats.
    """

    repeatable: Sequence[str]
    """The carriers that may be given a message twice; what any other was given is not sent again."""
    settling: Mapping[str, int]
    """The carriers that may still tell what became of a message, and how long that is awaited, in microseconds."""
    limit: int
    error: DeliveryError
    """Why a message whose lease ended is in doubt or lost; goes into its `errors[]`."""
    known: Collection[str] = ()
    """Every carrier that we know; those of the two kinds above need not be told again."""
    unsettled: DeliveryError = NEVER_SETTLED
    """Why a message is lost that was in doubt."""


class Recovered(NamedTuple):
    """What was decided, in messages."""

    again: int = 0
    """Due again."""
    lost: int = 0
    doubted: int = 0
    """In doubt from now on."""


def _overdue(change: Change, *, in_doubt: bool) -> Batch:
    """A batch that does `change` to what waits past its validity.

    What may have reached the carrier by an earlier try, or of which it has a part, is told apart: it must not be called
    unsent.
    """

    def build(sql: Sql) -> Any:
        begun = or_(messages.c.in_doubt, messages.c.progress.is_not(None))
        doubt = begun if in_doubt else not_(begun)
        indexed = messages.c.valid_until > literal_column("0")
        late = (
            select(messages.c.id)
            .where(messages.c.due_at <= sql.now, messages.c.valid_until <= sql.now, indexed, doubt)
            .order_by(messages.c.valid_until)
            .limit(scalar("limit"))
            .with_for_update(skip_locked=True)
            .cte("late")
        )
        return (
            update(messages)
            .where(messages.c.id.in_(sql.few(late)))
            .values(status=word(result(change)), due_at=null(), completed_at=sql.now, errors=scalar("errors", TEXT))
            .returning(*MESSAGE_COLUMNS, sql.now.label("now"))
        )

    return Batch({}, build)


Columns = Mapping[str, TypeEngine[Any]]
Condition = Callable[[Sql], Any]


def _past_deadline(
    change: Change, columns: Columns, condition: Condition, values: Mapping[str, Callable[[Sql], Any]]
) -> Batch:
    """A batch that does `change` to what has passed its deadline in a status where it may happen."""

    def build(sql: Sql) -> Any:
        passed = (
            select(messages.c.id)
            .where(messages.c.deadline_at <= sql.now, messages.c.status.in_(words(sources(change))), condition(sql))
            .order_by(messages.c.deadline_at)
            .limit(scalar("limit"))
            .with_for_update(skip_locked=True)
            .cte("passed")
        )
        given = {"deadline_at": null()} | {name: value(sql) for name, value in values.items()}
        return (
            update(messages)
            .where(messages.c.id.in_(sql.few(passed)))
            .values(status=word(result(change)), claim_token=null(), **given)
            .returning(*REPORTED_COLUMNS, sql.now.label("now"))
        )

    return Batch(columns, build)


def _listed(sql: Sql) -> Any:
    return messages.c.carrier.in_(select(sql.rows.c.carrier))


def _claimed(_sql: Sql) -> Any:
    return messages.c.claim_token.is_not(None)


def _unclaimed(_sql: Sql) -> Any:
    return messages.c.claim_token.is_(None)


def _given_up(sql: Sql) -> Any:
    """Of a carrier that we know and that is not spared; of one that nobody seems to know any more; or of none."""
    rows = sql.rows.c
    mine = select(rows.carrier).where(rows.carrier == messages.c.carrier)
    forgotten = messages.c.deadline_at <= sql.now - FORGOTTEN
    return or_(messages.c.carrier.is_(None), mine.where(not_(rows.spared)).exists(), ~mine.exists() & forgotten)


def _lose(condition: Condition) -> Batch:
    return _past_deadline(
        Change.LOSE,
        {"carrier": TEXT, "spared": FLAG},
        lambda sql: condition(sql) & _given_up(sql),
        {
            "completed_at": lambda sql: sql.now,
            "errors": lambda sql: func.coalesce(messages.c.errors, _error(sql)),
            "progress": lambda _: null(),
        },
    )


def _settle_until(sql: Sql) -> Any:
    mine = select(sql.rows.c.wait).where(sql.rows.c.carrier == messages.c.carrier)
    return sql.now + mine.scalar_subquery()


def _error(_sql: Sql) -> Any:
    return scalar("errors", Text())


EXPIRE = _overdue(Change.EXPIRE, in_doubt=False)
LOSE_OVERDUE = _overdue(Change.LOSE, in_doubt=True)
RECOVER = _past_deadline(
    Change.RECOVER, {"carrier": TEXT}, _listed, {"due_at": lambda sql: sql.now, "in_doubt": lambda _: true()}
)
DOUBT = _past_deadline(
    Change.DOUBT,
    {"carrier": TEXT, "wait": MICROS},
    lambda sql: _listed(sql) & _claimed(sql),
    {"deadline_at": _settle_until, "in_doubt": lambda _: true(), "errors": _error},
)
LOSE = _lose(_claimed)
LOSE_UNSETTLED = _lose(_unclaimed)
UNCONFIRM = _past_deadline(Change.UNCONFIRM, {}, lambda _: true(), {"completed_at": lambda sql: sql.now})


class LapseVerbs:
    """Verbs of the group commit."""

    def __init__(self, verbs: MessageVerbs, outbox: Outbox) -> None:
        self._verbs = verbs
        self._outbox = outbox

    async def expire(self, transaction: Transaction, items: Sequence[Expiry]) -> Sequence[tuple[int, int]]:
        """Let go of what waited too long: how many expired unsent, and how many may have been sent."""
        return [await self._expire(transaction, item) for item in items]

    async def _expire(self, transaction: Transaction, item: Expiry) -> tuple[int, int]:
        unsent = await transaction.batch(EXPIRE, (), limit=item.limit, errors=errors_text(item.unsent))
        doubtful = await transaction.batch(LOSE_OVERDUE, (), limit=item.limit, errors=errors_text(item.doubtful))
        changes = [Logged(row, Change.EXPIRE, row["now"], item.unsent.detail) for row in unsent]
        changes += [Logged(row, Change.LOSE, row["now"], item.doubtful.detail) for row in doubtful]
        if changes:
            await self._outbox.log(transaction, changes)
            untried = (each for each in map(to_message, unsent) if each.send_at is not None and each.attempts == 0)
            self._verbs.count_pending(transaction, Counter(each.organization_id for each in untried), -1)
            self._verbs.give_back(transaction, unsent)
        return len(unsent), len(doubtful)

    async def recover(self, transaction: Transaction, items: Sequence[Recovery]) -> Sequence[Recovered]:
        """Decide about leases that are over and doubts that were not settled."""
        return [await self._recover(transaction, item) for item in items]

    async def _recover(self, transaction: Transaction, item: Recovery) -> Recovered:
        errors, known = errors_text(item.error), {*item.known, *item.repeatable, *item.settling}
        repeatable = [(each,) for each in item.repeatable]
        again = await transaction.batch(RECOVER, repeatable, limit=item.limit)
        settling = [(name, wait) for name, wait in item.settling.items() if name not in item.repeatable]
        doubted = await transaction.batch(DOUBT, settling, limit=item.limit, errors=errors)
        # What was not within the limit of the two before is left to the next look.
        judged = [(name, name in item.repeatable or name in item.settling) for name in sorted(known)]
        lost = await transaction.batch(LOSE, judged, limit=item.limit, errors=errors)
        judged = [(name, name in item.repeatable) for name in sorted(known)]
        unsettled = await transaction.batch(
            LOSE_UNSETTLED, judged, limit=item.limit, errors=errors_text(item.unsettled)
        )
        changes = [Logged(row, Change.RECOVER, row["now"], None) for row in again]
        changes += [Logged(row, Change.DOUBT, row["now"], item.error.detail) for row in doubted]
        changes += [Logged(row, Change.LOSE, row["now"], item.error.detail) for row in lost]
        changes += [Logged(row, Change.LOSE, row["now"], item.unsettled.detail) for row in unsettled]
        await self._outbox.log(transaction, changes)
        return Recovered(len(again), len(lost) + len(unsettled), len(doubted))

    async def unconfirm(self, transaction: Transaction, items: Sequence[int]) -> Sequence[int]:
        """Stop waiting for receipts that did not come; how many."""
        return [await self._unconfirm(transaction, limit) for limit in items]

    async def _unconfirm(self, transaction: Transaction, limit: int) -> int:
        rows = await transaction.batch(UNCONFIRM, (), limit=limit)
        await self._outbox.log(transaction, [Logged(row, Change.UNCONFIRM, row["now"], None) for row in rows])
        return len(rows)
