"""The schema's version: made, raised, and compared before anything is read.

A database carries its version and the oldest program that may still use it, so that two versions can run side by side
during an upgrade and an old program refuses what it would misread.
"""

import asyncio
from enum import Enum
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, event, inspect, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from heliograph.domain.instant import Instant, to_text
from heliograph.log import get_logger
from heliograph.store.engine import Engine, translated
from heliograph.store.partition_ddl import BOUNDARY, LOCK_WAIT, LOOK_AGAIN, forgo, moment_of, not_now, prepare
from heliograph.store.sqlite import SqliteEngine
from heliograph.store.tables import SCHEMA_VERSION, metadata, schema_version

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

logger = get_logger("schema")

_MIGRATION_LOCK = 0x4865_6C69_6F67_7261
"""An advisory lock of PostgreSQL: of several programs that migrate at once, one does it and the others wait."""
_PATIENCE = 60.0
"""Seconds to reach a server."""


class SchemaState(Enum):
    """How a database stands to this program."""

    EMPTY = "empty"
    OLD = "old"
    CURRENT = "current"
    NEWER = "newer"
    """Migrated by a later version that this one may still work with."""
    TOO_NEW = "too new"


class UnusableSchema(Exception):
    """The database cannot be used by this program as it is; the text says what to do."""


async def schema_state(engine: Engine) -> SchemaState:
    """Compare a database with this program."""
    with engine.translated():
        async with engine.connect() as connection:
            if not await connection.run_sync(_has_version):
                return SchemaState.EMPTY
            row = (await connection.execute(select(*schema_version.c))).one()
    if row.oldest_reader > SCHEMA_VERSION:
        return SchemaState.TOO_NEW
    if row.version < SCHEMA_VERSION:
        return SchemaState.OLD
    return SchemaState.CURRENT if row.version == SCHEMA_VERSION else SchemaState.NEWER


async def require_usable(engine: Engine) -> None:
    """Raise `UnusableSchema` unless this program may use the database."""
    state = await schema_state(engine)
    if state is SchemaState.TOO_NEW:
        raise UnusableSchema(
            "The database was migrated by a newer Heliograph that this version cannot work beside: "
            "install that version, or restore a backup from before the migration."
        )
    if state in {SchemaState.EMPTY, SchemaState.OLD}:
        raise UnusableSchema(f"The database is {state.value}: run 'heliograph migrate' first.{await _warning(engine)}")


async def _warning(engine: Engine) -> str:
    refused = await refuses_from(engine)
    if refused is None:
        return ""
    return f" A migration was begun and did not end: from {to_text(refused)} on nothing new is taken until it has."


async def refuses_from(engine: Engine) -> Instant | None:
    """When a database begins to refuse all that is new, as one does that was prepared by a migration that was killed.

    None for any other, and while a migration is under way.
    """
    if engine.dialect.name != "postgresql":
        return None
    rows = await engine.fetch(BOUNDARY)
    if not rows:
        return None
    # Given back with the end of the statement.
    idle = await engine.fetch(text("SELECT pg_try_advisory_xact_lock(:lock) AS idle"), {"lock": _MIGRATION_LOCK})
    return moment_of(rows[0]["boundary"]) if idle[0]["idle"] else None


async def migrate(url: str) -> None:
    """Bring a database to this program's version; returns at once when it is there or newer."""
    if make_url(url).get_backend_name() == "sqlite":
        await _migrate_sqlite(url)
    else:
        await _migrate_postgres(url)


async def _migrate_sqlite(url: str) -> None:
    # It imports the ORM, as `Engine.sqlalchemy` says; so below.
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(make_url(url).set(drivername="sqlite+aiosqlite"))
    _in_one_transaction(engine)
    try:
        with translated(SqliteEngine.unreachable):
            async with engine.begin() as connection:
                if await connection.run_sync(_is_behind):
                    await connection.run_sync(_upgrade)
    finally:
        await engine.dispose()


async def _migrate_postgres(url: str) -> None:
    # Only who has a PostgreSQL imports its driver.
    from sqlalchemy.ext.asyncio import AsyncEngine

    from heliograph.store.postgres import POSTGRES_UNREACHABLE
    from heliograph.store.primary import postgres_engine

    engine = AsyncEngine(postgres_engine(url, _PATIENCE))
    try:
        with translated(POSTGRES_UNREACHABLE):
            await _upgrade_postgres(engine)
    finally:
        await engine.dispose()


async def _upgrade_postgres(engine: "AsyncEngine") -> None:
    """What takes long is done before, beside everybody's work; then all of it in one short transaction, or nothing.

    One program does both: the others wait for it.
    """
    async with engine.connect() as plain:
        holder = await plain.execution_options(isolation_level="AUTOCOMMIT")
        # Not by waiting within the database: an index that is built beside others' work waits for every statement.
        while not await holder.scalar(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": _MIGRATION_LOCK}):  # noqa: ASYNC110 - another process has it
            await asyncio.sleep(LOOK_AGAIN)
        try:
            try:
                await prepare(engine)
                while not await _upgraded(engine):
                    logger.info("somebody is at work for long: the migration waits", action="migration_waits")
                    await asyncio.sleep(LOOK_AGAIN)
            except BaseException:
                await forgo(engine)
                raise
        finally:
            await holder.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _MIGRATION_LOCK})


async def _upgraded(engine: "AsyncEngine") -> bool:
    """Upgrade in one transaction that has every table to itself before it changes the first.

    Locks that are taken as statements need them wait in a circle with those of who is at work. Nor may who is at work
    wait behind ours for somebody who reads for long: False when a lock was not to be had now.
    """
    _alembic()  # imported by now: everybody waits while the tables are locked
    try:
        async with engine.begin() as connection:
            if await connection.run_sync(_is_behind):
                await connection.execute(text(f"SET LOCAL lock_timeout = {LOCK_WAIT}"))
                await connection.run_sync(_lock_all)
                await connection.run_sync(_upgrade)
    except DBAPIError as error:
        if not_now(error):
            return False
        raise
    return True


def _lock_all(connection: Connection) -> None:
    there = sorted({*inspect(connection).get_table_names()} & metadata.tables.keys())
    if there:
        connection.execute(text(f"LOCK TABLE {', '.join(there)} IN ACCESS EXCLUSIVE MODE"))


def _in_one_transaction(engine: "AsyncEngine") -> None:
    """Let SQLite keep all of a migration or nothing: left to itself, its driver begins no transaction for DDL."""
    event.listen(engine.sync_engine, "connect", lambda raw, _record: setattr(raw, "isolation_level", None))
    event.listen(engine.sync_engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))


def _has_version(connection: Connection) -> bool:
    return inspect(connection).has_table(schema_version.name)


def _is_behind(connection: Connection) -> bool:
    if not _has_version(connection):
        return True
    return bool(connection.execute(select(schema_version.c.version)).scalar_one() < SCHEMA_VERSION)


def _upgrade(connection: Connection) -> None:
    command, config = _alembic()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _alembic() -> tuple[Any, Any]:
    """Its commands, and how ours are configured. To import it takes a tenth of a second, and only this needs it."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "heliograph:store/migrations")
    return command, config
