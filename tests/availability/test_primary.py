"""Whom a process speaks to when a cluster has a primary, standbys, and a former primary that does not know it yet."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
from sqlalchemy import Executable, func, literal_column, select, text, update

from heliograph.domain.instant import HOUR, SECOND
from heliograph.store.engine import Engine, Limits, StoreUnavailable, open_engine
from heliograph.store.schema import migrate
from heliograph.store.tables import account_epoch
from tests.availability.pair import Member, caught_up, replicated, url_of
from tests.chaos.evidence import seen

LIMITS = Limits(idle=HOUR, lock=HOUR, answer=HOUR)
WHERE: Executable = select(literal_column("inet_server_port()").label("port"))
EPOCH = select(account_epoch.c.epoch)
RAISE = update(account_epoch).values(epoch=account_epoch.c.epoch + 1)

Pair = tuple[Member, Member]


@pytest.fixture(scope="module")
def undisturbed() -> Iterator[Pair]:
    """A pair for those who let both be what they are."""
    with replicated() as members:
        asyncio.run(migrate(url_of(*members)))
        yield members


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A primary and its standby, without synchronous replication; nothing but the schema is in them."""
    with replicated() as members:
        asyncio.run(migrate(url_of(*members)))
        yield members


@pytest.fixture
async def engine(pair: Pair) -> AsyncIterator[Engine]:
    """Knows both, the standby first."""
    opened = _knowing(pair)
    yield opened
    await opened.close()


@pytest.fixture
async def at_ease(undisturbed: Pair) -> AsyncIterator[Engine]:
    """The same for an undisturbed pair."""
    opened = _knowing(undisturbed)
    yield opened
    await opened.close()


def _knowing(members: Pair) -> Engine:
    return open_engine(url_of(*reversed(members)), pool_size=4, connect_timeout=10.0, limits=LIMITS)


async def _port(engine: Engine) -> int:
    return int((await engine.fetch(WHERE))[0]["port"])


async def _epoch(engine: Engine) -> int:
    return int((await engine.fetch(EPOCH))[0]["epoch"])


async def _raise(engine: Engine) -> None:
    async with engine.transaction() as transaction:
        await transaction.execute(RAISE)


async def test_of_several_hosts_the_primary_is_asked(undisturbed: Pair, at_ease: Engine) -> None:
    asked = await asyncio.gather(*(_port(at_ease) for _ in range(8)))
    assert set(asked) == {undisturbed[0].port}


async def test_a_standby_is_not_even_read_from(undisturbed: Pair) -> None:
    engine = open_engine(undisturbed[1].url, limits=LIMITS)
    with pytest.raises(StoreUnavailable, match="is a standby"):
        await engine.fetch(select(func.now()))
    await engine.close()


async def test_after_a_crash_and_a_promotion_the_new_primary_is_found(pair: Pair, engine: Engine) -> None:
    one, two = pair
    await _raise(engine)
    await caught_up(one, two)
    one.crash()
    with pytest.raises(StoreUnavailable):
        await _epoch(engine)
    two.promote()
    assert await _port(engine) == two.port
    await _raise(engine)
    assert await _epoch(engine) == 2


async def test_a_frozen_primary_holds_nobody_up_once_another_is_known(pair: Pair, engine: Engine) -> None:
    """Who waits for the frozen one is told that nothing is known, although the frozen one closed nothing."""
    one, two = pair
    await _raise(engine)
    await caught_up(one, two)
    async with engine.sqlalchemy.connect(), engine.sqlalchemy.connect():
        pass  # two connections are in the pool
    one.freeze()
    two.promote()
    # Two of these wait on them; who dials finds the new primary, which ends their wait.
    got = await asyncio.gather(*(_port(engine) for _ in range(4)), return_exceptions=True)
    assert sorted(map(str, {each if isinstance(each, int) else type(each).__name__ for each in got})) == sorted(
        [str(two.port), "StoreUnavailable"]
    )
    assert await _epoch(engine) == 1


async def test_a_former_primary_that_thaws_is_not_asked_again(pair: Pair, engine: Engine) -> None:
    one, two = pair
    await _raise(engine)
    await caught_up(one, two)
    one.freeze()
    two.promote()
    fresh = open_engine(url_of(one, two), connect_timeout=60.0, limits=LIMITS)
    await _raise(fresh)
    one.thaw()
    # Both call themselves primary now; what was found new is never given up for what is older.
    assert [await _port(fresh) for _ in range(3)] == [two.port] * 3
    assert await _epoch(fresh) == 2
    two.crash()
    with pytest.raises(StoreUnavailable, match=r"a former primary: on timeline 1, and 2 has begun"):
        await _until_refused(fresh)
    await fresh.close()


async def _until_refused(engine: Engine) -> None:
    """The connection that the crash closed may be told first."""
    try:
        await _epoch(engine)
    except StoreUnavailable as error:
        if "former" in str(error):
            raise
    await _epoch(engine)


async def test_a_server_that_takes_no_writes_any_more_is_dialled_anew(undisturbed: Pair, at_ease: Engine) -> None:
    admin = await asyncpg.connect(undisturbed[0].url)
    await _raise(at_ease)
    [(before,)] = [tuple(each.values()) for each in await at_ease.fetch(select(func.pg_backend_pid()))]
    await admin.execute("ALTER SYSTEM SET default_transaction_read_only = on")
    await admin.execute("SELECT pg_reload_conf()")

    async def refused() -> bool:
        try:
            await _raise(at_ease)
        except StoreUnavailable:
            return True
        return False

    await seen(refused)
    await admin.execute("SET default_transaction_read_only = off")
    await admin.execute("ALTER SYSTEM RESET default_transaction_read_only")
    await admin.execute("SELECT pg_reload_conf()")

    async def taken() -> bool:
        return not await refused()

    await seen(taken)
    [(after,)] = [tuple(each.values()) for each in await at_ease.fetch(select(func.pg_backend_pid()))]
    assert after != before
    admin.terminate()


SYNCHRONOUS = "synchronous_standby_names=two"


async def test_what_a_retry_finds_is_acknowledged_only_when_the_standby_has_it() -> None:
    """A commit that waited for a standby is visible after a crash: to find it is no proof that it is kept."""
    with replicated() as (one, two):
        await migrate(one.url)
        await caught_up(one, two)
        one.crash()
        one.start(SYNCHRONOUS)
        engine = open_engine(one.url, limits=Limits(idle=HOUR, lock=HOUR, answer=2 * SECOND))
        two.freeze()
        with pytest.raises(StoreUnavailable):
            await _raise(engine)
        one.crash()
        one.start(SYNCHRONOUS)
        assert await _epoch(engine) == 1, "the server made visible what no standby has"

        async def find() -> None:
            async with engine.transaction() as transaction:
                await transaction.execute(EPOCH)

        with pytest.raises(StoreUnavailable):
            await find()
        two.thaw()
        await asyncio.wait_for(find(), 60)
        await engine.close()


async def test_a_wait_for_the_standby_that_is_cancelled_is_no_commit() -> None:
    with replicated() as (one, two):
        await migrate(one.url)
        await caught_up(one, two)
        one.crash()
        one.start(SYNCHRONOUS)
        two.freeze()
        engine = open_engine(one.url, limits=LIMITS)
        admin = await asyncpg.connect(one.url)
        cancel = text("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'").text
        writing = asyncio.create_task(_raise(engine))

        async def cancelled() -> bool:
            return await admin.fetchval(cancel) is not None

        await seen(cancelled)
        with pytest.raises(StoreUnavailable, match="synchronous replication"):
            await writing
        admin.terminate()
        await engine.close()
