"""The least that a claim of due messages can be: take some, call them done, again. A process of its own.

    ready, once it waits      UPDATE ... SKIP LOCKED ... RETURNING, commit; UPDATE ... done, commit

On the same table with the same rows and indexes as the service, in batches as large as its window, each commit durable;
on PostgreSQL with the plans that its statements have, which read no partition as a whole. No token, lease, opt-out,
carrier, log of events or webhook.
"""

import asyncio
import sqlite3
import sys
import time
from collections.abc import Callable

import asyncpg
import uvloop

BATCH = 256
PAUSE = 0.001
_NOW = "(extract(epoch FROM statement_timestamp()) * 1000000)::bigint"
_DUE = """
    SELECT id FROM messages
    WHERE carrier = 'bench' AND due_at IS NOT NULL AND due_at <= {now} AND status = 'scheduled'
    ORDER BY due_at LIMIT {batch} {lock}
"""
_CLAIM = "UPDATE messages SET status = 'sending', due_at = NULL WHERE {which} RETURNING *"
_DONE = "UPDATE messages SET status = 'sent', left_at = {now}, sent_at = {now} WHERE {which}"
_BY_KEYS = """
    SET jit = off; SET plan_cache_mode = force_generic_plan; SET random_page_cost = 1.1;
    SET enable_hashjoin = off; SET enable_mergejoin = off
"""


async def _on_postgres(url: str, count: int) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(_BY_KEYS)
    due = _DUE.format(now=_NOW, batch=BATCH, lock="FOR UPDATE SKIP LOCKED")
    claim = await connection.prepare(_CLAIM.format(which=f"id IN (SELECT unnest(array({due})))"))
    done = await connection.prepare(_DONE.format(now=_NOW, which="id = ANY($1::uuid[])"))
    print("ready", flush=True)
    while count > 0:
        rows = await claim.fetch()
        if rows:
            await done.fetch([row["id"] for row in rows])
        else:
            await asyncio.sleep(PAUSE)
        count -= len(rows)
    await connection.close()


def _on_sqlite(path: str, count: int, now: Callable[[], int]) -> None:
    connection = sqlite3.connect(path, isolation_level=None, timeout=60)
    connection.execute("PRAGMA synchronous = FULL")
    due = _DUE.format(now="?", batch=BATCH, lock="")
    claim, done = (
        _CLAIM.format(which=f"id IN ({due})"),
        _DONE.format(now="?", which="id IN (SELECT value FROM json_each(?))"),
    )
    print("ready", flush=True)
    while count > 0:
        rows = connection.execute(claim, (now(),)).fetchall()
        if rows:
            ids = ",".join(f'"{row[0]}"' for row in rows)
            connection.execute(done, (now(), now(), f"[{ids}]"))
        else:
            time.sleep(PAUSE)
        count -= len(rows)
    connection.close()


def main() -> None:
    """Drain so many messages of a database."""
    url, count = sys.argv[1], int(sys.argv[2])
    if url.startswith("sqlite"):
        _on_sqlite(url.removeprefix("sqlite:///"), count, lambda: time.time_ns() // 1_000)
    else:
        uvloop.run(_on_postgres(url, count))


if __name__ == "__main__":
    main()
