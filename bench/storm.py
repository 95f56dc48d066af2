"""Many messages that fall due in the same second, and a steady stream of them.

    seed --> start who drains them --> the moment comes --> nothing is pending --> read left_at, sent_at

The bare claim loop, the dispatcher with a carrier that is nobody, and `heliograph serve` with its sandbox take turns,
each on a new database with the same rows. A message is late by what lies between its `send_at` and `left_at`.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field

from bench.measure import ROOT, Processes, Spread, postgres_processes, show_table, spread
from bench.passage import PassageOptions
from bench.pending import Due, seed, settle
from bench.service import fetch_rows, new_database, open_account
from heliograph.domain.instant import SECOND, Instant
from heliograph.testing.server_process import ServerProcess

SETTINGS = {"LOG__LEVEL": "warning", "SANDBOX__RECEIPT_DELAY": "1h"}
STEADY = 1_000
"""Messages a second of the steady stream."""
STEADY_SECONDS = 20
_OTHER_SENDER = "+18445559999"
"""None of those that the sandbox gives its own account."""
_MARGIN = 2 * SECOND
"""Between the moment at which all is ready and the moment at which the messages fall due, at least."""
_POLL = 0.2
_PATIENCE = 600
_LEFT = "SELECT 1 FROM messages WHERE due_at IS NOT NULL LIMIT 1"
_UNDER_WAY = "SELECT count(*) FROM messages WHERE status IN ('scheduled', 'queued', 'sending')"
_LATE = "SELECT left_at - send_at FROM messages WHERE status = 'sent' ORDER BY 1"
_LAST = "SELECT max(sent_at) FROM messages"


@dataclass(frozen=True, slots=True)
class Drained:
    """What a turn gave; processor times are for each message, in microseconds."""

    rate: float
    late: Sequence[int]
    own_us: float
    database_us: float

    def at(self, part: float) -> float:
        """The lateness that so large a part of the messages do not exceed, in milliseconds."""
        return self.late[min(len(self.late) - 1, int(len(self.late) * part))] / 1_000


@dataclass(slots=True)
class Drainer:
    """Who takes what is due."""

    name: str
    carrier: str
    run: Callable[[str, int], AbstractContextManager[int]]
    """While within, messages of a database are drained: so many of them. Gives the id of the process."""
    rounds: int
    turns: list[Drained] = field(default_factory=list)


def run(options: PassageOptions) -> None:
    """The storm for each database, then the steady stream."""
    for each in options.databases:
        _storm(each, options)
    _steady(options)


def _storm(kind: str, options: PassageOptions) -> None:
    # What lasts a minute varies little, and SQLite has no aim of its own: its turns are for the order of things.
    rounds = options.rounds if kind == "postgresql" else 1
    drainers = [
        Drainer("bare claim loop", "bench", _claim_loop, rounds),
        Drainer("dispatcher, a carrier that is nobody", "bench", _dispatcher, rounds),
        Drainer("heliograph serve, sandbox", "sandbox", _serve, 1),
    ]
    for number in range(rounds):
        for each in drainers:
            if number < each.rounds:
                each.turns.append(_turn(kind, each, options, options.due))
    head = ["", "messages a second", "of the bare loop", "process us", "database us", "late p50, ms", "p99", "longest"]
    rows = [[each.name, *_figures(each, drainers[0])] for each in drainers]
    show_table(f"Due storm, {kind}: {options.due:,} due in the same second, {rounds} rounds", head, rows)


def _figures(drainer: Drainer, bare: Drainer) -> list[str]:
    ratios = [mine.rate / beside.rate for mine, beside in zip(drainer.turns, bare.turns, strict=False)]
    return [
        f"{spread([each.rate for each in drainer.turns]):,.0f}",
        f"{spread(ratios):.2f}",
        f"{spread([each.own_us for each in drainer.turns]):.0f}",
        f"{spread([each.database_us for each in drainer.turns]):.0f}",
        *(f"{_late(drainer, part):,.0f}" for part in (0.5, 0.99, 1)),
    ]


def _steady(options: PassageOptions) -> None:
    rows = []
    count = int(STEADY * STEADY_SECONDS * min(1, options.due / 100_000))
    for each in options.databases:
        serve = Drainer("", "sandbox", _serve, 1)
        serve.turns = [_turn(each, serve, options, count, SECOND // STEADY)]
        rows.append([each, *(f"{_late(serve, part):.1f}" for part in (0.5, 0.99, 1))])
    title = f"Lateness of heliograph serve at a steady {STEADY:,} a second, {count:,} messages, ms"
    show_table(title, ["", "p50", "p99", "longest"], rows)


def _late(drainer: Drainer, part: float) -> Spread:
    return spread([each.at(part) for each in drainer.turns])


def _turn(kind: str, drainer: Drainer, options: PassageOptions, count: int, apart: int = 0) -> Drained:
    """Drain a new database. Ends the program when not every message is sent."""
    lead = 6 * SECOND + count * SECOND // 20_000
    while True:
        with ExitStack() as until_end:
            url = new_database(kind, options, until_end)
            asyncio.run(open_account(url, _OTHER_SENDER))
            now = Instant(time.time_ns() // 1_000)
            due = Due(Instant(now + lead), apart)
            seed(url, count, due, now, drainer.carrier)
            settle(url)
            with drainer.run(url, count) as pid:
                if time.time_ns() // 1_000 < due.first - _MARGIN:
                    return _measured(url, count, due, pid)
        lead *= 2


def _measured(url: str, count: int, due: Due, pid: int) -> Drained:
    own = Processes(pid)
    database = Processes() if url.startswith("sqlite") else asyncio.run(postgres_processes(url))
    time.sleep(max(0.0, due.first / SECOND - time.time() - 0.1))
    before = own.seconds(), database.seconds()
    _wait(url, due.first / SECOND + count * due.apart / SECOND)
    used = [1_000_000 * (each.seconds() - start) / count for each, start in zip((own, database), before, strict=True)]
    late = [int(str(row[0])) for row in fetch_rows(url, _LATE)]
    if len(late) != count or late[0] < 0:
        raise SystemExit(f"{count} messages were due, {len(late)} are sent, the first {late[:1]} us after its time")
    took = int(str(fetch_rows(url, _LAST)[0][0])) - due.first
    return Drained(count * SECOND / took, late, *used)


def _wait(url: str, not_before: float) -> None:
    """Until nothing is due or under way."""
    time.sleep(max(0.0, not_before - time.time()))
    until = time.monotonic() + _PATIENCE
    while fetch_rows(url, _LEFT) or fetch_rows(url, _UNDER_WAY)[0][0]:
        if time.monotonic() > until:
            raise SystemExit(f"not everything that was due has left after {_PATIENCE} s")
        time.sleep(_POLL)


def _claim_loop(url: str, count: int) -> AbstractContextManager[int]:
    return _program("bench.claim_loop", url, str(count))


def _dispatcher(url: str, _count: int) -> AbstractContextManager[int]:
    return _program("bench.drain", url)


@contextmanager
def _program(module: str, *arguments: str) -> Iterator[int]:
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        if process.stdout.readline().strip() != "ready":
            raise SystemExit(f"{module} did not start")
        try:
            yield process.pid
        finally:
            process.stdin.close()


@contextmanager
def _serve(url: str, _count: int) -> Iterator[int]:
    with ServerProcess(url, SETTINGS) as server:
        yield server.pid
