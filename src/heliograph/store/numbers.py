"""The senders of an organisation as their owner sees and changes them; every change raises the epoch of the accounts.

Locks go from the profile to senders, in the order of their ids, and to the epoch.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, and_, delete, func, select, update

from heliograph.domain.accounts import Sender
from heliograph.domain.address import AddressKind
from heliograph.domain.ids import OrganizationId
from heliograph.domain.instant import Instant
from heliograph.domain.number_health import NumberHealth
from heliograph.store.account_changes import NoSuchRecord, hold_with_references, keep_profile, remove_references
from heliograph.store.accounts import to_sender
from heliograph.store.engine import Engine, Row, Transaction
from heliograph.store.epochs import raise_epoch
from heliograph.store.sticky import forget_numbers
from heliograph.store.tables import number_health, senders

NUMBERS = (AddressKind.LONG_CODE, AddressKind.TOLL_FREE, AddressKind.SHORT_CODE)
UNASSIGNED = ""
"""In the place of a profile: none."""


class NoSuchProfile(NoSuchRecord):
    """The profile that a sender is to be on does not exist."""


@dataclass(frozen=True, slots=True)
class KeptSender:
    """A sender with what only its owner is shown."""

    sender: Sender
    created_at: Instant
    updated_at: Instant
    health: NumberHealth


class SenderFilter(NamedTuple):
    """Which senders are listed; None for any."""

    kinds: Collection[AddressKind]
    profile_id: str | None = None
    """`UNASSIGNED` for those on no profile."""
    addresses: Collection[str] | None = None
    contains: str | None = None
    """Somewhere in the address."""
    descending: bool | None = None
    """By address; None for newest first."""


class SenderChange(NamedTuple):
    """What of a sender is changed; None leaves it as it is."""

    profile_id: str | None = None
    """`UNASSIGNED` takes it from its profile."""
    tags: tuple[str, ...] | None = None


class SenderBook:
    """Lists senders and changes them; added and removed they are by `AccountChanges`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def page(
        self, organization_id: OrganizationId, wanted: SenderFilter, offset: int, limit: int
    ) -> tuple[int, Sequence[KeptSender]]:
        """How many senders pass the filter, and one page of them."""
        where = and_(senders.c.organization_id == organization_id, *_conditions(wanted))
        counted = select(func.count().label("count")).select_from(senders).where(where)
        total = (await self._engine.fetch(counted))[0]["count"]
        statement = _kept().where(where).order_by(*_order(wanted.descending)).offset(offset).limit(limit)
        return total, [_to_kept(row) for row in await self._engine.fetch(statement)]

    async def find(
        self,
        organization_id: OrganizationId,
        kinds: Collection[AddressKind],
        *,
        sender_id: str | None = None,
        address: str | None = None,
    ) -> KeptSender | None:
        """A sender by its id or, for numbers, by its address."""
        rows = await self._engine.fetch(_kept().where(_one(organization_id, kinds, sender_id, address)))
        return _to_kept(rows[0]) if rows else None

    async def change(self, organization_id: OrganizationId, sender_id: str, change: SenderChange, now: Instant) -> None:
        """Change a number or short code. Raises `NoSuchRecord`; `NoSuchProfile` for a profile to be on."""
        mine = _one(organization_id, NUMBERS, sender_id, None)
        values: dict[str, Any] = {"updated_at": now}
        if change.profile_id is not None:
            values["profile_id"] = change.profile_id or None
        if change.tags is not None:
            values["tags"] = msgspec.json.encode(change.tags).decode()
        held = select(senders.c.address, senders.c.profile_id).where(mine).with_for_update()
        async with self._engine.transaction() as transaction:
            await _keep(transaction, organization_id, change.profile_id)
            row = (await transaction.execute(held)).one_or_none()
            if row is None:
                raise NoSuchRecord
            await transaction.execute(update(senders).where(mine).values(**values))
            if change.profile_id is not None and row.profile_id != (change.profile_id or None):
                await forget_numbers(transaction, [row.address])
            await raise_epoch(transaction, organization_id)

    async def assign(
        self,
        organization_id: OrganizationId,
        profile_id: str,
        addresses: Sequence[str],
        now: Instant,
        allowed: Callable[[Transaction], Awaitable[None]] | None = None,
    ) -> Collection[str]:
        """Put numbers and short codes on a profile, or on none, in one transaction; which of them there are.

        Doing it again changes nothing. `allowed` is asked first, in that transaction. Raises what it does, and
        `NoSuchProfile`.
        """
        mine = and_(
            senders.c.organization_id == organization_id,
            senders.c.kind.in_([each.value for each in NUMBERS]),
            senders.c.address.in_(addresses),
        )
        held = select(senders.c.address, senders.c.profile_id).where(mine).order_by(senders.c.id).with_for_update()
        async with self._engine.transaction() as transaction:
            if allowed is not None:
                await allowed(transaction)
            await _keep(transaction, organization_id, profile_id)
            found = (await transaction.execute(held)).all()
            moved = [row.address for row in found if row.profile_id != (profile_id or None)]
            if moved:
                changed = update(senders).where(mine, senders.c.address.in_(moved))
                await transaction.execute(changed.values(profile_id=profile_id or None, updated_at=now))
                await forget_numbers(transaction, moved)
                await raise_epoch(transaction, organization_id)
        return frozenset(row.address for row in found)

    async def remove(self, organization_id: OrganizationId, sender_id: str) -> KeptSender:
        """Take a sender away, with what refers to it, and return it as it was. Raises `NoSuchRecord`.

        Messages that were accepted from it are still sent.
        """
        mine = (senders.c.organization_id == organization_id) & (senders.c.id == sender_id)
        # An address is never given to another id; so it may be read before anything is locked.
        known = await self._engine.fetch(select(senders.c.address).where(mine))
        async with self._engine.transaction() as transaction:
            if known:
                await hold_with_references(transaction, organization_id, known[0]["address"])
            row = (await transaction.execute(_kept().where(mine).with_for_update(of=senders))).mappings().one_or_none()
            if row is None:
                raise NoSuchRecord
            await transaction.execute(delete(senders).where(mine))
            await remove_references(transaction, organization_id, row["address"])
            await raise_epoch(transaction, organization_id)
        return _to_kept(dict(row))


async def _keep(transaction: Transaction, organization_id: OrganizationId, profile_id: str | None) -> None:
    if profile_id:
        try:
            await keep_profile(transaction, organization_id, profile_id)
        except NoSuchRecord:
            raise NoSuchProfile from None


def _conditions(wanted: SenderFilter) -> list[ColumnElement[bool]]:
    table = senders.c
    where: list[ColumnElement[bool]] = [table.kind.in_([each.value for each in wanted.kinds])]
    if wanted.profile_id == UNASSIGNED:
        where.append(table.profile_id.is_(None))
    elif wanted.profile_id is not None:
        where.append(table.profile_id == wanted.profile_id)
    if wanted.addresses is not None:
        where.append(table.address.in_(wanted.addresses))
    if wanted.contains is not None:
        where.append(table.address.contains(wanted.contains, autoescape=True))
    return where


def _order(descending: bool | None) -> Sequence[Any]:
    table = senders.c
    if descending is None:
        return (table.created_at.desc(), table.id.desc())
    return (table.address.desc(), table.id.desc()) if descending else (table.address, table.id)


def _kept() -> Any:
    health = number_health.c
    measured = and_(health.sender == senders.c.address, health.organization_id == senders.c.organization_id)
    counts = [health[name].label(f"health_{name}") for name in _COUNTS]
    return select(*senders.c, *counts).select_from(senders.outerjoin(number_health, measured))


_COUNTS = tuple(each.name for each in fields(NumberHealth))


def _one(
    organization_id: OrganizationId, kinds: Collection[AddressKind], sender_id: str | None, address: str | None
) -> ColumnElement[bool]:
    named = senders.c.address == address if sender_id is None else senders.c.id == sender_id
    kind = senders.c.kind.in_([each.value for each in kinds])
    return and_(senders.c.organization_id == organization_id, kind, named)


def _to_kept(row: Row) -> KeptSender:
    return KeptSender(
        sender=to_sender(row),
        created_at=row["created_at"],
        # Kept from before there was a moment of the last change.
        updated_at=row["updated_at"] or row["created_at"],
        health=NumberHealth(**{name: row[f"health_{name}"] or 0 for name in _COUNTS}),
    )
