"""What the simulated carrier remembers: messages on handsets, receipts still to come, and the test clock.

It is in the database so that a restart forgets nothing, and so that several processes share one sandbox.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import delete, func, select, true, update
from sqlalchemy.types import TypeEngine

from heliograph.domain.handset import ComingReceipt, HandsetMessage, Submission
from heliograph.domain.ids import MessageId
from heliograph.domain.instant import Instant
from heliograph.domain.lifecycle import Change
from heliograph.domain.message import DeliveryError
from heliograph.store.batch import ID, MICROS, TEXT, Batch, Sql
from heliograph.store.carrier_lanes import carrier_lanes
from heliograph.store.engine import Engine, Row, Transaction
from heliograph.store.tables import handset_messages, messages, sandbox_receipts, test_clock
from heliograph.store.writer import GroupCommit

_ARRIVAL: Mapping[str, TypeEngine[Any]] = {
    "id": ID,
    "message_id": ID,
    "handset": TEXT,
    "sender": TEXT,
    "type": TEXT,
    "subject": TEXT,
    "text": TEXT,
    "segments": TEXT,
    "media_urls": TEXT,
    "arrived_at": MICROS,
}
_COMING: Mapping[str, TypeEngine[Any]] = {
    "id": ID,
    "carrier_message_id": TEXT,
    "change": TEXT,
    "error": TEXT,
    "due_at": MICROS,
}


def _insert(table: Any, names: Sequence[str]) -> Any:
    def build(sql: Sql) -> Any:
        rows = select(*[sql.rows.c[name] for name in names]).where(true())
        return sql.insert(table).from_select(names, rows).on_conflict_do_nothing(index_elements=["id"])

    return build


ARRIVE = Batch(_ARRIVAL, _insert(handset_messages, list(_ARRIVAL)))
COME = Batch(_COMING, _insert(sandbox_receipts, list(_COMING)))


class SandboxBook:
    """The simulated carrier's memory."""

    def __init__(self, engine: Engine, writer: GroupCommit) -> None:
        self._engine = engine
        self._writer = writer

    async def submit(self, submission: Submission) -> None:
        """Write down what follows from a submit; returns once that is committed."""
        await self._writer.run(self._submit, submission)

    async def _submit(self, transaction: Transaction, items: Sequence[Submission]) -> Sequence[None]:
        known = await self._known(transaction, [item.message_id for item in items if item.once])
        new = [item for item in items if item.message_id not in known]
        if arrivals := [_arrival_row(item.arrival) for item in new if item.arrival]:
            await transaction.batch(ARRIVE, arrivals)
        if coming := [_receipt_row(each) for item in new for each in item.receipts]:
            await transaction.batch(COME, coming)
        return [None] * len(items)

    async def _known(self, transaction: Transaction, message_ids: Sequence[str]) -> set[str]:
        if not message_ids:
            return set()
        statement = select(handset_messages.c.message_id).where(handset_messages.c.message_id.in_(message_ids))
        return {str(row[0]) for row in await transaction.execute(statement)}

    async def due_receipts(self, limit: int) -> Sequence[ComingReceipt]:
        """Receipts whose time has come, oldest first."""
        statement = select(*sandbox_receipts.c).where(sandbox_receipts.c.due_at <= self._engine.now)
        ordered = statement.order_by(sandbox_receipts.c.due_at, sandbox_receipts.c.id).limit(limit)
        return [_to_receipt(row) for row in await self._engine.fetch(ordered)]

    async def forget_receipts(self, ids: Sequence[str]) -> None:
        """These receipts were taken by the service."""
        async with self._engine.transaction() as transaction:
            await transaction.execute(delete(sandbox_receipts).where(sandbox_receipts.c.id.in_(ids)))

    async def next_receipt_at(self) -> Instant | None:
        """When the next receipt is due."""
        row = (await self._engine.fetch(select(func.min(sandbox_receipts.c.due_at).label("at"))))[0]
        return None if row["at"] is None else Instant(row["at"])

    async def handset(self, handset: str, limit: int = 250) -> Sequence[HandsetMessage]:
        """What arrived on a handset, newest last, at most the newest `limit`."""
        mine = select(*handset_messages.c).where(handset_messages.c.handset == handset)
        newest = mine.order_by(handset_messages.c.arrived_at.desc(), handset_messages.c.id.desc()).limit(limit)
        return [_to_arrival(row) for row in reversed(await self._engine.fetch(newest))]

    async def handsets(self) -> Sequence[Row]:
        """Every handset that has received something: `handset` and `messages`."""
        counted = select(handset_messages.c.handset, func.count().label("messages"))
        grouped = counted.group_by(handset_messages.c.handset).order_by(handset_messages.c.handset)
        return await self._engine.fetch(grouped)

    async def next_due(self, after: Instant) -> Instant | None:
        """The next moment after `after` at which something falls due: a message, a lease, a wait, a receipt."""
        lanes = carrier_lanes()
        mine = select(func.min(messages.c.due_at)).where(
            messages.c.carrier == lanes.c.carrier, messages.c.due_at > after
        )
        soonest = select(mine.scalar_subquery().label("at")).select_from(lanes).subquery()
        moments = [select(func.min(soonest.c.at)).scalar_subquery().label("due")] + [
            select(func.min(column)).where(column > after).scalar_subquery().label(f"moment_{index}")
            for index, column in enumerate((messages.c.deadline_at, sandbox_receipts.c.due_at))
        ]
        row = (await self._engine.fetch(select(*moments)))[0]
        known = [Instant(each) for each in row.values() if each is not None]
        return min(known) if known else None

    async def set_ahead(self, ahead: int) -> None:
        """Put the test clock `ahead` microseconds before the machine's."""
        async with self._engine.transaction() as transaction:
            await transaction.execute(update(test_clock).values(ahead=ahead))
        self._engine.clock.offset = ahead


def _arrival_row(arrival: HandsetMessage) -> tuple[Any, ...]:
    return (
        arrival.id,
        arrival.message_id,
        arrival.handset,
        arrival.sender,
        arrival.type,
        arrival.subject,
        arrival.text,
        msgspec.json.encode(arrival.segments).decode(),
        msgspec.json.encode(arrival.media_urls).decode(),
        arrival.arrived_at,
    )


def _receipt_row(receipt: ComingReceipt) -> tuple[Any, ...]:
    error = msgspec.json.encode(receipt.error).decode() if receipt.error else None
    return (receipt.id, receipt.carrier_message_id, receipt.change, error, receipt.due_at)


def _to_receipt(row: Row) -> ComingReceipt:
    error = msgspec.json.decode(row["error"], type=DeliveryError) if row["error"] else None
    return ComingReceipt(str(row["id"]), row["carrier_message_id"], Change(row["change"]), row["due_at"], error)


def _to_arrival(row: Row) -> HandsetMessage:
    return HandsetMessage(
        id=str(row["id"]),
        message_id=MessageId(str(row["message_id"])),
        handset=row["handset"],
        sender=row["sender"],
        type=row["type"],
        subject=row["subject"],
        text=row["text"],
        segments=msgspec.json.decode(row["segments"], type=list[str]),
        media_urls=msgspec.json.decode(row["media_urls"], type=list[str]),
        arrived_at=row["arrived_at"],
    )
