"""From what is due to what was sent."""

import asyncio

import pytest

from heliograph.domain.errors import Code
from heliograph.domain.instant import HOUR, MINUTE, SECOND
from heliograph.domain.lifecycle import Change, Status, born, replay
from heliograph.domain.message import Message
from heliograph.domain.outcome import RepeatPolicy
from heliograph.store.engine import StoreUnavailable
from heliograph.store.outcomes import Outcome
from heliograph.store.store import Store
from tests.builders import accepted, status_of
from tests.dispatch.conftest import Build, House


async def read(store: Store, message: Message) -> Message:
    found, _ = await store.messages.find(message.organization_id, message.id)
    assert found is not None
    return found


async def changes(store: Store, message: Message) -> list[str]:
    return [row["change"] for row in await store.messages.timeline(message.id)]


async def test_what_is_due_is_sent_and_arrives(house: House) -> None:
    message = await accepted(house.store, send_in=None)
    await house.dispatcher.settle()
    assert await status_of(house.store, message) is Status.SENT
    assert [each.message_id for each in await house.store.sandbox.handset(message.recipient)] == [message.id]


async def test_what_is_not_due_stays(house: House) -> None:
    message = await accepted(house.store, send_in=MINUTE)
    await house.dispatcher.settle()
    assert await status_of(house.store, message) is Status.SCHEDULED


async def test_it_leaves_at_its_moment_and_says_how_late(house: House) -> None:
    message = await accepted(house.store, send_in=10 * MINUTE)
    await house.advance(HOUR)
    found = await read(house.store, message)
    assert found.lateness is not None
    assert 0 <= found.lateness < MINUTE


async def test_a_jump_sends_in_the_order_in_which_things_fall_due(house: House) -> None:
    sent = [await accepted(house.store, send_in=minutes * MINUTE) for minutes in (30, 10, 20)]
    await house.advance(HOUR)
    arrivals = await house.store.sandbox.handset(sent[0].recipient)
    assert [each.message_id for each in arrivals] == [sent[1].id, sent[2].id, sent[0].id]
    assert arrivals[0].arrived_at < arrivals[1].arrived_at - 9 * MINUTE


SCRIPTED = [
    ("+15005550000", Status.DELIVERED, ["claim", "accept", "deliver"], None),
    ("+15005550001", Status.DELIVERY_FAILED, ["claim", "accept", "fail"], Code.NOT_ROUTABLE),
    ("+15005550002", Status.DELIVERY_FAILED, ["claim", "accept", "fail"], Code.BLOCKED_AS_SPAM),
    ("+15005550003", Status.SENDING_FAILED, ["claim", "refuse"], Code.UNDELIVERABLE),
    ("+15005550004", Status.DELIVERY_UNCONFIRMED, ["claim", "accept", "unconfirm"], None),
    ("+15005550005", Status.DELIVERED, ["claim", "accept", "deliver"], None),
    ("+15005550006", Status.DELIVERED, ["claim", "defer", "claim", "accept", "deliver"], None),
    ("+15005550007", Status.DELIVERED, ["claim", "accept", "deliver"], None),
    ("+15005550008", Status.DELIVERED, ["claim", "accept", "deliver"], None),
    ("+15005550009", Status.DELIVERY_UNCONFIRMED, ["claim", "lose"], Code.OUTCOME_UNKNOWN),
    ("+15005550010", Status.DELIVERY_FAILED, ["claim", "accept", "fail"], Code.REJECTED_BY_DESTINATION),
]


@pytest.mark.parametrize(("number", "status", "log", "error"), SCRIPTED)
async def test_a_magic_number_does_what_its_script_says(
    house: House, number: str, status: Status, log: list[str], error: Code | None
) -> None:
    message = await accepted(house.store, send_in=None, recipient=number)
    await house.advance(5 * HOUR)
    found = await read(house.store, message)
    assert found.status is status
    assert [each.code for each in found.errors] == ([error] if error else [])
    assert await changes(house.store, message) == log
    assert replay(born(scheduled=False), map(Change, log)) is status


async def test_an_unknown_outcome_is_not_tried_again(house: House) -> None:
    message = await accepted(house.store, send_in=None, recipient="+15005550009")
    await house.advance(5 * HOUR)
    assert len(await house.store.sandbox.handset(message.recipient)) == 1


async def test_an_operator_may_prefer_twice_over_never(build: Build) -> None:
    house = build(policy=RepeatPolicy.RATHER_TWICE)
    message = await accepted(house.store, send_in=None, recipient="+15005550009")
    await house.advance(MINUTE)
    assert await changes(house.store, message) == ["claim", "defer", "claim", "accept"]
    assert len(await house.store.sandbox.handset(message.recipient)) == 2


async def test_a_carrier_that_recognises_repeats_is_given_it_again(build: Build) -> None:
    house = build(repeatable=True)
    message = await accepted(house.store, send_in=None, recipient="+15005550009")
    await house.advance(MINUTE)
    assert await status_of(house.store, message) is Status.SENT
    assert len(await house.store.sandbox.handset(message.recipient)) == 1


async def test_a_lease_that_is_over_sends_nothing(build: Build) -> None:
    house = build(lease=0)
    message = await accepted(house.store, send_in=None)
    claimed = await house.dispatcher.claim(10)
    await asyncio.gather(*(house.dispatcher.send(each) for each in claimed))
    assert await house.store.sandbox.handset(message.recipient) == []
    assert await changes(house.store, message) == ["claim", "hand_back"]


async def test_stopping_hands_back_what_was_not_sent(house: House) -> None:
    message = await accepted(house.store, send_in=None)
    claimed = await house.dispatcher.claim(10)
    await house.dispatcher.stop()
    await asyncio.gather(*(house.dispatcher.send(each) for each in claimed))
    assert await changes(house.store, message) == ["claim", "hand_back"]
    assert [each.message.id for each in await house.dispatcher.claim(10)] == [message.id]


async def test_a_running_dispatcher_sends_without_being_asked(house: House) -> None:
    await house.dispatcher.start()
    message = await accepted(house.store, send_in=None)
    house.dispatcher.wake()
    while await status_of(house.store, message) is not Status.SENT:
        await house.dispatcher.wait_passed(house.dispatcher.passed + 1)
    await house.dispatcher.stop()


async def test_several_dispatchers_send_everything_once(build: Build) -> None:
    houses = [build(window=7) for _ in range(4)]
    store = houses[0].store
    messages = [await accepted(store, send_in=None) for _ in range(100)]
    await asyncio.gather(*(each.dispatcher.settle() for each in houses))
    arrived = [each.message_id for each in await store.sandbox.handset(messages[0].recipient)]
    assert sorted(arrived) == sorted(each.id for each in messages)


async def test_a_receipt_that_never_comes_is_given_up_on(house: House) -> None:
    message = await accepted(house.store, send_in=None, recipient="+15005550004")
    await house.advance(4 * HOUR - MINUTE)
    assert await status_of(house.store, message) is Status.SENT
    await house.advance(2 * MINUTE)
    assert await status_of(house.store, message) is Status.DELIVERY_UNCONFIRMED


async def test_a_slow_receipt_comes_in_its_time(house: House) -> None:
    message = await accepted(house.store, send_in=None, recipient="+15005550005")
    await house.advance(29 * SECOND)
    assert await status_of(house.store, message) is Status.SENT
    await house.advance(2 * SECOND)
    assert await status_of(house.store, message) is Status.DELIVERED


async def test_an_outcome_is_recorded_once_the_database_is_back(house: House) -> None:
    message = await accepted(house.store, send_in=None)
    record, away = house.store.record, iter([StoreUnavailable("away")] * 2)

    async def unreliable(outcome: Outcome) -> bool:
        if (problem := next(away, None)) is not None:
            raise problem
        return await record(outcome)

    house.store.record = unreliable  # type: ignore[method-assign]  # the way to the database is cut twice
    await house.dispatcher.settle()
    assert await status_of(house.store, message) is Status.SENT
