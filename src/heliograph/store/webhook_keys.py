"""The keys that webhooks are signed with.

Whoever writes holds the row of the organisation: of two servers that make its first key at once, the second finds the
key of the first.
"""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import Select, insert, select, update

from heliograph import randomness
from heliograph.domain.ids import OrganizationId
from heliograph.domain.instant import Instant
from heliograph.domain.signing_keys import SECRET_PREFIX, WebhookKey, follow
from heliograph.store.account_changes import NoSuchRecord
from heliograph.store.engine import Engine, Row, Transaction
from heliograph.store.tables import organizations, webhook_keys


class WebhookKeys:
    """Verbs over the keys; `now` is the store's clock."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def of(self, organization_id: OrganizationId, now: Instant) -> Sequence[WebhookKey]:
        """The live keys of an organisation, in the order they sign; none before the first is made.

        A sender may keep the answer for ten seconds. A planned rotation changes nothing for receivers until its overlap
        is over; after one without overlap, what the old key signed in those seconds is refused and comes again.
        `keys_at` drops what has retired meanwhile.
        """
        return [_to_key(row) for row in await self._engine.fetch(_live(organization_id, now))]

    async def ensure(self, organization_id: OrganizationId, now: Instant) -> Sequence[WebhookKey]:
        """As `of`, making the first key when there is none. Raises `NoSuchRecord` for an unknown organisation."""
        if known := await self.of(organization_id, now):
            return known
        async with self._engine.transaction() as transaction:
            found = await _held(transaction, organization_id, now)
            if not found:
                found = [new_key(organization_id, now)]
                await _add(transaction, found[0])
            return found

    async def ensure_all(self, now: Instant) -> None:
        """Make the first key of every organisation that has none."""
        without = ~select(webhook_keys.c.id).where(webhook_keys.c.organization_id == organizations.c.id).exists()
        for row in await self._engine.fetch(select(organizations.c.id).where(without)):
            await self.ensure(OrganizationId(str(row["id"])), now)

    async def rotate(self, organization_id: OrganizationId, now: Instant, overlap: int) -> Sequence[WebhookKey]:
        """Make a key that signs after `overlap` microseconds, and retire the others after twice that; the live keys.

        Raises what `domain.signing_keys.follow` raises, and `NoSuchRecord` for an unknown organisation. After
        `StoreUnavailable` look at `of`: it may have happened.
        """
        async with self._engine.transaction() as transaction:
            found = await _held(transaction, organization_id, now)
            *old, new = follow(found, new_key(organization_id, now), now, overlap)
            for key in old:
                mine = webhook_keys.c.id == key.id
                await transaction.execute(update(webhook_keys).where(mine).values(retires_at=key.retires_at))
            await _add(transaction, new)
            return [key for key in (*old, new) if key.is_live(now)]


def new_key(organization_id: OrganizationId, now: Instant) -> WebhookKey:
    """A key drawn anew that signs from `now`; it is stored nowhere."""
    seed, secret = (b64encode(randomness.seed()).decode() for _ in range(2))
    return WebhookKey(randomness.new_id(now), organization_id, seed, SECRET_PREFIX + secret, now, now)


async def _held(transaction: Transaction, organization_id: OrganizationId, now: Instant) -> Sequence[WebhookKey]:
    """The live keys of an organisation, which no other transaction changes until the end of this one."""
    # A statement of its own: only the one after it sees, in READ COMMITTED, what was written while it waited. SQLite
    # leaves the clause out; there the whole transaction holds the right to write. Key share, as rows that refer to the
    # organisation need not wait.
    row = select(organizations.c.id).where(organizations.c.id == organization_id).with_for_update(key_share=True)
    if (await transaction.execute(row)).first() is None:
        raise NoSuchRecord
    found = await transaction.execute(_live(organization_id, now))
    return [_to_key(dict(each)) for each in found.mappings()]


def _live(organization_id: OrganizationId, now: Instant) -> Select[tuple[object, ...]]:
    mine = webhook_keys.c.organization_id == organization_id
    live = webhook_keys.c.retires_at.is_(None) | (webhook_keys.c.retires_at > now)
    return select(*webhook_keys.c).where(mine, live).order_by(webhook_keys.c.signs_from, webhook_keys.c.id)


async def _add(transaction: Transaction, key: WebhookKey) -> None:
    await transaction.execute(insert(webhook_keys).values(asdict(key)))


def _to_key(row: Row) -> WebhookKey:
    return WebhookKey(
        id=row["id"],
        organization_id=OrganizationId(row["organization_id"]),
        private_key=row["private_key"],
        secret=row["secret"],
        created_at=row["created_at"],
        signs_from=row["signs_from"],
        retires_at=row["retires_at"],
    )
