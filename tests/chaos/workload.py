"""Nodes of one database in this process, messages for them, and clients that change their minds at the last moment."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from random import Random

from heliograph import randomness
from heliograph.carriers.interface import Abilities, Inbox, Taken
from heliograph.clock import Clock, SystemClock
from heliograph.dispatch.dispatcher import Dispatcher, DispatchOptions
from heliograph.dispatch.upkeep import Upkeep
from heliograph.domain.carriers import CarrierState
from heliograph.domain.ids import MessageId, OrganizationId, ProfileId
from heliograph.domain.instant import HOUR, MILLISECOND, SECOND, Instant
from heliograph.domain.lifecycle import Status, born
from heliograph.domain.message import Facts, Message, MessageType
from heliograph.domain.outcome import RepeatPolicy
from heliograph.domain.text import Encoding
from heliograph.service import Service
from heliograph.store.engine import open_engine
from heliograph.store.messages import Acceptance, Accepted, Cancellation
from heliograph.store.store import Store
from tests.chaos.auditor import Answer, Handed
from tests.chaos.evidence import Ledger

ORGANIZATION = OrganizationId("018bcfe5-0000-7000-8000-000000000001")
PROFILE = ProfileId("018bcfe5-0000-7000-8000-000000000002")
NO_LIMIT = 10**9
RESTARTS = 20

OPTIONS = DispatchOptions(
    window=64,
    lease=30 * SECOND,
    poll_interval=20 * MILLISECOND,
    unconfirmed_after=HOUR,
    retry_base=SECOND,
    retry_max=SECOND,
    drain_timeout=10 * SECOND,
    repeat_policy=RepeatPolicy.NEVER_TWICE,
)


def new_message(now: Instant, send_at: Instant | None, carrier: str = "witness") -> Message:
    """An SMS taken at `now`, for `send_at` or for at once, that is planned for `carrier`."""
    due = now if send_at is None else send_at
    return Message(
        id=MessageId(randomness.new_id(now)),
        organization_id=ORGANIZATION,
        profile_id=PROFILE,
        type=MessageType.SMS,
        status=born(scheduled=send_at is not None),
        sender="+18445550001",
        recipient="+15005550000",
        text="Your order is on its way.",
        parts=1,
        rate=400,
        carrier_fee=0,
        received_at=now,
        send_at=send_at,
        due_at=due,
        valid_until=Instant(due + HOUR),
        facts=Facts(Encoding.GSM7, 25),
        carrier=carrier,
    )


class Witness:
    """A carrier that notes what it is given, and when, before it answers."""

    name = "witness"
    abilities = Abilities(repeatable=False, receipts=False, mms=True)

    def __init__(self) -> None:
        self.changed: Callable[[], None] = lambda: None
        self.handed: list[Handed] = []
        self.room = NO_LIMIT
        self.up = True
        self._clock = SystemClock()

    def state(self) -> CarrierState:
        """It is always there."""
        return CarrierState(name=self.name, kind="witness", up=True)

    async def submit(self, message: Message, until: int) -> Taken:
        """Take everything."""
        self.handed.append(Handed(message.id, message.attempts, self._clock.now()))
        await asyncio.sleep(0)
        return Taken((f"witness-{message.id}",))

    def hold(self) -> None:
        """Nothing waits in it."""

    def resume(self) -> None:
        """Nothing waits in it."""

    async def start(self, inbox: Inbox) -> None:
        """Nothing to connect."""

    async def stop(self) -> None:
        """Nothing to disconnect."""


@dataclass(frozen=True, slots=True)
class Node:
    """One process of the service, without its HTTP."""

    store: Store
    dispatchers: Sequence[Dispatcher]


@asynccontextmanager
async def cluster(url: str, carrier: Witness, *, nodes: int, dispatchers: int) -> AsyncIterator[list[Node]]:
    """Nodes with a store each, as several processes on one database would have."""
    async with AsyncExitStack() as until_end:
        yield [await _start_node(until_end, url, carrier, dispatchers) for _ in range(nodes)]


async def _start_node(until_end: AsyncExitStack, url: str, carrier: Witness, dispatchers: int) -> Node:
    store = Store(open_engine(url, pool_size=4))
    node = Node(store, [Dispatcher(store, carrier, OPTIONS) for _ in range(dispatchers)])
    services: list[Service] = [store, *node.dispatchers, Upkeep(store, [carrier], OPTIONS.repeat_policy)]
    for service in services:
        await service.start()
        until_end.push_async_callback(service.stop)
    await store.accounts.refresh()
    return node


@dataclass(frozen=True, slots=True)
class Race:
    """How hard cancels and sends are driven against each other."""

    messages: int
    spread: int
    """Over how long the due instants are spread, in microseconds."""
    window: int
    """How far from its due instant a message is cancelled, at most, to either side."""


async def run_race(race: Race, nodes: Sequence[Node], ledger: Ledger, chance: Random) -> None:
    """Schedule messages, and cancel each of them about when it falls due, while a dispatcher stops and starts."""
    clock = nodes[0].store.clock
    first = clock.now() + 5 * SECOND
    moments = [Instant(first + chance.randrange(race.spread)) for _ in range(race.messages)]
    taken = await asyncio.gather(*(_schedule(chance.choice(nodes), ledger, moment) for moment in moments))
    assert clock.now() < first, "the messages were due before the race began"
    contenders = (_contend(race, nodes, ledger, message, chance) for message in taken)
    await asyncio.gather(_restart(nodes[0].dispatchers[0], ledger, race.messages), *contenders)


async def _restart(dispatcher: Dispatcher, ledger: Ledger, messages: int) -> None:
    """Stop and start again and again within the next so many answers: what it had claimed goes back."""
    begun = ledger.answers
    for count in range(1, RESTARTS + 1):
        await ledger.reached(begun + count * messages // RESTARTS)
        await dispatcher.stop()
        await dispatcher.start()


async def _schedule(node: Node, ledger: Ledger, send_at: Instant) -> Message:
    store = node.store
    message = new_message(store.clock.now(), send_at)
    assert (await store.accept(Acceptance([message], store.accounts.epoch, NO_LIMIT))).outcome is Accepted.TAKEN
    await ledger.took(message.id)
    return message


async def _contend(race: Race, nodes: Sequence[Node], ledger: Ledger, message: Message, chance: Random) -> None:
    """Cancel near the due instant, then once more at another node, as a client whose answer was late would."""
    assert message.send_at is not None
    # With no cut-off the clock keeps the sides apart. With less than none a message may be cancelled while it is being
    # claimed, and its status alone decides.
    cutoff = chance.choice((0, -SECOND))
    await until(Instant(message.send_at + chance.randint(-race.window, race.window)), nodes[0].store.clock)
    for node in chance.sample(nodes, 2):
        await _cancel(node, ledger, message.id, cutoff)


async def _cancel(node: Node, ledger: Ledger, message_id: MessageId, cutoff: int) -> None:
    store = node.store
    answer = await store.cancel(Cancellation(ORGANIZATION, message_id, cutoff, store.accounts.epoch))
    assert answer.message is not None
    cancelled = answer.message.status is Status.CANCELLED
    await ledger.cancelled(message_id, Answer.CANCELLED if cancelled else Answer.REFUSED)


async def until(moment: Instant, clock: Clock) -> None:
    """Return at `moment`: here a moment is what is tested, not a guess at how long something takes."""
    reached = asyncio.Event()
    asyncio.get_running_loop().call_later((moment - clock.now()) / SECOND, reached.set)
    await reached.wait()
