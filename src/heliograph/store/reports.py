"""Figures over messages, for the operator."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Select, func, select

from heliograph.domain.errors import Code
from heliograph.domain.instant import Instant
from heliograph.domain.lifecycle import Change, Status
from heliograph.domain.message import DeliveryError
from heliograph.domain.receipt import Receipt
from heliograph.store.deliveries import given_up
from heliograph.store.engine import Engine, Row
from heliograph.store.tables import messages, receipts, refused_inbound, webhook_deliveries, webhook_endpoints


@dataclass(frozen=True, slots=True)
class Overview:
    """How the messages stand."""

    by_status: dict[str, int]
    unknown: int
    """Messages of which nobody knows whether the carrier has them (promise P3)."""
    unmatched_receipts: int
    oldest_due: Instant | None
    """The earliest moment at which something was due and is not yet claimed."""
    given_up: int = 0
    """Events that no receiver took, in a replay either."""
    endpoints_off: int = 0
    """Receivers that want nothing more."""
    refused_inbound: int = 0
    """Messages that came in for nobody."""


class Reports:
    """Read only."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def overview(self) -> Overview:
        """Count messages; reads the whole table, so it is for a person and not for a loop."""
        counted = select(messages.c.status, func.count().label("count")).group_by(messages.c.status)
        by_status = {row["status"]: row["count"] for row in await self._engine.survey(counted)}
        return Overview(
            by_status={status.value: by_status.get(status.value, 0) for status in Status},
            unknown=await self._count_unknown(),
            unmatched_receipts=await self._count_unmatched(),
            oldest_due=await self.oldest_due(),
            given_up=await self._count(
                select(func.count().label("count")).select_from(webhook_deliveries).where(given_up())
            ),
            endpoints_off=await self._count(
                select(func.count().label("count")).where(webhook_endpoints.c.disabled_at.is_not(None))
            ),
            refused_inbound=await self._count(select(func.count().label("count")).select_from(refused_inbound)),
        )

    async def _count(self, statement: Select[Any]) -> int:
        return int((await self._engine.survey(statement))[0]["count"])

    async def _count_unknown(self) -> int:
        marked = messages.c.errors.contains(f'"{Code.OUTCOME_UNKNOWN}"')
        # Those that still may be settled are `sending`.
        unconfirmed = messages.c.status.in_([Status.DELIVERY_UNCONFIRMED.value, Status.SENDING.value])
        return await self._count(select(func.count().label("count")).where(unconfirmed, marked))

    async def _count_unmatched(self) -> int:
        return await self._count(select(func.count().label("count")).where(receipts.c.message_id.is_(None)))

    async def waiting(self) -> Mapping[str | None, int]:
        """How many messages are due and not claimed, by the carrier that they wait for; None for no carrier yet."""
        due = messages.c.due_at <= self._engine.now
        statement = select(messages.c.carrier, func.count().label("count")).where(due).group_by(messages.c.carrier)
        return {row["carrier"]: int(row["count"]) for row in await self._engine.survey(statement)}

    async def unmatched(self, limit: int) -> Sequence[Receipt]:
        """The receipts last kept that no message is known for, newest first."""
        statement = select(*receipts.c).where(receipts.c.message_id.is_(None)).order_by(receipts.c.id.desc())
        return [_to_receipt(row) for row in await self._engine.fetch(statement.limit(limit))]

    async def oldest_due(self, carrier: str | None = None) -> Instant | None:
        """The earliest moment from which a message waits to be claimed, for any carrier or one; past or to come."""
        statement = select(func.min(messages.c.due_at).label("at"))
        if carrier is None:
            rows = await self._engine.survey(statement)
        else:
            mine = (messages.c.carrier == carrier) & messages.c.due_at.is_not(None)
            rows = await self._engine.fetch(statement.where(mine))
        return None if rows[0]["at"] is None else Instant(rows[0]["at"])


_error = msgspec.json.Decoder(DeliveryError).decode


def _to_receipt(row: Row) -> Receipt:
    return Receipt(
        id=str(row["id"]),
        carrier=row["carrier"],
        carrier_message_id=row["carrier_message_id"],
        change=Change(row["change"]),
        at=Instant(row["at"]),
        error=None if row["error"] is None else _error(row["error"]),
        recipient=row["recipient"],
        sender=row["sender"],
        text=row["text"] or "",
    )
