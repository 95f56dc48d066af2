"""With a partition a day, statements touch the days that they are about, and read none as a whole."""

from collections.abc import AsyncIterator, Sequence
from re import compile as regex
from typing import Any

import pytest
from sqlalchemy import insert, text

from heliograph.domain.ids import uuid7
from heliograph.domain.instant import DAY, HOUR, MINUTE, Instant
from heliograph.store.batch import Batch, array_arguments
from heliograph.store.claims import CLAIM, HELD
from heliograph.store.engine import Transaction
from heliograph.store.lanes import CLAIM_LANE, PROGRESS
from heliograph.store.lapses import DOUBT, EXPIRE, LOSE, RECOVER, UNCONFIRM
from heliograph.store.messages import AS_TAKEN, CANCEL, KNOWN, READ, REFUSE
from heliograph.store.outcomes import RECORD
from heliograph.store.partition_ddl import day_name
from heliograph.store.postgres import BEGIN
from heliograph.store.receipts import APPLY, BIND, OWNERS, PARTS_OF, UNMATCHED, WAITING
from heliograph.store.store import Store
from heliograph.store.tables import message_events, messages, receipts, webhook_deliveries
from heliograph.store.traffic import RecordFilter
from tests.store.conftest import Filled
from tests.store.test_query_plans import _message, _receipt, listening, literal
from tests.store.test_retention import delivery, event_of, lay_out

ORGANIZATION = "00000000-0000-7000-8000-000000000001"
DAYS = 15
A_DAY = 2_000
"""Rows."""
TABLES = "messages|message_events|message_parts|receipts|webhook_deliveries|webhook_attempts"
WHOLE = regex(rf"Seq Scan on ({TABLES})(_\w+)?( .*)?\(actual rows=[^0]")
"""That of an empty one is none: there is no cheaper way to see that it is empty."""
TOUCHED = regex(rf"(?:on|using \w+ on) ((?:{TABLES})_\w+)(?: \w+)? .*\(actual")


async def two_weeks(store: Store) -> None:
    """Each day in its partition."""
    if not store.partitions.usable:
        return
    now = await lay_out(store, DAYS)
    async with store.engine.transaction() as transaction:
        for day in range(DAYS):
            await _fill_day(transaction, Instant(now - day * DAY))
        # As it comes to be: the server looks at a table once there is something in it.
        filled = [
            day_name(table.name, (now - day * DAY) // DAY)
            for table in (messages, message_events, receipts, webhook_deliveries)
            for day in range(DAYS)
        ]
        await transaction.execute(text(f"ANALYZE {', '.join(filled)}"))


async def _fill_day(transaction: Transaction, begun: Instant) -> None:
    rows = [_message(number, begun) for number in range(A_DAY)]
    await transaction.execute(insert(messages), rows)
    await transaction.execute(insert(message_events), [event_of(row) for row in rows])
    await transaction.execute(insert(receipts), [_receipt(number, begun) for number in range(A_DAY)])
    told = [
        delivery(Instant(begun - number), rows[number]["id"], due_at=begun if number % 100 == 0 else None)
        for number in range(A_DAY)
    ]
    await transaction.execute(insert(webhook_deliveries), told)


@pytest.fixture
async def fortnight(filled: Filled, database_kind: str) -> AsyncIterator[tuple[Store, Instant]]:
    """A store with two weeks of messages; and a moment of the last day."""
    if database_kind == "sqlite":
        pytest.skip("no partitions here")
    async with filled(two_weeks) as store:
        newest = await store.engine.fetch(text("SELECT max(received_at) AS at FROM messages"))
        yield store, Instant(newest[0]["at"])


async def analyzed(store: Store, sql: str, arguments: Sequence[Any], begin: str = "BEGIN") -> str:
    """How a statement went with a plan that was made for any arguments; what it changed is taken back."""
    async with store.engine.sqlalchemy.connect() as connection:
        driver: Any = (await connection.get_raw_connection()).driver_connection
        await driver.execute(f"{begin}; SET LOCAL plan_cache_mode = force_generic_plan; PREPARE asked AS {sql}")
        values = f"({', '.join(map(literal, arguments))})" if arguments else ""
        rows = await driver.fetch(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) EXECUTE asked{values}")
        await driver.execute("ROLLBACK; DEALLOCATE asked")
    return "\n".join(row[0] for row in rows)


async def ran(store: Store, batch: Batch, rows: Sequence[tuple[Any, ...]], **scalars: Any) -> str:
    compiled = store.engine.compiled(batch)
    return await analyzed(store, compiled.sql, array_arguments(compiled, batch, rows, scalars), BEGIN)


def days_touched(plan: str) -> set[str]:
    """The partitions that were looked into."""
    return set(TOUCHED.findall(plan))


def one(now: Instant) -> str:
    """A message of five days ago that is over, and had its place in the log."""
    return str(_message(11, Instant(now - 5 * DAY))["id"])


def about_one(now: Instant) -> list[tuple[Batch, list[tuple[Any, ...]], dict[str, Any]]]:
    """Statements that know the id of their message."""
    name = one(now)
    said = (None, None, None, False, None, None, None, None, None, None, None, None)
    return [
        (CANCEL, [(name, ORGANIZATION, MINUTE, 1)], {}),
        (REFUSE, [(name, ORGANIZATION)], {}),
        (READ, [(name, ORGANIZATION)], {}),
        (KNOWN, [(name,)], {}),
        (AS_TAKEN, [(name,)], {}),
        (RECORD, [(name, name, "sent", *said)], {}),
        (APPLY, [(name, "delivered", 0, None)], {}),
        (PARTS_OF, [(name,)], {}),
        (BIND, [(uuid7(Instant(now - 5 * DAY), 1), name)], {}),
        (
            PROGRESS,
            [(uuid7(Instant(now - 5 * DAY), 1), name, None, "delivered", 0, 0, "e", None, 1, 0, None)],
            {},
        ),
    ]


async def test_what_is_asked_by_id_looks_into_one_day(fortnight: tuple[Store, Instant]) -> None:
    store, now = fortnight
    for batch, rows, scalars in about_one(now):
        plan = await ran(store, batch, rows, **scalars)
        assert WHOLE.search(plan) is None, plan
        assert len({name.rpartition("_")[2] for name in days_touched(plan)}) <= 1, plan
        assert "(never executed)" in plan, plan


async def test_what_is_read_of_one_message_looks_into_one_day(fortnight: tuple[Store, Instant]) -> None:
    store, now = fortnight
    name: Any = one(now)
    organization: Any = ORGANIZATION
    with listening(store) as asked:
        await store.messages.find(organization, name)
        await store.messages.timeline(name)
    assert len(asked) == 2
    for sql, arguments in asked:
        plan = await analyzed(store, sql, arguments)
        assert WHOLE.search(plan) is None, plan
        assert len(days_touched(plan)) == 1, plan


def along_indexes(now: Instant) -> list[tuple[Batch, list[tuple[Any, ...]], dict[str, Any]]]:
    """Statements that look for what is due, or for what they know another key of."""
    token = uuid7(now, 1)
    limited = {"limit": 10, "errors": "[]"}
    return [
        (CLAIM, [], {"token": token, "carrier": "busy", "limit": 64, "lease": MINUTE}),
        (HELD, [], {"token": token}),
        (CLAIM_LANE, [], {"endpoint": "e", "limit": 10, "token": token, "lease": MINUTE}),
        (EXPIRE, [], limited),
        (RECOVER, [("busy",)], {"limit": 10}),
        (DOUBT, [("busy", HOUR)], limited),
        (LOSE, [("busy", True)], limited),
        (UNCONFIRM, [], {"limit": 10}),
        (OWNERS, [(token, "b", "busy", 1)], {}),
        (WAITING, [(token, 0, "r10", "busy", 1, "+18665550001", uuid7(Instant(now - HOUR), 0))], {}),
        (UNMATCHED, [], {"since": uuid7(Instant(now - HOUR), 0), "limit": 500}),
    ]


async def test_what_is_due_is_found_along_the_indexes_of_the_days(fortnight: tuple[Store, Instant]) -> None:
    store, now = fortnight
    for batch, rows, scalars in along_indexes(now):
        plan = await ran(store, batch, rows, **scalars)
        assert WHOLE.search(plan) is None, plan


async def test_a_claim_stops_early_in_every_day(fortnight: tuple[Store, Instant]) -> None:
    store, now = fortnight
    plan = await ran(store, CLAIM, [], token=uuid7(now, 1), carrier="busy", limit=64, lease=MINUTE)
    read = [int(each) for each in regex(r"ix_messages_lane\w* .*actual rows=(\d+)").findall(plan)]
    assert len(read) > DAYS
    assert 64 <= sum(read) <= 64 + 2 * len(read), plan


async def test_a_page_of_the_list_stops_early(fortnight: tuple[Store, Instant]) -> None:
    store, _ = fortnight
    organization: Any = ORGANIZATION
    with listening(store) as asked:
        await store.traffic.page(organization, RecordFilter(), 0, 20)
    sql, arguments = asked[0]
    plan = await analyzed(store, sql, arguments)
    assert WHOLE.search(plan) is None, plan
    read = [int(each) for each in regex(r"ix_messages_organization\w* .*actual rows=(\d+)").findall(plan)]
    assert sum(read) <= 20 + 2 * len(read), plan
