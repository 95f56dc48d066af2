"""What a start imports: a process waits for nothing that it does not need to answer. No time is measured."""

import sys
from pathlib import Path
from re import MULTILINE
from re import compile as regex

import pytest

from heliograph.testing.server_process import ServerProcess

# https://docs.python.org/3/using/cmdline.html#cmdoption-X: own time, time with what it imports, name.
IMPORTED = regex(r"^import time: +\d+ \| +\d+ \| +([\w.]+)$", MULTILINE)
TELLS_IMPORTS = (sys.executable, "-X", "importtime", "-m", "heliograph")
CALLS = {"aiohttp", "ssrfguard", "yarl"}
"""What webhooks and upstreams are called with."""
UNUSED = {
    "alembic",
    "heliograph.carriers.smpp.carrier",
    "heliograph.carriers.smpp.session",
    "heliograph.carriers.upstream",
    "heliograph.demo",
    "sqlalchemy.ext.asyncio",
    "sqlalchemy.orm",
}
OF_THE_OTHER = {
    "sqlite": {"asyncpg", "sqlalchemy.dialects.postgresql"},
    "postgresql": {"aiosqlite", "sqlalchemy.dialects.sqlite"},
}
"""Driver and dialect of the other kind of database."""


def imports_of(url: str, role: str, *options: str) -> tuple[set[str], set[str]]:
    """What a process imports before it accepts requests, or works, and until its end."""
    with ServerProcess(url, sandbox=False, role=role, options=options, program=TELLS_IMPORTS) as server:
        assert server.stop() == 0
        log = server.log()
    before, started, _ = log.partition('"action": "started"')
    assert started
    return set(IMPORTED.findall(before)), set(IMPORTED.findall(log))


@pytest.mark.parametrize("role", ["serve", "worker"])
def test_who_sends_imports_what_calls_are_made_with_once_it_works(
    database_kind: str, prepared_database_url: str, role: str
) -> None:
    if database_kind == "sqlite" and role == "worker":
        return  # SQLite is for one process
    at_first, in_all = imports_of(prepared_database_url, role)
    assert not at_first & (CALLS | UNUSED | OF_THE_OTHER[database_kind])
    assert in_all >= CALLS
    assert not in_all & (UNUSED | OF_THE_OTHER[database_kind])


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
def test_who_only_takes_requests_never_imports_it(prepared_database_url: str) -> None:
    _, in_all = imports_of(prepared_database_url, "api")
    assert "heliograph.api.app" in in_all
    assert not in_all & (CALLS | UNUSED | OF_THE_OTHER["postgresql"])


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_a_kind_of_carrier_is_imported_where_there_is_one(prepared_database_url: str, tmp_path: Path) -> None:
    file = tmp_path / "heliograph.toml"
    file.write_text('[carriers.one]\nkind = "smpp"\nhost = "127.0.0.1"\nsystem_id = "us"\npassword = "secret"\n')
    at_first, _ = imports_of(prepared_database_url, "serve", "--config", str(file))
    assert "heliograph.carriers.smpp.carrier" in at_first
    assert "heliograph.carriers.upstream" not in at_first
