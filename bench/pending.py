"""Many pending messages, put straight into the tables.

Each row is what `accept` writes: the columns of its own INSERT, from a message that differs in id, recipient, text and
time. They are counted as pending, as `accept` counts them. Only the way there is another: COPY on PostgreSQL, and on
SQLite one statement run over many rows.
"""

import asyncio
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import msgspec

from bench.load import RECIPIENTS
from bench.service import fetch_rows
from bench.store import TEXT, a_message
from heliograph.domain.ids import OrganizationId, ProfileId, uuid7
from heliograph.domain.instant import HOUR, Instant
from heliograph.store.messages import INSERT, _to_row

_COLUMNS = [*INSERT.columns, "attempts", "in_doubt"]
_OWNER = "SELECT organization_id, id FROM messaging_profiles"
_COUNT = """
    INSERT INTO pending_counts (organization_id, shard, count) VALUES ('{organization}', 0, {count})
    ON CONFLICT (organization_id, shard) DO UPDATE SET count = pending_counts.count + excluded.count
"""


@dataclass(frozen=True, slots=True)
class Due:
    """When messages fall due: the first of them, and how far apart they are."""

    first: Instant
    apart: int = 0
    """Microseconds."""


def seed(url: str, count: int, due: Due, now: Instant, carrier: str | None = None, first: int = 0) -> None:
    """Put down so many scheduled messages of the one profile there is; `first` is their first serial number."""
    organization, profile = (str(each) for each in fetch_rows(url, _OWNER)[0])
    template = _template(organization, profile, carrier, now)
    rows = _rows(template, range(first, first + count), due, now)
    counted = _COUNT.format(organization=organization, count=count)
    if url.startswith("sqlite"):
        _insert(url, rows, counted)
    else:
        asyncio.run(_copy(url, rows, counted))


def settle(url: str) -> None:
    """Let the database have done what it would do later: statistics, dead rows, a checkpoint."""
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
            connection.execute("ANALYZE")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        return
    asyncio.run(_execute(url, "VACUUM ANALYZE messages", "CHECKPOINT"))


def _template(organization: str, profile: str, carrier: str | None, now: Instant) -> dict[str, Any]:
    """The row of a message as `accept` writes it."""
    message = msgspec.structs.replace(
        a_message(0, now),
        organization_id=OrganizationId(organization),
        profile_id=ProfileId(profile),
        carrier=carrier,
    )
    return {**dict(zip(INSERT.columns, _to_row(message), strict=True)), "attempts": 0, "in_doubt": False}


def _rows(template: dict[str, Any], serials: Sequence[int], due: Due, now: Instant) -> Iterator[tuple[Any, ...]]:
    for index, serial in enumerate(serials):
        at = due.first + index * due.apart
        yield tuple(
            {
                **template,
                "id": uuid7(now, serial),
                "recipient": f"+1312555{serial % RECIPIENTS:04d}",
                "text": TEXT.format(serial),
                "send_at": at,
                "due_at": at,
                "valid_until": at + HOUR,
            }.values()
        )


def _insert(url: str, rows: Iterator[tuple[Any, ...]], counted: str) -> None:
    places = ", ".join("?" * len(_COLUMNS))
    connection = sqlite3.connect(url.removeprefix("sqlite:///"), timeout=60)
    try:
        with connection:
            connection.executemany(f"INSERT INTO messages ({', '.join(_COLUMNS)}) VALUES ({places})", rows)
            connection.execute(counted)
    finally:
        connection.close()


async def _copy(url: str, rows: Iterator[tuple[Any, ...]], counted: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.copy_records_to_table("messages", records=rows, columns=_COLUMNS)
            await connection.execute(counted)
    finally:
        await connection.close()


async def _execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for each in statements:
            await connection.execute(each)
    finally:
        await connection.close()
