"""What endpoints asked for is forgotten once it matters to nobody.

    a rest that is over                   says nothing any more
    an endpoint that is turned off (410)  stays so while a profile names its URL, while something waits for it, and
                                          while an event that had it for a receiver is kept

Without an end there would be a row for each URL that ever asked for a rest, and callers may send a URL of its own with
every message. One that is forgotten and named again after all is asked once more, and may say 410 once more.
"""

from collections.abc import Collection, Sequence

import msgspec
from sqlalchemy import ColumnElement, delete, func, or_, select

from heliograph.domain.accounts import ProfileSettings
from heliograph.domain.events import endpoint_id, profile_urls
from heliograph.domain.ids import OrganizationId
from heliograph.domain.instant import DAY, Instant
from heliograph.store.engine import Engine, Row
from heliograph.store.tables import messaging_profiles, webhook_deliveries, webhook_endpoints

AT_ONCE = 500
"""Endpoints that one pass judges."""
AGAIN = DAY
"""How long after all were judged they are judged again: nothing hurries, and it may read all that is kept of events."""


class IdleEndpoints:
    """Forgets endpoints, a page in each pass."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._after = ""
        """The last one that was judged."""
        self._again_at = Instant(0)

    async def forget(self, before: Instant) -> int:
        """Forget those that asked for nothing since a moment, before which events are forgotten too; how many."""
        now = self._engine.clock.now()
        if now < self._again_at:
            return 0
        asked = webhook_endpoints.c
        waiting = webhook_deliveries.c
        lane = select(waiting.id).where(waiting.endpoint == asked.id, waiting.due_at.is_not(None))
        page = select(asked.id, asked.organization_id, asked.disabled_at).where(
            _long_ago(before), asked.id > self._after, ~lane.exists()
        )
        rows = await self._engine.survey(page.order_by(asked.id).limit(AT_ONCE))
        full = len(rows) == AT_ONCE
        self._after, self._again_at = (rows[-1]["id"], self._again_at) if full else ("", Instant(now + AGAIN))
        used = await self._used([row for row in rows if row["disabled_at"] is not None], before)
        return await self._delete([row["id"] for row in rows if row["id"] not in used], before)

    async def _used(self, rows: Sequence[Row], before: Instant) -> Collection[str]:
        """Those of some endpoints that a profile names, or that events of their organisation were for."""
        named = await self._named({row["organization_id"] for row in rows}, before)
        unnamed: dict[str, set[str]] = {}
        for row in rows:
            if row["id"] not in named:
                unnamed.setdefault(row["organization_id"], set()).add(row["id"])
        kept = webhook_deliveries.c
        used = set(named)
        for organization_id, ids in sorted(unnamed.items()):
            mine = (kept.organization_id == organization_id) & kept.endpoint.in_(ids)
            used |= {row["endpoint"] for row in await self._engine.survey(select(kept.endpoint).where(mine).distinct())}
        return used

    async def _named(self, organization_ids: Collection[str], before: Instant) -> Collection[str]:
        """The endpoints that profiles name, or named when they were deleted: what was sent under them is still told."""
        table = messaging_profiles.c
        there = or_(table.deleted_at.is_(None), table.deleted_at >= before)
        mine = select(table.organization_id, table.settings).where(table.organization_id.in_(organization_ids), there)
        rows = await self._engine.survey(mine) if organization_ids else ()
        return {
            endpoint_id(OrganizationId(str(row["organization_id"])), url)
            for row in rows
            for url in profile_urls(_settings(row["settings"]))
        }

    async def _delete(self, ids: Sequence[str], before: Instant) -> int:
        """Unless one has asked for something since."""
        if not ids:
            return 0
        async with self._engine.transaction() as transaction:
            gone = delete(webhook_endpoints).where(webhook_endpoints.c.id.in_(ids), _long_ago(before))
            return int((await transaction.execute(gone)).rowcount)


def _long_ago(before: Instant) -> ColumnElement[bool]:
    asked = webhook_endpoints.c
    return (func.coalesce(asked.paused_until, 0) < before) & (func.coalesce(asked.disabled_at, 0) < before)


_settings = msgspec.json.Decoder(ProfileSettings).decode
