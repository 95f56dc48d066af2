"""`heliograph doctor`."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import update

from heliograph.domain.carriers import CarrierState
from heliograph.domain.instant import MINUTE
from heliograph.domain.nodes import Node, Role
from heliograph.server import open_store
from heliograph.settings import load
from heliograph.store.store import Store
from heliograph.store.tables import SCHEMA_VERSION, schema_version
from tests.builders import accepted, advance
from tests.terminal import Terminal

CARRIER = """
[carriers.agg-1]
kind = "smpp"
host = "smpp.example.com"
system_id = "acme"
password = "hunter2"
"""
NODE = "0192f0c1-0000-7000-8000-0000004f2a1c"


class Told(NamedTuple):
    """The exit status, and each check by name as `level: finding. advice`."""

    status: int
    checks: Mapping[str, str]


def told(terminal: Terminal, *arguments: str) -> Told:
    ran = terminal.run("doctor", "--json", *arguments)
    checks = json.loads(ran.out)["checks"]
    return Told(ran.status, {each["name"]: "{level}: {finding}. {advice}".format(**each).rstrip() for each in checks})


def in_store(url: str, work: Callable[[Store], Awaitable[Any]]) -> None:
    """Do something in a store that goes by the test clock."""

    async def run() -> None:
        store = open_store(load(environ={}, overrides={"database.url": url, "sandbox.enabled": True}))
        await store.start()
        await work(store)
        await store.stop()

    asyncio.run(run())


async def _migrated_by_another(store: Store, **versions: int) -> None:
    async with store.engine.transaction() as transaction:
        await transaction.execute(update(schema_version).values(**versions))


def test_all_is_well_on_a_new_file(terminal: Terminal) -> None:
    ran = terminal.run("doctor", "--sandbox")
    assert (ran.status, ran.err) == (0, "")
    assert {line.split()[0] for line in ran.out.splitlines()} == {"ok"}


def test_people_get_a_line_for_each_check_with_what_to_do(terminal: Terminal, tmp_path: Path) -> None:
    terminal.database_url = f"sqlite:///{tmp_path / 'gone.db'}"
    assert terminal.run("doctor").out.splitlines() == [
        f"ok       settings  database.url = {terminal.database_url}",
        "ok       tables    rates and facts of numbers can be read",
        f"problem  database  there is no file {tmp_path / 'gone.db'}. Run 'heliograph migrate'.",
    ]


def test_everything_is_looked_at_on_each_database(either_terminal: Terminal) -> None:
    names = ["settings", "tables", "database", "writing", "clock", "schema", "sandbox clock", "messages"]
    looked_at = told(either_terminal).checks
    assert {*names, "unknown outcomes", "unmatched receipts", "lateness"} <= set(looked_at)


def test_a_file_that_is_not_there_is_a_problem_and_is_not_made(terminal: Terminal, tmp_path: Path) -> None:
    terminal.database_url = f"sqlite:///{tmp_path / 'gone.db'}"
    assert terminal.run("doctor").status == 1
    assert not (tmp_path / "gone.db").exists()


def test_a_server_that_does_not_answer_is_a_problem(terminal: Terminal) -> None:
    terminal.database_url = "postgresql://nobody@127.0.0.1:1/nothing"
    status, checks = told(terminal)
    assert status == 1
    assert checks["database"].startswith("problem: ConnectionRefusedError: ")


def test_what_is_no_database_is_a_problem(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "h.db").write_text("a letter that is longer than the header of a database " * 9)
    status, checks = told(terminal)
    assert status == 1
    assert checks["database"].startswith("problem: file is not a database. See that ")


def test_an_empty_database_is_looked_at_as_far_as_it_goes(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "h.db").write_bytes(b"")
    status, checks = told(terminal)
    assert status == 1
    assert checks["schema"] == "problem: the database is empty. Run 'heliograph migrate'."
    assert "messages" not in checks


@pytest.mark.parametrize(
    ("versions", "level"),
    [
        ({"version": SCHEMA_VERSION - 1}, "problem"),
        ({"version": SCHEMA_VERSION + 1}, "ok"),
        ({"version": SCHEMA_VERSION + 1, "oldest_reader": SCHEMA_VERSION + 1}, "problem"),
    ],
)
def test_a_schema_of_another_version_is_told_of(
    either_terminal: Terminal, versions: Mapping[str, int], level: str
) -> None:
    in_store(either_terminal.database_url, lambda store: _migrated_by_another(store, **versions))
    checks = told(either_terminal).checks
    finding = f"{level}: version {versions['version']}, and this program's is {SCHEMA_VERSION}."
    assert checks["schema"].startswith(finding)
    assert ("messages" in checks) is (level == "ok")


def test_a_table_that_cannot_be_read_is_a_problem(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIOGRAPH_NUMBERS__RATES_FILE", "/nowhere/rates.csv")
    status, checks = told(terminal)
    assert status == 1
    assert checks["tables"].startswith("problem: /nowhere/rates.csv cannot be read: ")
    assert checks["messages"] == "ok: none yet."


def test_a_table_with_bad_lines_is_a_problem_on_one_line(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "facts.csv").write_text("number,carrier,line_type\nx,,Fax\ny,,Fax\n")
    monkeypatch.setenv("HELIOGRAPH_NUMBERS__FACTS_FILE", str(tmp_path / "facts.csv"))
    finding = told(terminal).checks["tables"]
    assert finding.count("'Fax'") == 2
    assert "\n" not in finding


def test_messages_that_nobody_sends_are_a_problem(either_terminal: Terminal) -> None:
    async def forgotten(store: Store) -> None:
        await accepted(store, send_in=None)
        await advance(store, 2 * MINUTE)

    in_store(either_terminal.database_url, forgotten)
    status, checks = told(either_terminal, "--sandbox")
    assert status == 1
    assert checks["messages"] == "ok: 1 queued."
    assert checks["lateness"].startswith("problem: the oldest due message is 0:02:")


def test_carriers_are_looked_at_on_each_database(either_terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "h.toml").write_text(CARRIER)

    async def told_and_waiting(store: Store) -> None:
        await store.tell_carrier(NODE, CarrierState(name="agg-1", kind="smpp", up=True))
        await accepted(store, send_in=None, carrier="gone")

    in_store(either_terminal.database_url, told_and_waiting)
    checks = told(either_terminal, "--config", str(tmp_path / "h.toml")).checks
    assert checks["carrier agg-1"] == "ok: up in 1 process."
    assert checks["waiting in vain"].startswith("warning: 1 for gone. No process reports ")
    assert "carriers.agg-1.password = ***" in checks["settings"]
    assert "hunter2" not in "".join(checks.values())


def test_processes_are_counted_and_missed(either_terminal: Terminal) -> None:
    assert told(either_terminal).checks["processes"] == "ok: none up."
    nodes = [Node(f"{NODE[:-1]}{each}", role, "a.example", each, "1") for each, role in enumerate([*Role, Role.API])]

    async def started(store: Store) -> None:
        for each in nodes:
            await store.nodes.tell(each)

    in_store(either_terminal.database_url, started)
    assert told(either_terminal).checks["processes"] == "ok: 2 api, 1 serve, 1 worker up."

    async def one_was_upgraded(store: Store) -> None:
        await store.nodes.tell(replace(nodes[0], id=f"{NODE[:-1]}9", version="2"))

    in_store(either_terminal.database_url, one_was_upgraded)
    assert (
        told(either_terminal).checks["processes"].startswith("warning: 2 api, 2 serve, 1 worker up, of versions 1, 2.")
    )

    async def a_minute_passed(store: Store) -> None:
        await advance(store, MINUTE)
        await store.nodes.tell(nodes[0])

    in_store(either_terminal.database_url, a_minute_passed)
    found = told(either_terminal, "--sandbox").checks["processes"]
    assert found.startswith("warning: 1 serve up; 4 not heard of lately. See what became of those ")


def test_a_service_without_carriers_is_warned_of(terminal: Terminal) -> None:
    assert told(terminal).checks["carriers"].startswith("warning: none is configured. Messages are taken and none is ")
    assert "carriers" not in told(terminal, "--sandbox").checks


def test_a_moved_test_clock_is_a_warning_to_who_does_not_go_by_it(either_terminal: Terminal) -> None:
    in_store(either_terminal.database_url, lambda store: advance(store, MINUTE))
    assert told(either_terminal).checks["sandbox clock"].startswith("warning: moved by 0:01:00. ")
    assert told(either_terminal, "--sandbox").checks["sandbox clock"] == "ok: moved by 0:01:00."


def test_a_warning_is_no_failure(terminal: Terminal) -> None:
    in_store(terminal.database_url, lambda store: advance(store, MINUTE))
    ran = terminal.run("doctor")
    assert "warning" in ran.out
    assert ran.status == 0


def test_machines_get_the_checks_the_figures_and_every_setting(terminal: Terminal) -> None:
    in_store(terminal.database_url, lambda store: accepted(store, send_in=MINUTE))
    document = terminal.json("doctor", "--sandbox")
    assert document["status"] == "ok"
    assert set(document["checks"][0]) == {"level", "name", "finding", "advice"}
    assert document["settings"]["schedule.min_lead"] == "5m"
    assert document["messages"]["by_status"]["scheduled"] == 1
    assert document["messages"]["oldest_due"].endswith("Z")
    assert document["messages"]["late_seconds"] is None


def test_machines_get_what_there_is_without_a_database(terminal: Terminal) -> None:
    terminal.database_url = "postgresql://u:hunter2@127.0.0.1:1/nothing"
    ran = terminal.run("doctor", "--json")
    assert ran.status == 1
    assert '"status": "problem"' in ran.out
    assert '"messages": null' in ran.out
    assert "hunter2" not in ran.out + ran.err


def test_files_and_passwords_of_carriers_are_looked_at_without_a_database(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "h.toml").write_text(
        f'{CARRIER}tls = true\ntls_ca_file = "{tmp_path}/gone"\n'.replace("hunter2", "hunter2hunter2")
    )
    terminal.database_url = f"sqlite:///{tmp_path / 'gone.db'}"
    status, checks = told(terminal, "--config", str(tmp_path / "h.toml"))
    assert status == 1
    assert checks["carrier agg-1 TLS"].startswith(f"problem: tls_ca_file {tmp_path}/gone: No such file or directory. ")
    assert checks["carrier agg-1 password"].startswith("warning: it has 14 characters")


def test_an_idle_sandbox_is_still_known_when_its_clock_was_moved(either_terminal: Terminal) -> None:
    async def told_once(store: Store) -> None:
        state = CarrierState(name="sandbox", kind="sandbox", up=True, steady=True)
        await store.tell_carrier(NODE, state)
        await advance(store, MINUTE * 60)
        await accepted(store, send_in=None)

    in_store(either_terminal.database_url, told_once)
    assert told(either_terminal, "--sandbox").checks["waiting in vain"] == "ok: none."
    (sandbox,) = either_terminal.json("carriers", "--sandbox")
    assert [each["up"] for each in sandbox["processes"]] == [True]
