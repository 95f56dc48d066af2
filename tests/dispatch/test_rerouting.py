"""What waits for a carrier that is down is given to the next one."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from heliograph.carriers.interface import OutcomeUnknown, TemporarilyRefused
from heliograph.clock import monotonic
from heliograph.dispatch import rerouting as module
from heliograph.dispatch.rerouting import told_lately
from heliograph.domain.carriers import CarrierState
from heliograph.domain.instant import HOUR, MINUTE, SECOND, Instant
from heliograph.domain.lifecycle import Status
from heliograph.domain.nodes import DEAD, Node, Role
from heliograph.domain.routes import Route, Share
from heliograph.service import Loop
from heliograph.store.engine import StoreUnavailable
from heliograph.store.store import Store
from tests.builders import accepted, advance
from tests.dispatch.scripted import BUSY, UNKNOWN, Depot, Scripted, depot
from tests.store.histories import history, overdue, read


async def carrier_of(store: Store, message: Any) -> str | None:
    return (await read(store, message)).carrier


async def test_what_waits_for_a_carrier_that_is_down_is_moved_and_sent(store: Store) -> None:
    house = depot(store, Scripted("one", room=0, up=False), Scripted("two"))
    made = [await overdue(store, carrier="one") for _ in range(5)]
    assert await house.rerouting.look() == 5
    await house.settle()
    assert house.given == ["two"] * 5
    assert [(await read(store, each)).status for each in made] == [Status.SENT] * 5


async def test_a_carrier_that_is_up_keeps_what_waits_for_it(store: Store) -> None:
    house = depot(store, Scripted("one", room=0), Scripted("two"))
    message = await overdue(store, carrier="one")
    assert await house.rerouting.look() == 0
    assert await carrier_of(store, message) == "one"


async def test_however_seldom_it_looks_one_that_goes_down_is_told_and_looked_after_at_once(store: Store) -> None:
    house = depot(store, Scripted("one", room=0), Scripted("two"))
    message = await overdue(store, carrier="one")
    assert await house.rerouting.run_pass() == module.INTERVAL
    house.carriers[0].up = False
    assert await house.rerouting.run_pass() == module.INTERVAL
    assert await carrier_of(store, message) == "two"
    assert {each.state.name: each.state.up for each in await told_lately(store)} == {"one": False, "two": True}


async def test_while_all_are_up_it_tells_without_looking(store: Store) -> None:
    house = depot(store, Scripted("one"))
    house.rerouting._looked = monotonic() + HOUR
    await house.rerouting.run_pass()
    assert [each.state.name for each in await told_lately(store)] == ["one"]
    assert house.rerouting._usable == frozenset()
    house.rerouting._looked = monotonic() - module.STEADY
    await house.rerouting.run_pass()
    assert house.rerouting._usable == {"one"}


async def test_a_carrier_that_is_down_for_a_moment_keeps_it_too(store: Store) -> None:
    house = depot(store, Scripted("one", up=False), Scripted("two"), grace=HOUR)
    message = await overdue(store, carrier="one")
    for _ in range(3):
        assert await house.rerouting.look() == 0
    assert await carrier_of(store, message) == "one"


async def test_the_grace_begins_anew_with_every_outage(store: Store) -> None:
    house = depot(store, Scripted("one", up=False), Scripted("two"), grace=HOUR)
    await house.rerouting.look()
    first = dict(house.rerouting._down_since)
    house.carriers[0].up = True
    await house.rerouting.look()
    assert house.rerouting._down_since == {}
    house.carriers[0].up = False
    await house.rerouting.look()
    assert house.rerouting._down_since["one"] > first["one"]


async def test_where_no_other_is_up_it_waits(store: Store) -> None:
    house = depot(store, Scripted("one", up=False), Scripted("two", up=False))
    message = await overdue(store, carrier="one")
    assert await house.rerouting.look() == 0
    assert await carrier_of(store, message) == "one"


async def test_what_is_not_due_waits_until_it_is(store: Store) -> None:
    house = depot(store, Scripted("one", up=False), Scripted("two"))
    message = await accepted(store, send_in=MINUTE, carrier="one")
    assert await house.rerouting.look() == 0
    await advance(store, 2 * MINUTE)
    assert await house.rerouting.look() == 1
    await house.settle()
    assert await history(store, message) == ["claim", "accept"]


async def test_what_it_may_have_or_has_in_part_stays(store: Store) -> None:
    answers: list[Any] = [OutcomeUnknown(UNKNOWN), TemporarilyRefused(BUSY, ("a",), 2)]
    house = depot(store, Scripted("one", answers), Scripted("two"), policy="rather_twice")
    made = [await overdue(store, carrier="one", parts=2) for _ in range(2)]
    await house.dispatchers[0].settle()
    house.carriers[0].up = False
    await advance(store, 10 * MINUTE)
    assert await house.rerouting.look() == 0
    assert [await carrier_of(store, each) for each in made] == ["one", "one"]


async def test_only_where_its_routes_lead_is_it_moved(store: Store) -> None:
    everywhere = Route(name="all", carriers=(Share("one"),))
    british = Route(name="uk", carriers=(Share("two"),), to=("+44",))
    house = depot(store, Scripted("one", up=False), Scripted("two"), routes=(everywhere, british))
    american, other = (
        await overdue(store, carrier="one"),
        await overdue(store, carrier="one", recipient="+447400123456"),
    )
    assert await house.rerouting.look() == 1
    assert [await carrier_of(store, each) for each in (american, other)] == ["one", "two"]


async def test_what_cannot_be_moved_does_not_stand_before_what_can(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 3)
    everywhere = Route(name="all", carriers=(Share("one"),))
    british = Route(name="uk", carriers=(Share("two"),), to=("+44",))
    house = depot(store, Scripted("one", up=False), Scripted("two"), routes=(everywhere, british))
    for age in range(7, 0, -1):
        await overdue(store, carrier="one", due_at=Instant(store.clock.now() - age * MINUTE))
    last = await overdue(store, carrier="one", recipient="+447400123456")
    assert [await house.rerouting.look() for _ in range(3)] == [0, 0, 1]
    assert await carrier_of(store, last) == "two"


# ---------------------------------------------------------------------------------------------------- several processes


async def test_down_only_here_it_is_left_to_those_that_reach_it(store: Store) -> None:
    here = depot(store, Scripted("one", up=False), Scripted("two"))
    there = depot(store, Scripted("one"), Scripted("two"))
    message = await overdue(store, carrier="one")
    await there.rerouting.look()
    assert await here.rerouting.look() == 0
    assert "one" in here.rerouting.usable()
    await there.settle()
    assert await carrier_of(store, message) == "one"


async def test_a_process_that_stopped_is_not_counted_on(store: Store) -> None:
    here = depot(store, Scripted("one", up=False), Scripted("two"))
    there = depot(store, Scripted("one"), Scripted("two"))
    await there.rerouting.start()
    await there.rerouting.wait_passed(1)
    await there.rerouting.stop()
    await overdue(store, carrier="one")
    assert await here.rerouting.look() == 1


async def test_a_process_that_vanished_is_not_counted_on_for_long(store: Store) -> None:
    here = depot(store, Scripted("one", up=False), Scripted("two"))
    there = depot(store, Scripted("one"), Scripted("two"))
    await there.rerouting.look()
    await advance(store, 4 * MINUTE)
    await overdue(store, carrier="one")
    assert await here.rerouting.look() == 1


async def test_processes_that_look_at_once_move_each_message_once(store: Store) -> None:
    houses = [depot(store, Scripted("one", up=False), Scripted("two"), Scripted("three")) for _ in range(3)]
    for _ in range(20):
        await overdue(store, carrier="one")
    moved = await asyncio.gather(*(each.rerouting.look() for each in houses))
    assert sum(moved) == 20


# --------------------------------------------------------------------------------------------------------------- strays


@pytest.mark.parametrize("carrier", [None, "gone"])
async def test_what_waits_for_nobody_here_is_adopted(store: Store, carrier: str | None) -> None:
    house = depot(store, Scripted("one"), Scripted("two"))
    message = await overdue(store, carrier=carrier)
    assert await house.rerouting.look() == 1
    await house.settle()
    assert await carrier_of(store, message) == "one"
    assert await history(store, message) == ["claim", "accept"]


async def test_a_stray_is_adopted_though_nobody_is_up(store: Store) -> None:
    house = depot(store, Scripted("one", up=False), Scripted("two", up=False))
    message = await overdue(store, carrier=None)
    assert await house.rerouting.look() == 1
    assert await carrier_of(store, message) == "one"


async def test_what_waits_for_another_processs_carrier_is_no_stray(store: Store) -> None:
    here, there = depot(store, Scripted("one")), depot(store, Scripted("theirs"))
    message = await overdue(store, carrier="theirs")
    await there.rerouting.look()
    assert await here.rerouting.look() == 0
    assert await carrier_of(store, message) == "theirs"


async def test_a_stray_that_no_route_leads_for_waits(store: Store) -> None:
    british = (Route(name="uk", carriers=(Share("one"),), to=("+44",)),)
    house = depot(store, Scripted("one"), routes=british)
    message = await overdue(store, carrier="gone")
    assert await house.rerouting.look() == 0
    assert await carrier_of(store, message) == "gone"


async def test_how_carriers_stand_is_told(store: Store) -> None:
    house = depot(store, Scripted("one"), Scripted("two", up=False))
    await house.rerouting.look()
    told = await store.carrier_states(Instant(0))
    assert {each.state.name: each.state.up for each in told} == {"one": True, "two": False}
    assert set(house.rerouting.usable()) == {"one"}


# ------------------------------------------------------------------------------------------------ how often it is told


class Steady(Scripted):
    """Stands as it is, as the simulated carrier does."""

    def state(self) -> CarrierState:
        """Up, with what it took."""
        return CarrierState(name=self.name, kind="scripted", up=True, taken=len(self.given), steady=True)


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What may be told again later may be told at once."""
    monkeypatch.setattr(module, "FIGURES_TOLD", 0)
    monkeypatch.setattr(module, "TOLD_AGAIN", 0)


async def commits(store: Store, house: Depot, looks: int) -> int:
    """How many commits so many looks make."""
    before = store.writer.commits
    for _ in range(looks):
        await house.rerouting.look()
    return store.writer.commits - before


@pytest.mark.usefixtures("_impatient")
async def test_of_a_steady_carrier_that_is_idle_nothing_is_written(store: Store) -> None:
    house = depot(store, Steady("one"))
    assert await commits(store, house, 5) == 1
    await overdue(store, carrier="one")
    await house.settle()
    assert await commits(store, house, 5) == 1


@pytest.mark.usefixtures("_impatient")
async def test_of_another_it_is_told_again_that_it_is_there(store: Store) -> None:
    assert await commits(store, depot(store, Scripted("one")), 5) == 5


async def test_of_an_idle_carrier_little_is_written(store: Store) -> None:
    assert await commits(store, depot(store, Scripted("one")), 5) == 1
    assert module.FRESH >= 3 * module.TOLD_AGAIN >= 3 * MINUTE


async def test_when_the_test_clock_moves_carriers_are_told_of_again(store: Store) -> None:
    house = depot(store, Steady("one"), Scripted("two"))
    await house.rerouting.look()
    await advance(store, 100 * HOUR)
    await house.rerouting.look()
    assert {each.state.name for each in await store.carrier_states(Instant(store.clock.now() - MINUTE))} == {
        "one",
        "two",
    }


async def test_the_last_word_of_a_steady_carrier_counts_until_it_is_taken_back(store: Store) -> None:
    houses = [depot(store, Steady("one"), Scripted("two")) for _ in range(2)]
    for house in houses:
        await house.rerouting.start()
        await house.rerouting.wait_passed(1)
    assert sorted(each.state.name for each in await told_lately(store)) == ["one", "one", "two", "two"]
    for house in houses:
        # Nothing is told any more, as when the process was killed.
        await Loop.stop(house.rerouting)
    await advance(store, HOUR)
    assert [each.state.name for each in await told_lately(store)] == ["one"]
    for house in houses:
        await store.rerouting.forget(house.rerouting._node)
    assert await told_lately(store) == []


async def test_the_last_word_of_a_steady_carrier_does_not_count_once_its_process_is_dead(store: Store) -> None:
    house = depot(store, Steady("one"))
    await house.rerouting.look()
    node = Node(house.rerouting._node, Role.WORKER, "a.example", 7, "1.2")
    await store.nodes.tell(node)
    await advance(store, DEAD - SECOND)
    assert [each.state.name for each in await told_lately(store)] == ["one"]
    await advance(store, HOUR)
    assert await told_lately(store) == []
    await store.nodes.tell(node)
    assert [each.state.name for each in await told_lately(store)] == ["one"]


# -------------------------------------------------------------------------------------------------------- log and stop


@pytest.mark.parametrize(("carrier", "why"), [("one", "no process reaches its carrier"), ("gone", "no process has it")])
async def test_the_log_says_from_whom_to_whom_and_why(store: Store, carrier: str, why: str) -> None:
    house = depot(store, Scripted("one", up=False), Scripted("two"))
    for _ in range(2):
        await overdue(store, carrier=carrier)
    with capture_logs() as logs:
        await house.rerouting.look()
    (line,) = [each for each in logs if each.get("action") == "rerouted"]
    assert (line["from"], line["to"], line["count"], line["why"]) == (carrier, "two", 2, why)


async def test_a_stop_without_a_database_ends(store: Store) -> None:
    house = depot(store, Scripted("one"))
    await house.rerouting.start()
    await house.rerouting.wait_passed(1)

    async def away(node: str) -> None:
        raise StoreUnavailable(f"away: {node}")

    store.rerouting.forget = away  # type: ignore[method-assign]  # the way to the database is cut
    with capture_logs() as logs:
        await house.rerouting.stop()
    assert [each["action"] for each in logs if each["log_level"] == "warning"] == ["not_forgotten"]
