"""The server as a whole: what it refuses to start with, and what it says when it does."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from sqlalchemy import update

from heliograph.domain.lifecycle import Status
from heliograph.server import CannotServe, load_tables, running
from heliograph.settings import Settings, load
from heliograph.store.engine import open_engine
from heliograph.store.schema import UnusableSchema, migrate
from heliograph.store.tables import schema_version
from heliograph.testing.server_process import ServerFailed, ServerProcess, ready_file
from tests.builders import accepted, status_of


def settings(url: str, **given: object) -> Settings:
    named = {name.replace("__", "."): value for name, value in given.items()}
    return load(None, {}, {"database.url": url, "http.port": 0, **named})


async def test_an_empty_sqlite_file_is_made_ready(tmp_path: Path) -> None:
    async with running(settings(f"sqlite:///{tmp_path}/h.db")) as server:
        assert server.ready() == {"base_url": server.base_url}


async def test_an_empty_postgresql_database_waits_for_the_operator(new_postgres_database: Callable[[], str]) -> None:
    with pytest.raises(UnusableSchema, match="heliograph migrate"):
        async with running(settings(new_postgres_database())):
            pass


async def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/h.db"
    await migrate(url)
    engine = open_engine(url)
    async with engine.transaction() as transaction:
        await transaction.execute(update(schema_version).values(version=99, oldest_reader=99))
    await engine.close()
    with pytest.raises(UnusableSchema, match="newer Heliograph"):
        async with running(settings(url)):
            pass


async def test_a_port_in_use_is_said_so(tmp_path: Path) -> None:
    async with running(settings(f"sqlite:///{tmp_path}/a.db")) as first:
        port = int(first.base_url.rpartition(":")[2])
        with pytest.raises(CannotServe, match="in use"):
            async with running(settings(f"sqlite:///{tmp_path}/b.db", http__port=port)):
                pass


async def test_outside_the_sandbox_there_are_no_sandbox_routes(tmp_path: Path) -> None:
    async with running(settings(f"sqlite:///{tmp_path}/h.db")) as server, httpx.AsyncClient() as client:
        assert (await client.get(f"{server.base_url}/sandbox/clock")).status_code == 404
        assert (await client.get(f"{server.base_url}/healthz")).status_code == 200


async def test_the_sandbox_introduces_itself_at_every_start(tmp_path: Path) -> None:
    wanted = settings(f"sqlite:///{tmp_path}/h.db", sandbox__enabled=True)
    async with running(wanted) as first:
        pass
    async with running(wanted) as second:
        pass
    assert first.from_number == second.from_number == "+18445550001"
    assert first.messaging_profile_id == second.messaging_profile_id
    assert first.api_key != second.api_key


def test_a_missing_table_file_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(CannotServe, match="cannot be read"):
        load_tables(settings("sqlite:///h.db", numbers__rates_file=str(tmp_path / "none.csv")))


def test_the_ready_file_says_what_to_call(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    with ServerProcess(f"sqlite:///{tmp_path}/h.db", ready_file=ready) as server:
        assert ready_file(ready) == server.ready
        assert set(server.ready) == {"base_url", "api_key", "messaging_profile_id", "from_number", "webhook_public_key"}
        assert server.stop() == 0


def test_bad_settings_are_all_named(tmp_path: Path) -> None:
    with pytest.raises(ServerFailed) as failed:
        ServerProcess(f"sqlite:///{tmp_path}/h.db", {"DISPATCH__LEASE": "0", "SCHEDULE__NOPE": "1"}).start()
    assert "HELIOGRAPH_DISPATCH__LEASE" in str(failed.value)
    assert "HELIOGRAPH_SCHEDULE__NOPE" in str(failed.value)


async def test_without_a_carrier_nothing_is_called_sent(tmp_path: Path) -> None:
    async with running(settings(f"sqlite:///{tmp_path}/h.db")) as server:
        message = await accepted(server.store, send_in=None)
        assert await status_of(server.store, message) is Status.QUEUED
