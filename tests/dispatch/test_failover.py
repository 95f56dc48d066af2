"""What follows from a carrier's failure: the next carrier, another try, a doubt or an end."""

import asyncio
from typing import Any

import pytest

from heliograph.carriers.interface import (
    Abilities,
    CarrierFailure,
    OutcomeUnknown,
    Refused,
    Taken,
    TemporarilyRefused,
    Throttled,
    Unreachable,
)
from heliograph.domain.errors import Code
from heliograph.domain.instant import HOUR, MINUTE, SECOND, Instant
from heliograph.domain.lifecycle import Status
from heliograph.domain.message import MessageType, Progress
from heliograph.domain.outcome import CANNOT_CARRY
from heliograph.domain.receipt import Receipt
from heliograph.store.doubts import Settlement
from heliograph.store.store import Store
from tests.builders import accepted, advance, new_id
from tests.dispatch.scripted import BUSY, NEVER, UNKNOWN, Depot, Scripted, depot
from tests.store.histories import history, overdue, read

SETTLES = Abilities(repeatable=False, receipts=True, mms=True, settles=True)
REPEATABLE = Abilities(repeatable=True, receipts=True, mms=True)
NO_MMS = Abilities(repeatable=False, receipts=True, mms=False)


async def lost_before_the_answer(house: Depot) -> None:
    """What is due is claimed, its lease ends, and only then the carrier answers."""
    (claimed,) = await house.dispatchers[0].claim(10)
    await advance(house.store, MINUTE)
    await house.upkeep.tidy()
    await house.dispatchers[0].send(claimed)


def busy(times: int = 1) -> list[Any]:
    return [TemporarilyRefused(BUSY) for _ in range(times)]


# ---------------------------------------------------------------------------------------------------- refused for now


async def test_what_one_refuses_for_now_the_next_is_given_at_once(store: Store) -> None:
    house = depot(store, Scripted("one", busy()), Scripted("two"))
    message = await overdue(store, carrier="one")
    await house.settle()
    found = await read(store, message)
    assert (found.status, found.carrier) == (Status.SENT, "two")
    assert await history(store, message) == ["claim", "defer", "claim", "accept"]
    assert house.given == ["one", "two"]


async def test_when_all_refuse_it_waits_and_each_is_asked_again(store: Store) -> None:
    house = depot(store, Scripted("one", busy()), Scripted("two", busy()))
    message = await overdue(store, carrier="one")
    await house.settle()
    assert house.given == ["one", "two"]
    waiting = await read(store, message)
    assert (waiting.status, waiting.carrier) == (Status.SENDING, "one")
    assert waiting.due_at is not None
    assert waiting.due_at > store.clock.now()
    await advance(store, MINUTE)
    await house.settle()
    assert house.given == ["one", "one", "two"]
    assert await history(store, message) == ["claim", "defer"] * 2 + ["claim", "accept"]


async def test_three_that_refuse_are_each_asked_once_in_a_round(store: Store) -> None:
    carriers = [Scripted(name, busy(3)) for name in ("one", "two", "three")]
    house = depot(store, *carriers)
    await overdue(store, carrier="one")
    for asked in (1, 2, 3):
        await house.settle()
        assert [len(each.given) for each in carriers] == [asked] * 3
        await advance(store, 5 * MINUTE)


async def test_a_carrier_that_nobody_reaches_is_not_the_next(store: Store) -> None:
    house = depot(store, Scripted("one", busy()), Scripted("two", up=False), Scripted("three"))
    await overdue(store, carrier="one")
    await house.settle()
    assert house.given == ["one", "three"]


async def test_alone_it_waits_for_the_same_carrier(store: Store) -> None:
    house = depot(store, Scripted("one", busy()))
    message = await overdue(store, carrier="one")
    await house.settle()
    assert house.given == ["one"]
    await advance(store, MINUTE)
    await house.settle()
    assert await history(store, message) == ["claim", "defer", "claim", "accept"]


async def test_the_wait_grows_with_every_try(store: Store) -> None:
    house = depot(store, Scripted("one", busy(8)))
    message = await overdue(store, carrier="one", valid_until=Instant(store.clock.now() + 100 * HOUR))
    waits = []
    for _ in range(8):
        await house.settle()
        due = (await read(store, message)).due_at
        assert due is not None
        waits.append(due - store.clock.now())
        await advance(store, 2 * MINUTE)
    assert waits[0] <= 2 * SECOND
    assert waits[7] > 10 * SECOND


# ---------------------------------------------------------------------------------------------------- refused for good


async def test_what_is_refused_for_good_goes_to_nobody_else(store: Store) -> None:
    house = depot(store, Scripted("one", [Refused(NEVER)]), Scripted("two"))
    message = await overdue(store, carrier="one")
    await house.settle()
    found = await read(store, message)
    assert (found.status, found.errors, found.charged) == (Status.SENDING_FAILED, (NEVER,), True)
    assert house.given == ["one"]


async def test_an_mms_is_not_given_to_a_carrier_without_mms_and_costs_nothing(store: Store) -> None:
    house = depot(store, Scripted("one", abilities=NO_MMS))
    message = await overdue(store, carrier="one", type=MessageType.MMS)
    await house.settle()
    found = await read(store, message)
    assert (found.status, found.errors, found.charged) == (Status.SENDING_FAILED, (CANNOT_CARRY,), False)
    assert house.given == []


async def test_an_mms_that_one_refuses_for_now_goes_on_to_one_with_mms(store: Store) -> None:
    house = depot(store, Scripted("one", busy()), Scripted("two", abilities=NO_MMS), Scripted("three"))
    await overdue(store, carrier="one", type=MessageType.MMS)
    await house.settle()
    assert house.given == ["one", "three"]


# -------------------------------------------------------------------------------------------------------------- unknown


@pytest.mark.parametrize("failure", [OutcomeUnknown(UNKNOWN), RuntimeError("a bug")])
async def test_what_one_may_have_is_nobody_elses(store: Store, failure: Exception) -> None:
    house = depot(store, Scripted("one", [failure]), Scripted("two"))
    message = await overdue(store, carrier="one")
    await house.settle()
    await advance(store, HOUR)
    await house.rerouting.look()
    await house.settle()
    assert house.given == ["one"]
    found = await read(store, message)
    assert (found.status, found.errors[0].code) == (Status.DELIVERY_UNCONFIRMED, Code.OUTCOME_UNKNOWN)
    assert await history(store, message) == ["claim", "lose"]


async def test_where_the_carrier_may_tell_it_is_waited_for(store: Store) -> None:
    house = depot(store, Scripted("one", [OutcomeUnknown(UNKNOWN, (None,))], SETTLES), Scripted("two"))
    message = await overdue(store, carrier="one")
    await house.settle()
    assert (await read(store, message)).status is Status.SENDING
    await advance(store, HOUR + SECOND)
    await house.upkeep.tidy()
    assert await history(store, message) == ["claim", "doubt", "lose"]
    assert house.given == ["one"]


async def test_a_carrier_that_recognises_repeats_is_given_it_again_and_no_other(store: Store) -> None:
    house = depot(store, Scripted("one", [OutcomeUnknown(UNKNOWN), *busy(2)], REPEATABLE), Scripted("two"))
    message = await overdue(store, carrier="one")
    for _ in range(4):
        await house.settle()
        await house.rerouting.look()
        await advance(store, MINUTE)
    assert house.given == ["one"] * 4
    assert await history(store, message) == ["claim", "defer"] * 3 + ["claim", "accept"]


async def test_what_was_in_doubt_and_is_refused_later_is_unknown(store: Store) -> None:
    house = depot(store, Scripted("one", [OutcomeUnknown(UNKNOWN), Refused(NEVER)]), policy="rather_twice")
    message = await overdue(store, carrier="one")
    await house.settle()
    await advance(store, MINUTE)
    await house.settle()
    found = await read(store, message)
    assert (found.status, found.errors[0].code) == (Status.DELIVERY_UNCONFIRMED, Code.OUTCOME_UNKNOWN)
    assert found.errors[0].detail == "Never. An earlier try may or may not have reached the carrier."


async def test_what_a_carrier_that_recognises_repeats_refuses_it_never_took(store: Store) -> None:
    house = depot(store, Scripted("one", [OutcomeUnknown(UNKNOWN), Refused(NEVER)], REPEATABLE))
    message = await overdue(store, carrier="one")
    await house.settle()
    await advance(store, MINUTE)
    await house.settle()
    assert (await read(store, message)).status is Status.SENDING_FAILED


async def test_rather_twice_begins_again_after_the_parts_that_are_known(store: Store) -> None:
    lost = OutcomeUnknown(UNKNOWN, ("a", None), 3)
    house = depot(store, Scripted("one", [lost, Taken(("a", "b", "c"))]), policy="rather_twice")
    message = await overdue(store, carrier="one", parts=3)
    await house.settle()
    await advance(store, MINUTE)
    await house.settle()
    assert house.carriers[0].given[1].progress == Progress("one", ("a",), 3)
    assert await history(store, message) == ["claim", "defer", "claim", "accept"]


# ------------------------------------------------------------------------------------------------------- taken in part


FAILURES: list[CarrierFailure] = [
    TemporarilyRefused(BUSY, ("a",), 3),
    Throttled(BUSY, ("a",), 3),
    Unreachable(BUSY, ("a",), 3),
]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda each: type(each).__name__)
async def test_what_one_has_in_part_stays_with_it(store: Store, failure: CarrierFailure) -> None:
    house = depot(store, Scripted("one", [failure, Taken(("a", "b", "c"))]), Scripted("two"))
    message = await overdue(store, carrier="one", parts=3)
    await house.settle()
    await house.rerouting.look()
    await advance(store, MINUTE)
    await house.settle()
    assert house.given == ["one", "one"]
    assert house.carriers[0].given[1].progress == Progress("one", ("a",), 3)
    assert await history(store, message) == ["claim", "defer", "claim", "accept"]


async def test_what_was_begun_says_when_it_left(store: Store) -> None:
    house = depot(store, Scripted("one", [TemporarilyRefused(BUSY, ("a",), 2)]))
    message = await overdue(store, carrier="one", parts=2)
    await house.settle()
    assert (await read(store, message)).left_at is not None


async def test_what_was_taken_whole_is_known_by_each_part(store: Store) -> None:
    house = depot(store, Scripted("one", [Taken(("a", "b"))]))
    message = await overdue(store, carrier="one", parts=2)
    await house.settle()
    for each in "ab":
        await store.keep_receipt(Receipt(new_id(store), "one", each, "deliver", store.clock.now()))  # type: ignore[arg-type]  # a word of Change
    assert await history(store, message) == ["claim", "accept", "deliver"]


# -------------------------------------------------------------------------------------------- no room, and no way there


def closing(carrier: Scripted, failure: CarrierFailure) -> Any:
    """An answer after which the carrier wants no more."""

    def answer(_: object) -> Taken:
        carrier.room = 0
        raise failure

    return answer


@pytest.mark.parametrize("failure", [Throttled(BUSY), Unreachable(BUSY)], ids=lambda each: type(each).__name__)
async def test_what_was_too_much_keeps_its_place_and_its_carrier(store: Store, failure: CarrierFailure) -> None:
    one = Scripted("one")
    one.answers = [closing(one, failure)]
    house = depot(store, one, Scripted("two"), window=1)
    made = [await overdue(store, carrier="one") for _ in range(3)]
    await house.settle()
    assert house.given == ["one"]
    one.room = 10
    await house.settle()
    assert [each.id for each in one.given] == [made[0].id, *(each.id for each in made)]
    assert await history(store, made[0]) == ["claim", "defer", "claim", "accept"]


async def test_while_there_is_no_room_nothing_is_claimed(store: Store) -> None:
    house = depot(store, Scripted("one", room=0))
    message = await overdue(store, carrier="one")
    assert await house.dispatchers[0].run_pass() == house.dispatchers[0]._options.poll_interval
    await house.settle()
    assert await history(store, message) == []


async def test_no_more_is_claimed_than_there_is_room_for(store: Store) -> None:
    house = depot(store, Scripted("one", room=2))
    for _ in range(5):
        await overdue(store, carrier="one")
    assert len(await house.dispatchers[0].claim(house.carriers[0].room)) == 2


async def test_a_carrier_that_has_room_again_wakes_its_dispatcher(store: Store) -> None:
    house = depot(store, Scripted("one", room=0), poll_interval=HOUR)
    (dispatcher,), (carrier,) = house.dispatchers, house.carriers
    await dispatcher.start()
    await dispatcher.wait_passed(1)
    message = await overdue(store, carrier="one")
    carrier.room = 10
    carrier.changed()
    while (await read(store, message)).status is not Status.SENT:
        await dispatcher.wait_passed(dispatcher.passed + 1)
    await dispatcher.stop()


async def test_with_room_left_what_was_throttled_waits_like_anything_refused_for_now(store: Store) -> None:
    house = depot(store, Scripted("one", [Throttled(BUSY)]), Scripted("two"))
    message = await overdue(store, carrier="one")
    await house.settle()
    found = await read(store, message)
    assert found.due_at is not None
    assert found.due_at > store.clock.now()
    assert (found.carrier, house.given) == ("one", ["one"])


async def test_a_scheduled_message_that_was_too_much_is_still_not_early(store: Store) -> None:
    one = Scripted("one")
    one.answers = [closing(one, Throttled(BUSY))]
    house = depot(store, one)
    message = await accepted(store, send_in=MINUTE, carrier="one")
    await advance(store, 2 * MINUTE)
    await house.settle()
    found = await read(store, message)
    assert found.due_at == message.send_at
    assert found.left_at is None


# --------------------------------------------------------------------------------------------------- lost leases, stops


async def test_an_answer_after_a_lost_lease_settles_the_doubt(store: Store) -> None:
    house = depot(store, Scripted("one", abilities=SETTLES))
    message = await overdue(store, carrier="one")
    (dispatcher,) = house.dispatchers
    claimed = await dispatcher.claim(10)
    await advance(store, HOUR)
    await house.upkeep.tidy()
    assert await history(store, message) == ["claim", "doubt"]
    await asyncio.gather(*(dispatcher.send(each) for each in claimed))
    found = await read(store, message)
    assert (found.status, found.carrier_message_id) == (Status.SENT, f"one-{message.id}")
    assert found.left_at is not None
    assert await history(store, message) == ["claim", "doubt", "accept"]


async def test_a_refusal_after_a_lost_lease_settles_nothing(store: Store) -> None:
    house = depot(store, Scripted("one", [Refused(NEVER)], SETTLES))
    message = await overdue(store, carrier="one")
    (dispatcher,) = house.dispatchers
    claimed = await dispatcher.claim(10)
    await advance(store, HOUR)
    await house.upkeep.tidy()
    await asyncio.gather(*(dispatcher.send(each) for each in claimed))
    assert await history(store, message) == ["claim", "doubt"]


@pytest.mark.parametrize(
    "failure", [OutcomeUnknown(UNKNOWN, ("a", None), 2), TemporarilyRefused(BUSY, ("a",), 2)], ids=["unknown", "busy"]
)
async def test_the_parts_that_are_known_after_a_lost_lease_are_kept(store: Store, failure: CarrierFailure) -> None:
    house = depot(store, Scripted("one", [failure], SETTLES))
    message = await overdue(store, carrier="one", parts=2)
    await lost_before_the_answer(house)
    assert await history(store, message) == ["claim", "doubt"]
    now = store.clock.now()
    assert await store.settle(Settlement(message.id, "one", (None, "b"), now, Instant(now + HOUR)))
    assert (await read(store, message)).status is Status.SENT


async def test_what_another_try_knows_of_no_part_is_left_as_it_is(store: Store) -> None:
    house = depot(store, Scripted("one", [OutcomeUnknown(UNKNOWN)], SETTLES))
    message = await overdue(store, carrier="one")
    await lost_before_the_answer(house)
    assert await history(store, message) == ["claim", "doubt"]
    assert (await read(store, message)).progress is None


async def test_an_answer_after_the_end_changes_nothing(store: Store) -> None:
    house = depot(store, Scripted("one"))
    message = await overdue(store, carrier="one")
    (dispatcher,) = house.dispatchers
    claimed = await dispatcher.claim(10)
    await advance(store, HOUR)
    await house.upkeep.tidy()
    await asyncio.gather(*(dispatcher.send(each) for each in claimed))
    assert await history(store, message) == ["claim", "lose"]


async def test_where_no_receipts_come_a_sent_message_waits_for_none(store: Store) -> None:
    house = depot(store, Scripted("one", abilities=Abilities(repeatable=False, receipts=False, mms=True)))
    message = await overdue(store, carrier="one")
    await house.settle()
    await advance(store, 100 * HOUR)
    await house.upkeep.tidy()
    assert (await read(store, message)).status is Status.SENT


async def test_a_stop_hands_back_with_what_is_known_of_its_parts(store: Store) -> None:
    house = depot(store, Scripted("one", [TemporarilyRefused(BUSY, ("a",), 2)]))
    message = await overdue(store, carrier="one", parts=2)
    (dispatcher,) = house.dispatchers
    await dispatcher.settle()
    await advance(store, MINUTE)
    claimed = await dispatcher.claim(10)
    await dispatcher.stop()
    await asyncio.gather(*(dispatcher.send(each) for each in claimed))
    assert (await read(store, message)).progress == Progress("one", ("a",), 2)
    assert await history(store, message) == ["claim", "defer", "claim", "hand_back"]


async def test_a_carrier_is_given_no_more_than_its_throughput(store: Store) -> None:
    house = depot(store, Scripted("one"), interval=MINUTE)
    for _ in range(3):
        await overdue(store, carrier="one")
    await house.settle()
    assert len(house.carriers[0].given) == 1
    assert await house.dispatchers[0].run_pass() > 0
    await advance(store, MINUTE)
    await house.settle()
    assert len(house.carriers[0].given) == 2
