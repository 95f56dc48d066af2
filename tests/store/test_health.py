"""What a database says of itself."""

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import asyncpg
import pytest

from heliograph.domain.instant import DAY, HOUR
from heliograph.store.engine import Engine, StoreUnavailable, open_engine
from heliograph.store.health import (
    DatabaseFacts,
    database_facts,
    migrated_version,
    missing_file,
    require_answer,
    sandbox_clock_ahead,
)
from heliograph.store.store import Store
from heliograph.store.tables import SCHEMA_VERSION
from tests.builders import advance


@pytest.fixture
async def engine(prepared_database_url: str) -> AsyncIterator[Engine]:
    opened = open_engine(prepared_database_url)
    yield opened
    await opened.close()


async def facts_of(url: str) -> DatabaseFacts:
    engine = open_engine(url)
    try:
        return await database_facts(engine)
    finally:
        await engine.close()


async def altered(url: str, option: str, value: str) -> DatabaseFacts:
    """The facts of a PostgreSQL database for which an option was set."""
    connection = await asyncpg.connect(url)
    await connection.execute(
        f"ALTER DATABASE {await connection.fetchval('SELECT current_database()')} SET {option} = {value}"
    )
    await connection.close()
    return await facts_of(url)


def not_held(facts: DatabaseFacts) -> set[str]:
    return {each.option for each in facts.safeguards if not each.holds}


async def test_a_file_on_this_machine_has_the_machines_clock_and_room_on_its_disk(tmp_path: Path) -> None:
    facts = await facts_of(f"sqlite:///{tmp_path / 'h.db'}")
    assert (facts.product, facts.version) == ("SQLite", sqlite3.sqlite_version)
    assert (facts.ahead, facts.not_writable) == (None, None)
    assert facts.free_bytes is not None
    assert facts.free_bytes > 0


async def test_every_file_that_we_open_is_safe(tmp_path: Path) -> None:
    facts = await facts_of(f"sqlite:///{tmp_path / 'h.db'}")
    assert [(each.option, each.value, each.holds) for each in facts.safeguards] == [
        ("journal_mode", "wal", True),
        ("synchronous", "full", True),
    ]


async def test_a_file_system_without_shared_memory_is_seen(tmp_path: Path) -> None:
    facts = await facts_of(f"sqlite:///file:{tmp_path / 'h.db'}?vfs=unix-dotfile&uri=true")
    assert not_held(facts) == {"journal_mode"}


async def test_a_file_that_may_only_be_read_is_seen(tmp_path: Path) -> None:
    await facts_of(f"sqlite:///{tmp_path / 'h.db'}")
    # SQLite reads a file in WAL mode without the right to write only while somebody else has it open.
    with closing(sqlite3.connect(tmp_path / "h.db")) as other:
        other.execute("PRAGMA user_version").fetchall()
        facts = await facts_of(f"sqlite:///file:{tmp_path / 'h.db'}?mode=ro&uri=true")
    assert "readonly" in str(facts.not_writable)


async def test_asking_whether_a_file_can_be_written_changes_nothing(tmp_path: Path) -> None:
    assert (await facts_of(f"sqlite:///{tmp_path / 'h.db'}")).not_writable is None
    with closing(sqlite3.connect(tmp_path / "h.db")) as after:
        assert after.execute("PRAGMA user_version").fetchall() == [(0,)]


async def test_a_server_is_asked_for_its_clock_and_not_for_its_disk(new_postgres_database: Callable[[], str]) -> None:
    facts = await facts_of(new_postgres_database())
    assert (facts.product, facts.not_writable, facts.free_bytes) == ("PostgreSQL", None, None)
    assert int(facts.version.split(".")[0]) >= 12
    assert facts.ahead is not None
    assert abs(facts.ahead) < HOUR


async def test_a_server_says_which_safeguards_are_off(new_postgres_database: Callable[[], str]) -> None:
    url = new_postgres_database()
    connection = await asyncpg.connect(url)
    own = {name: await connection.fetchval(f"SHOW {name}") for name in ("fsync", "full_page_writes")}
    await connection.close()
    facts = await altered(url, "synchronous_commit", "off")
    assert not_held(facts) == {"synchronous_commit"} | {name for name, value in own.items() if value == "off"}


async def test_a_commit_that_waits_for_this_machine_only_is_enough(new_postgres_database: Callable[[], str]) -> None:
    assert "synchronous_commit" not in not_held(await altered(new_postgres_database(), "synchronous_commit", "local"))


async def test_a_server_that_takes_no_writes_is_seen(new_postgres_database: Callable[[], str]) -> None:
    facts = await altered(new_postgres_database(), "default_transaction_read_only", "on")
    assert facts.not_writable == "it takes no writes: it is a standby or read-only"


async def test_what_is_no_database_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "h.db").write_text("a letter that is longer than the header of a database " * 9)
    engine = open_engine(f"sqlite:///{tmp_path / 'h.db'}")
    with pytest.raises(StoreUnavailable, match="file is not a database"):
        await require_answer(engine)
    await engine.close()


async def test_a_database_that_does_not_exist_cannot_be_used(new_postgres_database: Callable[[], str]) -> None:
    engine = open_engine(new_postgres_database().replace("/heliograph_test_", "/no_heliograph_test_"))
    with pytest.raises(StoreUnavailable, match="does not exist"):
        await require_answer(engine)
    await engine.close()


async def test_a_migrated_database_tells_its_version(engine: Engine) -> None:
    assert await migrated_version(engine) == SCHEMA_VERSION


async def test_an_empty_database_has_no_version(database_url: str) -> None:
    engine = open_engine(database_url)
    assert await migrated_version(engine) is None
    await engine.close()


async def test_the_test_clock_is_told_to_who_does_not_go_by_it(store: Store, engine: Engine) -> None:
    await advance(store, DAY)
    assert await sandbox_clock_ahead(engine) == DAY


def test_only_a_file_can_be_missing(tmp_path: Path) -> None:
    (tmp_path / "here.db").touch()
    assert missing_file(f"sqlite:///{tmp_path / 'gone.db'}") == tmp_path / "gone.db"
    assert missing_file(f"sqlite:///{tmp_path / 'here.db'}") is None
    assert missing_file("postgresql://nobody@nowhere/nothing") is None
