"""Automatic replies as they are set on profiles, and the list of who opted out."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Table, delete, func, insert, select, update

from heliograph.domain.consent import Autoresponse, OptOut
from heliograph.domain.ids import OrganizationId, ProfileId
from heliograph.store.account_changes import NoSuchRecord, keep_profile
from heliograph.store.accounts import to_autoresponse
from heliograph.store.between import Between, within
from heliograph.store.engine import Engine, Row
from heliograph.store.epochs import raise_epoch
from heliograph.store.tables import autoresponses, opt_outs

MAX_AUTORESPONSES = 1_000
"""On one profile: one for each operation in each country, and some to spare. An inbound message is held to them all."""


class TooManyAutoresponses(Exception):
    """The profile has `MAX_AUTORESPONSES` already."""


class AutoresponseFilter(NamedTuple):
    """Which automatic replies are listed; None for any."""

    country_code: str | None = None
    created: Between = Between()
    updated: Between = Between()


class OptOutFilter(NamedTuple):
    """Which opt-outs are listed; None for any. `sender` is our number that the person wrote to."""

    profile_id: ProfileId | None = None
    sender: str | None = None
    created: Between = Between()


class ConsentBook:
    """Changes what is answered to keywords, and lists it; every change raises the epoch of the accounts."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def create_autoresponse(self, autoresponse: Autoresponse) -> None:
        """Keep settings. Raises `NoSuchRecord` when the organisation has no such profile, or `TooManyAutoresponses`."""
        owner = {"organization_id": autoresponse.organization_id, "profile_id": autoresponse.profile_id}
        values = {**_settings(autoresponse), **owner, "id": autoresponse.id, "created_at": autoresponse.created_at}
        counted = select(func.count()).where(autoresponses.c.profile_id == autoresponse.profile_id)
        async with self._engine.transaction() as transaction:
            # Locks go from the profile to the epoch, as they do when a profile changes.
            await keep_profile(transaction, autoresponse.organization_id, autoresponse.profile_id)
            # Before the count: until our commit nobody else gets past here.
            await raise_epoch(transaction, autoresponse.organization_id)
            if (await transaction.execute(counted)).scalar_one() >= MAX_AUTORESPONSES:
                raise TooManyAutoresponses
            await transaction.execute(insert(autoresponses).values(**values))

    async def change_autoresponse(self, autoresponse: Autoresponse) -> Autoresponse:
        """Put these settings in the place of its own, and return it as it is kept: `created_at` stays.

        Raises `NoSuchRecord`.
        """
        mine = _one(autoresponse.organization_id, autoresponse.profile_id, autoresponse.id)
        changed = update(autoresponses).where(mine).values(**_settings(autoresponse)).returning(*autoresponses.c)
        async with self._engine.transaction() as transaction:
            row = (await transaction.execute(changed)).mappings().one_or_none()
            if row is None:
                raise NoSuchRecord
            await raise_epoch(transaction, autoresponse.organization_id)
        return to_autoresponse(row)

    async def delete_autoresponse(self, organization_id: OrganizationId, profile_id: ProfileId, which: str) -> None:
        """Forget settings by their id. Raises `NoSuchRecord`."""
        gone = delete(autoresponses).where(_one(organization_id, profile_id, which))
        async with self._engine.transaction() as transaction:
            if (await transaction.execute(gone)).rowcount == 0:
                raise NoSuchRecord
            await raise_epoch(transaction, organization_id)

    async def autoresponse(
        self, organization_id: OrganizationId, profile_id: ProfileId, which: str
    ) -> Autoresponse | None:
        """Settings by their id."""
        rows = await self._engine.fetch(select(*autoresponses.c).where(_one(organization_id, profile_id, which)))
        return to_autoresponse(rows[0]) if rows else None

    async def autoresponses(
        self,
        organization_id: OrganizationId,
        profile_id: ProfileId,
        offset: int,
        limit: int,
        wanted: AutoresponseFilter,
    ) -> tuple[int, Sequence[Autoresponse]]:
        """How many settings of a profile pass the filter, and one page of them, newest first."""
        table = autoresponses.c
        where = [table.organization_id == organization_id, table.profile_id == profile_id]
        if wanted.country_code is not None:
            where.append(table.country_code == wanted.country_code)
        where += [*within(table.created_at, wanted.created), *within(table.updated_at, wanted.updated)]
        total, rows = await self._page(autoresponses, where, offset, limit)
        return total, [to_autoresponse(row) for row in rows]

    async def opt_outs(
        self, organization_id: OrganizationId, offset: int, limit: int, wanted: OptOutFilter
    ) -> tuple[int, Sequence[OptOut]]:
        """How many opt-outs hold and pass the filter, and one page of them, newest first."""
        table = opt_outs.c
        where = [table.organization_id == organization_id, table.ended_at.is_(None)]
        if wanted.profile_id is not None:
            where.append(table.profile_id == wanted.profile_id)
        if wanted.sender is not None:
            where.append(table.sender == wanted.sender)
        total, rows = await self._page(opt_outs, [*where, *within(table.created_at, wanted.created)], offset, limit)
        return total, [to_opt_out(row) for row in rows]

    async def _page(
        self, table: Table, where: Sequence[ColumnElement[bool]], offset: int, limit: int
    ) -> tuple[int, Sequence[Row]]:
        counted = select(func.count().label("count")).select_from(table).where(*where)
        total = (await self._engine.fetch(counted))[0]["count"]
        newest = (table.c.created_at.desc(), table.c.id.desc())
        page = select(*table.c).where(*where).order_by(*newest).offset(offset).limit(limit)
        return total, await self._engine.fetch(page)


def _one(organization_id: OrganizationId, profile_id: ProfileId, which: str) -> ColumnElement[bool]:
    table = autoresponses.c
    return (table.organization_id == organization_id) & (table.profile_id == profile_id) & (table.id == which)


def _settings(autoresponse: Autoresponse) -> dict[str, Any]:
    """The columns that a change may change."""
    return {
        "op": autoresponse.op.value,
        "keywords": msgspec.json.encode(autoresponse.keywords).decode(),
        "country_code": autoresponse.country_code,
        "resp_text": autoresponse.resp_text,
        "updated_at": autoresponse.updated_at,
    }


def to_opt_out(row: Row) -> OptOut:
    """A row of `opt_outs` as the domain knows it."""
    return OptOut(
        id=row["id"],
        organization_id=OrganizationId(row["organization_id"]),
        profile_id=ProfileId(row["profile_id"]),
        sender=row["sender"],
        recipient=row["recipient"],
        keyword=row["keyword"],
        created_at=row["created_at"],
        ended_at=row["ended_at"],
    )
