"""Three PostgreSQL under Patroni lose their primary while two servers schedule, cancel and send (P1 to P5)."""

import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from random import Random

import aiohttp
import pytest

from heliograph.clock import monotonic
from heliograph.domain.instant import SECOND
from heliograph.store.schema import migrate
from tests.availability.patroni import Cluster, Member, missing, patroni_cluster
from tests.chaos.auditor import audit, audit_pending, require_kept
from tests.chaos.evidence import Ledger, collect, pending, read_record, reading, seen, settled, summary
from tests.chaos.servers import Server, quick, serving, storm

CROWD = 12
FIRST_ANSWERS = CROWD + 1
"""At most one answer to each client can have been under way when the primary was lost."""


@pytest.fixture
def cluster(loss: "Loss", scale: int) -> Iterator[Cluster]:
    """Synchronous, and strictly so. In the short form one loss is enough."""
    if scale == 1 and loss is not killed:
        pytest.skip("in the long form: make chaos")
    if absent := missing():
        told = f"not installed: {', '.join(absent)} (apt-get install etcd-server patroni python3-etcd)"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(told)
    with patroni_cluster() as made:
        yield made


Loss = Callable[[Cluster, Member], Awaitable[None]]


async def killed(_: Cluster, leader: Member) -> None:
    """kill -9 of the machine's PostgreSQL and Patroni."""
    leader.end()


async def crashed(_: Cluster, leader: Member) -> None:
    """kill -9 of PostgreSQL alone: Patroni starts it again, or lets another take over."""
    leader.signal(signal.SIGKILL, patroni=False)


async def frozen_and_thawed(cluster: Cluster, leader: Member) -> None:
    """SIGSTOP of both until another leads, then SIGCONT: for a moment two call themselves primary."""
    leader.signal(signal.SIGSTOP, patroni=True)
    async with aiohttp.ClientSession() as session:

        async def look() -> bool:
            return any([await each.leads(session) for each in cluster.members if each is not leader])

        await seen(look)
    leader.signal(signal.SIGCONT, patroni=True)


@pytest.mark.parametrize("loss", [killed, crashed, frozen_and_thawed])
@pytest.mark.timeout(1800)
async def test_the_loss_of_the_primary_loses_and_repeats_nothing(
    cluster: Cluster, tmp_path: Path, chance: Random, scale: int, loss: Loss
) -> None:
    record, ledger, times = tmp_path / "record", Ledger(), list[float]()
    await cluster.leader()
    await migrate(cluster.url)

    async def disaster(_: Server) -> None:
        leader = await cluster.leader()
        begun = monotonic()
        await loss(cluster, leader)
        await ledger.more_answers(FIRST_ANSWERS)
        times.append((monotonic() - begun) / SECOND)
        leader.come_back()

    async with serving(cluster.url, quick(record, DISPATCH__LEASE="60s"), count=2) as (server, other):
        await storm(server, ledger, chance, [disaster] * scale, others=[other], crowd=CROWD)
        async with reading(cluster.url) as store:
            await settled(store)
            stories = await collect(store, ledger, read_record(record))
            violations = audit(stories) + audit_pending(stories, await pending(store))
    print(f"{loss.__name__}: seconds until answers came again {times};", summary(ledger, stories))
    require_kept(violations)
