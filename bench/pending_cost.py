"""What a million pending messages change: cancels, memory, the start, and what they take on the disk.

cancel    two databases, one with 1,000 pending and one with a million, in turns: how long a cancel takes
pending   with a million pending: the time to start, memory then, after schedules and cancels, and bytes a message
"""

import asyncio
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from bench.measure import show_table, spread
from bench.passage import PassageOptions
from bench.pending import Due, seed, settle
from bench.process import STARTS, resident_mib, start_milliseconds
from bench.schedule import WARM_UP
from bench.service import SETTINGS, Service, Turn, fetch_rows, new_database, open_account
from heliograph.domain.instant import HOUR, MILLISECOND, Instant
from heliograph.testing.server_process import ServerProcess

FEW = 1_000
_SETTINGS = SETTINGS | {"SCHEDULE__MAX_PENDING": "1000000000"}
FULL = 5_000
"""Cancels of a turn with 64 in flight."""
_SIZES = "SELECT sum(pg_table_size(relid)), sum(pg_indexes_size(relid)) FROM pg_partition_tree('messages')"


@dataclass(frozen=True, slots=True)
class _Way:
    """How cancels come."""

    name: str
    rate: float | None
    count: int


@dataclass(slots=True)
class _Pending:
    """A server on a database with so many pending."""

    count: int
    url: str
    running: Service
    seeded: int
    turns: dict[str, list[Turn]] = field(default_factory=dict)

    def take(self, way: _Way, options: PassageOptions) -> None:
        """A turn of cancels: as many are put down before it as it cancels, so that as many stay."""
        fill(self.url, way.count, self.seeded)
        self.seeded += way.count
        turn = self.running.cancel(60 + options.seconds, way.rate, way.count)
        self.turns.setdefault(way.name, []).append(turn)


def fill(url: str, count: int, first: int) -> None:
    """Schedule so many more, for tomorrow."""
    now = Instant(time.time_ns() // 1_000)
    seed(url, count, Due(Instant(now + 24 * HOUR), MILLISECOND), now, first=first)


def run_cancel(options: PassageOptions) -> None:
    """How long a cancel takes with few and with many pending."""
    ways = [
        _Way(f"{options.rate:g} a second", options.rate, int(options.rate * options.seconds)),
        _Way("64 in flight", None, FULL),
    ]
    for each in options.databases:
        with ExitStack() as until_end:
            both = [_open(each, count, options, until_end) for count in (FEW, options.pending)]
            for one in both:
                one.take(_Way("warm-up", None, FEW), options)
            for _ in range(options.rounds):
                for way in ways:
                    for one in both:
                        one.take(way, options)
            _show_cancels(each, both, ways)


def _open(kind: str, count: int, options: PassageOptions, until_end: ExitStack) -> _Pending:
    url = new_database(kind, options, until_end)
    key = asyncio.run(open_account(url))
    fill(url, count, 0)
    settle(url)
    server = until_end.enter_context(ServerProcess(url, _SETTINGS, sandbox=False))
    return _Pending(count, url, Service(url, key, server), count)


def _show_cancels(kind: str, both: list[_Pending], ways: list[_Way]) -> None:
    rows = []
    for way in ways:
        few = [turn.outcome for turn in both[0].turns[way.name]]
        for one in both:
            outcomes = [turn.outcome for turn in one.turns[way.name]]
            row = [f"{way.name}, {one.count:,} pending"]
            for name in ("p50", "p99"):
                ratios = [getattr(a, name) / getattr(b, name) for a, b in zip(outcomes, few, strict=True)]
                row += [f"{spread([getattr(each, name) / 1_000 for each in outcomes]):.1f}", f"{spread(ratios):.2f}"]
            rows.append([*row, f"{spread([each.rate for each in outcomes]):,.0f}"])
    head = ["", "p50, ms", f"to {FEW:,} pending", "p99, ms", f"to {FEW:,} pending", "a second"]
    show_table(f"Cancels by how many are pending, {kind}: median of the rounds (lowest to highest)", head, rows)


def run_pending(options: PassageOptions) -> None:
    """The start, memory and disk with many pending."""
    rows = []
    for each in options.databases:
        with ExitStack() as until_end:
            rows.append([each, *_with_many(new_database(each, options, until_end), options.pending)])
    head = [
        "",
        "start, ms",
        "MiB, started",
        "MiB, after schedules and cancels",
        "requests",
        "bytes a row",
        "of indexes",
    ]
    show_table(f"A process with {options.pending:,} pending", head, rows)


def _with_many(url: str, count: int) -> list[str]:
    key = asyncio.run(open_account(url))
    before = _sizes(url)
    fill(url, count, 0)
    settle(url)
    table, indexes = ((now - then) / count for now, then in zip(_sizes(url), before, strict=True))
    starts = spread([start_milliseconds(url) for _ in range(STARTS)])
    with ServerProcess(url, _SETTINGS, sandbox=False) as server:
        started = resident_mib(server.pid)
        running = Service(url, key, server)
        answered = 0
        for _ in range(2):
            answered += running.cancel(WARM_UP, None, 10_000).outcome.answered
            answered += running.schedule(WARM_UP, check=False).outcome.answered
        after = resident_mib(server.pid)
    shown = ["in the row's", f"{table:,.0f}"] if url.startswith("sqlite") else [f"{indexes:,.0f}", f"{table:,.0f}"]
    return [f"{starts:.0f}", f"{started:.0f}", f"{after:.0f}", f"{answered:,}", *reversed(shown)]


def _sizes(url: str) -> tuple[int, int]:
    """Bytes of the messages and of their indexes; of SQLite those of the file."""
    if url.startswith("sqlite"):
        return Path(url.removeprefix("sqlite:///")).stat().st_size, 0
    table, indexes = fetch_rows(url, _SIZES)[0]
    return int(str(table)), int(str(indexes))
