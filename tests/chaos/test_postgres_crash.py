"""PostgreSQL goes down and comes up again under load (P1 to P5): a 2xx is kept, and what cannot be answered is 503."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random

import asyncpg
import pytest
from sqlalchemy import func, or_, select

from heliograph.store.schema import migrate
from heliograph.store.store import Store
from heliograph.store.tables import messages
from tests.chaos.auditor import audit, audit_pending, require_kept
from tests.chaos.evidence import Ledger, collect, pending, read_record, reading, settled, summary
from tests.chaos.servers import Disaster, Server, quick, serving, storm

CROWD = 24
BETWEEN = (60, 200)


class OwnPostgres:
    """A server with fsync of our own, also where tests are lent one: no other may be crashed."""

    def __init__(self, keeper: "subprocess.Popen[str]") -> None:
        self._keeper = keeper
        self.url = self._line()

    def restart(self, mode: str) -> None:
        """As `pg_ctl restart --mode`; returns when it takes connections."""
        assert self._keeper.stdin is not None
        self._keeper.stdin.write(f"{mode}\n")
        self._keeper.stdin.flush()
        assert self._line() == "restarted"

    def _line(self) -> str:
        assert self._keeper.stdout is not None
        return self._keeper.stdout.readline().strip()


@pytest.fixture
def own_postgres() -> Iterator[OwnPostgres]:
    """For one test."""
    command = [sys.executable, "-m", "tests.databases", "--durable"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as keeper:
        assert keeper.stdin is not None
        try:
            yield OwnPostgres(keeper)
        finally:
            keeper.stdin.close()


async def test_a_database_that_crashes_and_restarts_again_and_again_loses_nothing(
    own_postgres: OwnPostgres, tmp_path: Path, chance: Random, scale: int
) -> None:
    record, ledger, url = tmp_path / "record", Ledger(), own_postgres.url
    kinds: list[Disaster] = [partial(crash, url), *(partial(restart, own_postgres, mode) for mode in MODES)]
    disasters = [each for _ in range(scale) for each in chance.sample(kinds, len(kinds))]
    await migrate(url)
    settings = quick(record, DISPATCH__LEASE="10s")
    async with serving(url, settings) as (server,), reading(url) as store:
        await storm(server, ledger, chance, disasters, crowd=CROWD, between=BETWEEN)
        await settled(store)
        stories = await collect(store, ledger, read_record(record))
        violations = audit(stories) + audit_pending(stories, await pending(store))
        assert await left_open(store) == 0
    print(f"{len(disasters)} times down, {summary(ledger, stories)}")
    require_kept(violations)
    assert ledger.lost == 0, "the server itself did not go down"
    assert "never retrieved" not in server.log, "a task ended with an error that nobody saw"


MODES = ("immediate", "fast")


async def crash(url: str, _server: Server) -> None:
    """kill -9 of a process of PostgreSQL that serves us.

    The others cannot trust what they share with it: all end at once, and it starts again from its log.
    """
    connection = await asyncpg.connect(url)
    ours = "SELECT pid FROM pg_stat_activity WHERE application_name = 'heliograph' AND datname = current_database()"
    pid = await connection.fetchval(f"{ours} ORDER BY state_change DESC LIMIT 1")
    os.kill(pid, signal.SIGKILL)
    connection.terminate()


async def restart(postgres: OwnPostgres, mode: str, _server: Server) -> None:
    """It is told to restart: at once as in a crash, or after it has ended every session."""
    await asyncio.to_thread(postgres.restart, mode)


async def left_open(store: Store) -> int:
    """Messages, all of them final, that are still claimed, still due, or still waited for."""
    held = or_(messages.c.claim_token.is_not(None), messages.c.due_at.is_not(None), messages.c.deadline_at.is_not(None))
    rows = await store.engine.fetch(select(func.count().label("count")).where(held))
    return int(rows[0]["count"])
