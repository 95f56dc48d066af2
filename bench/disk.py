"""What a message costs PostgreSQL besides processor time: bytes on the disk, bytes of WAL, commits and flushes.

scheduled: taken, and no more     whole: taken for now, submitted, receipt, two webhooks, all recorded
"""

import asyncio
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from bench.arrivals import Arrivals, receiver
from bench.burst import RECIPIENT, SERIAL, Burst, carry_out, length_of
from bench.measure import show_table
from bench.passage import PassageOptions
from bench.service import SENDER, fetch_rows, new_database, send_at
from heliograph.store.schema import migrate
from heliograph.testing.server_process import ServerProcess

_SETTINGS = {
    "LOG__LEVEL": "warning",
    "SANDBOX__RECEIPT_DELAY": "0",
    "PACING__ENABLED": "off",
    "OUTGOING__ALLOW": "127.0.0.0/8",
}
_TEXT = f"Reminder {SERIAL}: your appointment is tomorrow at 10:00. Reply C to call it off."
_SIZES = """
    SELECT coalesce(parent.relname, each.relname), sum(pg_table_size(each.oid)), sum(pg_indexes_size(each.oid))
    FROM pg_class AS each
    LEFT JOIN pg_inherits ON inhrelid = each.oid LEFT JOIN pg_class AS parent ON parent.oid = inhparent
    WHERE each.relkind = 'r' AND each.relnamespace = 'public'::regnamespace
    GROUP BY 1
"""
_WAL = "SELECT pg_current_wal_lsn() - '0/0'"
_COMMITS = "SELECT sum(xact_commit) FROM pg_stat_database WHERE datname = current_database()"
_SYNCS = "SELECT wal_sync, wal_fpi FROM pg_stat_wal"
_SETTLED = 1.5
"""Seconds after which every backend has told the statistics what it did."""
_COUNTED = ("wal", "commits", "syncs", "images")
_SHOWN = 16
"""Bytes a message from which on a table is shown."""
_PATIENCE = 120
_POLL = 0.05


@dataclass(frozen=True, slots=True)
class _State:
    """How much there is of everything."""

    wal: int
    commits: int
    syncs: int
    images: int
    sizes: Mapping[str, tuple[int, int]]

    @classmethod
    def now(cls, url: str) -> "_State":
        """Of a database."""
        time.sleep(_SETTLED)
        sizes = {str(row[0]): (int(str(row[1])), int(str(row[2]))) for row in fetch_rows(url, _SIZES)}
        syncs, images = fetch_rows(url, _SYNCS)[0]
        return cls(_one(url, _WAL), _one(url, _COMMITS), int(str(syncs)), int(str(images)), sizes)


def run(options: PassageOptions) -> None:
    """On PostgreSQL alone."""
    if "postgresql" not in options.databases:
        return
    with ExitStack() as until_end:
        arrivals = until_end.enter_context(receiver())
        url = new_database("postgresql", options, until_end)
        asyncio.run(migrate(url))
        settings = _SETTINGS | {"SANDBOX__WEBHOOK_URL": f"http://127.0.0.1:{arrivals.port}/hook"}
        server = until_end.enter_context(ServerProcess(url, settings))
        _send(server, arrivals, 0, options.count, now=True)
        states = [_State.now(url)]
        _send(server, arrivals, options.count, options.count, now=False)
        states.append(_State.now(url))
        _send(server, arrivals, 2 * options.count, options.count, now=True)
        states.append(_State.now(url))
    scheduled, whole = ((states[index], states[index + 1]) for index in (0, 1))
    _show({"scheduled": scheduled, "the whole way": whole}, options.count)


def _show(steps: Mapping[str, tuple[_State, _State]], count: int) -> None:
    rows = []
    for name, (before, after) in steps.items():
        figures = [(getattr(after, each) - getattr(before, each)) / count for each in _COUNTED]
        rows.append([name, f"{figures[0]:,.0f}", *(f"{each:.3f}" for each in figures[1:])])
    head = ["", "bytes of WAL", "commits", "flushes of the WAL", "whole pages in the WAL"]
    show_table(f"What a message costs PostgreSQL: {count:,} messages, 64 requests in flight", head, rows)
    rows = []
    for name, (before, after) in steps.items():
        for table, (data, indexes) in sorted(after.sizes.items()):
            then = before.sizes.get(table, (0, 0))
            grown = ((data - then[0]) / count, (indexes - then[1]) / count)
            if sum(grown) >= _SHOWN:
                rows.append([name, table, *(f"{each:,.0f}" for each in grown)])
    show_table("Bytes on the disk for each message", ["", "table", "rows", "indexes"], rows)


def _send(server: ServerProcess, arrivals: Arrivals, first: int, count: int, *, now: bool) -> None:
    arrivals.begin()
    port = int(server.ready["base_url"].rpartition(":")[2])
    request = _request(server.ready["api_key"], now=now)
    carry_out(Burst(ports=[port], request=request, answer="HTTP/1.1 200 ", first=first, count=count))
    until = time.monotonic() + _PATIENCE
    while now and (came := arrivals.arrived().new) < 2 * count:
        if time.monotonic() > until:
            raise SystemExit(f"{came} of {2 * count} webhooks came")
        time.sleep(_POLL)


def _request(key: str, *, now: bool) -> str:
    later = "" if now else f',"send_at":"{send_at()}.000000Z"'
    body = f'{{"from":"{SENDER}","to":"+{RECIPIENT}","text":"{_TEXT}"{later}}}'
    path = "/v2/messages" if now else "/v2/messages/schedule"
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key}\r\n"
    return f"{head}content-type: application/json\r\ncontent-length: {length_of(body)}\r\n\r\n{body}"


def _one(url: str, statement: str) -> int:
    return int(str(fetch_rows(url, statement)[0][0]))
