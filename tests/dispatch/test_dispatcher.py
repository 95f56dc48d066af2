"""From what is due to what was sent."""

import asyncio
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from heliograph.carrier_settings import SmppSettings, UpstreamSettings
from heliograph.carriers.interface import (
    CarrierFailure,
    OutcomeUnknown,
    Refused,
    Taken,
    TemporarilyRefused,
    Unreachable,
)
from heliograph.domain.errors import Code
from heliograph.domain.instant import HOUR, MINUTE, SECOND
from heliograph.domain.lifecycle import Change, Status, born, replay
from heliograph.domain.message import Message
from heliograph.domain.outcome import RepeatPolicy, delivery_error
from heliograph.log import mask
from heliograph.settings import Settings
from heliograph.store.engine import StoreUnavailable
from heliograph.store.outcomes import Outcome
from heliograph.store.store import Store
from heliograph.wiring import dispatch_options
from tests.builders import accepted, status_of
from tests.dispatch.conftest import OPTIONS, Build, House
from tests.dispatch.scripted import BUSY, Scripted, depot

REFUSAL = delivery_error(Code.UNDELIVERABLE, "+18665550001 is barred.")


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


@pytest.mark.parametrize(("answer_time", "usable"), [(0, 24), (1, 24), (10, 20), (29, 1)])
def test_a_message_is_given_only_while_its_answer_may_come_within_the_lease(answer_time: int, usable: int) -> None:
    options = replace(OPTIONS, lease=30 * SECOND, answer_time=answer_time * SECOND)
    assert options.usable == usable * SECOND


async def test_what_an_answer_would_come_too_late_for_is_handed_back(build: Build) -> None:
    house = build(answer_time=OPTIONS.lease)
    message = await accepted(house.store, send_in=None)
    (claimed,) = await house.dispatcher.claim(10)
    await house.dispatcher.send(claimed)
    assert await changes(house.store, message) == ["claim", "hand_back"]


def test_an_smpp_carrier_is_waited_for_as_long_as_its_answer_may_take() -> None:
    smpp = SmppSettings(host="h", system_id="me", response_timeout=12 * SECOND)
    upstream = UpstreamSettings(base_url="https://h/v2", api_key="k", timeout=12 * SECOND)
    settings = Settings(carriers={"one": smpp, "two": upstream})
    given = [dispatch_options(settings, name).answer_time for name in ("one", "two", "sandbox")]
    assert given == [12 * SECOND, 0, 0]


class Patient(Scripted):
    """Takes nothing until it is held, and gives back what waits then."""

    def __post_init__(self) -> None:
        """Nobody waits yet."""
        super().__post_init__()
        self.waits = asyncio.Event()
        self._held = asyncio.Event()

    def hold(self) -> None:
        """Give back what waits."""
        self._held.set()

    async def submit(self, message: Message, until: int) -> Taken:
        """Wait."""
        self.waits.set()
        await self._held.wait()
        raise Unreachable(BUSY)


async def test_a_stop_does_not_wait_for_what_only_waits(store: Store) -> None:
    carrier = Patient("one")
    house = depot(store, carrier, drain_timeout=HOUR)
    message = await accepted(store, send_in=None, carrier="one")
    await house.dispatchers[0].start()
    await carrier.waits.wait()
    async with asyncio.timeout(30):
        await house.dispatchers[0].stop()
    assert await changes(store, message) == ["claim", "defer"]


@pytest.mark.parametrize(
    ("failure", "action", "level"),
    [
        (Refused(REFUSAL), "refused", "info"),
        (OutcomeUnknown(REFUSAL), "in_doubt", "warning"),
        (TemporarilyRefused(REFUSAL), "rerouted", "info"),
    ],
    ids=["refused", "doubt", "another carrier"],
)
async def test_what_an_operator_may_be_asked_about_is_in_the_log(
    store: Store, failure: CarrierFailure, action: str, level: str
) -> None:
    house = depot(store, Scripted("one", [failure]), Scripted("two"))
    message = await accepted(store, send_in=None, carrier="one")
    with capture_logs() as logs:
        await house.dispatchers[0].settle()
    (line,) = [mask(None, "", each) for each in logs if each.get("action") == action]
    assert (line["log_level"], line["message_id"]) == (level, message.id)
    assert line["why" if action == "rerouted" else "reason"] == "+1866*** is barred."
    assert (line.get("carrier"), line.get("from"), line.get("to")) == (
        (None, "one", "two") if action == "rerouted" else ("one", None, None)
    )
