"""The store without HTTP: the group commit by batch size, and what the driver gains over `Connection.execute`.

The second table is the reason for `store/batch.py`: the INSERT of its batches, the same rows given to SQLAlchemy as one
`execute` (its executemany), and the same with RETURNING, which SQLAlchemy turns into statements of many rows. All three
commit durably, one transaction a batch.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import uvloop
from sqlalchemy import insert
from sqlalchemy.dialects import postgresql, sqlite

from bench.load import RECIPIENTS
from bench.measure import Options, show_table, spread
from bench.service import SENDER, new_database
from heliograph import randomness
from heliograph.domain.ids import MessageId, OrganizationId, ProfileId
from heliograph.domain.instant import HOUR, Instant
from heliograph.domain.lifecycle import Status
from heliograph.domain.message import Facts, Message, MessageType
from heliograph.domain.text import Encoding
from heliograph.server import open_store
from heliograph.settings import load
from heliograph.store.messages import INSERT, Acceptance, Accepted, _to_row
from heliograph.store.schema import migrate
from heliograph.store.store import Store
from heliograph.store.tables import messages

TEXT = "Reminder {:010d}: your appointment is tomorrow at 10:00. Reply C to call it off."
SIZES = (1, 8, 32, 64, 128)
_MAX_PENDING = 1 << 40


@dataclass(slots=True)
class _Way:
    """One way to write, and what its rounds gave."""

    name: str
    write: Callable[[Sequence[Message]], Awaitable[None]]
    rates: list[float] = field(default_factory=list)
    """Messages a second."""
    costs: list[float] = field(default_factory=list)
    """Processor time of this process for each message, in microseconds."""


def run(options: Options) -> None:
    """Both tables for each database."""
    with ExitStack() as until_end:
        for each in options.databases:
            uvloop.run(_measure(each, new_database(each, options, until_end), options.rounds, options.seconds / 4))


async def _measure(name: str, url: str, rounds: int, seconds: float) -> None:
    await migrate(url)
    store = open_store(load(None, {}, {"database.url": url}))
    await store.start()
    try:
        await _group_commit(name, store, rounds, seconds)
        await _inserts(name, store, rounds, seconds)
    finally:
        await store.stop()


async def _group_commit(name: str, store: Store, rounds: int, seconds: float) -> None:
    epoch = (await store.accounts.refresh(), store.accounts.epoch)[1]

    async def accept(batch: Sequence[Message]) -> None:
        acceptances = [Acceptance([each], epoch, _MAX_PENDING) for each in batch]
        answers = await asyncio.gather(*(store.accept(each) for each in acceptances))
        if any(answer.outcome is not Accepted.TAKEN for answer in answers):
            raise SystemExit(f"not every message was taken: {answers}")

    ways = {size: _Way(str(size), accept) for size in SIZES}
    for _ in range(rounds):
        for size, way in ways.items():
            await _round(way, size, seconds)
    rows = [[way.name, f"{spread(way.rates):,.0f}", f"{spread(way.costs):.0f}"] for way in ways.values()]
    show_table(f"Group commit alone, {name}", ["batch", "accepts per second", "us of our processor each"], rows)


async def _inserts(name: str, store: Store, rounds: int, seconds: float) -> None:
    rows = []
    for size in SIZES:
        ways = _ways_to_insert(store)
        for _ in range(rounds):
            for way in ways:
                await _round(way, size, seconds)
        base = ways[0]
        for way in ways:
            ratios = spread([mine / beside for mine, beside in zip(way.rates, base.rates, strict=True)])
            rows.append([str(size), way.name, f"{spread(way.rates):,.0f}", f"{ratios:.2f}", f"{spread(way.costs):.0f}"])
    head = ["batch", "way", "rows per second", "of the batch", "us of our processor each"]
    show_table(f"The same INSERT by three ways, {name}", head, rows)


async def _round(way: _Way, size: int, seconds: float) -> None:
    """Write batch after batch; making the messages is not counted."""
    taken, used, written = 0.0, 0.0, 0
    while taken < seconds:
        batch = _messages(size, written)
        started, began = time.perf_counter(), time.process_time()
        await way.write(batch)
        taken += time.perf_counter() - started
        used += time.process_time() - began
        written += size
    way.rates.append(written / taken)
    way.costs.append(1_000_000 * used / written)


def _ways_to_insert(store: Store) -> list[_Way]:
    engine = store.engine
    dialect: Any = postgresql if engine.sqlalchemy.dialect.name == "postgresql" else sqlite
    plain = insert(messages)
    returning = dialect.insert(messages).on_conflict_do_nothing(index_elements=["id"]).returning(messages.c.id)

    async def by_batch(batch: Sequence[Message]) -> None:
        async with engine.transaction() as transaction:
            await transaction.batch(INSERT, [_to_row(each) for each in batch])

    def by_execute(statement: Any) -> Callable[[Sequence[Message]], Awaitable[None]]:
        async def write(batch: Sequence[Message]) -> None:
            async with engine.transaction() as transaction:
                await transaction.execute(statement, [_columns(each) for each in batch])

        return write

    return [
        _Way("batch", by_batch),
        _Way("execute", by_execute(plain)),
        _Way("execute with RETURNING", by_execute(returning)),
    ]


def _columns(message: Message) -> dict[str, Any]:
    return {**dict(zip(INSERT.columns, _to_row(message), strict=True)), "attempts": 0, "in_doubt": False}


def _messages(count: int, first: int) -> list[Message]:
    now = Instant(time.time_ns() // 1_000)
    return [a_message(serial, now) for serial in range(first, first + count)]


def a_message(serial: int, now: Instant) -> Message:
    """With an id, a recipient and a text of its own."""
    return Message(
        id=MessageId(randomness.new_id(now)),
        organization_id=_ORGANIZATION,
        profile_id=_PROFILE,
        type=MessageType.SMS,
        status=Status.SCHEDULED,
        sender=SENDER,
        recipient=f"+1312555{serial % RECIPIENTS:04d}",
        text=TEXT.format(serial),
        parts=1,
        rate=250,
        carrier_fee=300,
        received_at=now,
        send_at=Instant(now + 3 * HOUR),
        due_at=Instant(now + 3 * HOUR),
        valid_until=Instant(now + 4 * HOUR),
        facts=_FACTS,
    )


_ORGANIZATION = OrganizationId("01938f5e-8c00-7000-8000-000000000001")
_PROFILE = ProfileId("01938f5e-8c00-7000-8000-000000000002")
_FACTS = Facts(Encoding.GSM7, 79, from_carrier="Heliograph", from_line_type="VoIP", to_line_type="Wireless")
