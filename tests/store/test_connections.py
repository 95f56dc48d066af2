"""Connections of the store: each comes back to the pool, whatever becomes of who had it."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import Executable, literal_column, select

from heliograph.store.store import Store

ONE: Executable = select(literal_column("1").label("one"))


def taken(store: Store) -> int:
    pool: Any = store.engine.sqlalchemy.sync_engine.pool
    return int(pool.checkedout())


@pytest.mark.parametrize("turns", range(6))
async def test_who_is_cancelled_while_a_connection_is_given_back_waits_for_it(store: Store, turns: int) -> None:
    held: asyncio.Queue[Any] = asyncio.Queue()
    done = asyncio.Event()

    async def hold() -> None:
        async with store.engine.connect() as connection:
            await connection.execute(ONE)
            held.put_nowait(await connection.driver())
            await done.wait()

    before = taken(store)
    holding = asyncio.create_task(hold())
    driver = await held.get()
    assert taken(store) == before + 1
    done.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    holding.cancel()
    await asyncio.wait([holding])
    assert taken(store) == before
    async with store.engine.connect() as connection:
        assert await connection.driver() is driver


async def test_an_error_within_gives_it_back(store: Store) -> None:
    before = taken(store)
    with pytest.raises(ZeroDivisionError):
        async with store.engine.connect():
            raise ZeroDivisionError
    assert taken(store) == before


async def test_one_that_is_not_started_says_so(store: Store) -> None:
    with pytest.raises(RuntimeError, match="not started"):
        await store.engine.connect().execute(ONE)


async def test_all_that_a_statement_returns_has_been_read(store: Store) -> None:
    async with store.engine.connect() as connection:
        result = await connection.execute(ONE)
    assert [dict(row) for row in result.mappings()] == [{"one": 1}]
