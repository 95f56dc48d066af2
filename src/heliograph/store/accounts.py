"""Organisations, keys, profiles and senders as they are: looked up for every request, and listed.

What is looked up is kept in memory with the `epoch` of the accounts. Every change (`store/account_changes.py`) raises
the epoch of its organisation in its own transaction, and every write on behalf of a caller compares it in the
transaction that writes: so a revoked key or a changed profile counts at once, on every node, without asking the
database twice for each request.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Select, and_, false, func, select

from heliograph.domain.accounts import Campaign, Organization, Profile, ProfileSettings, RuleOverrides, Sender
from heliograph.domain.address import AddressKind
from heliograph.domain.consent import Autoresponse, AutoresponseOp
from heliograph.domain.ids import OrganizationId, ProfileId
from heliograph.domain.instant import Instant
from heliograph.domain.number_health import NumberHealth
from heliograph.store.engine import Engine, Row
from heliograph.store.epochs import GENERAL
from heliograph.store.tables import (
    account_epoch,
    api_keys,
    autoresponses,
    messaging_profiles,
    number_health,
    organizations,
    senders,
)

CACHED = 100_000
"""Entries kept before the cache is begun anew."""
NEVER = -1
"""The epoch of who has asked for none yet; nothing holds at it."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is stored: the secret only as its hash."""

    id: str
    organization: Organization
    name: str
    secret_hash: str
    created_at: Instant
    revoked_at: Instant | None = None


@dataclass(frozen=True, slots=True)
class _Known:
    """What was read, whose it is, and at which epoch it was so."""

    organization_id: str
    epoch: int
    value: Any


class AccountLookup:
    """Reads accounts, and remembers each for as long as its organisation has not changed."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._begin(NEVER)

    def _begin(self, epoch: int) -> None:
        self.epoch = epoch
        """What is remembered holds at this epoch, unless its organisation has changed since."""
        self._general = epoch
        """Where the epoch stood after the last change that may be one of any organisation."""
        self._changed: dict[str, int] = {}
        """Likewise for each organisation that is known to have changed after `_general`."""
        self._known: dict[tuple[str, ...], _Known] = {}

    async def refresh(self) -> bool:
        """Ask which organisations have changed; whether any had, so that an answer given from memory may be wrong."""
        before = self.epoch
        new = organizations.c.epoch > before if before > NEVER else false()
        owner, at = organizations.c.id.label("owner"), organizations.c.epoch.label("changed")
        columns = (account_epoch.c.epoch, GENERAL.label("general"), owner, at)
        rows = await self._engine.fetch(select(*columns).select_from(account_epoch.outerjoin(organizations, new)))
        epoch = rows[0]["epoch"]
        if not NEVER < before <= epoch:
            # At first, or of a database that was set back, nothing that we have is known to be so.
            self._begin(epoch)
            return True
        self._general = max(self._general, rows[0]["general"])
        for row in rows:
            if row["owner"] is not None:
                name = str(row["owner"])
                self._changed[name] = max(row["changed"], self._changed.get(name, NEVER))
        # Of two questions at once the later may be answered first.
        self.epoch = max(self.epoch, epoch)
        return before != self.epoch

    def holds(self, organization_id: str, epoch: int) -> bool:
        """Whether, as of the last `refresh`, an organisation has not changed since an epoch."""
        return epoch > NEVER and max(self._general, self._changed.get(organization_id, NEVER)) <= epoch

    async def key(self, key_id: str) -> ApiKey | None:
        """A key by the id that stands in it, revoked or not."""

        def wanted() -> _Wanted:
            both = api_keys.join(organizations)
            return _Wanted([*_key_columns(), *_organization_columns()], both, api_keys.c.id == key_id)

        found: ApiKey | None = await self._look_up(("key", key_id), wanted, _to_key)
        return found

    async def profile(self, organization_id: OrganizationId, profile_id: str) -> Profile | None:
        """A profile of an organisation; none that is deleted."""

        def wanted() -> _Wanted:
            return _Wanted(list(messaging_profiles.c), messaging_profiles, there(organization_id, profile_id))

        found: Profile | None = await self._look_up(("profile", organization_id, profile_id), wanted, to_profile)
        return found

    async def profile_ever(self, organization_id: OrganizationId, profile_id: str) -> Profile | None:
        """A profile of an organisation, deleted or not: what was sent under it is still reported to its URLs."""

        def wanted() -> _Wanted:
            table = messaging_profiles
            condition = (table.c.id == profile_id) & (table.c.organization_id == organization_id)
            return _Wanted(list(table.c), table, condition)

        found: Profile | None = await self._look_up(("profile ever", organization_id, profile_id), wanted, to_profile)
        return found

    async def sender(self, organization_id: OrganizationId, address: str, scope: str = "") -> Sender | None:
        """A sender of an organisation by its address; `scope` is the profile of an alphanumeric one."""

        def wanted() -> _Wanted:
            condition = (senders.c.address == address) & (senders.c.scope == scope)
            condition &= senders.c.organization_id == organization_id
            return _Wanted(list(senders.c), senders, condition)

        found: Sender | None = await self._look_up(("sender", organization_id, address, scope), wanted, to_sender)
        return found

    async def number(self, address: str) -> Sender | None:
        """A number or short code by its address, whosever it is: who gets what was sent to it."""

        def wanted() -> _Wanted:
            return _Wanted(list(senders.c), senders, (senders.c.address == address) & (senders.c.scope == ""))

        found: Sender | None = await self._look_up(("number", address), wanted, to_sender)
        return found

    async def pool(self, organization_id: OrganizationId, profile_id: ProfileId) -> Sequence[Sender]:
        """The long codes and toll-free numbers of a profile, in the order of their addresses."""

        def wanted() -> _Wanted:
            kinds = senders.c.kind.in_([AddressKind.LONG_CODE.value, AddressKind.TOLL_FREE.value])
            mine = (senders.c.profile_id == profile_id) & (senders.c.organization_id == organization_id) & kinds
            return _Wanted(list(senders.c), senders, mine, (senders.c.address,))

        found: Sequence[Sender] = await self._list(organization_id, ("pool", profile_id), wanted, _all(to_sender))
        return found

    async def unhealthy(self, organization_id: OrganizationId) -> Collection[str]:
        """The numbers of an organisation that were measured as unhealthy; a change among them raises the epoch."""
        table = number_health.c
        columns = (table.sent, table.received, table.delivered, table.finished, table.spam)

        def wanted() -> _Wanted:
            names = [table.sender.label("id"), *columns]
            return _Wanted(names, number_health, table.organization_id == organization_id)

        def read(rows: Sequence[Row]) -> Collection[str]:
            measured = ((row["id"], NumberHealth(*[row[each.name] for each in columns])) for row in rows)
            return frozenset(sender for sender, health in measured if health.unhealthy)

        found: Collection[str] = await self._list(organization_id, ("unhealthy", organization_id), wanted, read)
        return found

    async def limited(self, organization_id: OrganizationId) -> Collection[str]:
        """The profiles of an organisation that have a daily limit, those that are deleted too."""

        def wanted() -> _Wanted:
            table = messaging_profiles.c
            # As the settings are written; most profiles have no limit and are not read.
            limited = (table.organization_id == organization_id) & table.settings.contains('"daily_spend_limit":"')
            return _Wanted([table.id], messaging_profiles, limited)

        def read(rows: Sequence[Row]) -> Collection[str]:
            return frozenset(row["id"] for row in rows)

        found: Collection[str] = await self._list(organization_id, ("limited", organization_id), wanted, read)
        return found

    async def autoresponses(self, organization_id: OrganizationId, profile_id: ProfileId) -> Sequence[Autoresponse]:
        """The automatic replies set on a profile, the last changed first."""

        def wanted() -> _Wanted:
            table = autoresponses.c
            mine = (table.profile_id == profile_id) & (table.organization_id == organization_id)
            return _Wanted(list(table), autoresponses, mine, (table.updated_at.desc(), table.id.desc()))

        name, read = ("autoresponses", profile_id), _all(to_autoresponse)
        found: Sequence[Autoresponse] = await self._list(organization_id, name, wanted, read)
        return found

    async def _look_up(self, name: tuple[str, ...], wanted: "Callable[[], _Wanted]", read: Callable[[Row], Any]) -> Any:
        """What is remembered under `name`, or else one row of the database; the statement is only made for that."""
        if (known := self._remembered(name)) is not None:
            return known.value
        epoch, rows = await self._read(wanted())
        if not rows:
            return None
        return self._remember(name, _Known(str(rows[0]["organization_id"]), epoch, read(rows[0])))

    async def _list(
        self,
        organization_id: OrganizationId,
        name: tuple[str, ...],
        wanted: "Callable[[], _Wanted]",
        read: Callable[[Sequence[Row]], Any],
    ) -> Any:
        """What is remembered under `name`, or else all rows of an organisation."""
        if (known := self._remembered(name)) is not None:
            return known.value
        epoch, rows = await self._read(wanted())
        return self._remember(name, _Known(organization_id, epoch, read(rows)))

    def _remembered(self, name: tuple[str, ...]) -> _Known | None:
        known = self._known.get(name)
        return known if known is not None and self.holds(known.organization_id, known.epoch) else None

    def _remember(self, name: tuple[str, ...], known: _Known) -> Any:
        """Keep what was read; an answer that was overtaken by a change is not used again, going by its own epoch."""
        if len(self._known) >= CACHED:
            self._known.clear()
        self._known[name] = known
        return known.value

    async def _read(self, wanted: "_Wanted") -> tuple[int, Sequence[Row]]:
        """Rows, and the epoch at which they were so."""
        joined = account_epoch.outerjoin(wanted.source, wanted.condition)
        statement = select(account_epoch.c.epoch.label("known_at"), *wanted.columns).select_from(joined)
        rows = await self._engine.fetch(statement.order_by(*wanted.order))
        if self.epoch == NEVER:
            self._begin(rows[0]["known_at"])
        return rows[0]["known_at"], [row for row in rows if row["id"] is not None]


class _Wanted(NamedTuple):
    """What to select: columns, one of them an `id`, from where, under which condition, in which order."""

    columns: Sequence[Any]
    source: Any
    condition: ColumnElement[bool]
    order: Sequence[Any] = ()


def _all(read: Callable[[Row], Any]) -> Callable[[Sequence[Row]], Sequence[Any]]:
    return lambda rows: [read(row) for row in rows]


class AccountListing:
    """Lists accounts, for the command line and for the list endpoints."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def organizations(self) -> Sequence[Organization]:
        """All of them, by name."""
        rows = await self._engine.fetch(select(*_organization_columns()).order_by(organizations.c.name))
        return [_to_organization(row) for row in rows]

    async def organization(self, name: str) -> Organization | None:
        """By name or id."""
        for each in await self.organizations():
            if name in {each.name, each.id}:
                return each
        return None

    async def keys(self) -> Sequence[ApiKey]:
        """All keys of all organisations, oldest first."""
        statement = select(*_key_columns(), *_organization_columns()).select_from(api_keys.join(organizations))
        return [_to_key(row) for row in await self._engine.fetch(statement.order_by(api_keys.c.created_at))]

    async def profiles(
        self, organization_id: OrganizationId, offset: int, limit: int, filters: Mapping[str, str]
    ) -> tuple[int, Sequence[Profile]]:
        """How many profiles pass the filters `eq` and `contains` on the name, and one page of them, newest first."""
        name = messaging_profiles.c.name
        where = [messaging_profiles.c.organization_id == organization_id, messaging_profiles.c.deleted_at.is_(None)]
        if "eq" in filters:
            where.append(name == filters["eq"])
        if "contains" in filters:
            where.append(name.icontains(filters["contains"], autoescape=True))
        counted: Select[Any] = select(func.count().label("count")).select_from(messaging_profiles).where(*where)
        total = (await self._engine.fetch(counted))[0]["count"]
        newest = (messaging_profiles.c.created_at.desc(), messaging_profiles.c.id.desc())
        page = select(*messaging_profiles.c).where(*where).order_by(*newest).offset(offset).limit(limit)
        return total, [to_profile(row) for row in await self._engine.fetch(page)]

    async def senders(self, organization_id: OrganizationId) -> Sequence[Sender]:
        """All senders of an organisation, by address."""
        mine = senders.c.organization_id == organization_id
        rows = await self._engine.fetch(select(*senders.c).where(mine).order_by(senders.c.address))
        return [to_sender(row) for row in rows]


def there(organization_id: OrganizationId, profile_id: str) -> ColumnElement[bool]:
    """That a row of `messaging_profiles` is this one of the organisation, and not deleted."""
    table = messaging_profiles.c
    return and_(table.id == profile_id, table.organization_id == organization_id, table.deleted_at.is_(None))


def _key_columns() -> list[Any]:
    return [each for each in api_keys.c if each.name != "organization_id"]


def _organization_columns() -> list[Any]:
    return [
        each.label(f"organization_{each.name}") for each in organizations.c if each.name not in {"created_at", "epoch"}
    ]


def _to_organization(row: Row) -> Organization:
    own = {name: row[f"organization_{name}"] for name in RuleOverrides.__slots__}
    return Organization(OrganizationId(row["organization_id"]), row["organization_name"], RuleOverrides(**own))


def _to_key(row: Row) -> ApiKey:
    return ApiKey(
        id=row["id"],
        organization=_to_organization(row),
        name=row["name"],
        secret_hash=row["secret_hash"],
        created_at=row["created_at"],
        revoked_at=row["revoked_at"],
    )


def to_profile(row: Row) -> Profile:
    """A row of `messaging_profiles` as the domain knows it."""
    return Profile(
        id=ProfileId(row["id"]),
        organization_id=OrganizationId(row["organization_id"]),
        name=row["name"],
        settings=msgspec.json.decode(row["settings"], type=ProfileSettings),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def to_sender(row: Row) -> Sender:
    """A row of `senders` as the domain knows it."""
    return Sender(
        id=row["id"],
        organization_id=OrganizationId(row["organization_id"]),
        profile_id=None if row["profile_id"] is None else ProfileId(row["profile_id"]),
        address=row["address"],
        kind=AddressKind(row["kind"]),
        country=row["country"],
        carrier=row["carrier"],
        line_type=row["line_type"],
        tags=tuple(msgspec.json.decode(row["tags"], type=list[str])),
        campaign=msgspec.json.decode(row["campaign"], type=Campaign) if row["campaign"] else None,
        us_long_code_fallback=row["us_long_code_fallback"],
    )


def to_autoresponse(row: Row) -> Autoresponse:
    """A row of `autoresponses` as the domain knows it."""
    return Autoresponse(
        id=row["id"],
        organization_id=OrganizationId(row["organization_id"]),
        profile_id=ProfileId(row["profile_id"]),
        op=AutoresponseOp(row["op"]),
        keywords=tuple(msgspec.json.decode(row["keywords"], type=list[str])),
        country_code=row["country_code"],
        resp_text=row["resp_text"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
