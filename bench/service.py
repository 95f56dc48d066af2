"""The server under test: `heliograph serve` on a new database, as in production, and what its requests cost."""

import asyncio
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
import msgspec

from bench.load import Outcome, Plan
from bench.measure import ROOT, Options, Processes, postgres_processes, postgres_settings
from heliograph import randomness
from heliograph.domain.accounts import Organization, Profile, ProfileSettings
from heliograph.domain.ids import OrganizationId, ProfileId
from heliograph.server import new_key, new_sender, open_store
from heliograph.settings import load
from heliograph.store.schema import migrate
from heliograph.store.store import Store
from heliograph.testing.server_process import ServerProcess
from tests.databases import fresh_database, lent_server

SENDER = "+18445550001"
SETTINGS = {"LOG__LEVEL": "warning"}
_PATH = "/v2/messages"
_ALL = 1 << 40
_LEAD = timedelta(hours=3)


class WrongCount(Exception):
    """The database does not hold what the server answered with 200."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One subject's part of a round; processor times are for each request, in microseconds."""

    outcome: Outcome
    server_us: float
    database_us: float
    """Of all PostgreSQL processes. SQLite's is within the server's."""


@contextmanager
def durable_postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server that loses nothing it committed; refuses a given one that would."""
    with lent_server(durable=True) as admin:
        settings = asyncio.run(postgres_settings(admin))
        if "fsync on" not in settings or "synchronous_commit on" not in settings:
            raise SystemExit(f"not a durable PostgreSQL: {settings}")
        yield admin


def new_database(kind: str, options: Options, until_end: ExitStack) -> str:
    """The URL of a new, empty database."""
    if kind == "postgresql":
        return until_end.enter_context(fresh_database(options.postgres))
    folder = until_end.enter_context(TemporaryDirectory(prefix="heliograph-bench-"))
    return f"sqlite:///{Path(folder) / 'h.db'}"


def carry_out(module: str, plan: msgspec.Struct) -> Outcome:
    """Carry out a plan in a process of its own. Ends the program when the plan fails: an answer was not 200."""
    command = [sys.executable, "-m", module]
    done = subprocess.run(command, input=msgspec.json.encode(plan), capture_output=True, cwd=ROOT, check=False)
    if done.returncode != 0:
        raise SystemExit(done.stderr.decode())
    return msgspec.json.decode(done.stdout, type=Outcome)


def send_at() -> str:
    """A moment to schedule for, to the second and without a zone: `load` adds a fraction and the zone."""
    at = datetime.fromtimestamp(time.time(), UTC) + _LEAD
    return f"{at:%Y-%m-%dT%H:%M:%S}"


def timed(run: Callable[[], Outcome], server: Processes, database: Processes) -> Turn:
    """One turn, and the processor time that it cost."""
    before = server.seconds(), database.seconds()
    outcome = run()
    used = server.seconds() - before[0], database.seconds() - before[1]
    return Turn(outcome, *(1_000_000 * each / outcome.answered for each in used))


async def fetch(url: str, statement: str) -> Sequence[Sequence[object]]:
    """The rows of one statement on PostgreSQL."""
    connection = await asyncpg.connect(url)
    try:
        rows: Sequence[Sequence[object]] = await connection.fetch(statement)
        return rows
    finally:
        await connection.close()


def fetch_rows(url: str, statement: str) -> Sequence[Sequence[object]]:
    """The rows of one statement on either database."""
    if not url.startswith("sqlite"):
        return asyncio.run(fetch(url, statement))
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


async def open_account(url: str, sender: str = SENDER) -> str:
    """Migrate an empty database and put one organisation, profile and number in it; the organisation's key."""
    await migrate(url)
    store = open_store(load(None, {}, {"database.url": url}))
    await store.start()
    try:
        return await _make_account(store, sender)
    finally:
        await store.stop()


async def _make_account(store: Store, sender: str) -> str:
    now = store.clock.now()
    organization = Organization(OrganizationId(randomness.new_id(now)), "Benchmark")
    profile = Profile(ProfileId(randomness.new_id(now)), organization.id, "Benchmark", ProfileSettings(), now, now)
    await store.changes.create_organization(organization, now)
    await store.changes.save_profile(profile)
    await store.changes.add_sender(new_sender(store, profile, sender), now)
    return await new_key(store, organization, "benchmark")


class Service:
    """A running server. After each turn the database is asked whether it holds what was answered with 200."""

    def __init__(self, url: str, key: str, server: ServerProcess) -> None:
        self.server = server
        self._url = url
        self._key = key
        self._database = Processes() if url.startswith("sqlite") else asyncio.run(postgres_processes(url))
        self._scheduled = 0
        self._cancelled = 0

    def schedule(self, seconds: float, rate: float | None = None, *, check: bool = True) -> Turn:
        """Schedule messages, each different from all before. There is nothing to `check` among many of others."""
        plan = self._plan(f"{_PATH}/schedule", seconds, rate)
        plan = msgspec.structs.replace(plan, send_at=send_at(), first=self._scheduled)
        turn = self._take(plan)
        self._scheduled += turn.outcome.answered
        if check:
            self._check("status IN ('scheduled', 'cancelled')", self._scheduled)
        return turn

    def cancel(self, seconds: float, rate: float | None = None, most: int = _ALL) -> Turn:
        """Cancel messages that are scheduled, each once, in no order; so many at most."""
        rows = self._select(f"SELECT id FROM messages WHERE status = 'scheduled' ORDER BY random() LIMIT {most}")
        plan = msgspec.structs.replace(self._plan(_PATH, seconds, rate), ids=[str(row[0]) for row in rows])
        turn = self._take(plan)
        self._cancelled += turn.outcome.answered
        self._check("status = 'cancelled'", self._cancelled)
        return turn

    def _plan(self, path: str, seconds: float, rate: float | None) -> Plan:
        port = int(self.server.ready["base_url"].rpartition(":")[2])
        return Plan(port=port, path=path, key=self._key, sender=SENDER, seconds=seconds, rate=rate)

    def _take(self, plan: Plan) -> Turn:
        return timed(
            lambda: carry_out("bench.load", plan), Processes(self.server.pid, with_children=True), self._database
        )

    def _check(self, condition: str, expected: int) -> None:
        found = self._select(f"SELECT count(*) FROM messages WHERE {condition}")[0][0]
        if found != expected:
            raise WrongCount(f"{expected} requests were answered with 200, and {found} messages have {condition}")

    def _select(self, statement: str) -> Sequence[Sequence[object]]:
        return fetch_rows(self._url, statement)


@contextmanager
def service(url: str, processes: int = 1) -> Iterator[Service]:
    """A server on an empty database: `heliograph serve`, or so many processes of `heliograph api` on one port."""
    key = asyncio.run(open_account(url))
    role, given = ("api", ("--processes", str(processes))) if processes > 1 else ("serve", ())
    with ServerProcess(url, SETTINGS, sandbox=False, role=role, options=given) as server:
        yield Service(url, key, server)
