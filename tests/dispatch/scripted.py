"""Carriers that do as they are told, and a house with several of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from heliograph.carriers.interface import Abilities, CarrierFailure, Inbox, Taken
from heliograph.clock import monotonic
from heliograph.dispatch.dispatcher import Dispatcher
from heliograph.dispatch.rerouting import Rerouting
from heliograph.dispatch.upkeep import Upkeep
from heliograph.domain.carriers import CarrierState
from heliograph.domain.errors import Code
from heliograph.domain.instant import HOUR
from heliograph.domain.message import Message
from heliograph.domain.outcome import RepeatPolicy, delivery_error
from heliograph.domain.planning import Planner
from heliograph.domain.routes import RoutingTable, in_order
from heliograph.store.store import Store
from tests.builders import new_id
from tests.dispatch.conftest import OPTIONS

BUSY = delivery_error(Code.SERVER_UNAVAILABLE, "Not now.")
NEVER = delivery_error(Code.UNDELIVERABLE, "Never.")
UNKNOWN = delivery_error(Code.OUTCOME_UNKNOWN, "The link was lost.")

PLAIN = Abilities(repeatable=False, receipts=True, mms=True)
Answer = Callable[[Message], Taken] | CarrierFailure | Exception | Taken


def _nothing() -> None:
    pass


@dataclass
class Scripted:
    """A carrier that answers from a list, and takes everything after its end."""

    name: str
    answers: list[Answer] = field(default_factory=list)
    abilities: Abilities = PLAIN
    room: int = 100
    up: bool = True
    given: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Nobody waits for it yet."""
        self.changed: Callable[[], None] = _nothing

    def state(self) -> CarrierState:
        """How it stands."""
        return CarrierState(name=self.name, kind="scripted", up=self.up)

    async def submit(self, message: Message, until: int) -> Taken:
        """The next answer."""
        assert monotonic() < until
        self.given.append(message)
        answer = self.answers.pop(0) if self.answers else Taken((f"{self.name}-{message.id}",))
        if callable(answer):
            return answer(message)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def hold(self) -> None:
        """Nothing waits in it."""

    def resume(self) -> None:
        """Nothing waits in it."""

    async def start(self, inbox: Inbox) -> None:
        """Nothing to connect."""

    async def stop(self) -> None:
        """Nothing to disconnect."""


@dataclass
class Depot:
    """A store with several carriers, a dispatcher for each, in the order in which they are to be tried."""

    store: Store
    carriers: Sequence[Scripted]
    dispatchers: Sequence[Dispatcher]
    rerouting: Rerouting
    upkeep: Upkeep

    async def settle(self) -> None:
        """Every dispatcher sends what is due, until nothing is."""
        before = -1
        while before != (before := sum(len(each.given) for each in self.carriers)):
            for each in self.dispatchers:
                await each.settle()

    @property
    def given(self) -> list[str]:
        """Who was given something, carrier by carrier."""
        return [each.name for each in self.carriers for _ in each.given]


def depot(store: Store, *carriers: Scripted, routes: Any = None, policy: str = "never_twice", **options: Any) -> Depot:
    """A house whose rerouting has no patience."""
    names = [each.name for each in carriers]
    mms = [each.name for each in carriers if each.abilities.mms]
    planner = Planner(RoutingTable(routes or in_order(names), mms), mms)
    rerouting = Rerouting(store, carriers, planner, new_id(store), grace=options.pop("grace", 0))
    chosen = replace(OPTIONS, repeat_policy=RepeatPolicy(policy), settle_after=HOUR, **options)
    dispatchers = [Dispatcher(store, each, chosen, planner, rerouting.usable) for each in carriers]
    settle_after = dict.fromkeys(names, HOUR)
    return Depot(store, carriers, dispatchers, rerouting, Upkeep(store, carriers, RepeatPolicy(policy), settle_after))
