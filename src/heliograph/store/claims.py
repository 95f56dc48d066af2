"""Messages on their way out: claimed, sent, refused, handed back, recovered.

A claim takes what is due and marks it `sending` under a token and a lease, in one statement. An outcome is recorded
only under that token: whoever lost the lease cannot write over what recovery decided (promises P1, P3).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Text, func, not_, null, or_, select, true, update

from heliograph.domain.errors import Code
from heliograph.domain.ids import MessageId
from heliograph.domain.instant import Instant
from heliograph.domain.lifecycle import FINAL, Change, Status, result, sources
from heliograph.domain.message import DeliveryError, Message
from heliograph.domain.outcome import delivery_error, opted_out
from heliograph.store.batch import FLAG, ID, MICROS, TEXT, Batch, Sql, scalar
from heliograph.store.engine import Row, Transaction
from heliograph.store.messages import MESSAGE_COLUMNS, OPTED_OUT, MessageVerbs, to_message, word, words
from heliograph.store.outbox import REPORTED_COLUMNS, Logged, Outbox
from heliograph.store.receipts import ReceiptVerbs
from heliograph.store.tables import messages

WITHHELD_ROUNDS = 20
"""How often one claim asks again when everybody it was given a message for has opted out."""


@dataclass(slots=True)
class Claim:
    """A dispatcher's wish for work."""

    token: str
    """New for every claim."""
    carrier: str
    limit: int
    lease: int
    """How long the messages are this dispatcher's, in microseconds."""
    asked: bool = False
    """Set when the database was asked: a commit whose answer was lost may have given us messages already."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a claim was given."""

    messages: Sequence[Message]
    at: Instant
    """When, by the database's clock: not before anything in it was due."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one claimed message, or of one try."""

    message_id: MessageId
    token: str
    change: Change
    at: Instant
    left_at: Instant | None = None
    due_at: Instant | None = None
    """When it may be claimed again; None when it may not."""
    in_doubt: bool = False
    """This try may have reached the carrier, and there will be another."""
    deadline_at: Instant | None = None
    """Until when a receipt is awaited."""
    carrier_message_id: str | None = None
    error: DeliveryError | None = None


def _claim(sql: Sql) -> Any:
    waiting = messages.c.status.in_(words(sources(Change.CLAIM)))
    due = (
        select(messages.c.id)
        .where(messages.c.due_at <= sql.now, messages.c.valid_until > sql.now, waiting)
        .order_by(messages.c.due_at)
        .limit(scalar("limit"))
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    return (
        update(messages)
        .where(messages.c.id.in_(select(due.c.id)))
        .values(
            status=word(result(Change.CLAIM)),
            claim_token=scalar("token", ID),
            carrier=scalar("carrier", TEXT),
            deadline_at=sql.now + scalar("lease"),
            due_at=null(),
            attempts=messages.c.attempts + 1,
        )
        .returning(*MESSAGE_COLUMNS, messages.c.in_doubt, sql.now.label("now"))
    )


def _held(sql: Sql) -> Any:
    held = (messages.c.deadline_at > sql.now) & (messages.c.claim_token == scalar("token", ID))
    return select(*MESSAGE_COLUMNS, sql.now.label("now")).where(held)


def _record(sql: Sql) -> Any:
    rows = sql.rows.c
    return (
        update(messages)
        .where(
            messages.c.id == rows.id,
            messages.c.claim_token == rows.token,
            messages.c.status.in_(words(sources(Change.ACCEPT))),
        )
        .values(
            status=rows.status,
            claim_token=null(),
            due_at=rows.due_at,
            deadline_at=rows.deadline_at,
            left_at=func.coalesce(rows.left_at, messages.c.left_at),
            in_doubt=or_(messages.c.in_doubt, rows.in_doubt),
            sent_at=rows.sent_at,
            completed_at=rows.completed_at,
            carrier_message_id=rows.carrier_message_id,
            errors=func.coalesce(rows.errors, messages.c.errors),
        )
        .returning(*REPORTED_COLUMNS)
    )


def _overdue(change: Change, *, in_doubt: bool) -> Batch:
    """A batch that does `change` to what waits past its validity.

    What may have reached the carrier by an earlier try is told apart: it must not be called unsent.
    """

    def build(sql: Sql) -> Any:
        doubt = messages.c.in_doubt if in_doubt else not_(messages.c.in_doubt)
        late = (
            select(messages.c.id)
            .where(messages.c.due_at <= sql.now, messages.c.valid_until <= sql.now, doubt)
            .order_by(messages.c.due_at)
            .limit(scalar("limit"))
            .with_for_update(skip_locked=True)
            .cte("late")
        )
        return (
            update(messages)
            .where(messages.c.id.in_(select(late.c.id)))
            .values(status=word(result(change)), due_at=null(), completed_at=sql.now, errors=scalar("errors", TEXT))
            .returning(*MESSAGE_COLUMNS, sql.now.label("now"))
        )

    return Batch({}, build)


def _past_deadline(change: Change, condition: Any, values: dict[str, Any]) -> Batch:
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
        given = {name: value(sql) for name, value in values.items()}
        return (
            update(messages)
            .where(messages.c.id.in_(select(passed.c.id)))
            .values(status=word(result(change)), deadline_at=null(), claim_token=null(), **given)
            .returning(*REPORTED_COLUMNS, sql.now.label("now"))
        )

    return Batch({"carrier": TEXT} if change is not Change.UNCONFIRM else {}, build)


def _repeatable(sql: Sql) -> Any:
    return messages.c.carrier.in_(select(sql.rows.c.carrier))


CLAIM = Batch({}, _claim)
HELD = Batch({}, _held)
RECORD = Batch(
    {
        "id": ID,
        "token": ID,
        "status": TEXT,
        "due_at": MICROS,
        "deadline_at": MICROS,
        "left_at": MICROS,
        "in_doubt": FLAG,
        "sent_at": MICROS,
        "completed_at": MICROS,
        "carrier_message_id": TEXT,
        "errors": TEXT,
    },
    _record,
)
EXPIRE = _overdue(Change.EXPIRE, in_doubt=False)
LOSE_OVERDUE = _overdue(Change.LOSE, in_doubt=True)
RECOVER = _past_deadline(Change.RECOVER, _repeatable, {"due_at": lambda sql: sql.now, "in_doubt": lambda _: true()})
LOSE = _past_deadline(
    Change.LOSE,
    lambda sql: ~_repeatable(sql),
    {"completed_at": lambda sql: sql.now, "errors": lambda _: scalar("errors", Text())},
)
UNCONFIRM = _past_deadline(Change.UNCONFIRM, lambda _: true(), {"completed_at": lambda sql: sql.now})


class ClaimVerbs:
    """What a dispatcher and the upkeep do to messages; each method is a verb of the group commit."""

    def __init__(self, verbs: MessageVerbs, outbox: Outbox, receipts: ReceiptVerbs) -> None:
        self._verbs = verbs
        self._outbox = outbox
        self._receipts = receipts

    async def claim(self, transaction: Transaction, items: Sequence[Claim]) -> Sequence[Claimed]:
        """What is due, in the order it fell due, at most `limit` messages for each claim."""
        return [await self._claim(transaction, item) for item in items]

    async def _claim(self, transaction: Transaction, item: Claim) -> Claimed:
        if item.asked and (held := await transaction.batch(HELD, (), token=item.token)):
            return _claimed(held)
        item.asked = True
        wanted: Sequence[Row] = ()
        for _ in range(WITHHELD_ROUNDS):
            rows, wanted = await self._take(transaction, item)
            # An empty claim says that nothing is due, and what stands behind messages that are withheld may be.
            if wanted or not rows:
                break
        return _claimed(wanted)

    async def _take(self, transaction: Transaction, item: Claim) -> tuple[Sequence[Row], Sequence[Row]]:
        """What was due, and what of it may be sent: a message whose recipient has opted out since is let go of."""
        given = {"token": item.token, "carrier": item.carrier, "limit": item.limit, "lease": item.lease}
        rows = await transaction.batch(CLAIM, (), **given)
        if not rows:
            return rows, rows
        unwanted = await self._unwanted(transaction, rows)
        withheld = [_withheld(row, item.token) for row in rows if str(row["id"]) in unwanted]
        # One call for both entries of what is withheld: only ids that are made together are sure to be in order.
        changes = [Logged(row, Change.CLAIM, row["now"], item.carrier) for row in rows]
        await self._outbox.log(transaction, changes + await self._put_down(transaction, withheld))
        scheduled = (each for each in map(to_message, rows) if each.send_at is not None and each.attempts == 1)
        await self._verbs.count_pending(transaction, Counter(each.organization_id for each in scheduled), -1)
        return rows, [row for row in rows if str(row["id"]) not in unwanted]

    async def _unwanted(self, transaction: Transaction, rows: Sequence[Row]) -> set[str]:
        """Those whose recipient has opted out since they were taken; the confirmation of an opt-out is none of them.

        A statement of its own: on PostgreSQL it sees an opt-out that was committed while the claim was running, and
        SQLite knows the columns of RETURNING by their bare names, so that a condition there compares the columns of
        `opt_outs` with themselves.
        """
        asked = [
            (str(row["id"]), str(row["organization_id"]), str(row["profile_id"]), row["recipient"])
            for row in rows
            if row["answers"] is None
        ]
        found = await transaction.batch(OPTED_OUT, asked, account_wide=self._verbs.account_wide) if asked else ()
        return {str(row["id"]) for row in found}

    async def record(self, transaction: Transaction, items: Sequence[Outcome]) -> Sequence[bool]:
        """Record outcomes; False for one whose claim is no longer its token's.

        A lost claim's outcome and the current one of the same message may come together: they go one after the other.
        """
        answers = [False] * len(items)
        remaining = list(enumerate(items))
        while remaining:
            first = {item.message_id: index for index, item in reversed(remaining)}
            recorded = await self._record(transaction, [items[index] for index in first.values()])
            for message_id, index in first.items():
                answers[index] = message_id in recorded
            remaining = [(index, item) for index, item in remaining if first[item.message_id] != index]
        return answers

    async def _record(self, transaction: Transaction, items: Sequence[Outcome]) -> set[str]:
        """Record outcomes of different messages; the messages of those that were recorded."""
        logged = await self._put_down(transaction, items)
        await self._outbox.log(transaction, logged)
        # A receipt can overtake the answer that tells the id it speaks of.
        await self._receipts.match_given(transaction, [item.carrier_message_id for item in items])
        return {str(each.message["id"]) for each in logged}

    async def _put_down(self, transaction: Transaction, items: Sequence[Outcome]) -> list[Logged]:
        """Write outcomes into their messages; those that were their token's to write, for the log."""
        if not items:
            return []
        rows = await transaction.batch(RECORD, [_outcome_row(item) for item in sorted(items, key=_by_id)])
        recorded = {str(row["id"]): row for row in rows}
        return [
            Logged(recorded[item.message_id], item.change, item.at, _detail(item))
            for item in items
            if item.message_id in recorded
        ]

    async def expire(self, transaction: Transaction, items: Sequence["Expiry"]) -> Sequence[tuple[int, int]]:
        """Let go of what waited too long: how many expired unsent, and how many may have been sent."""
        return [await self._expire(transaction, item) for item in items]

    async def _expire(self, transaction: Transaction, item: "Expiry") -> tuple[int, int]:
        unsent = await transaction.batch(EXPIRE, (), limit=item.limit, errors=_errors_text(item.unsent))
        doubtful = await transaction.batch(LOSE_OVERDUE, (), limit=item.limit, errors=_errors_text(item.doubtful))
        changes = [Logged(row, Change.EXPIRE, row["now"], item.unsent.detail) for row in unsent]
        changes += [Logged(row, Change.LOSE, row["now"], item.doubtful.detail) for row in doubtful]
        if changes:
            await self._outbox.log(transaction, changes)
            untried = (each for each in map(to_message, unsent) if each.send_at is not None and each.attempts == 0)
            await self._verbs.count_pending(transaction, Counter(each.organization_id for each in untried), -1)
        return len(unsent), len(doubtful)

    async def recover(self, transaction: Transaction, items: Sequence["Recovery"]) -> Sequence[tuple[int, int]]:
        """Decide about claims whose lease is over: how many are due again, and how many are lost."""
        return [await self._recover(transaction, item) for item in items]

    async def _recover(self, transaction: Transaction, item: "Recovery") -> tuple[int, int]:
        carriers = [(each,) for each in item.repeatable]
        again = await transaction.batch(RECOVER, carriers, limit=item.limit)
        lost = await transaction.batch(LOSE, carriers, limit=item.limit, errors=_errors_text(item.error))
        changes = [Logged(row, Change.RECOVER, row["now"], None) for row in again]
        changes += [Logged(row, Change.LOSE, row["now"], item.error.detail) for row in lost]
        await self._outbox.log(transaction, changes)
        return len(again), len(lost)

    async def unconfirm(self, transaction: Transaction, items: Sequence[int]) -> Sequence[int]:
        """Stop waiting for receipts that did not come; how many."""
        return [await self._unconfirm(transaction, limit) for limit in items]

    async def _unconfirm(self, transaction: Transaction, limit: int) -> int:
        rows = await transaction.batch(UNCONFIRM, (), limit=limit)
        await self._outbox.log(transaction, [Logged(row, Change.UNCONFIRM, row["now"], None) for row in rows])
        return len(rows)


@dataclass(frozen=True, slots=True)
class Expiry:
    """What to say of messages that waited past their `valid_until`."""

    limit: int
    unsent: DeliveryError
    doubtful: DeliveryError


@dataclass(frozen=True, slots=True)
class Recovery:
    """What to do with claims whose lease is over."""

    repeatable: Sequence[str]
    """The carriers that may be given a message twice; what any other was given is lost, not sent again."""
    limit: int
    error: DeliveryError
    """Goes into the `errors[]` of what is lost."""


def _claimed(rows: Sequence[Row]) -> Claimed:
    messages = [to_message(row) for row in rows]
    messages.sort(key=lambda each: (each.received_at if each.send_at is None else each.send_at, each.id))
    return Claimed(messages, rows[0]["now"] if rows else Instant(0))


def _withheld(row: Row, token: str) -> Outcome:
    """A message whose recipient has opted out is not given to a carrier; an earlier try of it may have been taken."""
    change, error = Change.REFUSE, opted_out(row["sender"], row["recipient"])
    if row["in_doubt"]:
        detail = f"{error.detail} An earlier try may or may not have reached the carrier."
        change, error = Change.LOSE, delivery_error(Code.OUTCOME_UNKNOWN, detail)
    return Outcome(MessageId(str(row["id"])), token, change, row["now"], error=error)


def _by_id(item: Outcome) -> str:
    return item.message_id


def _detail(item: Outcome) -> str | None:
    return item.error.detail if item.error else item.carrier_message_id


def _errors_text(error: DeliveryError) -> str:
    return msgspec.json.encode([error]).decode()


def _outcome_row(item: Outcome) -> tuple[Any, ...]:
    status = result(item.change)
    return (
        item.message_id,
        item.token,
        status,
        item.due_at,
        item.deadline_at,
        item.left_at,
        item.in_doubt,
        item.at if status is Status.SENT else None,
        item.at if status in FINAL else None,
        item.carrier_message_id,
        _errors_text(item.error) if item.error else None,
    )
