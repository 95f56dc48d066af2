"""The command line itself: arguments in, exit status and one line out. What each command does: tests/commands."""

import asyncio
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import update

from heliograph import cli
from heliograph.settings import clean_environment
from heliograph.store.engine import open_engine
from heliograph.store.schema import migrate
from heliograph.store.tables import SCHEMA_VERSION, schema_version
from heliograph.testing.server_process import ServerProcess
from tests.terminal import Terminal

SOURCE = Path(cli.__file__).parent.parent


@pytest.fixture
def terminal(database_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal on an empty database of each kind."""
    return Terminal(database_url, capsys, monkeypatch)


@pytest.fixture
def file_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal on an SQLite file that does not exist."""
    return Terminal(f"sqlite:///{tmp_path / 'h.db'}", capsys, monkeypatch)


async def _migrated_by_another(url: str, **versions: int) -> None:
    await migrate(url)
    engine = open_engine(url)
    async with engine.transaction() as transaction:
        await transaction.execute(update(schema_version).values(**versions))
    await engine.close()


def at_version(url: str, **versions: int) -> None:
    """Make the database one that another version of the program migrated."""
    asyncio.run(_migrated_by_another(url, **versions))


# -------------------------------------------------------------------------------------------------------------- migrate


def test_migrate_says_what_it_did(terminal: Terminal) -> None:
    assert terminal.ok("migrate") == "The database was made."
    assert terminal.ok("migrate") == f"The database is at version {SCHEMA_VERSION} already."


def test_a_database_that_may_still_be_used_is_left_at_its_version(terminal: Terminal) -> None:
    at_version(terminal.database_url, version=SCHEMA_VERSION + 1)
    assert terminal.ok("migrate") == f"The database is at version {SCHEMA_VERSION + 1} already."


def test_a_database_that_is_too_new_is_not_said_to_be_ready(terminal: Terminal) -> None:
    at_version(terminal.database_url, version=SCHEMA_VERSION + 1, oldest_reader=SCHEMA_VERSION + 1)
    assert terminal.refused("migrate").startswith("The database was migrated by a newer Heliograph")


def test_a_database_is_not_made_where_there_is_no_folder(file_terminal: Terminal, tmp_path: Path) -> None:
    file_terminal.database_url = f"sqlite:///{tmp_path / 'no' / 'h.db'}"
    assert file_terminal.refused("migrate").startswith("The database cannot be used: ")


# ------------------------------------------------------------------------------------------------- what cannot be done


def test_a_command_on_a_file_that_is_not_there_does_not_make_it(file_terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "h.db"
    said = file_terminal.refused("keys", "list")
    assert said.startswith(f"There is no file {file}: name the database of your server with --database.")
    assert not file.exists()


def test_a_command_on_an_empty_database_says_how_to_fill_it(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "h.db").touch()
    assert terminal.refused("keys", "list") == "The database is empty: run 'heliograph migrate' first."


@pytest.mark.parametrize("command", [("migrate",), ("keys", "list"), ("organizations", "create", "Acme")])
def test_a_database_that_does_not_answer_is_one_line(file_terminal: Terminal, command: tuple[str, ...]) -> None:
    file_terminal.database_url = "postgresql://nobody@127.0.0.1:1/nothing"
    assert file_terminal.refused(*command).startswith("The database cannot be used: ConnectionRefusedError: ")


def test_what_is_no_database_is_one_line(file_terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "h.db").write_text("a letter that is longer than the header of a database " * 9)
    assert file_terminal.refused("migrate") == "The database cannot be used: file is not a database"


def test_settings_that_cannot_be_used_are_all_told(file_terminal: Terminal) -> None:
    ran = file_terminal.run("migrate", "--config", "/nowhere/h.toml")
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith("heliograph: the settings cannot be used:\n  - /nowhere/h.toml: cannot be read: ")


def test_a_port_that_is_taken_is_one_line(file_terminal: Terminal) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert file_terminal.refused("serve", "--port", port).startswith(f"Cannot listen on 127.0.0.1:{port}: ")


# ------------------------------------------------------------------------------------------------------------ arguments


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "the following arguments are required: COMMAND"),
        (("keys",), "the following arguments are required: COMMAND"),
        (("keys", "revoke"), "the following arguments are required: ID"),
        (("serve", "--port", "http"), "argument --port: invalid int value: 'http'"),
        (("keys", "create", "--organ", "Acme"), "unrecognized arguments: --organ Acme"),
    ],
)
def test_wrong_arguments_are_exit_status_2(
    arguments: tuple[str, ...], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith(f"error: {complaint}")


def test_the_version_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("heliograph")


def test_the_demo_can_be_told_to_end() -> None:
    given = cli.parser().parse_args(["demo", "--exit", "--port", "0"])
    assert (given.exit, given.port) == (True, 0)


def test_settings_come_from_the_file_that_is_named(file_terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "h.toml").write_text('[schedule]\nmin_lead = "77s"\n')
    assert file_terminal.run("doctor", "--config", str(tmp_path / "h.toml")).out.count("schedule.min_lead = 77s") == 1


# --------------------------------------------------------------------------------------------------------- as a process


def heliograph(*arguments: str) -> "subprocess.Popen[bytes]":
    """A command in a process of its own."""
    command = [sys.executable, "-m", "heliograph", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=SOURCE, env=clean_environment(), stdout=pipe, stderr=pipe)


def test_a_problem_is_the_exit_status_of_the_process(tmp_path: Path) -> None:
    with heliograph("keys", "list", "--database", f"sqlite:///{tmp_path / 'h.db'}") as process:
        out, err = process.communicate()
    assert (process.returncode, out) == (1, b"")
    assert err.startswith(b"heliograph: There is no file ")


def test_a_reader_that_has_seen_enough_is_no_fault(tmp_path: Path) -> None:
    with heliograph("doctor", "--json", "--database", f"sqlite:///{tmp_path / 'h.db'}") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_serve_ends_well_when_it_is_asked_to(database_url: str, tmp_path: Path) -> None:
    asyncio.run(migrate(database_url))
    with ServerProcess(database_url, sandbox=False, ready_file=tmp_path / "ready") as server:
        assert "base_url" in (tmp_path / "ready").read_text()
        assert server.stop() == 0


def test_the_demo_takes_no_database(terminal: Terminal) -> None:
    ran = terminal.run("demo", "--exit")
    assert ran.status == 1
    assert "a new database of its own" in ran.err
