"""Sticky senders: the same number of a pool for the same person (Contract 6.2).

    pick a number --choose--> the number that this person is written to from, whoever asked first

The one row of a profile and a person is locked by whoever asks, so that two nodes that ask at once are told one number.
It is renewed each time, and forgotten when the feature is switched, or when its number comes to or leaves the profile.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, and_, delete, exists, literal_column, select, true, update

from heliograph.domain.ids import ProfileId
from heliograph.domain.instant import DAY, Instant
from heliograph.store.batch import ID, MICROS, TEXT, Batch, Sql
from heliograph.store.engine import Transaction
from heliograph.store.tables import sticky_senders

LASTS = 8 * DAY
"""Since the last message (Contract 6.2)."""


class StickyWish(msgspec.Struct, frozen=True):
    """Who is to be written to from the pool of a profile."""

    profile_id: ProfileId
    recipient: str
    candidate: str
    """The number to begin with, or to go on with when the one so far is of no use any more."""
    usable: Collection[str]
    """The numbers that may be used now."""
    send_at: Instant | None
    """When the message leaves; None for now."""


def _hold(sql: Sql) -> Any:
    """Make rows that are missing, and lock all. A new row is over already: it says nothing yet."""
    rows = select(sql.rows.c.profile_id, sql.rows.c.recipient, sql.rows.c.sender, literal_column("0")).where(true())
    insert = sql.insert(sticky_senders).from_select(["profile_id", "recipient", "sender", "until"], rows)
    held = insert.on_conflict_do_update(
        index_elements=["profile_id", "recipient"], set_={"until": sticky_senders.c.until}
    )
    return held.returning(*sticky_senders.c, sql.now.label("now"))


def _put(sql: Sql) -> Any:
    rows, kept = sql.rows.c, sticky_senders.c
    mine = and_(kept.profile_id == rows.profile_id, kept.recipient == rows.recipient)
    return update(sticky_senders).where(mine).values(sender=rows.sender, until=rows.until)


HOLD = Batch({"profile_id": ID, "recipient": TEXT, "sender": TEXT}, _hold)
PUT = Batch({"profile_id": ID, "recipient": TEXT, "sender": TEXT, "until": MICROS}, _put)


class StickyVerbs:
    """A verb of the group commit."""

    async def choose(self, transaction: Transaction, items: Sequence[StickyWish]) -> Sequence[str]:
        """The number that each is to be sent from."""
        asked = {(item.profile_id, item.recipient): item for item in reversed(items)}
        rows = await transaction.batch(HOLD, sorted((*key, item.candidate) for key, item in asked.items()))
        held = {(ProfileId(str(row["profile_id"])), row["recipient"]): row for row in rows}
        chosen = {key: _number(item, held[key]) for key, item in asked.items()}
        until = {key: held[key]["until"] for key in asked}
        for item in items:
            key, now = (item.profile_id, item.recipient), held[item.profile_id, item.recipient]["now"]
            until[key] = max(until[key], max(now, item.send_at or now) + LASTS)
        await transaction.batch(PUT, sorted((*key, chosen[key], until[key]) for key in asked))
        return [chosen[item.profile_id, item.recipient] for item in items]


def _number(item: StickyWish, row: Mapping[str, Any]) -> str:
    kept: str = row["sender"]
    return kept if row["until"] > row["now"] and kept in item.usable else item.candidate


async def forget_profile(transaction: Transaction, profile_id: str) -> None:
    """Forget everybody of a profile: it has switched the feature on or off."""
    await _forget(transaction, sticky_senders.c.profile_id == profile_id)


async def forget_numbers(transaction: Transaction, addresses: Sequence[str]) -> None:
    """Forget who was written to from numbers that change their profile, come or go."""
    if addresses:
        await _forget(transaction, sticky_senders.c.sender.in_(sorted(addresses)))


async def forget_ended(transaction: Transaction, before: Instant, limit: int) -> int:
    """Take away at most so many rows that say nothing any more; how many."""
    return await _forget(transaction, sticky_senders.c.until < before, limit)


async def _forget(transaction: Transaction, which: ColumnElement[bool], limit: int | None = None) -> int:
    """In the order in which they are held: no two transactions wait in a circle."""
    order = (sticky_senders.c.profile_id, sticky_senders.c.recipient)
    found = select(*order).where(which).order_by(*order).limit(limit).with_for_update().cte("found")
    mine = [own == column for own, column in zip(order, found.c, strict=True)]
    gone = delete(sticky_senders).where(exists().where(*mine)).returning(sticky_senders.c.recipient)
    return len((await transaction.execute(gone)).all())
