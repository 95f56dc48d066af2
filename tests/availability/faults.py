"""What befalls a cluster under Patroni while clients are busy. When a fault returns, what it ended is begun again."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from signal import SIGCONT, SIGKILL, SIGSTOP

import aiohttp

from heliograph.clock import monotonic
from heliograph.domain.instant import SECOND
from tests.availability.patroni import LOOK_AGAIN, Cluster, Keeper
from tests.chaos.evidence import Ledger, seen
from tests.chaos.servers import Server

MAJORITY = 2
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


class Clients(Ledger):
    """What so many clients were told, and the longest time in which none of them was told anything."""

    def __init__(self, crowd: int) -> None:
        super().__init__()
        self.crowd = crowd
        self._last = monotonic()
        self._longest = 0

    async def answered(self) -> None:
        """Another answer."""
        now = monotonic()
        self._longest = max(self._longest, now - self._last)
        self._last = now
        await super().answered()

    async def work_again(self) -> None:
        """Return once answers come that were not under way before: at most one for each client was."""
        await self.more_answers(self.crowd + 1)

    async def refused(self, times: int) -> None:
        """Return once 503 was answered so many times more."""
        wanted = self.unavailable + times

        async def look() -> bool:
            return self.unavailable >= wanted

        await seen(look)

    def longest_silence(self) -> float:
        """In seconds, since it was asked last."""
        longest, self._longest = self._longest, 0
        return round(longest / SECOND, 1)


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a fault happens."""

    cluster: Cluster
    clients: Clients
    server: Server
    """One of those that the clients speak to."""
    chance: Random


Fault = Callable[[Scene], Awaitable[None]]


async def switched_over(scene: Scene) -> None:
    """`patronictl switchover`, as before maintenance."""
    leader = (await scene.cluster.whole()).leader
    await leader.ask("POST", "switchover", {"leader": leader.name})
    await scene.clients.work_again()


async def primary_killed(scene: Scene) -> None:
    """kill -9 of the machine's PostgreSQL and Patroni."""
    leader = (await scene.cluster.whole()).leader
    leader.end()
    await scene.clients.work_again()
    leader.start()


async def primary_crashed(scene: Scene) -> None:
    """kill -9 of PostgreSQL alone: Patroni starts it again, or lets another take over."""
    leader = (await scene.cluster.whole()).leader
    leader.signal(SIGKILL, patroni=False)
    await scene.clients.work_again()


async def primary_frozen(scene: Scene) -> None:
    """SIGSTOP of both until another leads, then SIGCONT: for a moment two call themselves primary."""
    leader = (await scene.cluster.whole()).leader
    leader.signal(SIGSTOP, patroni=True)

    async def look() -> bool:
        return await scene.cluster.is_led(by_other_than=leader)

    await seen(look, LOOK_AGAIN)
    leader.signal(SIGCONT, patroni=True)
    await scene.clients.work_again()


async def standby_killed(scene: Scene) -> None:
    """kill -9 of the one that commits wait for: the other takes its place."""
    synchronous = (await scene.cluster.whole()).synchronous
    synchronous.end()
    await scene.clients.work_again()
    synchronous.start()


async def standbys_killed(scene: Scene) -> None:
    """kill -9 of one after the other: with the second gone no commit is answered, whatever Patroni does about it."""
    await _without_standbys(scene)


async def standbys_killed_for_long(scene: Scene) -> None:
    """The same until every client was told 503."""
    await _without_standbys(scene, refusals=scene.clients.crowd)


async def _without_standbys(scene: Scene, refusals: int = 0) -> None:
    leader, *lost = await scene.cluster.whole()
    lost[0].end()
    await scene.clients.work_again()
    async with aiohttp.ClientSession() as session:

        async def replaced() -> bool:
            return await lost[1].is_synchronous(session)

        # While Patroni still makes it that, its loss goes unnoticed, and the name of it stays.
        await seen(replaced, LOOK_AGAIN)
    lost[1].end()
    before = scene.clients.answers
    await leader.goes_on_leading()
    # Patroni names nobody in particular, or goes on naming the one that is gone.
    assert await leader.value("SHOW synchronous_standby_names"), "it acknowledges what it alone has"
    await scene.clients.refused(refusals)
    print("commits that wait for a standby:", await leader.value(WAITING))
    assert scene.clients.answers - before <= scene.clients.crowd, "answers came that no standby can have"
    for each in lost:
        each.start()
    await scene.clients.work_again()


async def etcd_lost(scene: Scene) -> None:
    """kill -9 of two of three etcd: the primary steps down, and leads again when there is a majority."""
    await _without_majority(scene)


async def etcd_lost_for_long(scene: Scene) -> None:
    """The same until every client was told 503."""
    await _without_majority(scene, refusals=scene.clients.crowd)


async def _without_majority(scene: Scene, refusals: int = 0) -> None:
    await scene.cluster.whole()
    lost = _end_majority(scene)

    async def look() -> bool:
        return not await scene.cluster.is_led()

    await seen(look, LOOK_AGAIN)
    await scene.clients.refused(refusals)
    _begin(lost)
    await scene.clients.work_again()


async def etcd_lost_in_failsafe_mode(scene: Scene) -> None:
    """The same where Patroni has `failsafe_mode`: while all three reach each other, the primary may stay."""
    leader = (await scene.cluster.whole()).leader
    await leader.ask("PATCH", "config", {"failsafe_mode": True})
    async with aiohttp.ClientSession() as session:

        async def known() -> bool:
            return len(await leader.told(session, "failsafe") or {}) == len(scene.cluster.members)

        async def decided() -> bool:
            told = await leader.told(session, "primary")
            return told is None or "failsafe_mode_is_active" in told

        await seen(known, LOOK_AGAIN)
        lost = _end_majority(scene)
        await seen(decided, LOOK_AGAIN)
        stayed = await leader.leads(session)
        if stayed:
            await scene.clients.work_again()
        print("in failsafe mode the primary", "stayed" if stayed else "stepped down")
        _begin(lost)
        await scene.clients.work_again()
    leader = (await scene.cluster.whole()).leader
    await leader.ask("PATCH", "config", {"failsafe_mode": False})


def _end_majority(scene: Scene) -> list[Keeper]:
    lost = scene.chance.sample(scene.cluster.keepers, MAJORITY)
    for each in lost:
        each.end()
    return lost


def _begin(lost: list[Keeper]) -> None:
    for each in lost:
        each.start()
