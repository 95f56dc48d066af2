"""The schema's version: made, raised, and compared before anything is read.

A database carries its version and the oldest program that may still use it, so that two versions can run side by side
during an upgrade and an old program refuses what it would misread.
"""

from enum import Enum

from sqlalchemy import Connection, event, inspect, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from heliograph.store.engine import Engine, translated
from heliograph.store.tables import SCHEMA_VERSION, schema_version

_MIGRATION_LOCK = 0x4865_6C69_6F67_7261
"""An advisory lock of PostgreSQL: of several programs that migrate at once, one does it and the others wait."""


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
    with translated():
        async with engine.sqlalchemy.connect() as connection:
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
        raise UnusableSchema(f"The database is {state.value}: run 'heliograph migrate' first.")


async def migrate(url: str) -> None:
    """Bring a database to this program's version; returns at once when it is there or newer."""
    database = make_url(url)
    driver = "sqlite+aiosqlite" if database.get_backend_name() == "sqlite" else "postgresql+asyncpg"
    engine = create_async_engine(database.set(drivername=driver))
    if database.get_backend_name() == "sqlite":
        _in_one_transaction(engine)
    try:
        with translated():
            async with engine.begin() as connection:
                await connection.run_sync(_upgrade)
    finally:
        await engine.dispose()


def _in_one_transaction(engine: AsyncEngine) -> None:
    """Let SQLite keep all of a migration or nothing: left to itself, its driver begins no transaction for DDL."""
    event.listen(engine.sync_engine, "connect", lambda raw, _record: setattr(raw, "isolation_level", None))
    event.listen(engine.sync_engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))


def _has_version(connection: Connection) -> bool:
    return inspect(connection).has_table(schema_version.name)


def _upgrade(connection: Connection) -> None:
    # Alembic takes a tenth of a second to import, and only this needs it.
    from alembic import command
    from alembic.config import Config

    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
    if _has_version(connection):
        version = connection.execute(select(schema_version.c.version)).scalar_one()
        if version >= SCHEMA_VERSION:
            return
    config = Config()
    config.set_main_option("script_location", "heliograph:store/migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
