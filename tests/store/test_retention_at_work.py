"""What is forgotten while others read, send and forget."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.engine import make_url

from heliograph.domain.instant import DAY
from heliograph.domain.lifecycle import Status
from heliograph.store.engine import StoreUnavailable
from heliograph.store.partition_ddl import day_name
from heliograph.store.partitions import AHEAD
from heliograph.store.retention import Ages, Forgotten
from heliograph.store.schema import UnusableSchema
from heliograph.store.store import Store
from heliograph.store.tables import charged_before, messages
from tests.builders import accepted, new_id, status_of
from tests.store.conftest import running
from tests.store.test_retention import COST, at, charged, forget, ids, lay_out, message, partitioned, put_messages


async def test_nodes_that_forget_at_once_count_each_charge_once(store: Store, beside: Store) -> None:
    now = await lay_out(store)
    await beside.engine.synchronize_clock()
    days = (-14, -13, -12)
    await put_messages(store, *(message(at(now, day)) for day in days for _ in range(5)))
    ages = Ages(at(now, -10), at(now, -90), at(now, -30))

    async def once(node: Store) -> Forgotten:
        try:
            return await node.retention.forget(ages)
        except StoreUnavailable:
            return Forgotten()  # it waited too long for the others, and looks again later

    await asyncio.gather(*(once(node) for _ in range(3) for node in (store, beside)))
    await forget(store, now)
    assert await ids(store, messages) == set()
    assert await charged(store) == await charged(beside) == 15 * COST
    kept = await store.engine.fetch(select(func.count().label("count")).select_from(charged_before))
    assert kept[0]["count"] == 1


def before_locking(store: Store, do: Callable[[], Awaitable[object]]) -> None:
    """Let something happen once, right before a node asks for the right to forget: all it looked at it has seen."""
    claim = store.partitions.claim
    waiting = [do]

    async def claim_after(*given: Any) -> bool:
        if waiting:
            await waiting.pop()()
        return await claim(*given)

    store.partitions.claim = claim_after  # type: ignore[method-assign]  # the other node comes in between


async def test_a_day_that_another_node_begins_to_forget_row_by_row_is_counted_once(store: Store, beside: Store) -> None:
    if not partitioned(store):
        pytest.skip("no partitions here")
    now = await lay_out(store)
    await beside.engine.synchronize_clock()
    last = message(at(now, -14.5), Status.SENT)
    await put_messages(store, last, *(message(at(now, -14.5)) for _ in range(5)))
    ages = Ages(at(now, -10), at(now, -90), at(now, -30))
    looked, go_on = asyncio.Event(), asyncio.Event()

    async def hesitate() -> None:
        looked.set()
        await go_on.wait()

    async def finish_row_by_row() -> None:
        go_on.set()
        assert (await row_by_row).messages == 6

    before_locking(beside, hesitate)
    row_by_row = asyncio.create_task(beside.retention.forget(ages))
    await looked.wait()  # what it has seen is that one message is pending
    async with store.engine.transaction() as transaction:
        await transaction.execute(update(messages).values(status=Status.DELIVERED.value, deadline_at=None))
    before_locking(store, finish_row_by_row)
    await store.retention.forget(ages)
    assert await charged(store) == 6 * COST
    await forget(store, now)
    assert await ids(store, messages) == set()
    assert await charged(store) == 6 * COST
    assert day_name("messages", at(now, -14.5) // DAY) not in {
        part.name for part in (await store.partitions.known())["messages"]
    }


async def test_who_reads_holds_up_the_drop_and_nobody_else(store: Store) -> None:
    if not partitioned(store):
        pytest.skip("no partitions here")
    now = await lay_out(store)
    old = message(at(now, -12))
    await put_messages(store, old)
    async with store.engine.sqlalchemy.connect() as reader:
        await reader.execute(text("BEGIN"))
        await reader.execute(select(func.count()).select_from(messages))
        with pytest.raises(StoreUnavailable):
            await forget(store, now)
        # What gave up holds no lock, and has counted nothing.
        sent = await accepted(store)
        await reader.execute(text("ROLLBACK"))
    assert await charged(store) == COST
    assert await ids(store, messages) == {old["id"], sent.id}
    await forget(store, now)
    assert await ids(store, messages) == {sent.id}
    assert await status_of(store, sent) is Status.SCHEDULED
    assert await charged(store) == COST


async def test_coming_days_are_made_while_others_write(store: Store, beside: Store) -> None:
    if not partitioned(store):
        pytest.skip("no partitions here")
    store.clock.offset += 5 * DAY
    beside.clock.offset = store.clock.offset

    async def make(node: Store) -> int:
        try:
            return len(await node.partitions.make_ahead())
        except StoreUnavailable:
            return 0

    making = asyncio.gather(make(store), make(beside))
    sent = await asyncio.gather(*(accepted(store) for _ in range(50)))
    await making
    await make(store)
    names = [part.name for part in (await store.partitions.known())["messages"]]
    assert day_name("messages", store.clock.now() // DAY + AHEAD) in names
    assert await ids(store, messages) == {each.id for each in sent}


async def test_who_does_not_own_the_tables_is_told_so(store: Store, prepared_database_url: str) -> None:
    if not partitioned(store):
        pytest.skip("no partitions here")
    user = f"guest_{new_id(store).replace('-', '')}"
    async with store.engine.transaction() as transaction:
        await transaction.execute(text(f"CREATE ROLE {user} LOGIN"))
        await transaction.execute(text(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {user}"))
        await transaction.execute(text(f"GRANT ALL ON SCHEMA public TO {user}"))
    url = make_url(prepared_database_url).set(username=user).render_as_string(hide_password=False)
    try:
        async with running(url) as guest:
            guest.clock.offset += 5 * DAY
            with pytest.raises(UnusableSchema, match="heliograph migrate"):
                await guest.partitions.make_ahead()
    finally:
        async with store.engine.transaction() as transaction:
            await transaction.execute(text(f"DROP OWNED BY {user}"))
            await transaction.execute(text(f"DROP ROLE {user}"))
