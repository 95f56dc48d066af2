"""Short links: put down with their message, looked up and counted when somebody follows them.

    accept --put--> short_links        visitor --find--> short_links --click--> link_clicks, a delivery

Who follows a link is a stranger, and there may be many at once: they are looked up by a reading statement, so that an
unknown one costs no write, and their clicks share the group commit with all else.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import select, true
from sqlalchemy.types import TypeEngine

from heliograph.bodies import click_payload
from heliograph.domain.events import EventType
from heliograph.domain.ids import MessageId, OrganizationId, ProfileId
from heliograph.domain.instant import Instant
from heliograph.domain.lifecycle import Status
from heliograph.domain.links import ShortLink
from heliograph.store.batch import FLAG, ID, MICROS, TEXT, Batch, Sql
from heliograph.store.engine import Engine, Row, Transaction
from heliograph.store.outbox import Outbox, ProfileEvent
from heliograph.store.tables import link_clicks, messages, short_links


class Click(NamedTuple):
    """Somebody followed a link."""

    id: str
    """A UUIDv7; given again, it is the same click. It is the id of the event too."""
    link: ShortLink
    at: Instant
    user_agent: str | None


_LINK: Mapping[str, TypeEngine[Any]] = {
    "slug": TEXT,
    "organization_id": ID,
    "profile_id": ID,
    "message_id": ID,
    "recipient": TEXT,
    "url": TEXT,
    "send_webhooks": FLAG,
    "created_at": MICROS,
}
_CLICK: Mapping[str, TypeEngine[Any]] = {"id": ID, "slug": TEXT, "at": MICROS, "user_agent": TEXT}


def _put(sql: Sql) -> Any:
    rows = select(*[sql.rows.c[name] for name in _LINK]).where(true())
    insert = sql.insert(short_links).from_select(list(_LINK), rows, include_defaults=False)
    # A link that is given again is found; one whose slug is another message's is not returned.
    mine = short_links.c.message_id == insert.excluded.message_id
    changed = {"message_id": insert.excluded.message_id}
    insert = insert.on_conflict_do_update(index_elements=["slug"], set_=changed, where=mine)
    return insert.returning(short_links.c.slug)


def _click(sql: Sql) -> Any:
    rows = select(*[sql.rows.c[name] for name in _CLICK]).where(true())
    insert = sql.insert(link_clicks).from_select(list(_CLICK), rows, include_defaults=False)
    return insert.on_conflict_do_nothing(index_elements=["id"])


PUT = Batch(_LINK, _put)
CLICK = Batch(_CLICK, _click)


async def put_links(transaction: Transaction, links: Sequence[ShortLink]) -> Collection[MessageId]:
    """Put down the links of messages; of which messages a slug is taken, so that they must have others.

    May be given a link twice.
    """
    rows = {each.slug: _to_row(each) for each in links}
    found = await transaction.batch(PUT, [row for _, row in sorted(rows.items())])
    ours = {row["slug"] for row in found}
    return {each.message_id for each in links if each.slug not in ours}


class LinkBook:
    """Finds links, and counts those who follow them."""

    def __init__(self, engine: Engine, outbox: Outbox) -> None:
        self._engine = engine
        self._outbox = outbox

    async def find(self, slug: str) -> ShortLink | None:
        """The link of a slug; None for an unknown one, and for that of a message that was cancelled: it never left."""
        statement = (
            select(*short_links.c, messages.c.status)
            .select_from(short_links.outerjoin(messages, messages.c.id == short_links.c.message_id))
            .where(short_links.c.slug == slug)
        )
        rows = await self._engine.fetch(statement)
        return _to_link(rows[0]) if rows and rows[0]["status"] != Status.CANCELLED else None

    async def of_message(self, message_id: MessageId) -> Sequence[ShortLink]:
        """The links of a message, in the order of their slugs."""
        statement = select(*short_links.c).where(short_links.c.message_id == message_id).order_by(short_links.c.slug)
        return [_to_link(row) for row in await self._engine.fetch(statement)]

    async def clicks(self, slug: str) -> Sequence[Row]:
        """Who followed a link, oldest first: `id`, `at`, `user_agent`."""
        made = link_clicks.c
        statement = select(made.id, made.at, made.user_agent).where(made.slug == slug).order_by(made.id)
        return await self._engine.fetch(statement)

    async def click(self, transaction: Transaction, items: Sequence[Click]) -> Sequence[None]:
        """Keep clicks, and announce those that their profile wants to hear of; a verb of the group commit."""
        await transaction.batch(CLICK, [(each.id, each.link.slug, each.at, each.user_agent) for each in items])
        await self._outbox.announce_profile(transaction, [_told(each) for each in items if each.link.send_webhooks])
        return [None] * len(items)


def _told(click: Click) -> ProfileEvent:
    link = click.link
    said = click_payload(link.message_id, link.recipient, link.url, click.at)
    return ProfileEvent(click.id, EventType.LINK_CLICKED, link.organization_id, link.profile_id, click.at, said)


def _to_row(link: ShortLink) -> tuple[Any, ...]:
    """The columns of `_LINK`, in their order."""
    return (
        link.slug,
        link.organization_id,
        link.profile_id,
        link.message_id,
        link.recipient,
        link.url,
        link.send_webhooks,
        link.created_at,
    )


def _to_link(row: Row) -> ShortLink:
    return ShortLink(
        slug=row["slug"],
        organization_id=OrganizationId(str(row["organization_id"])),
        profile_id=ProfileId(str(row["profile_id"])),
        message_id=MessageId(str(row["message_id"])),
        recipient=row["recipient"],
        url=row["url"],
        send_webhooks=bool(row["send_webhooks"]),
        created_at=Instant(row["created_at"]),
    )
