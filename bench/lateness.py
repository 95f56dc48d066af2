"""How late messages leave: scheduled over HTTP for the next seconds, read back from the timeline of the database.

The clock is the database's; a message is late by what lies between its `send_at` and the moment its bytes were given to
the simulated carrier.
"""

import asyncio
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import httpx

from bench.measure import Options, show_table
from bench.service import SENDER, fetch_rows, new_database
from heliograph.store.schema import migrate
from heliograph.testing.server_process import ServerProcess

SETTINGS = {"LOG__LEVEL": "warning", "SCHEDULE__MIN_LEAD": "0", "SANDBOX__RECEIPT_DELAY": "60s"}
MESSAGES = 500
SPREAD = timedelta(seconds=10)
LEAD = timedelta(seconds=15)
_LATE = "SELECT left_at - send_at FROM messages WHERE left_at IS NOT NULL"


def run(options: Options) -> None:
    """Print lateness at a steady 50 messages a second, and of a burst that falls due in one instant."""
    rows = []
    for kind in options.databases:
        for name, spread in (("50 a second", SPREAD), ("500 in one instant", timedelta())):
            with ExitStack() as until_end:
                late = _lateness(new_database(kind, options, until_end), spread)
            figures = (late[len(late) // 2], late[len(late) * 99 // 100], late[-1])
            rows.append([f"{kind}, {name}", *(f"{each / 1_000:.1f}" for each in figures)])
    show_table(f"Lateness of {MESSAGES} messages, ms", ["", "p50", "p99", "longest"], rows)


def _lateness(url: str, spread: timedelta) -> list[int]:
    asyncio.run(migrate(url))
    with ServerProcess(url, SETTINGS) as server:
        first = datetime.fromtimestamp(time.time(), UTC) + LEAD
        headers = {"authorization": f"Bearer {server.ready['api_key']}"}
        with httpx.Client(base_url=server.base_url, headers=headers) as client:
            for index in range(MESSAGES):
                at = first + spread * index / MESSAGES
                body = {"from": SENDER, "to": f"+1312555{index:04d}", "text": "Hello", "send_at": at.isoformat()}
                client.post("/messages", json=body).raise_for_status()
        while len(late := fetch_rows(url, _LATE)) < MESSAGES:
            time.sleep(0.2)
    return sorted(int(str(row[0])) for row in late)
