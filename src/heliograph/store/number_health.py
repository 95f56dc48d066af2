"""How well the messages of each number arrive, measured every few minutes from those of the last day (Contract 6.2).

    messages, inbound messages of a day --one look--> a row for each number --epoch--> who picks from a pool

The look goes along ids, which begin with the moment they were made, and writes nothing: it holds up nobody. The epoch
of the accounts is raised when a number became unhealthy or is so no more, so that every process drops it, or has it
back, at once.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import BigInteger, case, cast, delete, func, literal_column, or_, select, true, union_all

from heliograph.domain.ids import OrganizationId, uuid7
from heliograph.domain.instant import DAY, Instant
from heliograph.domain.lifecycle import Status
from heliograph.domain.number_health import SPAM_CODES, NumberHealth
from heliograph.store.batch import ID, MICROS, TEXT, Batch, Sql
from heliograph.store.engine import Engine, Row
from heliograph.store.epochs import raise_epoch
from heliograph.store.messages import words
from heliograph.store.tables import inbound_messages, messages, number_health

WINDOW = DAY
_COUNTS = ("sent", "received", "delivered", "finished", "spam")
_ENDED = (Status.DELIVERED, Status.DELIVERY_FAILED, Status.SENDING_FAILED)


def _keep(sql: Sql) -> Any:
    names = ["sender", "organization_id", *_COUNTS, "measured_at"]
    insert = sql.insert(number_health).from_select(names, select(*[sql.rows.c[name] for name in names]).where(true()))
    return insert.on_conflict_do_update(
        index_elements=["sender", "organization_id"],
        set_={name: insert.excluded[name] for name in (*_COUNTS, "measured_at")},
    )


KEEP = Batch({"sender": TEXT, "organization_id": ID, **dict.fromkeys(_COUNTS, MICROS), "measured_at": MICROS}, _keep)


class NumberHealthBook:
    """Measures numbers, and tells."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def measured_at(self) -> Instant:
        """When anybody last measured; 0 for never, and when there was nothing to measure."""
        last = select(func.coalesce(func.max(number_health.c.measured_at), 0).label("at"))
        return Instant((await self._engine.fetch(last))[0]["at"])

    async def measure(self) -> int:
        """Measure every number that sent or received within a day; how many. Others have no row any more."""
        now = self._engine.clock.now()
        found = await self._engine.survey(look(uuid7(Instant(now - WINDOW), 0)))
        rows = sorted((row["sender"], str(row["organization_id"]), *_counts(row), now) for row in found)
        old = select(*number_health.c)
        gone = delete(number_health).where(number_health.c.measured_at < now)
        async with self._engine.transaction() as transaction:
            before = _unhealthy((await transaction.execute(old)).mappings())
            if rows:
                await transaction.batch(KEEP, rows)
            await transaction.execute(gone)
            after = _unhealthy((await transaction.execute(old)).mappings())
            if before != after:
                await raise_epoch(transaction, *sorted({organization_id for _, organization_id in before ^ after}))
        return len(rows)

    async def of(self, organization_id: OrganizationId, numbers: Sequence[str]) -> Mapping[str, NumberHealth]:
        """The health of those numbers of an organisation that were measured."""
        mine = (number_health.c.organization_id == organization_id) & number_health.c.sender.in_(numbers)
        rows = await self._engine.fetch(select(*number_health.c).where(mine))
        return {row["sender"]: NumberHealth(*_counts(row)) for row in rows}


def look(since: str) -> Any:
    """What became of all messages made since an id, by number and organisation."""
    sent = messages.c
    left = sent.left_at.is_not(None)
    spam = or_(*[sent.errors.contains(f'"code":"{code.value}"', autoescape=True) for code in SPAM_CODES])
    failed = sent.status.in_(words([Status.DELIVERY_FAILED, Status.SENDING_FAILED]))
    outbound = (
        select(
            sent.sender.label("sender"),
            sent.organization_id.label("organization_id"),
            _count(left).label("sent"),
            literal_column("0").label("received"),
            _count(left & sent.status.in_(words([Status.DELIVERED]))).label("delivered"),
            _count(left & sent.status.in_(words(_ENDED))).label("finished"),
            _count(left & failed & spam).label("spam"),
        )
        .where(sent.id >= since)
        .group_by(sent.sender, sent.organization_id)
    )
    came = inbound_messages.c
    none: list[Any] = [literal_column("0").label(name) for name in ("delivered", "finished", "spam")]
    inbound = (
        select(
            came.recipient.label("sender"),
            came.organization_id.label("organization_id"),
            literal_column("0").label("sent"),
            func.count().label("received"),
            *none,
        )
        .where(came.id >= since)
        .group_by(came.recipient, came.organization_id)
    )
    both = union_all(outbound, inbound).subquery("both")
    summed = [cast(func.sum(both.c[name]), BigInteger).label(name) for name in _COUNTS]
    return select(both.c.sender, both.c.organization_id, *summed).group_by(both.c.sender, both.c.organization_id)


def _count(condition: Any) -> Any:
    return func.sum(case((condition, literal_column("1")), else_=literal_column("0")))


def _counts(row: Row) -> list[int]:
    return [row[name] for name in _COUNTS]


def _unhealthy(rows: Any) -> set[tuple[str, str]]:
    return {(row["sender"], str(row["organization_id"])) for row in rows if NumberHealth(*_counts(row)).unhealthy}
