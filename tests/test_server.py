"""The server as a whole: what it refuses to start with, and what it says when it does."""

import socket
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from sqlalchemy import update
from structlog.testing import capture_logs

from heliograph.dispatch.rerouting import told_lately
from heliograph.domain.lifecycle import Status
from heliograph.server import CannotServe, listen, load_tables, running, started
from heliograph.settings import Settings, load
from heliograph.store.engine import StoreUnavailable, open_engine
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


def test_a_client_that_vanishes_is_noticed(tmp_path: Path) -> None:
    """By the system, in about two minutes: uvicorn would wait for the rest of its request for ever."""
    with (
        listen(settings(f"sqlite:///{tmp_path}/h.db")) as listening,
        socket.create_connection(listening.getsockname()),
        listening.accept()[0] as accepted_one,
    ):
        assert accepted_one.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        times = [socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT]
        assert [accepted_one.getsockopt(socket.IPPROTO_TCP, each) for each in times] == [75, 10, 3]


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


class Part:
    """A service that says when it is stopped, and may fail at that."""

    def __init__(self, name: str, said: list[str], fault: Exception | None = None) -> None:
        self.name = name
        self._said = said
        self._fault = fault

    async def start(self) -> None:
        """It runs."""

    async def stop(self) -> None:
        """It ran."""
        self._said.append(self.name)
        if self._fault is not None:
            raise self._fault


async def test_whatever_becomes_of_a_stop_the_others_are_stopped_and_the_first_error_is_raised() -> None:
    said: list[str] = []
    faults = [None, StoreUnavailable("away"), OSError("later"), None]
    parts = [Part(str(number), said, fault) for number, fault in enumerate(reversed(faults))]
    with capture_logs() as logs, pytest.raises(StoreUnavailable, match="away"):
        async with started(parts):
            pass
    assert said == ["3", "2", "1", "0"]
    assert [each["service"] for each in logs if each.get("action") == "stop_failed"] == ["2", "1"]


async def test_what_went_wrong_before_is_not_hidden_by_a_stop() -> None:
    said: list[str] = []
    with pytest.raises(CannotServe, match="no port"):
        async with started([Part("first", said), Part("last", said, OSError("later"))]):
            raise CannotServe("no port")
    assert said == ["last", "first"]


async def test_start_and_stop_are_in_the_log_with_the_carriers(tmp_path: Path) -> None:
    (tmp_path / "h.toml").write_text(
        f'[carriers.one]\nkind = "upstream"\nbase_url = "http://127.0.0.1:9/v2"\napi_key = "hunter2"\n'
        f'[database]\nurl = "sqlite:///{tmp_path}/h.db"\n[http]\nport = 0\n[sandbox]\nenabled = true\n'
    )
    with capture_logs() as logs:
        async with running(load(tmp_path / "h.toml", {})) as server:
            pass
    told = [each for each in logs if each.get("action") in {"started", "stopping", "stopped"}]
    assert [(each["action"], each["carriers"]) for each in told] == [
        (action, "sandbox, one (upstream)") for action in ("started", "stopping", "stopped")
    ]
    assert told[0]["base_url"] == server.base_url


async def test_the_sandbox_is_told_of_as_steady(tmp_path: Path) -> None:
    async with running(settings(f"sqlite:///{tmp_path}/h.db", sandbox__enabled=True)) as server:
        while not (told := await told_lately(server.store)):
            pass  # each look is a reading, which the others run beside
        assert [(each.state.name, each.state.steady) for each in told] == [("sandbox", True)]
