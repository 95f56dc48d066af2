"""Which leases the upkeep of a process decides about."""

from dataclasses import replace

from heliograph.dispatch.upkeep import Upkeep
from heliograph.domain.instant import HOUR, SECOND
from heliograph.domain.message import Message
from heliograph.domain.outcome import RepeatPolicy
from heliograph.store.store import Store
from tests.builders import advance, claim
from tests.dispatch.scripted import PLAIN, Scripted
from tests.store.doubting import late, reported
from tests.store.histories import history, overdue

AGAIN = Scripted("again", abilities=replace(PLAIN, repeatable=True))
PLAIN_ONE = Scripted("plain")


def upkeep(store: Store, *carriers: Scripted) -> Upkeep:
    return Upkeep(store, carriers, RepeatPolicy.NEVER_TWICE)


async def lost_lease(store: Store, carrier: str) -> Message:
    message = await overdue(store, carrier=carrier)
    await claim(store, carrier=carrier, lease=0)
    return message


async def test_a_process_without_a_carrier_leaves_its_leases_to_those_that_have_it(store: Store) -> None:
    message = await lost_lease(store, "again")
    for stranger in (upkeep(store), upkeep(store, PLAIN_ONE)):
        assert not (await stranger.tidy()).any
    assert (await upkeep(store, PLAIN_ONE, AGAIN).tidy()).recovered == 1
    assert await history(store, message) == ["claim", "recover"]


async def test_a_process_decides_about_the_leases_of_its_own_carriers(store: Store) -> None:
    message = await lost_lease(store, "plain")
    assert (await upkeep(store, AGAIN, PLAIN_ONE).tidy()).lost == 1
    assert await history(store, message) == ["claim", "lose"]


async def test_doubts_that_begin_and_that_are_settled_keep_it_attentive(store: Store) -> None:
    tells = Scripted("tells", abilities=replace(PLAIN, settles=True))
    messages = [await lost_lease(store, "tells"), await lost_lease(store, "tells")]
    looking = Upkeep(store, [tells], RepeatPolicy.NEVER_TWICE, {"tells": HOUR})
    done = await looking.tidy()
    assert (done.doubted, done.any, done.full) == (2, True, False)
    assert not (await looking.tidy()).any
    # Between the same two numbers it can be about either of them, until one is known.
    await reported(store, messages[0], "c1", carrier="tells")
    assert not (await looking.tidy()).any
    await late(store, messages[1], "c2", carrier="tells")
    assert (await looking.tidy()).matched == 1
    assert [(await history(store, each))[-1] for each in messages] == ["deliver", "accept"]
    assert not (await looking.tidy()).any


async def test_a_carrier_that_no_process_has_any_more_is_given_up_after_an_hour(store: Store) -> None:
    message = await lost_lease(store, "gone")
    await advance(store, HOUR - SECOND)
    assert not (await upkeep(store, AGAIN).tidy()).any
    await advance(store, 2 * SECOND)
    assert (await upkeep(store, AGAIN).tidy()).lost == 1
    assert await history(store, message) == ["claim", "lose"]
