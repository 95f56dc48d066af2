"""Three PostgreSQL under Patroni lose one thing after another while two servers schedule, cancel and send (P1-P5)."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import pytest

from heliograph.store.schema import migrate
from tests.availability.conftest import require_installed
from tests.availability.faults import (
    Clients,
    Fault,
    Scene,
    etcd_lost,
    etcd_lost_for_long,
    etcd_lost_in_failsafe_mode,
    primary_crashed,
    primary_frozen,
    primary_killed,
    standby_killed,
    standbys_killed,
    standbys_killed_for_long,
    switched_over,
)
from tests.availability.patroni import PROGRAMS, QUICK, Cluster, patroni_cluster, patroni_version, shipped_pace
from tests.chaos.auditor import audit, audit_pending, require_kept
from tests.chaos.evidence import collect, pending, read_record, reading, settled, summary
from tests.chaos.servers import Disaster, Server, quick, serving, storm

BETWEEN = (20, 60)
CROWD = 12
FEW = 6
"""Clients of the short form, which leave the processor to what recovers."""
LOCK_IS_COMPARED = (3, 0, 3)
IN_THE_SUITE = (switched_over, standbys_killed, etcd_lost)
"""In any order, and then the one after which it takes longest until all three are there again."""
ONE_BY_ONE = (
    switched_over,
    primary_killed,
    primary_crashed,
    primary_frozen,
    standby_killed,
    standbys_killed_for_long,
    etcd_lost_for_long,
    etcd_lost_in_failsafe_mode,
)


@pytest.fixture(scope="module")
def cluster(scale: int) -> Iterator[Cluster]:
    """One for all tests, synchronous and strictly so. In the long form it has the pace of what we ship."""
    require_installed(*PROGRAMS)
    with patroni_cluster(QUICK if scale == 1 else shipped_pace()) as made:
        yield made


@pytest.fixture
def fault(request: pytest.FixtureRequest, scale: int) -> Fault:
    """One that happens again and again."""
    if scale == 1:
        pytest.skip("in the long form: make chaos")
    chosen: Fault = request.param
    require_installed(*PROGRAMS)
    if chosen is primary_frozen and patroni_version() < LOCK_IS_COMPARED:
        pytest.skip("this Patroni lets a primary that thaws take its lock back from another (its pull request 2693)")
    return chosen


@pytest.fixture
async def database(cluster: Cluster) -> str:
    """A new one in the cluster."""
    url = await cluster.new_database()
    await migrate(url)
    return url


@pytest.mark.timeout(400)
async def test_faults_one_after_another_lose_and_repeat_nothing(
    cluster: Cluster, database: str, tmp_path: Path, chance: Random
) -> None:
    faults = [*chance.sample(IN_THE_SUITE, len(IN_THE_SUITE)), primary_killed]
    await _befall(cluster, database, tmp_path, chance, faults, FEW)


@pytest.mark.parametrize("fault", ONE_BY_ONE, indirect=True)
@pytest.mark.timeout(1800)
async def test_one_fault_again_and_again_loses_and_repeats_nothing(
    fault: Fault, cluster: Cluster, database: str, tmp_path: Path, chance: Random, scale: int
) -> None:
    await _befall(cluster, database, tmp_path, chance, [fault] * scale, CROWD)


async def _befall(
    cluster: Cluster, url: str, folder: Path, chance: Random, faults: Sequence[Fault], crowd: int
) -> None:
    record, clients, silences = folder / "record", Clients(crowd), list[str]()

    def disaster(fault: Fault) -> Disaster:
        async def happen(server: Server) -> None:
            clients.longest_silence()
            await fault(Scene(cluster, clients, server, chance))
            silences.append(f"{fault.__name__} {clients.longest_silence()}")

        return happen

    async with serving(url, quick(record, DISPATCH__LEASE="30s"), count=2) as (server, other):
        disasters = [disaster(each) for each in faults]
        await storm(server, clients, chance, disasters, others=[other], crowd=crowd, between=BETWEEN)
        async with reading(url) as store:
            await settled(store)
            stories = await collect(store, clients, read_record(record))
            violations = audit(stories) + audit_pending(stories, await pending(store))
    print("seconds without an answer:", ", ".join(silences))
    print(summary(clients, stories))
    require_kept(violations)
