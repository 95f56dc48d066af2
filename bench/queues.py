"""Job queues on PostgreSQL that others wrote, beside our schedules and cancels: procrastinate and graphile-worker.

Both are called as libraries by 64 callers, one job a call, in a process of their own; there is no server. After each
turn the database is asked whether it holds what was answered.
"""

import asyncio
import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import msgspec

from bench import procrastinate_defer
from bench.load import CONNECTIONS, RECIPIENTS, Outcome
from bench.measure import Processes, postgres_processes
from bench.service import SENDER, Turn, WrongCount, carry_out, fetch, timed
from bench.smsc.process import Missing

GRAPHILE = Path(__file__).with_name("graphile")
POOL = 16
_MOST_IDS = 200_000
"""That a turn of cancels is given."""

Act = Callable[[float, list[str] | None], Outcome]
"""So many seconds of putting jobs in, or of calling these off."""


class Queue:
    """One queue in a database of its own: a turn of jobs put in, a turn of jobs called off."""

    def __init__(self, url: str, select_waiting: str, act: Act) -> None:
        """`select_waiting` asks for the ids of jobs that wait."""
        self._url = url
        self._act = act
        self._select_waiting = select_waiting
        self._database = asyncio.run(postgres_processes(url))
        self._waiting = 0

    def add(self, seconds: float) -> Turn:
        """Put jobs in, each different from all before."""
        turn = self._turn(lambda: self._act(seconds, None))
        self._waiting += turn.outcome.answered
        self._check()
        return turn

    def cancel(self, seconds: float) -> Turn:
        """Call jobs off, each once, in no order."""
        rows = self._select(f"{self._select_waiting} ORDER BY random() LIMIT {_MOST_IDS}")
        turn = self._turn(lambda: self._act(seconds, [str(row[0]) for row in rows]))
        self._waiting -= turn.outcome.answered
        self._check()
        return turn

    def _turn(self, act: Callable[[], Outcome]) -> Turn:
        turn = timed(act, Processes(), self._database)
        return Turn(turn.outcome, _own_us(turn.outcome), turn.database_us)

    def _check(self) -> None:
        found = self._select(f"SELECT count(*) FROM ({self._select_waiting}) AS waiting")[0][0]
        if found != self._waiting:
            raise WrongCount(f"{self._waiting} jobs should wait, and {found} are stored")

    def _select(self, statement: str) -> Sequence[Sequence[object]]:
        return asyncio.run(fetch(self._url, statement))


def _own_us(outcome: Outcome) -> float:
    """Who calls a library pays for it: there is no server, and the caller's processor time stands in its place."""
    return 1_000_000 * outcome.busy * outcome.seconds / outcome.answered


def procrastinate(url: str) -> Queue:
    """procrastinate in an empty database."""
    asyncio.run(procrastinate_defer.prepare(url))

    def turn(seconds: float, ids: list[str] | None) -> Outcome:
        given = None if ids is None else [int(each) for each in ids]
        plan = procrastinate_defer.Plan(url=url, seconds=seconds, callers=CONNECTIONS, connections=POOL, ids=given)
        return carry_out("bench.procrastinate_defer", plan)

    return Queue(url, "SELECT id FROM procrastinate_jobs WHERE status = 'todo'", turn)


def graphile(url: str) -> Queue:
    """graphile-worker in an empty database. Raises `Missing`."""
    if shutil.which("node") is None or not (GRAPHILE / "node_modules").is_dir():
        folder = GRAPHILE.parent.parent
        raise Missing(f"graphile-worker is not in {GRAPHILE.relative_to(folder)}: it needs Node.js and make setup")
    _graphile({"server": _server(url), "connections": 1, "prepare": True})
    added = 0

    def turn(seconds: float, ids: list[str] | None) -> Outcome:
        nonlocal added
        plan = {"server": _server(url), "connections": POOL, "callers": CONNECTIONS, "seconds": seconds}
        plan |= {"first": added, "recipients": RECIPIENTS, "sender": SENDER, "ids": ids}
        outcome = msgspec.json.decode(_graphile(plan), type=Outcome)
        added += 0 if ids else outcome.answered
        return outcome

    return Queue(url, "SELECT id FROM graphile_worker._private_jobs", turn)


def graphile_version() -> str:
    """The package as it is installed, or what is missing."""
    package = GRAPHILE / "node_modules" / "graphile-worker" / "package.json"
    if not package.exists():
        return "not installed"
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout.strip()
    return f"{json.loads(package.read_text())['version']} on Node.js {node}"


def _graphile(plan: dict[str, object]) -> bytes:
    command = ["node", str(GRAPHILE / "queue.mjs")]
    done = subprocess.run(command, input=json.dumps(plan).encode(), capture_output=True, check=False)
    if done.returncode != 0:
        raise SystemExit(done.stderr.decode())
    return done.stdout


def _server(url: str) -> dict[str, object]:
    """The parts of a URL as the npm package `pg` takes them; a socket's folder is its host."""
    parts = urlsplit(url)
    host = parts.hostname or parse_qs(parts.query).get("host", ["localhost"])[0]
    given = {"host": host, "user": parts.username, "password": parts.password, "port": parts.port}
    return {"database": parts.path.lstrip("/")} | {name: value for name, value in given.items() if value is not None}
