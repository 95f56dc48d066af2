"""The schema's version, and that migrations lead to the tables the code knows."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Table, insert, inspect, literal_column, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from heliograph.domain.events import endpoint_id
from heliograph.domain.ids import OrganizationId
from heliograph.domain.instant import DAY, MILLISECOND, Instant, to_text
from heliograph.store import schema as schema_module
from heliograph.store.accounts import to_profile
from heliograph.store.engine import Engine, StoreUnavailable, open_engine
from heliograph.store.partition_ddl import FIRST_REACHES, PARTITIONED, is_partition, prepare
from heliograph.store.schema import (
    SchemaState,
    UnusableSchema,
    migrate,
    refuses_from,
    require_usable,
    schema_state,
)
from heliograph.store.tables import (
    SCHEMA_VERSION,
    message_events,
    messages,
    messaging_profiles,
    metadata,
    organizations,
    schema_version,
    webhook_attempts,
)
from tests.chaos.evidence import seen
from tests.store.test_retention import event_of, message


def schema_of(connection: Connection, revision: str) -> None:
    """Bring an empty database to an earlier schema."""
    config = Config()
    config.set_main_option("script_location", "heliograph:store/migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


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
        whole: dict[str, Any] = {"include_name": lambda name, kind, _: kind != "table" or not is_partition(name)}
        return list(compare_metadata(MigrationContext.configure(connection, opts=whole), metadata))

    engine = open_engine(prepared_database_url)
    async with engine.sqlalchemy.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.close()


SQLITE_CONDITIONS = """
SELECT name, substr(sql, instr(sql, ' WHERE ') + 7) AS condition FROM sqlite_master
WHERE type = 'index' AND sql LIKE '% WHERE %'
"""
CONDITIONS = """
SELECT relname::text AS name, translate(pg_get_expr(indpred, indrelid), '()', '') AS condition
FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
WHERE indpred IS NOT NULL AND NOT relispartition AND pg_table_is_visible(indexrelid)
"""
DIVIDED = """
SELECT relname::text AS name, pg_get_partkeydef(oid) AS by_range FROM pg_class
WHERE relkind = 'p' AND pg_table_is_visible(oid)
"""


async def test_the_migrations_say_what_the_tables_note_of_each_database(prepared_database_url: str) -> None:
    engine = open_engine(prepared_database_url)
    conditions = {
        index.name: index.info["where"] for table in metadata.sorted_tables for index in table.indexes if index.info
    }
    divided = {table.name: f"RANGE ({table.info['by_day_of']})" for table in metadata.sorted_tables if table.info}
    postgres = engine.sqlalchemy.dialect.name == "postgresql"
    found = await engine.fetch(text(CONDITIONS if postgres else SQLITE_CONDITIONS))
    assert {row["name"]: row["condition"] for row in found} == conditions
    if postgres:
        assert {row["name"]: row["by_range"] for row in await engine.fetch(text(DIVIDED))} == divided
    await engine.close()


async def test_of_several_that_migrate_at_once_one_does_it(database_url: str) -> None:
    if database_url.startswith("sqlite"):
        return  # SQLite is for one process, and lets one write at a time
    await asyncio.gather(*(migrate(database_url) for _ in range(3)))
    assert await state(database_url) is SchemaState.CURRENT


FILES = """
SELECT relname::text AS name, pg_relation_filenode(oid) AS file FROM pg_class
WHERE relname ~ '^(pk_|ix_)?(messages|message_parts|receipts|webhook_deliveries|webhook_attempts)'
AND relkind IN ('r', 'i')
"""


async def test_a_full_database_is_partitioned_without_copying_it_and_beside_who_is_at_work(database_url: str) -> None:
    engine = open_engine(database_url)
    if engine.sqlalchemy.dialect.name != "postgresql":
        await engine.close()
        return
    async with engine.sqlalchemy.begin() as connection:
        await connection.run_sync(lambda found: schema_of(found, "0005"))
    async with engine.transaction() as transaction:
        for number in range(50):
            row = message(Instant(engine.clock.now() - number * DAY))
            await transaction.execute(insert(messages).values(row))
            await transaction.execute(insert(message_events).values(event_of(row)))
    before = {row["name"]: row["file"] for row in await engine.fetch(text(FILES))}
    async with engine.sqlalchemy.connect() as at_work:
        driver: Any = (await at_work.get_raw_connection()).driver_connection
        known = await driver.prepare("SELECT count(*) FROM messages WHERE status = $1")
        assert await known.fetchval("delivered") == 50
        await migrate(database_url)
        assert await known.fetchval("delivered") == 50
    after = {row["name"]: row["file"] for row in await engine.fetch(text(FILES))}
    assert {f"{name}_first": file for name, file in before.items()}.items() <= after.items()
    left = "SELECT conname FROM pg_constraint WHERE contype = 'c' AND conname = 'before_partitions'"
    assert await engine.fetch(text(left)) == []
    await engine.close()


@asynccontextmanager
async def of_schema(url: str, revision: str) -> AsyncIterator[Engine]:
    """A database of an earlier schema."""
    engine = open_engine(url)
    async with engine.sqlalchemy.begin() as connection:
        await connection.run_sync(lambda found: schema_of(found, revision))
    yield engine
    await engine.close()


async def read_on(connection: AsyncConnection, table: Table) -> None:
    """Be somebody who has begun to read a table, and does not end."""
    await connection.execute(text("BEGIN"))
    await connection.execute(select(literal_column("1")).select_from(table))
    # Also so that its last statement holds no snapshot: an index that is built would wait for that.
    await connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))


WAITING = text(
    "SELECT pid FROM pg_locks WHERE NOT granted"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
LEFT = text("SELECT conname FROM pg_constraint WHERE contype = 'c' AND conname = 'before_partitions'")


async def test_a_migration_that_was_killed_is_told_of_with_the_moment_it_matters(
    new_postgres_database: Callable[[], str],
) -> None:
    url = new_postgres_database()
    async with of_schema(url, "0005") as engine:
        assert await refuses_from(engine) is None
        before = engine.clock.now() // DAY
        await prepare(engine.sqlalchemy)  # and no more
        refused = await refuses_from(engine)
        assert refused is not None
        assert refused % DAY == 0
        assert before <= refused // DAY - FIRST_REACHES <= engine.clock.now() // DAY
        with pytest.raises(UnusableSchema, match=f"heliograph migrate.* from {to_text(refused)} on"):
            await require_usable(engine)
        async with engine.sqlalchemy.connect() as migrating:
            await migrating.execute(text("BEGIN"))
            await migrating.execute(text(f"SELECT pg_advisory_xact_lock({schema_module._MIGRATION_LOCK})"))
            assert await refuses_from(engine) is None  # another has it in hand
            await migrating.execute(text("ROLLBACK"))
        late = message(refused)
        with pytest.raises(IntegrityError, match="before_partitions"):
            async with engine.transaction() as transaction:
                await transaction.execute(insert(messages).values(late))
        await migrate(url)
        assert await refuses_from(engine) is None
        async with engine.transaction() as transaction:
            await transaction.execute(insert(messages).values(late))


async def test_a_migration_that_is_called_off_while_it_prepares_leaves_nothing(
    new_postgres_database: Callable[[], str],
) -> None:
    url = new_postgres_database()
    async with of_schema(url, "0005") as engine, engine.sqlalchemy.connect() as reader:
        await read_on(reader, webhook_attempts)  # the last table that is prepared
        migrating = asyncio.create_task(migrate(url))
        while not await engine.fetch(WAITING):
            pass  # each look is a question to the database, which lets the other go on
        assert len(await engine.fetch(LEFT)) == len(PARTITIONED) - 1
        migrating.cancel()
        with pytest.raises(asyncio.CancelledError):
            await migrating
        assert await engine.fetch(LEFT) == []
        assert await refuses_from(engine) is None
        await reader.execute(text("ROLLBACK"))


@pytest.mark.parametrize("table", [messages, organizations], ids=str)
async def test_who_reads_for_long_holds_up_the_migration_and_nobody_else(
    new_postgres_database: Callable[[], str], table: Table
) -> None:
    url = new_postgres_database()
    async with of_schema(url, "0004") as engine, engine.sqlalchemy.connect() as reader:
        await read_on(reader, table)  # while it prepares, or while it would do the whole
        migrating = asyncio.create_task(migrate(url))
        while not await engine.fetch(WAITING):
            assert not migrating.done()
        async with engine.transaction() as transaction:
            await transaction.execute(select(organizations.c.id))
            await transaction.execute(insert(messages).values(message(engine.clock.now())))
        assert await state(url) is SchemaState.OLD
        await reader.execute(text("ROLLBACK"))
        await migrating
        assert await state(url) is SchemaState.CURRENT


async def test_a_migration_gives_way_to_a_transaction_that_wants_its_tables_in_another_order(
    new_postgres_database: Callable[[], str],
) -> None:
    url = new_postgres_database()
    asked = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'relation'"
    async with of_schema(url, "0004") as engine:

        async def waits() -> bool:
            return bool(await engine.fetch(text(asked)))

        at_work = await asyncpg.connect(url)
        await at_work.execute("BEGIN; SELECT count(*) FROM organizations")
        migrating = asyncio.create_task(migrate(url))
        await seen(waits, MILLISECOND)
        await at_work.execute("SELECT count(*) FROM account_epoch; COMMIT")
        await at_work.close()
        await migrating
        assert await state(url) is SchemaState.CURRENT


async def test_profiles_of_the_first_schema_are_read_and_reported_to_after_the_migration(database_url: str) -> None:
    organization_id = OrganizationId("01900000-0000-7000-8000-000000000001")
    links = '"url_shortener_settings":{"prefix":5}'  # nobody judged them then
    settings = f'{{"webhook_url":"","webhook_failover_url":"https://example.com/hooks",{links}}}'
    row = {"id": organization_id, "organization_id": organization_id, "name": "Acme", "settings": settings}
    engine = open_engine(database_url)
    async with engine.sqlalchemy.begin() as connection:
        await connection.run_sync(lambda found: schema_of(found, "0001"))
    async with engine.transaction() as transaction:
        await transaction.execute(insert(organizations).values(id=organization_id, name="Acme", created_at=1))
        await transaction.execute(insert(messaging_profiles).values(**row, created_at=1, updated_at=1))
    await migrate(database_url)
    (found,) = await engine.fetch(select(messaging_profiles))
    assert found["webhook_endpoint"] == endpoint_id(organization_id, "https://example.com/hooks")
    assert to_profile(found).settings.url_shortener_settings is None
    await engine.close()


LOADED_AT_LOCKS = """
import asyncio, sys
from sqlalchemy import Engine, event
from heliograph.store.schema import migrate

@event.listens_for(Engine, "before_cursor_execute")
def note(_connection, _cursor, statement, *_):
    if statement.startswith("LOCK TABLE"):
        print("alembic.command" in sys.modules)

asyncio.run(migrate(sys.argv[1]))
"""
"""A program of its own: this one has loaded everything."""


@pytest.mark.parametrize("database_kind", ["postgresql"])
async def test_what_a_migration_needs_is_loaded_before_everybody_waits_for_it(database_url: str) -> None:
    async with of_schema(database_url, "0001"):
        pass
    command_line = [sys.executable, "-c", LOADED_AT_LOCKS, database_url]
    process = await asyncio.create_subprocess_exec(*command_line, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    assert (process.returncode, {*said.decode().split()}) == (0, {"True"})


async def test_a_migration_that_ends_in_the_middle_has_done_nothing(database_url: str) -> None:
    engine = open_engine(database_url)
    async with engine.sqlalchemy.begin() as connection:
        await connection.run_sync(lambda found: schema_of(found, "0003"))
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
