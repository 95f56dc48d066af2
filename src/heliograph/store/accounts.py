"""Organisations, keys, profiles and senders: looked up for every request, changed rarely.

What is looked up is kept in memory with the `epoch` of the accounts. Every change raises the epoch of its organisation
in its own transaction, and every write on behalf of a caller compares it in the transaction that writes: so a revoked
key or a changed profile counts at once, on every node, without asking the database twice for each request.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Select, and_, delete, false, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from heliograph.domain.accounts import Campaign, Organization, Profile, ProfileSettings, RuleOverrides, Sender
from heliograph.domain.address import AddressKind
from heliograph.domain.consent import Autoresponse, AutoresponseOp
from heliograph.domain.events import endpoint_id, profile_urls
from heliograph.domain.ids import OrganizationId, ProfileId
from heliograph.domain.instant import Instant
from heliograph.domain.number_health import NumberHealth
from heliograph.store.engine import Engine, Row, Transaction
from heliograph.store.epochs import GENERAL, raise_epoch
from heliograph.store.profile_effects import follow_settings
from heliograph.store.sticky import forget_numbers, forget_profile
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


class AlreadyExists(Exception):
    """There is one of that name or address already."""


class NoSuchRecord(Exception):
    """The record named does not exist."""


class NoSuchFallback(Exception):
    """The number that an alphanumeric sender is to fall back to is no US long code of its organisation."""


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


class AccountChanges:
    """Makes and changes accounts; every change raises the epoch."""

    def __init__(self, engine: Engine, max_lead: int) -> None:
        """`max_lead` is how far ahead a message may be scheduled, in microseconds."""
        self._engine = engine
        self._max_lead = max_lead

    async def create_organization(self, organization: Organization, now: Instant) -> None:
        """Raises `AlreadyExists` when the name is taken."""
        values = {"id": organization.id, "name": organization.name, "created_at": now}
        own = {name: getattr(organization.overrides, name) for name in RuleOverrides.__slots__}
        await self._change(insert(organizations).values(**values, **own), organization.id)

    async def set_rules(self, organization_id: OrganizationId, overrides: RuleOverrides) -> None:
        """Give an organisation schedule rules of its own."""
        own = {name: getattr(overrides, name) for name in RuleOverrides.__slots__}
        changed = update(organizations).where(organizations.c.id == organization_id).values(**own)
        async with self._engine.transaction() as transaction:
            # Before the row of the organisation, as everywhere.
            await raise_epoch(transaction, organization_id)
            if (await transaction.execute(changed)).rowcount == 0:
                raise NoSuchRecord

    async def create_key(self, key: ApiKey) -> None:
        """Store a key."""
        values = {
            "id": key.id,
            "organization_id": key.organization.id,
            "name": key.name,
            "secret_hash": key.secret_hash,
            "created_at": key.created_at,
        }
        await self._change(insert(api_keys).values(**values), key.organization.id)

    async def revoke_key(self, key_id: str, now: Instant) -> None:
        """Refuse a key from now on. Raises `NoSuchRecord`; revoking twice keeps the first moment."""
        revoked = func.coalesce(api_keys.c.revoked_at, now)
        changed = update(api_keys).where(api_keys.c.id == key_id).values(revoked_at=revoked)
        async with self._engine.transaction() as transaction:
            owner = (await transaction.execute(changed.returning(api_keys.c.organization_id))).scalar_one_or_none()
            if owner is None:
                raise NoSuchRecord
            await raise_epoch(transaction, owner)

    async def save_profile(self, profile: Profile) -> None:
        """Make a profile, or put these settings in the place of its own."""
        values = _profile_values(profile)
        changed = update(messaging_profiles).where(messaging_profiles.c.id == profile.id).values(**values)
        own = {"id": profile.id, "organization_id": profile.organization_id, "created_at": profile.created_at}
        async with self._engine.transaction() as transaction:
            if (await transaction.execute(changed)).rowcount == 0:
                await transaction.execute(insert(messaging_profiles).values(**values, **own))
            await raise_epoch(transaction, profile.organization_id)

    async def change_profile(
        self, organization_id: OrganizationId, profile_id: str, change: Callable[[Profile], Profile]
    ) -> Profile:
        """Put what `change` makes of a profile in its place, and return that; of two changes neither loses the other's.

        Raises `NoSuchRecord`, and whatever `change` raises; then nothing is changed.
        """
        table = messaging_profiles
        mine = there(organization_id, profile_id)
        # Held until the commit. Locks go from the profile to its senders and the epoch; senders that refer to it need
        # not wait.
        held = select(*table.c).where(mine).with_for_update(key_share=True)
        async with self._engine.transaction() as transaction:
            row = (await transaction.execute(held)).mappings().one_or_none()
            if row is None:
                raise NoSuchRecord
            before = to_profile(row)
            changed = change(before)
            await transaction.execute(update(table).where(mine).values(**_profile_values(changed)))
            await follow_settings(transaction, before, changed, self._max_lead)
            await raise_epoch(transaction, organization_id)
        return changed

    async def delete_profile(self, organization_id: OrganizationId, profile_id: str, now: Instant) -> Profile:
        """Make a profile be nowhere any more, and return it as it was. Raises `NoSuchRecord`.

        Its numbers are left without a profile; its alphanumeric senders and automatic replies go with it. Its row stays
        for what was sent under it.
        """
        # Nobody may refer to it from here on: who adds a sender or a reply holds the row against this lock.
        held = select(*messaging_profiles.c).where(there(organization_id, profile_id)).with_for_update()
        deleted = update(messaging_profiles).where(messaging_profiles.c.id == profile_id).values(deleted_at=now)
        its = senders.c.profile_id == profile_id
        in_order = select(senders.c.id).where(its).order_by(senders.c.id).with_for_update()
        names = delete(senders).where(its, senders.c.kind == AddressKind.ALPHANUMERIC.value)
        async with self._engine.transaction() as transaction:
            row = (await transaction.execute(held)).mappings().one_or_none()
            if row is None:
                raise NoSuchRecord
            await transaction.execute(in_order)
            await transaction.execute(names)
            await transaction.execute(update(senders).where(its).values(profile_id=None, updated_at=now))
            await forget_profile(transaction, profile_id)
            await transaction.execute(delete(autoresponses).where(autoresponses.c.profile_id == profile_id))
            await transaction.execute(deleted)
            await raise_epoch(transaction, organization_id)
        return to_profile(row)

    async def add_sender(self, sender: Sender, now: Instant) -> None:
        """Let an organisation send from an address.

        Raises `AlreadyExists` when it belongs to somebody, `NoSuchRecord` when its profile is there no more, and
        `NoSuchFallback`.
        """
        scope = (sender.profile_id or "") if sender.kind is AddressKind.ALPHANUMERIC else ""
        campaign = msgspec.json.encode(sender.campaign).decode() if sender.campaign else None
        values = {
            "id": sender.id,
            "organization_id": sender.organization_id,
            "profile_id": sender.profile_id,
            "address": sender.address,
            "scope": scope,
            "kind": sender.kind.value,
            "country": sender.country,
            "carrier": sender.carrier,
            "line_type": sender.line_type,
            "tags": msgspec.json.encode(sender.tags).decode(),
            "campaign": campaign,
            "us_long_code_fallback": sender.us_long_code_fallback,
            "created_at": now,
            "updated_at": now,
        }
        try:
            async with self._engine.transaction() as transaction:
                if sender.profile_id is not None:
                    await keep_profile(transaction, sender.organization_id, sender.profile_id)
                if sender.us_long_code_fallback is not None:
                    await _keep_us_long_code(transaction, sender.organization_id, sender.us_long_code_fallback)
                await transaction.execute(insert(senders).values(**values))
                await forget_numbers(transaction, [sender.address])
                await raise_epoch(transaction, sender.organization_id)
        except IntegrityError as error:
            raise AlreadyExists(str(error.orig)) from error

    async def remove_sender(self, organization_id: OrganizationId, address: str) -> None:
        """Take an address away, and what refers to it. Raises `NoSuchRecord`."""
        mine = (senders.c.organization_id == organization_id) & (senders.c.address == address)
        async with self._engine.transaction() as transaction:
            await hold_with_references(transaction, organization_id, address)
            if (await transaction.execute(delete(senders).where(mine))).rowcount == 0:
                raise NoSuchRecord
            await remove_references(transaction, organization_id, address)
            await raise_epoch(transaction, organization_id)

    async def _change(self, statement: Any, organization_id: OrganizationId) -> None:
        try:
            async with self._engine.transaction() as transaction:
                await transaction.execute(statement)
                await raise_epoch(transaction, organization_id)
        except IntegrityError as error:
            raise AlreadyExists(str(error.orig)) from error


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


async def keep_profile(transaction: Transaction, organization_id: OrganizationId, profile_id: str) -> None:
    """See that a profile is there, and stays until the commit. Raises `NoSuchRecord`."""
    kept = select(messaging_profiles.c.id).where(there(organization_id, profile_id))
    if (await transaction.execute(kept.with_for_update(read=True, key_share=True))).first() is None:
        raise NoSuchRecord


async def _keep_us_long_code(transaction: Transaction, organization_id: OrganizationId, address: str) -> None:
    table = senders.c
    kind = (table.kind == AddressKind.LONG_CODE.value) & (table.country == "US")
    mine = select(table.id).where(table.address == address, table.organization_id == organization_id, kind)
    if (await transaction.execute(mine.with_for_update(read=True, key_share=True))).first() is None:
        raise NoSuchFallback


async def hold_with_references(transaction: Transaction, organization_id: OrganizationId, address: str) -> None:
    """Lock a sender and those that fall back to it in the order of ids, as everywhere: nobody waits in a circle."""
    either = or_(senders.c.address == address, senders.c.us_long_code_fallback == address)
    held = select(senders.c.id).where(senders.c.organization_id == organization_id, either)
    await transaction.execute(held.order_by(senders.c.id).with_for_update())


async def remove_references(transaction: Transaction, organization_id: OrganizationId, address: str) -> None:
    """Forget what refers to a sender that goes: whom it falls back for, whom it writes to."""
    owned = senders.c.organization_id == organization_id
    falling_back = update(senders).where(owned, senders.c.us_long_code_fallback == address)
    await transaction.execute(falling_back.values(us_long_code_fallback=None))
    await forget_numbers(transaction, [address])


def _profile_values(profile: Profile) -> dict[str, Any]:
    """The columns that a change may change."""
    urls = profile_urls(profile.settings)
    return {
        "name": profile.name,
        "settings": msgspec.json.encode(profile.settings).decode(),
        "webhook_endpoint": next((endpoint_id(profile.organization_id, url) for url in urls), None),
        "updated_at": profile.updated_at,
    }


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
