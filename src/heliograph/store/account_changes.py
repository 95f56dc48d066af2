"""Accounts made and changed; each change raises the epoch of its organisation in its own transaction.

Locks go from a profile to its senders, in the order of their ids, and to the epoch: no two changes wait in a circle.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy import delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from heliograph.domain.accounts import Organization, Profile, RuleOverrides, Sender
from heliograph.domain.address import AddressKind
from heliograph.domain.events import endpoint_id, profile_urls
from heliograph.domain.ids import OrganizationId
from heliograph.domain.instant import Instant
from heliograph.store.accounts import ApiKey, there, to_profile
from heliograph.store.engine import Engine, Transaction
from heliograph.store.epochs import raise_epoch
from heliograph.store.profile_effects import follow_settings
from heliograph.store.sticky import forget_numbers, forget_profile
from heliograph.store.tables import api_keys, autoresponses, messaging_profiles, organizations, senders


class AlreadyExists(Exception):
    """There is one of that name or address already."""


class NoSuchRecord(Exception):
    """The record named does not exist."""


class NoSuchFallback(Exception):
    """The number that an alphanumeric sender is to fall back to is no US long code of its organisation."""


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
