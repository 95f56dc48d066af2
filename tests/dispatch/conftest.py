"""A dispatcher, its carrier and its upkeep, on both databases; nothing runs by itself."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace

import pytest

from heliograph.carriers.sandbox import SandboxCarrier, SandboxOptions
from heliograph.dispatch.dispatcher import Dispatcher, DispatchOptions
from heliograph.dispatch.reception import Receptionist, ReceptionOptions
from heliograph.dispatch.time_travel import TimeTravel
from heliograph.dispatch.upkeep import Upkeep
from heliograph.domain.instant import HOUR, MINUTE, SECOND, Instant
from heliograph.domain.outcome import RepeatPolicy
from heliograph.server import load_tables
from heliograph.settings import Settings
from heliograph.store.engine import open_engine
from heliograph.store.store import Store
from tests.builders import PLANNER

OPTIONS = DispatchOptions(
    window=64,
    lease=30 * SECOND,
    poll_interval=SECOND // 5,
    unconfirmed_after=4 * HOUR,
    retry_base=SECOND,
    retry_max=MINUTE,
    drain_timeout=10 * SECOND,
    repeat_policy=RepeatPolicy.NEVER_TWICE,
)
TABLES = load_tables(Settings())
SANDBOX = SandboxOptions(receipt_delay=SECOND, slow_delay=30 * SECOND, answer_delay=0, repeatable=False)


@dataclass
class House:
    """Everything between the store and the handsets."""

    store: Store
    carrier: SandboxCarrier
    dispatcher: Dispatcher
    upkeep: Upkeep
    travel: TimeTravel

    async def advance(self, micros: int) -> None:
        """Move the test clock, doing what falls due on the way."""
        await self.travel.advance(Instant(self.store.clock.now() + micros))


Build = Callable[..., House]


@pytest.fixture
async def store(prepared_database_url: str) -> AsyncIterator[Store]:
    """A store on a fresh database, with the test clock at hand."""
    opened = Store(open_engine(prepared_database_url, sandbox=True))
    await opened.start()
    yield opened
    await opened.stop()


@pytest.fixture
def build(store: Store) -> Build:
    """Builds a house over the store, with some options changed."""

    def make(*, repeatable: bool = False, policy: RepeatPolicy = RepeatPolicy.NEVER_TWICE, **options: int) -> House:
        carrier = SandboxCarrier(store.sandbox, store.clock, replace(SANDBOX, repeatable=repeatable))
        carrier.inbox = Receptionist(
            store, TABLES, ReceptionOptions(HOUR, HOUR, cancel_pending=True, replies=True), PLANNER
        )
        dispatcher = Dispatcher(store, carrier, replace(OPTIONS, repeat_policy=policy, **options))
        upkeep = Upkeep(store, [carrier], policy)
        travel = TimeTravel(store, [upkeep.tidy, dispatcher.settle, carrier.deliver_receipts])
        return House(store, carrier, dispatcher, upkeep, travel)

    return make


@pytest.fixture
def house(build: Build) -> House:
    """A house with the usual options."""
    return build()
