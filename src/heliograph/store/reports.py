"""Figures over messages, for the operator."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, select

from heliograph.domain.errors import Code
from heliograph.domain.instant import Instant
from heliograph.domain.lifecycle import Status
from heliograph.store.deliveries import given_up
from heliograph.store.engine import Engine
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
        by_status = {row["status"]: row["count"] for row in await self._engine.fetch(counted)}
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
        return int((await self._engine.fetch(statement))[0]["count"])

    async def _count_unknown(self) -> int:
        marked = messages.c.errors.contains(f'"{Code.OUTCOME_UNKNOWN}"')
        unconfirmed = messages.c.status == Status.DELIVERY_UNCONFIRMED.value
        return await self._count(select(func.count().label("count")).where(unconfirmed, marked))

    async def _count_unmatched(self) -> int:
        return await self._count(select(func.count().label("count")).where(receipts.c.message_id.is_(None)))

    async def oldest_due(self) -> Instant | None:
        """The earliest moment from which a message waits to be claimed; past or to come."""
        rows = await self._engine.fetch(select(func.min(messages.c.due_at).label("at")))
        return None if rows[0]["at"] is None else Instant(rows[0]["at"])
