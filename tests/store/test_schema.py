"""The schema's version, and that migrations lead to the tables the code knows."""

from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, update

from heliograph.store.engine import open_engine
from heliograph.store.schema import SchemaState, UnusableSchema, migrate, require_usable, schema_state
from heliograph.store.tables import SCHEMA_VERSION, metadata, schema_version


async def state(url: str, **changed: int) -> SchemaState:
    engine = open_engine(url)
    if changed:
        async with engine.transaction() as transaction:
            await transaction.execute(update(schema_version).values(**changed))
    try:
        return await schema_state(engine)
    finally:
        await engine.close()


async def test_an_empty_database_is_told_apart_and_migrated(database_url: str) -> None:
    assert await state(database_url) is SchemaState.EMPTY
    await migrate(database_url)
    assert await state(database_url) is SchemaState.CURRENT


async def test_migrating_again_changes_nothing(database_url: str) -> None:
    await migrate(database_url)
    await migrate(database_url)
    assert await state(database_url) is SchemaState.CURRENT


async def test_a_newer_schema_that_still_bears_us_is_used(prepared_database_url: str) -> None:
    assert await state(prepared_database_url, version=SCHEMA_VERSION + 1) is SchemaState.NEWER


async def test_a_newer_schema_that_does_not_bear_us_is_refused(prepared_database_url: str) -> None:
    await state(prepared_database_url, version=SCHEMA_VERSION + 1, oldest_reader=SCHEMA_VERSION + 1)
    engine = open_engine(prepared_database_url)
    with pytest.raises(UnusableSchema, match="newer Heliograph"):
        await require_usable(engine)
    await engine.close()


async def test_an_empty_database_is_not_usable(database_url: str) -> None:
    engine = open_engine(database_url)
    with pytest.raises(UnusableSchema, match="heliograph migrate"):
        await require_usable(engine)
    await engine.close()


async def test_the_migrations_lead_to_the_tables_of_the_code(prepared_database_url: str) -> None:
    def differences(connection: Connection) -> list[Any]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    engine = open_engine(prepared_database_url)
    async with engine.sqlalchemy.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.close()
