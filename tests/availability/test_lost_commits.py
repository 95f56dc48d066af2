"""COMMITs whose answer is lost (P1 to P5): what became of them is read again, never guessed."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from random import Random

import asyncpg
import pytest
from sqlalchemy import func, literal, select

from heliograph.store.batch import COUNT, Batch
from heliograph.store.engine import StoreUnavailable, open_engine
from heliograph.store.schema import migrate
from tests.availability.cutting import Cut, cutting
from tests.chaos.auditor import audit, audit_pending, require_kept
from tests.chaos.evidence import Ledger, collect, pending, read_record, reading, settled, summary
from tests.chaos.servers import Server, quick, serving, storm
from tests.databases import fresh_database, lent_server

RATE = 0.1
ECHO = Batch({"number": COUNT}, lambda sql: select(sql.rows.c.number))


@pytest.fixture
def own_database() -> Iterator[str]:
    """On a server of our own: the proxy needs its socket."""
    with lent_server() as admin, fresh_database(admin) as url:
        yield url


async def test_commits_whose_answers_are_lost_lose_and_repeat_nothing(
    own_database: str, tmp_path: Path, chance: Random, scale: int
) -> None:
    record, ledger = tmp_path / "record", Ledger()
    await migrate(own_database)

    async def nothing(_: Server) -> None:
        """The cuts are disaster enough."""

    async with cutting(own_database, chance, 0) as (proxy, url):
        settings = quick(record, DISPATCH__LEASE="10s")
        async with serving(url, settings, count=2) as (server, other):
            proxy.rate = RATE
            await storm(server, ledger, chance, [nothing] * 2 * scale, others=[other])
            proxy.rate = 0
            async with reading(own_database) as store:
                await settled(store)
                stories = await collect(store, ledger, read_record(record))
                violations = audit(stories) + audit_pending(stories, await pending(store))
    cuts = {cut.name.lower(): count for cut, count in proxy.cuts.items() if cut is not Cut.NONE}
    print(summary(ledger, stories), "cuts:", cuts)
    require_kept(violations)
    assert cuts, "no COMMIT was cut"
    assert "never retrieved" not in server.log + other.log


async def test_a_session_that_is_ended_between_two_statements_is_no_fault(own_database: str, chance: Random) -> None:
    """As by a primary that is shut down: it says so and closes the connection, and a statement may come in between."""
    async with cutting(own_database, chance, 0) as (proxy, url):
        proxy.holds_open = True
        engine = open_engine(url)
        administrator = await asyncpg.connect(own_database)

        async def interrupted() -> None:
            async with engine.transaction() as transaction:
                pid = (await transaction.execute(select(func.pg_backend_pid()))).scalar_one()
                await administrator.execute("SELECT pg_terminate_backend($1)", pid)
                await proxy.ended.wait()
                await asyncio.sleep(0)  # the driver reads what is there already
                await transaction.batch(ECHO, [(1,)])

        with pytest.raises(StoreUnavailable):
            await interrupted()
        proxy.holds_open = False
        assert await engine.fetch(select(literal(1).label("answer"))) == [{"answer": 1}]
        await administrator.close()
        await engine.close()
