"""Receipts of carriers: each is kept, matched to its message when that is known, and changes it once."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import null, select, true, update
from sqlalchemy.types import TypeEngine

from heliograph.domain.lifecycle import Change, result, sources
from heliograph.domain.message import DeliveryError
from heliograph.domain.receipt import Receipt
from heliograph.store.batch import ID, MICROS, TEXT, Batch, Sql, scalar
from heliograph.store.engine import Row, Transaction
from heliograph.store.messages import words
from heliograph.store.outbox import REPORTED_COLUMNS, Logged, Outbox
from heliograph.store.tables import messages, receipts

MORE_RECEIPTS = 1_000
"""How many duplicates one pass takes beside one receipt an id; what is left over is matched by the upkeep."""


_KEPT: Mapping[str, TypeEngine[Any]] = {
    "id": ID,
    "carrier": TEXT,
    "carrier_message_id": TEXT,
    "change": TEXT,
    "error": TEXT,
    "at": MICROS,
}


def _keep(sql: Sql) -> Any:
    rows = select(*[sql.rows.c[name] for name in _KEPT]).where(true())
    return sql.insert(receipts).from_select(list(_KEPT), rows).on_conflict_do_nothing(index_elements=["id"])


def _match() -> Any:
    """Receipts that know no message yet, and whose message is now known."""
    joined = receipts.join(
        messages,
        (messages.c.carrier_message_id == receipts.c.carrier_message_id) & (messages.c.carrier == receipts.c.carrier),
    )
    columns = (receipts.c.id, receipts.c.change, receipts.c.error, receipts.c.at, messages.c.id.label("message_id"))
    matched = select(*columns).select_from(joined).where(receipts.c.message_id.is_(None))
    return matched.order_by(receipts.c.id).limit(scalar("limit"))


def _match_given(sql: Sql) -> Any:
    return _match().where(receipts.c.carrier_message_id.in_(select(sql.rows.c.carrier_message_id)))


def _bind(sql: Sql) -> Any:
    return update(receipts).where(receipts.c.id == sql.rows.c.id).values(message_id=sql.rows.c.message_id)


def _apply(sql: Sql) -> Any:
    return (
        update(messages)
        .where(messages.c.id == sql.rows.c.message_id, messages.c.status.in_(words(sources(Change.DELIVER))))
        .values(
            status=sql.rows.c.status,
            completed_at=sql.rows.c.at,
            deadline_at=null(),
            errors=sql.rows.c.errors,
        )
        .returning(*REPORTED_COLUMNS)
    )


KEEP = Batch(_KEPT, _keep)
MATCH = Batch({}, lambda _: _match())
MATCH_GIVEN = Batch({"carrier_message_id": TEXT}, _match_given)
BIND = Batch({"id": ID, "message_id": ID}, _bind)
APPLY = Batch({"message_id": ID, "status": TEXT, "at": MICROS, "errors": TEXT}, _apply)


class ReceiptVerbs:
    """Verbs of the group commit."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def keep(self, transaction: Transaction, items: Sequence[Receipt]) -> Sequence[None]:
        """Keep receipts, and apply those whose message is known.

        One that comes before the carrier's answer waits for `match`; so does one for an id nobody knows.
        """
        await transaction.batch(KEEP, [_row(item) for item in items])
        await self.match_given(transaction, [item.carrier_message_id for item in items])
        return [None] * len(items)

    async def match_given(self, transaction: Transaction, carrier_message_ids: Sequence[str | None]) -> None:
        """Apply what receipts there are for these ids."""
        given = [(each,) for each in dict.fromkeys(carrier_message_ids) if each is not None]
        if given:
            matched = await transaction.batch(MATCH_GIVEN, given, limit=len(given) + MORE_RECEIPTS)
            await self._settle(transaction, matched)

    async def match(self, transaction: Transaction, items: Sequence[int]) -> Sequence[int]:
        """Apply receipts that were there before their message's id was: at most so many. How many there were."""
        counts = []
        for limit in items:
            matched = await transaction.batch(MATCH, (), limit=limit)
            await self._settle(transaction, matched)
            counts.append(len(matched))
        return counts

    async def _settle(self, transaction: Transaction, matched: Sequence[Row]) -> None:
        if not matched:
            return
        await transaction.batch(BIND, [(str(row["id"]), str(row["message_id"])) for row in matched])
        # Of several receipts for one message the first decides; the others are kept beside it.
        first = {str(row["message_id"]): row for row in reversed(matched)}
        rows = [
            (message_id, result(Change(row["change"])), row["at"], f"[{row['error']}]" if row["error"] else None)
            for message_id, row in sorted(first.items())
        ]
        applied = [(message, first[str(message["id"])]) for message in await transaction.batch(APPLY, rows)]
        changes = [
            Logged(message, Change(receipt["change"]), receipt["at"], _detail(receipt["error"]))
            for message, receipt in applied
        ]
        await self._outbox.log(transaction, changes)


def _detail(error: str | None) -> str | None:
    return msgspec.json.decode(error, type=DeliveryError).detail if error else None


def _row(item: Receipt) -> tuple[Any, ...]:
    error = msgspec.json.encode(item.error).decode() if item.error else None
    return (item.id, item.carrier, item.carrier_message_id, item.change, error, item.at)
