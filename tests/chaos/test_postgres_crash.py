"""PostgreSQL crashes under load (P1 to P5): a 2xx is kept, and what cannot be answered is 503."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import asyncpg
import pytest

from heliograph.store.schema import migrate
from tests.chaos.auditor import audit, audit_pending, require_kept
from tests.chaos.evidence import Ledger, collect, pending, read_record, reading, settled, summary
from tests.chaos.servers import Disaster, Server, quick, serving, storm

CRASHES = 2


@pytest.fixture
def own_postgres() -> Iterator[str]:
    """The database of a new server with fsync, also where tests are lent a server: no other may be crashed."""
    command = [sys.executable, "-m", "tests.databases", "--durable"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as keeper:
        assert keeper.stdin is not None
        assert keeper.stdout is not None
        try:
            yield keeper.stdout.readline().strip()
        finally:
            keeper.stdin.close()


async def test_a_crash_of_the_database_loses_nothing(
    own_postgres: str, tmp_path: Path, chance: Random, scale: int
) -> None:
    record, ledger = tmp_path / "record", Ledger()
    await migrate(own_postgres)
    settings = quick(record, DISPATCH__LEASE="10s")
    async with serving(own_postgres, settings) as (server,), reading(own_postgres) as store:
        await storm(server, ledger, chance, [crash_of(own_postgres)] * CRASHES * scale)
        await settled(store)
        stories = await collect(store, ledger, read_record(record))
        violations = audit(stories) + audit_pending(stories, await pending(store))
    print(summary(ledger, stories))
    require_kept(violations)
    assert ledger.lost == 0, "the server itself did not go down"
    assert "never retrieved" not in server.log, "a task ended with an error that nobody saw"


def crash_of(url: str) -> Disaster:
    """kill -9 of a process of PostgreSQL that serves us.

    The others cannot trust what they share with it: all end at once, and it starts again from its log.
    """

    async def crash(_server: Server) -> None:
        connection = await asyncpg.connect(url)
        ours = "SELECT pid FROM pg_stat_activity WHERE application_name = 'heliograph' AND datname = current_database()"
        pid = await connection.fetchval(f"{ours} ORDER BY state_change DESC LIMIT 1")
        os.kill(pid, signal.SIGKILL)
        connection.terminate()

    return crash
