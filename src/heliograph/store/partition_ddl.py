"""How the message tables of PostgreSQL came to be partitioned, and what a partition is called.

    messages ----------> messages_first    everything up to a day after the migration
                         messages_d20261125, ...    a day each, made ahead
                         messages_rest     ids of no day that was made: a clock that is far ahead

An id tells its moment in its first 48 bits (UUIDv7), so a day is a range of ids. Events and parts go by the id of their
message: what is read of one message, and what is dropped of one day, lies together.
"""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from re import compile as regex
from typing import TYPE_CHECKING

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from heliograph.domain.instant import DAY, MILLISECOND, Instant

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

PARTITIONED: Mapping[str, str] = {
    "messages": "id",
    "message_events": "message_id",
    "message_parts": "message_id",
    "receipts": "id",
    "webhook_deliveries": "id",
    "webhook_attempts": "id",
}
"""The tables that grow with every message, and the id that tells the day."""
FIRST, REST = "first", "rest"
FIRST_REACHES = 3
"""Days from the migration that its first partition still takes."""
LOCK_WAIT = 200
"""Milliseconds. Who waits for a strong lock holds up everybody who comes after."""
LOOK_AGAIN = 0.5
"""Seconds until a lock is asked for again that was not to be had: who reads for long holds up us and nobody else."""
EVENTS_BY_MESSAGE = "message_events_by_message"
_NOT_NOW = ("55P03", "40P01")
"""What PostgreSQL calls the two (SQLSTATE)."""
_BOUND = "before_partitions"
BOUNDARY = text(
    "SELECT substring(pg_get_constraintdef(oid) FROM '([0-9a-f]{8}-[0-9a-f-]+)') AS boundary FROM pg_constraint"
    " WHERE conname = :name AND pg_table_is_visible(conrelid) LIMIT 1"
).bindparams(name=_BOUND)
"""The least id that a database refuses which is prepared; no row for another."""
_BOUNDED = text(
    "SELECT conrelid::regclass::text FROM pg_constraint WHERE conname = :name AND pg_table_is_visible(conrelid)"
).bindparams(name=_BOUND)
_PARTITION = regex(rf"^({'|'.join(PARTITIONED)})_({FIRST}|{REST}|d\d{{8}})$")


def is_partition(name: str) -> bool:
    """Whether a table is a part of another."""
    return _PARTITION.match(name) is not None


def day_name(table: str, day: int) -> str:
    """The partition of a day, which is counted from 1970."""
    return f"{table}_d{datetime.fromtimestamp(day * DAY / 1_000_000, UTC):%Y%m%d}"


def first_id(day: int) -> str:
    """The least id of a day."""
    return id_at(Instant(day * DAY))


def id_at(at: Instant) -> str:
    """The least id of a moment, to the millisecond."""
    milliseconds = at // MILLISECOND
    return f"{milliseconds >> 16:08x}-{milliseconds & 0xFFFF:04x}-0000-0000-000000000000"


def moment_of(key: str) -> Instant:
    """When an id was made, to the millisecond."""
    return Instant(int(key.replace("-", "")[:12], 16) * MILLISECOND)


async def prepare(engine: "AsyncEngine") -> None:
    """Do beforehand, while everybody is at work, what reads whole tables; `adopt` then takes no time.

    Does nothing where there are no tables yet, or where they are partitioned.
    """
    async with engine.connect() as plain:
        connection = await plain.execution_options(isolation_level="AUTOCOMMIT")
        kind = await connection.scalar(text("SELECT relkind::text FROM pg_class WHERE oid = to_regclass('messages')"))
        if kind != "r" or await connection.scalar(text("SELECT to_regclass('message_events') IS NULL")):
            return
        await forgo(engine)
        events = f"{EVENTS_BY_MESSAGE} ON message_events (message_id, id)"
        await connection.exec_driver_sql(f"CREATE UNIQUE INDEX CONCURRENTLY {events}")
        boundary = first_id(await connection.run_sync(_boundary))
        for table, key in PARTITIONED.items():
            if await connection.scalar(text(f"SELECT to_regclass('{table}') IS NOT NULL")):
                bound = f"ADD CONSTRAINT {_BOUND} CHECK ({key} < '{boundary}') NOT VALID"
                await _patiently(engine, f"ALTER TABLE {table} {bound}")
                await connection.exec_driver_sql(f"ALTER TABLE {table} VALIDATE CONSTRAINT {_BOUND}")


async def forgo(engine: "AsyncEngine") -> None:
    """Take back what `prepare` did: the bound would refuse the messages of a later day."""
    await _patiently(engine, f"DROP INDEX IF EXISTS {EVENTS_BY_MESSAGE}")
    async with engine.connect() as connection:
        bounded = (await connection.execute(_BOUNDED)).scalars().all()
    for table in bounded:
        await _patiently(engine, f"ALTER TABLE {table} DROP CONSTRAINT {_BOUND}")


async def _patiently(engine: "AsyncEngine", statement: str) -> None:
    """Run what needs a strong lock for a moment, again and again until it is had."""
    while True:
        try:
            async with engine.begin() as connection:
                await connection.exec_driver_sql(f"SET LOCAL lock_timeout = {LOCK_WAIT}")
                await connection.exec_driver_sql(statement)
        except DBAPIError as error:
            if not not_now(error):
                raise
            await asyncio.sleep(LOOK_AGAIN)
        else:
            return


def not_now(error: DBAPIError) -> bool:
    """Whether a lock was not had in time, or given up so that nobody waits in a circle: the same may succeed later."""
    return getattr(error.orig, "sqlstate", None) in _NOT_NOW


def adopt(connection: Connection) -> None:
    """Make each table the first partition of one of its name: no row is copied, and no index built."""
    boundary = connection.scalar(BOUNDARY) or first_id(_boundary(connection))
    for table, key in PARTITIONED.items():
        _adopt(connection, table, key, boundary)


def _boundary(connection: Connection) -> int:
    """The day that follows the first partition: some days on, and after everything that is there."""
    ahead = connection.scalar(text("SELECT coalesce(max(ahead), 0) FROM test_clock"))
    now = connection.scalar(text("SELECT (extract(epoch from statement_timestamp()) * 1000000)::bigint"))
    moments = [Instant((now or 0) + (ahead or 0))]
    for table, key in PARTITIONED.items():
        if not connection.scalar(text(f"SELECT to_regclass('{table}') IS NOT NULL")):
            continue
        newest = connection.scalar(text(f"SELECT {key}::text FROM {table} ORDER BY {key} DESC LIMIT 1"))  # noqa: S608 - names of ours
        if newest is not None:
            moments.append(moment_of(newest))
    return max(moments) // DAY + FIRST_REACHES


def _adopt(connection: Connection, table: str, key: str, boundary: str) -> None:
    execute = connection.exec_driver_sql
    primary, indexes = _keys(connection, table)
    execute(f"ALTER TABLE {table} RENAME TO {table}_{FIRST}")
    for name in (f"pk_{table}", *indexes):
        execute(f"ALTER INDEX {name} RENAME TO {name}_{FIRST}")
    execute(
        f"CREATE TABLE {table} (LIKE {table}_{FIRST} INCLUDING DEFAULTS INCLUDING COMMENTS) PARTITION BY RANGE ({key})"
    )
    execute(f"ALTER TABLE {table} ADD CONSTRAINT pk_{table} {primary}")
    for definition in indexes.values():
        execute(definition)
    execute(f"ALTER TABLE {table} ATTACH PARTITION {table}_{FIRST} FOR VALUES FROM (MINVALUE) TO ('{boundary}')")
    execute(f"ALTER TABLE {table}_{FIRST} DROP CONSTRAINT IF EXISTS {_BOUND}")
    execute(f"CREATE TABLE {table}_{REST} PARTITION OF {table} DEFAULT")


def _keys(connection: Connection, table: str) -> tuple[str, Mapping[str, str]]:
    """What makes the primary key, and what makes every other index."""
    oid = {"oid": connection.scalar(text("SELECT CAST(:name AS regclass)::oid::bigint"), {"name": table})}
    primary = connection.scalar(
        text(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = CAST(:oid AS oid) AND contype = 'p'"
        ),
        oid,
    )
    found = connection.execute(
        text(
            "SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition FROM pg_index"
            " WHERE indrelid = CAST(:oid AS oid) AND NOT indisprimary ORDER BY 1"
        ),
        oid,
    )
    return str(primary), {row.name: row.definition for row in found}
