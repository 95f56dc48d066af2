"""How long PostgreSQL, and the way to it, may keep anybody waiting; and sums that are put down before a commit."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Executable, func, literal_column, select, text, update

from heliograph.domain.ids import OrganizationId
from heliograph.domain.instant import HOUR, MILLISECOND
from heliograph.store.batch import MICROS, Batch
from heliograph.store.engine import Engine, Limits, StoreUnavailable, Transaction, open_engine
from heliograph.store.store import Store
from heliograph.store.tables import account_epoch, pending_counts
from tests.lines import Line

SOON = 300 * MILLISECOND
TOGETHER = 4
SLOW = select(func.pg_sleep(1))
RAISE: Executable = update(account_epoch).values(epoch=account_epoch.c.epoch + 1)
RAISE_BY = Batch({"by": MICROS}, lambda sql: update(account_epoch).values(epoch=account_epoch.c.epoch + sql.rows.c.by))
ANOTHER, ONE = (OrganizationId(f"00000000-0000-7000-8000-00000000000{number}") for number in (1, 2))
on_postgresql = pytest.mark.parametrize("database_kind", ["postgresql"])

Open = Callable[..., Engine]


@pytest.fixture
async def opened(prepared_database_url: str) -> AsyncIterator[Open]:
    """Opens engines whose limits are far away, but for those given."""
    async with AsyncExitStack() as until_end:

        def make(url: str = prepared_database_url, **limits: int) -> Engine:
            given = Limits(**{"idle": HOUR, "lock": HOUR, "answer": HOUR} | limits)
            engine = open_engine(url, connect_timeout=1.0, limits=given)
            until_end.push_async_callback(engine.close)
            return engine

        yield make


# ------------------------------------------------------------------------------------------------------------- limits


@on_postgresql
async def test_a_process_that_pauses_within_a_transaction_holds_its_locks_for_a_bounded_time(opened: Open) -> None:
    paused, other = opened(idle=SOON), opened()
    raised: list[int] = []

    async def pause() -> None:
        async with paused.transaction() as transaction:
            await transaction.execute(RAISE)
            async with other.transaction() as waiting:
                raised.append((await waiting.execute(RAISE)).rowcount)
            await transaction.execute(RAISE)

    with pytest.raises(StoreUnavailable):
        await pause()
    assert raised == [1]
    assert await paused.fetch(select(account_epoch.c.epoch)) == [{"epoch": 1}]


@on_postgresql
async def test_the_server_is_told_the_limits_of_every_session(store: Store) -> None:
    names = ("idle_in_transaction_session_timeout", "lock_timeout")
    (told,) = await store.engine.fetch(select(*[func.current_setting(name).label(name) for name in names]))
    assert list(told.values()) == ["5s", "10s"]


@on_postgresql
async def test_a_disk_that_fails_is_a_store_that_cannot_be_asked_now(opened: Open) -> None:
    """This file fails as one on such a disk does: its first byte is in no memory, and the system calls that EIO."""
    unreadable, engine = select(func.pg_read_binary_file("/proc/self/mem", 0, 1)), opened()

    async def written() -> None:
        async with engine.transaction() as transaction:
            await transaction.execute(RAISE)
            await transaction.batch(Batch({}, lambda _sql: unreadable), ())

    for ask in (partial(engine.fetch, unreadable), written):
        with pytest.raises(StoreUnavailable, match="Input/output error"):
            await ask()
    assert await engine.fetch(select(account_epoch.c.epoch)) == [{"epoch": 0}]


async def _execute(engine: Engine, *statements: Executable) -> None:
    async with engine.transaction() as transaction:
        for each in statements:
            await transaction.execute(each)


async def _by_sqlalchemy(transaction: Transaction) -> None:
    await transaction.execute(RAISE)


async def _by_the_driver(transaction: Transaction) -> None:
    await transaction.batch(RAISE_BY, [(1,)])


@on_postgresql
@pytest.mark.parametrize("write", [_by_sqlalchemy, _by_the_driver])
async def test_a_lock_that_is_not_given_is_a_store_that_cannot_be_asked_now(opened: Open, write: Any) -> None:
    holder, waiting = opened(), opened(lock=SOON)
    async with holder.transaction() as held:
        await held.execute(RAISE)
        with pytest.raises(StoreUnavailable, match="lock timeout"):
            async with waiting.transaction() as transaction:
                await write(transaction)
    async with waiting.transaction() as transaction:
        await write(transaction)


@on_postgresql
async def test_a_plan_that_a_migration_made_useless_is_a_store_that_cannot_be_asked_now(opened: Open) -> None:
    engine, migration = opened(), opened()
    epoch = select(account_epoch.c.epoch)
    types = iter(["integer", "bigint"])

    async def read_again() -> None:
        async with engine.transaction() as transaction:
            await transaction.batch(Batch({}, lambda _sql: epoch), ())

    for ask in (partial(engine.fetch, epoch), read_again):
        await ask()
        await _execute(migration, text(f"ALTER TABLE account_epoch ALTER epoch TYPE {next(types)}"))
        with pytest.raises(StoreUnavailable, match="cached"):
            await ask()
        await ask()


@on_postgresql
async def test_a_transaction_that_takes_too_long_is_given_up(opened: Open) -> None:
    engine = opened(answer=SOON)
    with pytest.raises(StoreUnavailable):
        await _execute(engine, RAISE, SLOW)
    assert await engine.fetch(select(account_epoch.c.epoch)) == [{"epoch": 0}]


@on_postgresql
async def test_a_reading_statement_has_a_limit_and_a_survey_has_none(opened: Open) -> None:
    engine = opened(answer=SOON)
    with pytest.raises(StoreUnavailable, match="TimeoutError"):
        await engine.fetch(SLOW)
    assert len(await engine.survey(SLOW)) == 1


async def _silent_at_commit(engine: Engine, line: Line) -> None:
    async with engine.transaction() as transaction:
        await transaction.execute(RAISE)
        line.carries.clear()


async def _silent_at_reading(engine: Engine, line: Line) -> None:
    line.carries.clear()
    await engine.fetch(select(literal_column("1")))


@on_postgresql
async def test_a_line_that_falls_silent_keeps_nobody_waiting_for_ever(opened: Open, prepared_database_url: str) -> None:
    line = Line(prepared_database_url)
    async with line.laid() as url:
        engine = opened(url, answer=SOON)
        for ask in (_silent_at_commit, _silent_at_reading):
            with pytest.raises(StoreUnavailable):
                await ask(engine, line)
            line.carries.set()
            assert len(await engine.fetch(select(literal_column("1")))) == 1
        await engine.close()


async def _give_up_a_transaction(engine: Engine) -> None:
    await _execute(engine, RAISE)


async def _give_up_a_read(engine: Engine) -> None:
    await engine.fetch(select(literal_column("1")))


@on_postgresql
@pytest.mark.parametrize("give_up", [_give_up_a_transaction, _give_up_a_read])
async def test_of_connections_that_died_together_one_is_waited_for(
    opened: Open, prepared_database_url: str, give_up: Callable[[Engine], Awaitable[None]]
) -> None:
    line = Line(prepared_database_url)
    async with line.laid() as url:
        engine = opened(url, answer=SOON)
        async with AsyncExitStack() as together:
            for _ in range(TOGETHER):
                await together.enter_async_context(engine.transaction())
        line.lose()
        with pytest.raises(StoreUnavailable):
            await give_up(engine)
        for _ in range(TOGETHER):
            await _execute(engine, RAISE)
            assert len(await engine.fetch(select(literal_column("1")))) == 1
        await engine.close()


# -------------------------------------------------------------------------------------------------------------- sums


class Sums:
    """Keeps what it was given to put down."""

    def __init__(self) -> None:
        self.put_down: list[Sequence[tuple[str, int]]] = []

    async def put(self, _transaction: Transaction, changes: Mapping[str, int]) -> None:
        self.put_down.append(list(changes.items()))


async def test_what_is_tallied_is_put_down_once_in_order_and_without_what_cancels_out(store: Store) -> None:
    sums = Sums()
    async with store.engine.transaction() as transaction:
        for changes in ({"b": 1, "c": 2}, {"a": -1, "b": 4}, {"c": -2}):
            transaction.tally(sums.put, changes)
        assert dict(transaction.tallied(sums.put)) == {"a": -1, "b": 5, "c": 0}
        assert sums.put_down == []
    assert sums.put_down == [[("a", -1), ("b", 5)]]


async def test_of_a_transaction_that_fails_nothing_is_put_down(store: Store) -> None:
    sums = Sums()

    async def fail() -> None:
        async with store.engine.transaction() as transaction:
            transaction.tally(sums.put, {"a": 1})
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await fail()
    assert sums.put_down == []


@on_postgresql
async def test_two_commits_that_count_the_same_organisations_in_another_order_both_succeed(
    store: Store, beside: Store
) -> None:
    beside.messages._shard = store.messages._shard
    for first, second in ((ONE, ANOTHER), (ANOTHER, ONE)):
        async with store.engine.transaction() as here, beside.engine.transaction() as there:
            store.messages.count_pending(here, {first: 1}, 1)
            beside.messages.count_pending(there, {second: 1}, 1)
            store.messages.count_pending(here, {second: 2}, 1)
            beside.messages.count_pending(there, {first: 2}, 1)
    counted = await store.engine.fetch(select(pending_counts.c.count))
    assert [row["count"] for row in counted] == [6, 6]
