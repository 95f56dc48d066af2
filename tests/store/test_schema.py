"""The schema's version, and that migrations lead to the tables the code knows."""

from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, insert, inspect, select, text, update
from sqlalchemy.exc import DBAPIError

from heliograph.domain.events import endpoint_id
from heliograph.domain.ids import OrganizationId
from heliograph.store.accounts import to_profile
from heliograph.store.engine import StoreUnavailable, open_engine
from heliograph.store.schema import SchemaState, UnusableSchema, migrate, require_usable, schema_state
from heliograph.store.tables import SCHEMA_VERSION, messaging_profiles, metadata, organizations, schema_version


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


async def test_profiles_of_the_first_schema_are_read_and_reported_to_after_the_migration(database_url: str) -> None:
    def first_schema(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", "heliograph:store/migrations")
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")

    organization_id = OrganizationId("01900000-0000-7000-8000-000000000001")
    links = '"url_shortener_settings":{"prefix":5}'  # nobody judged them then
    settings = f'{{"webhook_url":"","webhook_failover_url":"https://example.com/hooks",{links}}}'
    row = {"id": organization_id, "organization_id": organization_id, "name": "Acme", "settings": settings}
    engine = open_engine(database_url)
    async with engine.sqlalchemy.begin() as connection:
        await connection.run_sync(first_schema)
    async with engine.transaction() as transaction:
        await transaction.execute(insert(organizations).values(id=organization_id, name="Acme", created_at=1))
        await transaction.execute(insert(messaging_profiles).values(**row, created_at=1, updated_at=1))
    await migrate(database_url)
    (found,) = await engine.fetch(select(messaging_profiles))
    assert found["webhook_endpoint"] == endpoint_id(organization_id, "https://example.com/hooks")
    assert to_profile(found).settings.url_shortener_settings is None
    await engine.close()


async def test_a_migration_that_ends_in_the_middle_has_done_nothing(database_url: str) -> None:
    def third_schema(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", "heliograph:store/migrations")
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")

    engine = open_engine(database_url)
    async with engine.sqlalchemy.begin() as connection:
        await connection.run_sync(third_schema)
    async with engine.sqlalchemy.begin() as connection:
        # The last table of the fourth schema is in the way.
        await connection.execute(text("CREATE TABLE job_pages (id INTEGER)"))
    with pytest.raises((DBAPIError, StoreUnavailable), match="job_pages"):
        await migrate(database_url)
    async with engine.sqlalchemy.begin() as connection:
        assert not await connection.run_sync(lambda found: inspect(found).has_table("jobs"))
        await connection.execute(text("DROP TABLE job_pages"))
    assert await state(database_url) is SchemaState.OLD
    await migrate(database_url)
    assert await state(database_url) is SchemaState.CURRENT
    await engine.close()
