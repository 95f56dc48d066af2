"""What a migration to partitions costs: how long it takes, and how long it keeps waiting who is at work meanwhile.

a database of schema 4 with messages of nine days, three events, a delivery and an attempt each
`migrate` beside three clients that ask in a loop: one reads messages, one writes them, one reads accounts
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import asyncpg
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from bench.measure import show_table
from bench.passage import PassageOptions
from heliograph.settings import clean_environment
from heliograph.store.engine import open_engine
from tests.databases import fresh_database

BEFORE = "0004"
DAYS = 9
_PER_TURN = 100_000
_OWNER = "01900000-0000-7000-8000-000000000001"
_FUNCTION = """
CREATE FUNCTION id_at(at bigint, salt text) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex(at / 1000), 12, '0') || '7' || left(md5(salt), 3) || '8' || right(md5(salt), 15))::uuid $$
"""
_MESSAGE = f"""
INSERT INTO messages (id, organization_id, profile_id, type, status, sender, recipient, text, parts, rate, carrier_fee,
    received_at, valid_until, attempts, in_doubt, left_at, sent_at, completed_at, carrier, carrier_message_id,
    receipt_key, facts)
SELECT id_at(at, 'message' || n), '{_OWNER}', '{_OWNER}', 'SMS', 'delivered', '+18445550001',
    '+1312555' || lpad((n % 10000)::text, 4, '0'),
    'Your appointment is tomorrow at 10:30. Reply STOP to opt out. ' || n, 1, 205, 305,
    at, at + 3600000000, 1, false, at, at, at + 2000000, 'north', n::text, n::text,
    '{{{{"encoding": "GSM-7", "num_chars": 70}}}}'
FROM {{made}}
"""
_TOLD = f"""
INSERT INTO message_events (id, message_id, change, status, at, detail)
SELECT id_at(at, change || n), id_at(at, 'message' || n), change, status, at, 'north' FROM {{made}},
    (VALUES ('claim', 'sending'), ('accept', 'sent'), ('deliver', 'delivered')) AS log(change, status);
INSERT INTO webhook_deliveries (id, event_id, organization_id, profile_id, message_id, event_type, status, occurred_at,
    endpoint, position, tries, attempts, started_at, finished_at, webhook)
SELECT id_at(at, 'delivery' || n), id_at(at, 'deliver' || n), '{_OWNER}', '{_OWNER}', id_at(at, 'message' || n),
    'message.finalized', 'delivered', at, md5('endpoint'), 0, 1, 1, at, at, repeat('x', 600) FROM {{made}};
INSERT INTO webhook_attempts (id, delivery_id, delivered, url, started_at, finished_at, errors, request_headers)
SELECT id_at(at, 'attempt' || n), id_at(at, 'delivery' || n), true, 'https://example.com/hooks', at, at, '[]', '[]'
FROM {{made}}
"""


def run(options: PassageOptions) -> None:
    """Measure it with so many messages as are pending elsewhere."""
    if not options.postgres:
        return
    rows = []
    for count in (options.pending // 10, options.pending):
        with fresh_database(options.postgres) as url:
            rows.append([f"{count:,}", *asyncio.run(_measure(url, count))])
    head = ["messages", "GB", "whole, s", "longest read, ms", "longest write, ms", "longest read of accounts, ms"]
    show_table("Migration from schema 4 to 6, and how long others waited", head, rows)


async def _measure(url: str, count: int) -> list[str]:
    await _fill(url, count)
    size = await _value(url, "SELECT pg_database_size(current_database())")
    stop = asyncio.Event()
    clients = [asyncio.create_task(_longest(url, each, stop)) for each in (_read, _write, _read_accounts)]
    began = time.monotonic()
    # A process of its own: its work is not to keep our clients waiting.
    words = (sys.executable, "-m", "heliograph", "migrate", "--database", url)
    process = await asyncio.create_subprocess_exec(*words, env=clean_environment(), stdout=asyncio.subprocess.DEVNULL)
    status = await process.wait()
    took = time.monotonic() - began
    stop.set()
    if status:
        raise RuntimeError(f"the migration ended with status {status}")
    waits = await asyncio.gather(*clients)
    return [f"{size / 1e9:.1f}", f"{took:.1f}", *(f"{each * 1000:.0f}" for each in waits)]


async def _fill(url: str, count: int) -> None:
    engine = open_engine(url)
    async with engine.sqlalchemy.begin() as connection:
        await connection.run_sync(_to_schema)
    await engine.close()
    now = time.time_ns() // 1000
    apart = DAYS * 86_400_000_000 // count
    connection = await asyncpg.connect(url)
    await connection.execute(_FUNCTION)
    for first in range(0, count, _PER_TURN):
        numbers = f"generate_series({first}, {min(first + _PER_TURN, count) - 1}) AS n"
        made = f"(SELECT n, {now - count * apart} + n::bigint * {apart} AS at FROM {numbers}) AS made"
        for statement in (_MESSAGE, _TOLD):
            await connection.execute(statement.format(made=made))
    owner = f"INSERT INTO organizations (id, name, created_at) VALUES ('{_OWNER}', 'Acme', 1)"
    for statement in (owner, "VACUUM ANALYZE", "CHECKPOINT"):
        await connection.execute(statement)
    await connection.close()


def _to_schema(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", "heliograph:store/migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, BEFORE)


async def _value(url: str, question: str) -> Any:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


async def _longest(url: str, ask: Callable[[asyncpg.Connection, int], Awaitable[Any]], stop: asyncio.Event) -> float:
    """Ask again and again, a hundred times a second; the seconds of the answer that took longest."""
    connection = await asyncpg.connect(url)
    longest, turn = 0.0, 0
    while not stop.is_set():
        began = time.monotonic()
        await ask(connection, turn)
        longest, turn = max(longest, time.monotonic() - began), turn + 1
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), 0.01)
    await connection.close()
    return longest


async def _read(connection: asyncpg.Connection, _turn: int) -> None:
    await connection.fetch("SELECT * FROM messages ORDER BY id DESC LIMIT 1")


async def _write(connection: asyncpg.Connection, turn: int) -> None:
    made = f"(SELECT {-1 - turn} AS n, {time.time_ns() // 1000} AS at) AS made"
    await connection.execute(_MESSAGE.format(made=made))


async def _read_accounts(connection: asyncpg.Connection, _turn: int) -> None:
    await connection.fetch("SELECT o.id, e.epoch FROM organizations AS o, account_epoch AS e")
