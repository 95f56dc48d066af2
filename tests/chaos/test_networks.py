"""Nodes that the network cuts off: from their database, from their carrier, from everybody, from each other (P1 to P5).

Each cut is made both ways, and one way: what a node says vanishes, or what it is told. In the second case all that it
asked for happens, a COMMIT and a submit too, and it does not learn of it. The nodes never reach each other.
"""

import asyncio
import os
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import text

from heliograph.clock import SystemClock, monotonic
from heliograph.domain.instant import SECOND, Instant
from heliograph.store.primary import VANISHED
from heliograph.store.store import Store
from tests.chaos.auditor import require_kept
from tests.chaos.evidence import Ledger, reading, seen, settled
from tests.chaos.networks import Cut, Machine, Network, NoNetwork, Way, back, both, network, postgres_on, to
from tests.chaos.servers import HELIOGRAPH, PATIENCE, Client, Server, client, running, storm
from tests.chaos.smpp_centre import COMMAND, SmscProcess, centre
from tests.chaos.smpp_evidence import audited, doubted
from tests.chaos.smpp_servers import CARRIER, Letters, in_doubt, over_smpp, prepare
from tests.chaos.test_smpp_nodes import more_in_doubt
from tests.chaos.workload import until

CROWD = 4
"""Clients of each node: all of them send less than one node can give to the carrier, or what waits only grows."""
BETWEEN = (20, 60)
"""Answers that they get between two cuts."""
IMPATIENT = 2.0
"""Seconds after which a client asks anew, where its node may be out of its reach."""
ANSWERS = ("--answer-delay", "200ms", "--redeliver-delay", "100ms")
"""So slow that a node has messages in hand whenever it is cut off."""
LEASES = 5 * SECOND // 2
"""Longer than a lease, the part of it that is usable, and two looks of the upkeep; shorter than what TCP waits for."""
WATCHFUL = {"ENQUIRE_INTERVAL": "1s", "BIND_TIMEOUT": "1s"}
"""How soon a silent carrier is noticed."""

pytestmark = pytest.mark.timeout(3_600)  # a node waits for the network, and ten times as long in the long form


@pytest.fixture
def net() -> Iterator[Network]:
    with ExitStack() as until_end:
        try:
            made = until_end.enter_context(network())
        except NoNetwork as error:
            (pytest.fail if os.environ.get("CI") else pytest.skip)(f"no network can be made here: {error}")
        yield made


@dataclass(slots=True)
class Site:
    """A database, a carrier and two nodes, each on a machine of its own, of which one node is cut off."""

    net: Network
    database: Machine
    carrier: Machine
    node: Machine
    """Where that node is."""
    store: Store
    smsc: SmscProcess
    cut_off: Server
    other: Server
    ledger: Ledger = field(default_factory=Ledger)
    cuts: list[Cut] = field(default_factory=list)
    without_database: list[tuple[Instant, Instant]] = field(default_factory=list)
    """When the node may have been without it, the time included in which TCP found its way again."""
    seconds: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    @contextmanager
    def cut(self, ways: Sequence[Way]) -> Iterator[None]:
        """Cut these ways, and keep that as evidence."""
        begun = SystemClock().now()
        with self.net.cut(*ways) as made:
            yield
        self.cuts.append(made)
        if any(self.database in way for way in ways):
            self.without_database.append((begun, Instant(SystemClock().now() + VANISHED * SECOND)))

    def kept(self, received_at: Instant) -> Instant:
        """From when a receipt was in the database at the latest: that was perhaps out of reach when it came."""
        spans = self.without_database
        return max([received_at, *(end for begun, end in spans if begun <= received_at <= end)])

    async def takes(self, what: str, work: Awaitable[object]) -> None:
        """Note how long something took."""
        begun = monotonic()
        await work
        self.seconds[what].append(round((monotonic() - begun) / SECOND, 1))


@asynccontextmanager
async def site(net: Network, folder: Path) -> AsyncIterator[Site]:
    """A site; when it is left, all that happened there is judged."""
    database, carrier, node, beside = [net.machine(each) for each in ("database", "carrier", "one", "two")]
    async with AsyncExitStack() as until_end:
        url, by_socket = until_end.enter_context(postgres_on(database))
        between = until_end.enter_context(net.cut(*both(node, beside)))
        account = await prepare(by_socket)
        store = await until_end.enter_async_context(reading(by_socket))
        listening = ("--host", carrier.address)
        smsc = await until_end.enter_async_context(
            centre(folder / "record", (*listening, *ANSWERS), carrier.running(COMMAND))
        )
        settings = over_smpp(folder, smsc.port) | of_carrier(HOST=carrier.address, **WATCHFUL)
        servers = [Server(url, settings | {"HTTP__HOST": each.address}, account) for each in (node, beside)]
        for server, machine in zip(servers, (node, beside), strict=True):
            server.program = machine.running(HELIOGRAPH)
        cut_off, other = await until_end.enter_async_context(running(servers))
        here = Site(net, database, carrier, node, store, smsc, cut_off, other)
        yield here
        await judge(here)
    assert between.dropped == 0, "a node spoke to the other"


def of_carrier(**settings: str) -> dict[str, str]:
    """Settings of the carrier, by their last names."""
    return {f"CARRIERS__{CARRIER.upper()}__{name}": value for name, value in settings.items()}


async def judge(here: Site) -> None:
    """Once all has come to an end: what was promised, and that what was to happen did."""
    await settled(here.store)
    for server in (here.cut_off, here.other):
        await server.stop()
    await here.smsc.stop()
    stories, violations = await audited(here.store, here.ledger, here.smsc.submits(), kept=here.kept)
    print("packets dropped:", [each.dropped for each in here.cuts], "seconds:", dict(here.seconds))
    require_kept(violations)
    assert all(each.dropped for each in here.cuts), "a cut concerned nobody"
    assert doubted(stories), "no message was in hand when a node was cut off"
    assert "never retrieved" not in here.cut_off.log + here.other.log


Disaster = Callable[[Site, Client], Awaitable[None]]


async def endure(here: Site, chance: Random, disasters: Sequence[Disaster], patience: float = PATIENCE) -> None:
    """Load both nodes, and let one disaster after the other happen to that which is cut off.

    Whoever asks it takes an answer for lost after `patience`, seconds.
    """
    letters, over = Letters(chance), asyncio.Event()
    load = partial(storm, ledger=here.ledger, chance=chance, compose=letters, crowd=CROWD, between=BETWEEN)

    async def until_over(_: Server) -> None:
        await over.wait()

    async def cut_off(sender: Client) -> None:
        given = [partial(_happen, each, here, sender) for each in disasters]
        try:
            await load(here.cut_off, disasters=given, others=[here.other], patience=patience)
        finally:
            over.set()

    async with client(here.ledger, chance, letters, patience=patience) as sender, asyncio.TaskGroup() as storms:
        storms.create_task(cut_off(sender))
        storms.create_task(load(here.other, disasters=[until_over]))


async def _happen(disaster: Disaster, here: Site, sender: Client, _: Server) -> None:
    await disaster(here, sender)


# ------------------------------------------------------------------------------------------------------- the database


Meanwhile = Callable[[Site, Client], Awaitable[None]]


async def test_a_node_cut_off_from_its_database(net: Network, tmp_path: Path, chance: Random, scale: int) -> None:
    longer = [(how, what) for what in (told, told_when_asked, stopped) for how in (both, to, back)]
    cuts = [(both, told), (to, leases_end), (back, leases_end), *islice(cycle(longer), scale - 1)]
    async with site(net, tmp_path) as here:
        ways = [(how(here.node, here.database), what) for how, what in cuts]
        await endure(here, chance, [partial(from_database, each, what) for each, what in ways])


async def from_database(ways: Sequence[Way], meanwhile: Meanwhile, here: Site, sender: Client) -> None:
    """The other node goes on, and when it is over so does this one."""
    with here.cut(ways):
        await meanwhile(here, sender)
        await answers(here.other, sender)  # it was not cut off; how soon it answers is the machine's affair
    if not here.cut_off.up.is_set():
        await here.cut_off.start()
    await here.takes("until answers came again", answers(here.cut_off, sender))


async def leases_end(_: Site, __: Client) -> None:
    """What the node has in hand is judged by the other."""
    clock = SystemClock()
    await until(Instant(clock.now() + LEASES), clock)


async def told(here: Site, _: Client) -> None:
    """Clients are told that nothing is known, and the database does not keep the node's sessions for ever."""
    before = here.ledger.unavailable

    async def unavailable() -> bool:
        return here.ledger.unavailable > before

    async with asyncio.TaskGroup() as both_sides:
        both_sides.create_task(here.takes("until a first 503", seen(unavailable)))
        both_sides.create_task(here.takes("until no session was left", seen(partial(_alone, here))))


async def told_when_asked(here: Site, sender: Client) -> None:
    """Who asks only now waits for those before, on a connection that is no better."""
    await here.takes("until 503 for who asked then", lost(here, sender))


async def stopped(here: Site, sender: Client) -> None:
    """SIGTERM, as from an operator who sees that it is cut off."""
    await leases_end(here, sender)
    await here.takes("to stop", here.cut_off.stop())


async def answers(server: Server, sender: Client) -> None:
    """Ask a node until it acknowledges a message."""
    while await sender.send(server) is None:
        continue


async def lost(here: Site, sender: Client) -> None:
    """Ask the node until it does not acknowledge one."""
    while await sender.send(here.cut_off) is not None:
        continue


async def _alone(here: Site) -> bool:
    """Whether the database has no session of the node."""
    asked = text("SELECT count(*) AS count FROM pg_stat_activity WHERE host(client_addr) = :address")
    return not (await here.store.engine.fetch(asked, {"address": here.node.address}))[0]["count"]


# ------------------------------------------------------------------------------------------- the carrier, and everybody


async def test_a_node_cut_off_from_its_carrier_and_from_everybody(
    net: Network, tmp_path: Path, chance: Random, scale: int
) -> None:
    async with site(net, tmp_path) as here:
        others = (here.database, here.carrier, net.here)
        cuts = [partial(from_carrier, how(here.node, here.carrier)) for how in (both, to, back)]
        cuts += [partial(from_everybody, how(here.node, *others)) for how in (both, to, back)]
        await seen(partial(_links, here, up=True))
        await endure(here, chance, cuts * scale, patience=IMPATIENT)


async def from_carrier(ways: Sequence[Way], here: Site, sender: Client) -> None:
    """What is in flight is in doubt, the links are dead, and messages are still taken."""
    before = await in_doubt(here.store)
    with here.cut(ways):
        await seen(lambda: more_in_doubt(here.store, before))
        await here.takes("until the carrier was down", seen(partial(_links, here, up=False)))
        await answers(here.cut_off, sender)  # it takes what others send
    await here.takes("until it was up again", seen(partial(_links, here, up=True)))


async def _links(here: Site, *, up: bool) -> bool:
    """Whether each of the nodes has told that it reaches the carrier; or one that it does not."""
    told = [each.state.up for each in await here.store.carrier_states(Instant(0))]
    return told == [True, True] if up else not all(told)


async def from_everybody(ways: Sequence[Way], here: Site, sender: Client) -> None:
    """Its clients hear nothing either, and ask again."""
    with here.cut(ways):
        await asyncio.gather(leases_end(here, sender), lost(here, sender))
        await answers(here.other, sender)  # it was not cut off; how soon it answers is the machine's affair
    await here.takes("until answers came again", answers(here.cut_off, sender))
