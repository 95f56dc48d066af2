"""What is past its time is forgotten: whole partitions on PostgreSQL, rows in small batches elsewhere.

    a day of messages   every row final, no webhook still to tell of one --> dropped with its events and parts
                        else it stays whole, up to `HELD` longer; then what is over goes row by row
    deliveries, receipts, attempts   a day each, once nothing in it is due

Never forgotten: what is pending, what a webhook is still to tell of, and who does not want to be written to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, ColumnElement, MetaData, Select, Table, and_, delete, exists, func, or_, select
from sqlalchemy.exc import ProgrammingError

from heliograph.domain.instant import DAY, Instant
from heliograph.domain.lifecycle import FINAL, Status
from heliograph.domain.nodes import FORGOTTEN
from heliograph.store.charges import REMEMBERED, Charge, amount, currency, remember
from heliograph.store.engine import Engine, Row
from heliograph.store.idle_endpoints import IdleEndpoints
from heliograph.store.messages import word, words
from heliograph.store.partition_ddl import REST, id_at
from heliograph.store.partitions import UNKNOWN_TABLE, Partition, Partitions, locked
from heliograph.store.tables import (
    carrier_states,
    handset_messages,
    inbound_messages,
    job_pages,
    jobs,
    link_clicks,
    message_events,
    message_parts,
    messages,
    nodes,
    pace,
    profile_spend,
    receipts,
    refused_inbound,
    sandbox_receipts,
    short_links,
    webhook_attempts,
    webhook_deliveries,
)

AT_ONCE = 500
"""Rows that one transaction forgets."""
HELD = 2 * DAY
"""How much longer than its messages' time a partition waits for the last of them, before the others go row by row.

To wait costs disk; to delete millions of rows costs every reader. Only a message that was scheduled further ahead than
the retention, or a webhook that is tried for as long, holds up a partition at all.
"""
_RESTED = DAY
"""A slot that is so long past holds nobody up: no row says the same."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What one pass forgot."""

    partitions: int = 0
    messages: int = 0
    """Row by row, apart from those in partitions."""
    others: int = 0
    """Rows of other tables."""
    full: bool = False
    """Whether there may be more."""

    @property
    def any(self) -> bool:
        """Whether it forgot anything."""
        return bool(self.partitions or self.messages or self.others)


@dataclass(frozen=True, slots=True)
class Ages:
    """Before which moments things are forgotten."""

    messages: Instant
    """With all that tells of them, in both directions."""
    links: Instant
    reports: Instant


class RetentionBook:
    """Forgets."""

    def __init__(self, engine: Engine, partitions: Partitions) -> None:
        self._engine = engine
        self._partitions = partitions
        self._endpoints = IdleEndpoints(engine)

    async def forget(self, ages: Ages) -> Forgotten:
        """One pass. Any number of processes may make one at a time.

        Raises `StoreUnavailable` when a partition is in use for longer than may be waited; the next pass tries again.
        """
        dropped, held = await self._drop(ages.messages)
        gone = 0
        full = False
        sources = [([part], _copy(messages, part.name)) for part in held]
        sources.append(([], _copy(messages, f"messages_{REST}") if self._partitions.usable else messages))
        for parts, source in sources:
            count = await self._forget_messages(parts, source, ages.messages)
            gone, full = gone + count, full or count == AT_ONCE
        counts = [await self._forget_rows(table, where) for table, where in self._old(ages)]
        counts += [await self._forget_deliveries(ages.messages), await self._forget_jobs(ages.reports)]
        others = sum(counts) + await self._endpoints.forget(ages.messages)
        return Forgotten(dropped, gone, others, full or AT_ONCE in counts)

    async def _drop(self, before: Instant) -> tuple[int, Sequence[Partition]]:
        """Drop what is over; how many partitions, and those whose messages are to go row by row."""
        known = await self._partitions.known()
        if not known or await self._is_read():
            return 0, ()
        dropped, held = 0, []
        for part in _ended(known["messages"], before):
            if not await self._is_pending(part):
                dropped += await self._drop_messages(part, known)
            elif part.ends <= before - HELD:
                held.append(part)
        kept = [part for part in known["webhook_deliveries"] if part.ends > before]
        for part in _ended(known["webhook_deliveries"], before):
            if await self._has(webhook_deliveries, _within(webhook_deliveries.c.id, part), _DUE):
                kept.append(part)
            else:
                dropped += await self._drop_alone(part)
        # An attempt was made at or after the moment of its delivery's id.
        oldest = min((part.low or "" for part in kept), default=id_at(before))
        over = [part for part in _ended(known["webhook_attempts"], before) if part.high <= oldest]
        for part in [*over, *_ended(known["receipts"], before)]:
            dropped += await self._drop_alone(part)
        return dropped, held

    async def _is_read(self) -> bool:
        """Whether a job is at work that may read what would go: it gets a day."""
        now = self._engine.clock.now()
        return await self._has(jobs, jobs.c.due_at.is_not(None), jobs.c.created_at > now - DAY)

    async def _is_pending(self, part: Partition) -> bool:
        mine = _within(messages.c.id, part)
        if await self._has(messages, mine, messages.c.status.not_in(words(sorted(FINAL)))):
            return True
        return await self._has(webhook_deliveries, *_told_of(part))

    async def _has(self, table: Table, *where: ColumnElement[bool]) -> bool:
        return bool((await self._engine.survey(_any(table, *where)))[0]["found"])

    async def _drop_messages(self, part: Partition, known: Mapping[str, Sequence[Partition]]) -> int:
        """With their events and parts; what they were charged is added up, and links in what never left go too.

        A day is added up before: that may take longer than a transaction lasts. Meanwhile another process may forget
        some of it row by row, and add the charges of that; then the sum is of no use, and the next pass tries again.
        """
        gone = _copy(messages, part.name)
        remembered = (await self._engine.fetch(REMEMBERED))[0]["remembered"]
        sums = await self._charges(gone)
        same = [
            each
            for table in ("message_events", "message_parts")
            for each in known[table]
            if each.high == part.high and each.low == part.low
        ]
        async with self._engine.transaction() as transaction:
            if not await self._partitions.claim(transaction, [part, *same]):
                return 0
            if (await transaction.execute(REMEMBERED)).scalar_one() != remembered:
                return 0
            # Since we looked somebody may have asked for an event to be sent again; who does so now waits for us.
            if (await transaction.execute(_any(webhook_deliveries, *_told_of(part)))).scalar_one():
                return 0
            await remember(transaction, map(_charge, sums))
            never_left = select(gone.c.id).where(gone.c.status == word(Status.CANCELLED))
            await transaction.execute(delete(short_links).where(short_links.c.message_id.in_(never_left)))
            await self._partitions.drop(transaction, [part, *same])
        return 1 + len(same)

    async def _charges(self, gone: Table) -> Sequence[Row]:
        """By organisation and currency; none when somebody else has dropped it meanwhile."""
        charge = func.sum(amount(gone.c)).label("amount")
        of = currency(self._engine, gone.c.facts).label("currency")
        summed = select(gone.c.organization_id, of, charge).group_by(gone.c.organization_id, of)
        try:
            return await self._engine.survey(summed)
        except ProgrammingError as error:
            if getattr(error.orig, "sqlstate", None) == UNKNOWN_TABLE:
                return ()
            raise

    async def _drop_alone(self, part: Partition) -> int:
        async with self._engine.transaction() as transaction:
            if not await self._partitions.claim(transaction, [part]):
                return 0
            await self._partitions.drop(transaction, [part])
        return 1

    async def _forget_messages(self, parts: Sequence[Partition], source: Table, before: Instant) -> int:
        """One batch of what is over: with its events, parts and charge."""
        told_of = select(webhook_deliveries.c.message_id).where(_DUE, webhook_deliveries.c.message_id < id_at(before))
        over = and_(source.c.id < id_at(before), source.c.status.in_(words(sorted(FINAL))), source.c.id.not_in(told_of))
        columns = (source.c.id, source.c.organization_id, source.c.status, amount(source.c).label("amount"))
        of = currency(self._engine, source.c.facts).label("currency")
        async with self._engine.transaction() as transaction:
            if not await self._partitions.claim(transaction, parts):
                return 0
            found = await transaction.execute(select(*columns, of).where(over).order_by(source.c.id).limit(AT_ONCE))
            rows = found.mappings().all()
            if not rows:
                return 0
            ids = [str(row["id"]) for row in rows]
            unsent = [str(row["id"]) for row in rows if row["status"] == Status.CANCELLED.value]
            await remember(transaction, map(_charge, rows))
            for column, wanted in (
                (message_events.c.message_id, ids),
                (message_parts.c.message_id, ids),
                (short_links.c.message_id, unsent),
                (messages.c.id, ids),
            ):
                await transaction.execute(delete(column.table).where(column.in_(wanted)))
        return len(rows)

    def _old(self, ages: Ages) -> Sequence[tuple[Table, ColumnElement[bool]]]:
        """What is told by its own id or time alone."""
        old = id_at(ages.messages)
        due = select(webhook_deliveries.c.message_id).where(_DUE, webhook_deliveries.c.message_id < old)
        days = ages.messages // DAY
        now = self._engine.clock.now()
        silent_since = now - FORGOTTEN
        # A carrier that has nothing new to tell is told of once, by a process that may run for long.
        heard = select(nodes.c.id).where(nodes.c.heard_at >= silent_since)
        waits = exists().where(
            messages.c.id == short_links.c.message_id, messages.c.status.not_in(words(sorted(FINAL)))
        )
        rules = [
            (inbound_messages, (inbound_messages.c.id < old) & inbound_messages.c.id.not_in(due)),
            (refused_inbound, refused_inbound.c.id < old),
            (handset_messages, handset_messages.c.id < old),
            (sandbox_receipts, (sandbox_receipts.c.id < old) & (sandbox_receipts.c.due_at < ages.messages)),
            (link_clicks, link_clicks.c.id < id_at(ages.links)),
            (short_links, (short_links.c.message_id < id_at(ages.links)) & ~waits),
            (profile_spend, profile_spend.c.day < days),
            (pace, pace.c.next_at < now - _RESTED),
            (carrier_states, (carrier_states.c.at < silent_since) & carrier_states.c.node.not_in(heard)),
            (nodes, nodes.c.heard_at < silent_since),
        ]
        if self._partitions.usable:
            # What strayed into the partition of no day, or outlived its message's partition.
            for table in (message_events, message_parts):
                rest = _copy(table, f"{table.name}_{REST}")
                orphan = ~exists().where(messages.c.id == rest.c.message_id)
                rules.append((rest, (rest.c.message_id < old) & orphan))
            receipts_rest = _copy(receipts, f"receipts_{REST}")
            return [*rules, (receipts_rest, receipts_rest.c.id < old)]
        return [*rules, (receipts, receipts.c.id < old)]

    async def _forget_rows(self, table: Table, where: ColumnElement[bool]) -> int:
        keys: Sequence[Column[Any]] = list(table.primary_key)
        async with self._engine.transaction() as transaction:
            if not await locked(transaction, usable=self._partitions.usable):
                return 0
            found = (await transaction.execute(select(*keys).where(where).limit(AT_ONCE))).all()
            if found:
                # A row that was changed since, as the slot of a sender, is judged as it now is.
                await transaction.execute(delete(table).where(_one_of(keys, found), where))
        return len(found)

    async def _forget_deliveries(self, before: Instant) -> int:
        """Row by row with their attempts; on PostgreSQL those of no day."""
        kept = (
            _copy(webhook_deliveries, f"webhook_deliveries_{REST}") if self._partitions.usable else webhook_deliveries
        )
        over = (kept.c.id < id_at(before)) & kept.c.due_at.is_(None)
        async with self._engine.transaction() as transaction:
            if not await locked(transaction, usable=self._partitions.usable):
                return 0
            found = await transaction.execute(select(kept.c.id).where(over).limit(AT_ONCE))
            ids = [str(row.id) for row in found]
            if ids:
                await transaction.execute(delete(webhook_attempts).where(webhook_attempts.c.delivery_id.in_(ids)))
                await transaction.execute(delete(webhook_deliveries).where(webhook_deliveries.c.id.in_(ids)))
        return len(ids)

    async def _forget_jobs(self, before: Instant) -> int:
        """Those that are over, with their files."""
        over = (jobs.c.id < id_at(before)) & jobs.c.due_at.is_(None)
        async with self._engine.transaction() as transaction:
            if not await locked(transaction, usable=self._partitions.usable):
                return 0
            ids = [str(row.id) for row in await transaction.execute(select(jobs.c.id).where(over).limit(AT_ONCE))]
            if ids:
                await transaction.execute(delete(job_pages).where(job_pages.c.job_id.in_(ids)))
                await transaction.execute(delete(jobs).where(jobs.c.id.in_(ids)))
        return len(ids)


_DUE = webhook_deliveries.c.due_at.is_not(None)
"""A webhook that is still to be sent: of a message, or of a profile alone."""


def _ended(parts: Sequence[Partition], before: Instant) -> Sequence[Partition]:
    return [part for part in parts if part.ends <= before]


def _copy(table: Table, name: str) -> Table:
    """A table of the same columns: a partition by its own name."""
    return table.to_metadata(MetaData(), name=name)


def _within(column: ColumnElement[Any], part: Partition) -> ColumnElement[bool]:
    return column < part.high if part.low is None else (column >= part.low) & (column < part.high)


def _told_of(part: Partition) -> Sequence[ColumnElement[bool]]:
    """That a webhook is still to tell of one of a partition's messages."""
    return _within(webhook_deliveries.c.message_id, part), _DUE


def _any(table: Table, *where: ColumnElement[bool]) -> Select[Any]:
    return select(exists(select(table.c[_key(table)]).where(*where)).label("found"))


def _key(table: Table) -> str:
    return next(iter(table.primary_key)).name


def _one_of(keys: Sequence[Column[Any]], found: Sequence[Any]) -> ColumnElement[bool]:
    if len(keys) == 1:
        return keys[0].in_([row[0] for row in found])
    return or_(*[and_(*[key == value for key, value in zip(keys, row, strict=True)]) for row in found])


def _charge(row: Row | Any) -> Charge:
    return Charge(str(row["organization_id"]), row["currency"], int(row["amount"] or 0))
