"""kill -9 in the middle of a migration, of making and dropping partitions, and of forgetting rows (P2)."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Table, func, insert, select, text, update

from heliograph.domain.instant import DAY, HOUR, Instant
from heliograph.domain.lifecycle import Status
from heliograph.settings import clean_environment
from heliograph.store.engine import Engine, open_engine
from heliograph.store.partition_ddl import PARTITIONED, day_name, is_partition
from heliograph.store.partitions import AHEAD
from heliograph.store.schema import SchemaState, migrate, schema_state
from heliograph.store.tables import charged_before, message_events, messages, metadata, test_clock
from tests.chaos import doomed
from tests.chaos.doomed import counting_changes
from tests.chaos.evidence import seen
from tests.chaos.servers import Server, serving
from tests.chaos.smpp_servers import new_file
from tests.store.test_retention import COST, event_of, message
from tests.store.test_schema import schema_of

OLD = "0004"
"""The schema that is migrated from."""
ROWS = 40
KILLS = 3
MADE, DROPPED = 18, 3
"""Partitions that are made after that: three days of six tables; those that are dropped beside that of the messages."""
LATER = 10 * DAY
"""How far the test clock is moved: past everything that is there, and past every partition."""

HOUSE = {"RETENTION__MESSAGES": "1d", "LOG__LEVEL": "warning"}

NewDatabase = Callable[[], str]


@pytest.fixture
def new_database(database_kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> NewDatabase:
    """Makes empty databases of each kind."""
    if database_kind == "postgresql":
        made: NewDatabase = request.getfixturevalue("new_postgres_database")
        return made
    folders = (tmp_path / str(number) for number in range(2))

    def make() -> str:
        folder = next(folders)
        folder.mkdir()
        return new_file(folder)

    return make


# ------------------------------------------------------------------------------------------------------------ migration


async def test_a_migration_killed_after_any_change_is_made_by_the_next(
    new_database: NewDatabase, chance: Random, scale: int
) -> None:
    with counting_changes() as changes:
        await at_old_schema(whole := new_database())
        begun = changes.passed
        await migrate(whole)
    await at_old_schema(url := new_database())
    for _ in range(KILLS * scale):
        await killed_while_migrating(url, chance.randint(1, changes.passed - begun))
    await migrate(url)
    async with looking_into(url) as engine:
        assert await schema_state(engine) is SchemaState.CURRENT
        assert await count_of(engine, messages) == await count_of(engine, message_events) == ROWS + KILLS * scale
        async with engine.sqlalchemy.connect() as connection:
            assert await connection.run_sync(differences) == []
        assert await left_behind(engine) == []


async def killed_while_migrating(url: str, nth: int) -> None:
    """A migration dies after its nth change; whoever works with the schema of before goes on as if nothing was."""
    command = [*doomed.program(doomed.MIGRATION, nth), "migrate", "--database", url]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, env=clean_environment())
    _, log = await process.communicate()
    assert process.returncode == -signal.SIGKILL, log.decode()
    [fallen] = doomed.fallen(log.decode())
    print(f"killed after change {nth}: {fallen.about[0]}")
    async with looking_into(url) as engine:
        assert await schema_state(engine) is SchemaState.OLD
        await fill(engine, 1)


async def at_old_schema(url: str) -> None:
    """A database as an earlier version has left it."""
    async with looking_into(url) as engine:
        async with engine.sqlalchemy.begin() as connection:
            await connection.run_sync(lambda found: schema_of(found, OLD))
        await fill(engine, ROWS)


def differences(connection: Connection) -> list[Any]:
    """Where the schema is not what the program takes for granted."""
    whole: dict[str, Any] = {"include_name": lambda name, kind, _: kind != "table" or not is_partition(name)}
    return list(compare_metadata(MigrationContext.configure(connection, opts=whole), metadata))


async def left_behind(engine: Engine) -> Sequence[Any]:
    """What of a killed migration is still there: indexes that are not valid, and bounds."""
    if engine.sqlalchemy.dialect.name == "sqlite":
        return []
    invalid = "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid"
    bounds = "SELECT conname::text FROM pg_constraint WHERE conname IN ('before_partitions', 'of_day')"
    return await engine.fetch(text(f"{invalid} UNION ALL {bounds}"))


# ----------------------------------------------------------------------------------------------------------- forgetting


async def test_a_server_killed_while_it_keeps_house_counts_everything_once(
    prepared_database_url: str, chance: Random, scale: int
) -> None:
    url = prepared_database_url
    async with looking_into(url) as engine:
        waits = Instant(engine.clock.now() + 3 * LATER)
        await fill(engine, ROWS)
        await fill(engine, 1, Status.SCHEDULED, send_at=waits, due_at=waits, valid_until=waits + HOUR)
        async with engine.transaction() as transaction:
            await transaction.execute(update(test_clock).values(ahead=LATER))
        partitioned = engine.sqlalchemy.dialect.name == "postgresql"
        # What waits holds up the partition of its message, and what is over beside it goes row by row.
        made, dropped = (doomed.PARTITION, chance.randint(1, MADE)), (doomed.DROP, chance.randint(1, DROPPED))
        await killed_while_keeping_house(url, [*([made, dropped] if partitioned else []), (doomed.FORGET, 1)])
        await keep_house(url, engine, left=1)
        assert await charged(engine) == ROWS * COST
        if partitioned:
            await fill(engine, ROWS)
            async with engine.transaction() as transaction:
                await transaction.execute(update(messages).values(status=Status.DELIVERED.value, due_at=None))
            await killed_while_keeping_house(url, [(doomed.FORGET, 1), (doomed.DROP, 1)])
            await keep_house(url, engine, left=0)
            assert await charged(engine) == (2 * ROWS + 1) * COST
            await require_partitions(engine)


async def killed_while_keeping_house(url: str, points: Sequence[tuple[str, int]]) -> None:
    """One server after another dies at its point; that may be before it accepts requests."""
    server = Server(url, HOUSE)
    for point, nth in points:
        server.program = doomed.program(point, nth)
        if await server.begin():
            assert await server.ends() == -signal.SIGKILL
    fallen = doomed.fallen(server.log)
    print([(each.doomed, each.about) for each in fallen])
    assert [each.doomed for each in fallen] == [point for point, _ in points]


async def keep_house(url: str, engine: Engine, left: int) -> None:
    """A server that is whole does what the dead ones began."""

    async def done() -> bool:
        return await count_of(engine, messages) == left

    async with serving(url, HOUSE):
        await seen(done)


async def charged(engine: Engine) -> int:
    """What is remembered of charges."""
    [row] = await engine.fetch(select(func.coalesce(func.sum(charged_before.c.charged), 0).label("sum")))
    return int(row["sum"])


async def require_partitions(engine: Engine) -> None:
    """Each table has its days, and nothing is half made or half gone."""
    assert await left_behind(engine) == []
    statement = "SELECT relname::text AS name, relispartition AS attached FROM pg_class WHERE relkind = 'r'"
    found = {row["name"]: row["attached"] for row in await engine.fetch(text(statement)) if is_partition(row["name"])}
    assert all(found.values()), found
    await engine.synchronize_clock()
    today = engine.clock.now() // DAY
    days = {day_name(table, day) for table in PARTITIONED for day in range(today, today + AHEAD + 1)}
    assert days <= found.keys()
    assert "messages_first" not in found


# ------------------------------------------------------------------------------------------------------------- database


@asynccontextmanager
async def looking_into(url: str) -> AsyncIterator[Engine]:
    """An engine of this process."""
    engine = open_engine(url, pool_size=2, sandbox=True)
    try:
        yield engine
    finally:
        await engine.close()


async def fill(engine: Engine, count: int, status: Status = Status.DELIVERED, **given: Any) -> None:
    """Messages of this moment with their events."""
    rows = [message(engine.clock.now(), status, **given) for _ in range(count)]
    async with engine.transaction() as transaction:
        await transaction.execute(insert(messages), rows)
        await transaction.execute(insert(message_events), [event_of(row) for row in rows])


async def count_of(engine: Engine, table: Table) -> int:
    """How many rows there are."""
    [row] = await engine.fetch(select(func.count().label("count")).select_from(table))
    return int(row["count"])
