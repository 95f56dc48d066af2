"""Why synchronous replication is asked for: a failover without it breaks P1 and P2, and with it the same does not."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from random import Random

import asyncpg
import pytest

from heliograph.domain.instant import HOUR
from heliograph.domain.lifecycle import Status
from heliograph.store.schema import migrate
from tests.availability.conftest import require_installed
from tests.availability.faults import WAITING
from tests.availability.pair import Member, caught_up, replicated, url_of
from tests.availability.patroni import PROGRAMS, Cluster, patroni_cluster, shipped_pace
from tests.chaos.auditor import Expected, audit
from tests.chaos.evidence import Ledger, collect, read_record, reading, seen
from tests.chaos.servers import Client, Server, client, quick, serving

STAY_SCHEDULED = Expected(unfinished=frozenset({Status.SCHEDULED}))


class Caller:
    """Schedules and cancels, and remembers which."""

    def __init__(self, sender: Client, server: Server) -> None:
        self._sender = sender
        self._server = server
        self.early = self.late = ""

    async def act_early(self) -> None:
        """Schedule what everybody will have."""
        taken, _ = await self._sender.schedule(self._server, HOUR)
        assert taken is not None
        self.early = taken

    async def act_late(self) -> None:
        """Schedule another, and cancel the first, while nobody follows the primary."""
        (taken, _), _ = await asyncio.gather(
            self._sender.schedule(self._server, HOUR), self._sender.cancel(self._server, self.early)
        )
        self.late = taken or ""


async def broken(url: str, ledger: Ledger, record: Path) -> set[tuple[str, str]]:
    """What the auditor finds: promise and message."""
    async with reading(url) as store:
        stories = await collect(store, ledger, read_record(record))
    return {(each.promise, each.message_id) for each in audit(stories, STAY_SCHEDULED)}


@pytest.fixture(autouse=True)
def _in_the_long_form(scale: int) -> None:
    """What the service does about it is tested by the others; this says what it cannot do alone."""
    if scale == 1:
        pytest.skip("in the long form: make chaos")


@pytest.mark.parametrize("options", [(), ("synchronous_standby_names=two",)], ids=["asynchronous", "synchronous"])
async def test_what_nobody_else_has_is_acknowledged_only_without_synchronous_replication(
    tmp_path: Path, chance: Random, options: tuple[str, ...]
) -> None:
    record, ledger = tmp_path / "record", Ledger()
    with replicated() as (one, two):
        url = url_of(one, two)
        await migrate(one.url)
        await caught_up(one, two)
        one.crash()
        one.start(*options)
        async with serving(url, quick(record)) as (server,), client(ledger, chance) as sender:
            caller = Caller(sender, server)
            await caller.act_early()
            await caught_up(one, two)
            two.crash()
            acting = asyncio.create_task(caller.act_late())
            await (_waits(one) if options else acting)
            one.crash()
            two.start()
            two.promote()
            await acting
        found = await broken(url, ledger, record)
    assert found == (set() if options else {("P1", caller.early), ("P2", caller.late)})


async def _waits(primary: Member) -> None:
    """Return once a commit waits for the standby."""
    connection = await asyncpg.connect(primary.url)

    async def look() -> bool:
        return bool(await connection.fetchval(WAITING))

    await seen(look)
    connection.terminate()


@pytest.fixture
def asynchronous() -> Iterator[Cluster]:
    """Patroni's own default."""
    require_installed(*PROGRAMS)
    with patroni_cluster(shipped_pace(), synchronous=False) as made:
        yield made


@pytest.mark.timeout(600)
async def test_patroni_without_synchronous_mode_loses_what_was_acknowledged(
    asynchronous: Cluster, tmp_path: Path, chance: Random
) -> None:
    """And rewinds the lost primary when it comes back: its history is another one now."""
    record, ledger = tmp_path / "record", Ledger()
    url = await asynchronous.new_database()
    await migrate(url)
    async with serving(url, quick(record)) as (server,), client(ledger, chance) as sender:
        caller = Caller(sender, server)
        await caller.act_early()
        roles = await asynchronous.whole()
        for each in (roles.synchronous, roles.other):
            each.end()
        await caller.act_late()
        roles.leader.end()
        for each in (roles.synchronous, roles.other):
            each.start()
        await seen(asynchronous.is_led)
        found = await broken(url, ledger, record)
        roles.leader.start()
        await asynchronous.whole()
    assert found == {("P1", caller.early), ("P2", caller.late)}
    assert "running pg_rewind" in roles.leader.log
