"""What is forgotten while others read, send and forget."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import Delete, Insert, delete, func, select, text, update
from sqlalchemy.engine import make_url

from heliograph.domain.delivery import DeliveryStatus
from heliograph.domain.events import endpoint_id
from heliograph.domain.ids import OrganizationId
from heliograph.domain.instant import DAY, MINUTE, Instant
from heliograph.domain.lifecycle import Status
from heliograph.store.deliveries import NothingToTell
from heliograph.store.engine import StoreUnavailable, Transaction
from heliograph.store.lanes import Delivery, LaneClaim
from heliograph.store.partition_ddl import day_name, first_id
from heliograph.store.partitions import AHEAD, Partition
from heliograph.store.retention import Ages, Forgotten
from heliograph.store.schema import UnusableSchema
from heliograph.store.store import Store
from heliograph.store.tables import charged_before, messages, pace, webhook_deliveries
from tests.builders import accepted, new_id, status_of
from tests.store.conftest import running
from tests.store.test_retention import (
    COST,
    ORGANIZATION,
    at,
    charged,
    delivery,
    forget,
    ids,
    lay_out,
    message,
    names,
    partitioned,
    put,
    put_messages,
)


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


def before_locking(store: Store, made: Instant, do: Callable[[], Awaitable[object]]) -> None:
    """Let something happen once, right before a node asks for the right to forget a day, which it has looked at."""
    claim, wanted = store.partitions.claim, day_name("messages", made // DAY)
    waiting = [do]

    async def claim_after(transaction: Transaction, parts: Sequence[Partition]) -> bool:
        if waiting and wanted in {part.name for part in parts}:
            await waiting.pop()()
        return await claim(transaction, parts)

    store.partitions.claim = claim_after  # type: ignore[method-assign]  # the other node comes in between


async def test_a_day_that_another_node_begins_to_forget_row_by_row_is_counted_once(store: Store, beside: Store) -> None:
    if not partitioned(store):
        pytest.skip("no partitions here")
    now = await lay_out(store, days=5)
    await beside.engine.synchronize_clock()
    made = at(now, -4.5)
    await put_messages(store, message(made, Status.SENT), *(message(made) for _ in range(5)))
    ages = Ages(at(now, -1), at(now, -90), at(now, -30))
    looked, go_on = asyncio.Event(), asyncio.Event()

    async def hesitate() -> None:
        looked.set()
        await go_on.wait()

    async def finish_row_by_row() -> None:
        go_on.set()
        assert (await row_by_row).messages == 6

    before_locking(beside, made, hesitate)
    row_by_row = asyncio.create_task(beside.retention.forget(ages))
    await looked.wait()  # what it has seen is that one message is pending
    async with store.engine.transaction() as transaction:
        await transaction.execute(update(messages).values(status=Status.DELIVERED.value, deadline_at=None))
    before_locking(store, made, finish_row_by_row)
    await store.retention.forget(ages)
    assert await charged(store) == 6 * COST
    await forget(store, now, days=1)
    assert await ids(store, messages) == set()
    assert await charged(store) == 6 * COST
    assert day_name("messages", made // DAY) not in await names(store)


async def test_a_slot_that_is_taken_while_it_is_forgotten_stays(
    store: Store, beside: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not partitioned(store):
        pytest.skip("who forgets and who takes a slot wait for each other here")
    now = await lay_out(store, days=5)
    await put(store, pace, {"key": "sender:x", "next_at": at(now, -2)})
    execute = Transaction.execute

    async def execute_after(transaction: Transaction, statement: Any, parameters: Any = None) -> Any:
        if transaction.engine is store.engine and isinstance(statement, Delete) and statement.table is pace:
            async with beside.engine.transaction() as taking:
                await execute(taking, update(pace).values(next_at=now))
        return await execute(transaction, statement, parameters)

    monkeypatch.setattr(Transaction, "execute", execute_after)
    await forget(store, now, days=1)
    assert [row["next_at"] for row in await store.engine.fetch(select(pace.c.next_at))] == [now]


async def given_up(store: Store, *, made: Instant) -> tuple[dict[str, Any], Delivery]:
    """A message whose event never went anywhere, and the event's delivery."""
    told_of = message(made)
    row = delivery(Instant(made + MINUTE), told_of["id"]) | {"status": DeliveryStatus.FAILED.value}
    await put_messages(store, told_of)
    await put(store, webhook_deliveries, row)
    report = await store.deliveries.find(OrganizationId(ORGANIZATION), row["id"])
    assert report is not None
    return told_of, report.delivery


async def replayed(store: Store, delivery: Delivery) -> str:
    report = await store.deliveries.replay(delivery.organization_id, delivery, "https://example.com/hooks")
    assert report is not None
    return report.delivery.id


async def told(store: Store, made: str) -> bool:
    """Whether what is claimed of a delivery has something to say."""
    endpoint = endpoint_id(OrganizationId(ORGANIZATION), "https://example.com/hooks")
    (claimed,) = await store.claim_deliveries([LaneClaim(endpoint, 10, MINUTE)])
    assert claimed.id == made
    return bool(await store.deliveries.subjects([claimed]))


async def test_what_is_replayed_after_the_look_and_before_the_drop_has_its_message(store: Store, beside: Store) -> None:
    if not partitioned(store):
        pytest.skip("a row is looked at and forgotten in one transaction here")
    now = await lay_out(store, days=5)
    await beside.engine.synchronize_clock()
    _, event = await given_up(store, made=at(now, -4.5))
    begun: list[str] = []

    async def replay() -> None:
        begun.append(await replayed(beside, event))

    before_locking(store, at(now, -4.5), replay)
    await forget(store, now, days=1)
    assert await told(store, begun[0])


async def test_nothing_is_dropped_while_a_replay_begins(
    store: Store, beside: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not partitioned(store):
        pytest.skip("who forgets waits for who writes here")
    now = await lay_out(store, days=5)
    await beside.engine.synchronize_clock()
    _, event = await given_up(store, made=at(now, -4.5))
    execute = Transaction.execute

    async def execute_after(transaction: Transaction, statement: Any, parameters: Any = None) -> Any:
        if transaction.engine is beside.engine and isinstance(statement, Insert):
            await forget(store, now, days=1)
        return await execute(transaction, statement, parameters)

    monkeypatch.setattr(Transaction, "execute", execute_after)
    begun = await replayed(beside, event)
    assert await told(store, begun)


async def test_a_replay_that_comes_while_its_message_goes_is_refused(store: Store, beside: Store) -> None:
    if not partitioned(store):
        pytest.skip("who forgets waits for who writes here")
    now = await lay_out(store, days=5)
    await beside.engine.synchronize_clock()
    told_of, event = await given_up(store, made=at(now, -4.5))
    drop = store.partitions.drop
    replays: list[asyncio.Task[str]] = []

    async def drop_while(transaction: Transaction, parts: Sequence[Partition]) -> None:
        if day_name("messages", at(now, -4.5) // DAY) in {part.name for part in parts}:
            replays.append(asyncio.create_task(replayed(beside, event)))
            await waits_for_who_forgets(store)
        await drop(transaction, parts)

    store.partitions.drop = drop_while  # type: ignore[method-assign]  # the other node comes in between
    await forget(store, now, days=1)
    (replay,) = replays
    with pytest.raises(NothingToTell):
        await replay
    assert told_of["id"] not in await ids(store, messages)
    assert await ids(store, webhook_deliveries) == set()


async def waits_for_who_forgets(store: Store) -> None:
    """Return once somebody waits for an advisory lock of this database."""
    asked = "SELECT count(*) AS waiting FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = "
    mine = "(SELECT oid FROM pg_database WHERE datname = current_database())"
    while not (await store.engine.fetch(text(asked + mine)))[0]["waiting"]:
        pass  # each look is a question to the database, which lets the other go on


async def test_what_was_never_sent_and_has_no_message_any_more_is_not_replayed(store: Store) -> None:
    now = await lay_out(store, days=5)
    _, event = await given_up(store, made=at(now, -0.5))
    _, sent = await given_up(store, made=at(now, -0.5))
    async with store.engine.transaction() as transaction:
        await transaction.execute(delete(messages))
        row = webhook_deliveries.c.id == sent.id
        await transaction.execute(update(webhook_deliveries).where(row).values(webhook="{}"))
    with pytest.raises(NothingToTell):
        await replayed(store, event)
    everything: dict[str, Any] = {"events": None, "url": "https://example.com/hooks"}
    assert await store.deliveries.replay_since(event.organization_id, Instant(0), **everything) == 1


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


async def test_who_was_on_the_way_to_the_rest_when_a_day_is_made_finds_the_day(store: Store, beside: Store) -> None:
    if not partitioned(store):
        pytest.skip("no partitions here")
    store.clock.offset += 5 * DAY
    day = store.clock.now() // DAY
    name, low, high = day_name("messages", day), first_id(day), first_id(day + 1)
    asked = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'relation'"
    async with beside.engine.transaction() as making:
        await making.execute(text(f"CREATE TABLE {name} (LIKE messages INCLUDING ALL)"))
        attach = f"ALTER TABLE messages ATTACH PARTITION {name} FOR VALUES FROM ('{low}') TO ('{high}')"
        await making.execute(text(attach))
        sending = asyncio.ensure_future(accepted(store))
        async with asyncio.timeout(60):
            while not (await making.execute(text(asked))).all():
                continue
    sent = await sending
    assert await ids(store, messages) == {sent.id}


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
