"""The carrier against an SMSC that nobody here wrote: messages out, and all that may become of them."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from msgspec.structs import replace

from heliograph.carriers.interface import (
    CarrierFailure,
    LateAnswer,
    OutcomeUnknown,
    Refused,
    Taken,
    TemporarilyRefused,
    Throttled,
    Unreachable,
)
from heliograph.carriers.smpp.carrier import SmppCarrier
from heliograph.carriers.smpp.events import Answered, Delivery, Notice, NotSent, Reason, Unexpected, Unusable
from heliograph.carriers.smpp.link import Ticket
from heliograph.carriers.smpp.options import Binds
from heliograph.carriers.smpp.parts import LongMessages, Manner
from heliograph.carriers.smpp.pdu import AlertNotification, DeliverSm, GenericNack, Pdu, SubmitSmResp
from heliograph.carriers.smpp.sending import Mark
from heliograph.carriers.smpp.status import Status
from heliograph.clock import monotonic
from heliograph.domain.instant import HOUR, MILLISECOND, SECOND
from heliograph.domain.message import MessageType, Progress
from tests.carriers.smpp.desk import CLOCK, Sending, Shelves, a_carrier
from tests.carriers.smpp.messages import RECIPIENT, message_of, options_of
from tests.carriers.smpp.peers import Smsc, Start

LONG = "hello" * 70


async def failure_of(task: "asyncio.Task[tuple[str, ...]]") -> CarrierFailure:
    with pytest.raises(CarrierFailure) as caught:
        await task
    return caught.value


async def submitted(smsc: Smsc, count: int) -> list[dict[str, Any]]:
    return [await smsc.told("submit") for _ in range(count)]


# ---- taken


async def test_a_message_is_taken_under_the_carriers_id(start: Start) -> None:
    smsc = await start(show=True)
    async with a_carrier(smsc.port) as sending:
        assert await sending.sends("Hello") == ("m1",)
        said = await smsc.told("submit")
        assert (said["submit"], said["source_addr"], said["text"]) == ("18665550001", "18445550001", "Hello")
        state = sending.carrier.state()
        assert (state.kind, state.up, state.taken, state.unknown, state.last_error) == ("smpp", True, 1, 0, None)
        assert state.rate > 0


async def test_parts_keep_the_distance_that_the_carrier_wants(start: Start) -> None:
    smsc = await start()
    async with a_carrier(smsc.port, part_interval=50 * MILLISECOND) as sending:
        begun = monotonic()
        assert len(await sending.sends(LONG)) == 3
        assert monotonic() - begun >= 100 * MILLISECOND


async def test_parts_whose_turn_does_not_come_are_left_for_the_next_try(start: Start) -> None:
    smsc = await start()
    async with a_carrier(smsc.port, part_interval=HOUR) as sending:
        (task,) = sending.starts_sending(LONG, within=SECOND)
        failure = await failure_of(task)
        assert (type(failure), failure.taken, failure.parts) == (Unreachable, ("m1",), 3)


@pytest.mark.parametrize("way", LongMessages)
async def test_a_long_message_is_taken_in_each_way(start: Start, way: LongMessages) -> None:
    smsc = await start(show=True)
    parts = 1 if way is LongMessages.PAYLOAD else 3
    async with a_carrier(smsc.port, manner=Manner(way)) as sending:
        assert await sending.sends(LONG) == tuple(f"m{number}" for number in range(1, parts + 1))
        seen = await submitted(smsc, parts)
        assert "".join(each["text"] for each in seen) == LONG
        with_header = way in {LongMessages.UDH8, LongMessages.UDH16}
        assert {each["esm_class"] for each in seen} == {0x40 if with_header else 0}
        if way is LongMessages.SAR:
            assert [each["sar"][1:] for each in seen] == [[3, 1], [3, 2], [3, 3]]
        if parts > 1:
            assert [each["more"] for each in seen] == [1, 1, 0]


async def test_all_parts_of_a_message_go_over_one_bind(start: Start) -> None:
    smsc = await start(show=True)
    async with a_carrier(smsc.port, binds=3, window=1, room=3) as sending:
        await asyncio.gather(*sending.starts_sending(*(f"{number}" * 400 for number in range(3))))
        sessions: dict[str, set[int]] = {}
        for each in await submitted(smsc, 9):
            sessions.setdefault(each["text"][0], set()).add(each["session"])
        assert sorted(len(each) for each in sessions.values()) == [1, 1, 1]
        assert len(set.union(*sessions.values())) == 3


async def test_room_is_the_windows_of_all_binds_less_what_is_on_its_way(start: Start) -> None:
    smsc = await start(hold=True, show=True)
    async with a_carrier(smsc.port, binds=2, window=3, room=6) as sending:
        tasks = sending.starts_sending(*"abcd")
        await sending.until(lambda: sending.carrier.room == 2)
        tasks += sending.starts_sending(*"efgh")
        await sending.until(lambda: sending.carrier.room == 0)
        state = sending.carrier.state()
        assert [(each.in_flight, each.window) for each in state.links] == [(3, 3), (3, 3)]
        await submitted(smsc, 6)
        smsc.does(release=True)
        await submitted(smsc, 2)
        smsc.does(release=True)
        await asyncio.gather(*tasks)
        assert sending.carrier.room == 6


# ---- refused


async def test_a_refusal_for_good_has_its_code(start: Start) -> None:
    smsc = await start(statuses={"1": 0x0B})
    async with a_carrier(smsc.port) as sending:
        with pytest.raises(Refused, match="ESME_RINVDSTADR") as caught:
            await sending.sends()
        assert (caught.value.error.code, caught.value.taken) == ("40012", ())
        assert sending.carrier.state().refused == 1
        assert await sending.sends() == ("m1",)


@pytest.mark.parametrize(("status", "kind"), [(0x0B, Refused), (0x08, TemporarilyRefused), (0x410, TemporarilyRefused)])
async def test_a_later_part_that_is_refused_leaves_those_before_it(
    start: Start, status: int, kind: type[CarrierFailure]
) -> None:
    smsc = await start(statuses={"2": status}, show=True)
    async with a_carrier(smsc.port) as sending:
        with pytest.raises(kind) as caught:
            await sending.sends(LONG)
        assert (caught.value.taken, caught.value.parts) == (("m1",), 3)
        await sending.sends("the next")
        assert [each["text"] for each in await submitted(smsc, 3)][2] == "the next"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"type": MessageType.MMS}, "40301"),
        ({"text": None}, "40009"),
        ({"sender": "x" * 21}, "40009"),
        ({"text": "x" * 153 * 256, "parts": 256}, "40302"),
    ],
)
async def test_what_cannot_be_sent_is_refused_without_a_byte(start: Start, given: dict[str, Any], code: str) -> None:
    smsc = await start(show=True)
    async with a_carrier(smsc.port) as sending:
        with pytest.raises(Refused) as caught:
            await sending.gives(replace(message_of(now=CLOCK.now()), **given))
        assert caught.value.error.code == code
        assert await sending.sends("first") == ("m1",)


# ---- too much


async def test_what_was_too_much_goes_again_and_in_order(start: Start) -> None:
    smsc = await start(throttle={"from": 3, "count": 4}, show=True)
    async with a_carrier(smsc.port, window=1) as sending:
        texts = [str(number) for number in range(10)]
        ids = await asyncio.gather(*sending.starts_sending(*texts))
        assert ids == [(f"m{number}",) for number in range(1, 11)]
        seen = [each["text"] for each in await submitted(smsc, 14)]
        assert seen == ["0", "1", "2", *["3"] * 5, *texts[4:]]
        assert sending.carrier.state().throttled == 4


async def test_with_a_window_full_of_it_the_oldest_goes_first_and_nothing_newer_before(start: Start) -> None:
    smsc = await start(throttle={"from": 2, "count": 6}, show=True)
    async with a_carrier(smsc.port, window=5) as sending:
        texts = [str(number) for number in range(12)]
        await asyncio.gather(*sending.starts_sending(*texts))
        seen = [each["text"] for each in await submitted(smsc, 18)]
        taken = [*seen[:2], *seen[8:]]
        assert sorted(taken, key=int) == texts
        # What was in flight when it began is taken or not as the carrier likes; all that follows is in order.
        assert seen[8:] == sorted(seen[8:], key=int)


async def test_a_part_that_was_too_much_goes_again_before_the_next(start: Start) -> None:
    smsc = await start(throttle={"from": 1, "count": 2}, show=True)
    async with a_carrier(smsc.port) as sending:
        assert await sending.sends(LONG) == ("m1", "m2", "m3")
        headers = [each["udh"] for each in await submitted(smsc, 5)]
        assert [header[-2:] for header in headers] == ["01", "02", "02", "02", "03"]
        assert len({header[:-2] for header in headers}) == 1


async def test_until_the_moment_only_it_is_tried_again(start: Start) -> None:
    smsc = await start(throttle={"from": 1, "count": 1000})
    async with a_carrier(smsc.port, throttle_base=HOUR, throttle_max=HOUR) as sending:
        with pytest.raises(Throttled) as caught:
            await sending.sends(LONG, within=200 * MILLISECOND)
        assert (caught.value.taken, caught.value.parts, caught.value.error.code) == (("m1",), 3, "40011")
        state = sending.carrier.state()
        assert (state.throttled, state.up, sending.carrier.room) == (1, True, 0)
        assert state.resting_until is not None
        assert HOUR / 2 - SECOND <= state.resting_until - CLOCK.now() <= HOUR
        with pytest.raises(Throttled) as caught:
            await sending.sends("another", within=20 * MILLISECOND)
        assert caught.value.taken == ()


async def test_while_it_is_held_what_waits_comes_back_and_nothing_leaves(start: Start) -> None:
    smsc = await start(throttle={"from": 1, "count": 1})
    async with a_carrier(smsc.port, throttle_base=HOUR, throttle_max=HOUR) as sending:
        (task,) = sending.starts_sending(LONG, within=HOUR)
        await sending.until(lambda: sending.carrier.state().resting_until is not None)
        sending.carrier.hold()
        failure = await failure_of(task)
        assert (type(failure), failure.taken, failure.parts) == (Unreachable, ("m1",), 3)
        assert (sending.carrier.up, sending.carrier.room) == (True, 0)
        (task,) = sending.starts_sending("another", within=HOUR)
        assert type(await failure_of(task)) is Unreachable
        sending.carrier.resume()
        assert await sending.sends("a third") == ("m2",)


async def test_what_was_sent_is_waited_for_while_it_is_held(start: Start) -> None:
    smsc = await start(hold=True, show=True)
    async with a_carrier(smsc.port) as sending:
        (task,) = sending.starts_sending("Hello")
        await submitted(smsc, 1)
        sending.carrier.hold()
        smsc.does(release=True)
        assert await task == ("m1",)


async def test_the_end_of_a_rest_is_told(start: Start) -> None:
    smsc = await start(throttle={"from": 0, "count": 1})
    async with a_carrier(smsc.port) as sending:
        (task,) = sending.starts_sending("a")
        await sending.until(lambda: sending.carrier.state().resting_until is not None)
        assert sending.carrier.room == 0
        assert await task == ("m1",)
        await sending.up(10)


# ---- unknown


async def test_a_drop_with_a_full_window_leaves_each_in_flight_unknown_and_each_waiting_unsent(start: Start) -> None:
    smsc = await start(hold=True, dropAfter=6)
    async with a_carrier(smsc.port, window=5, rebind_base=HOUR, rebind_max=HOUR) as sending:
        tasks = sending.starts_sending(*(str(number) for number in range(12)))
        await sending.until(lambda: sending.carrier.state().links[0].in_flight == 5)
        smsc.does(drop=True)
        kinds = Counter([type(await failure_of(task)) for task in tasks])
        assert kinds == {OutcomeUnknown: 5, Unreachable: 7}
        assert not sending.carrier.up
        assert sending.carrier.state().unknown == 5


async def test_a_message_cut_in_its_middle_is_unknown_from_there_on(start: Start) -> None:
    smsc = await start(dropAfter=2)
    async with a_carrier(smsc.port) as sending:
        with pytest.raises(OutcomeUnknown) as caught:
            await sending.sends(LONG)
        assert (caught.value.taken, caught.value.parts) == (("m1", None), 3)
        await sending.up()
        assert await sending.sends() == ("m2",)


async def test_silence_is_unknown_and_a_late_answer_tells_which_part_of_which_message(start: Start) -> None:
    smsc = await start(hold=True)
    async with a_carrier(smsc.port, response_timeout=100 * MILLISECOND) as sending:
        message = message_of(LONG, now=CLOCK.now())
        with pytest.raises(OutcomeUnknown) as caught:
            await sending.gives(message)
        assert (caught.value.taken, caught.value.parts) == ((None,), 3)
        smsc.does(release=True)
        assert await sending.desk.answers.get() == LateAnswer(message.id, "north", ("m1", None, None))


async def test_a_late_answer_that_could_not_be_kept_is_told_again(start: Start) -> None:
    smsc = await start(hold=True)
    soon = 100 * MILLISECOND
    async with a_carrier(smsc.port, response_timeout=soon, reassembly_timeout=soon) as sending:
        sending.desk.fault = OSError("the database is away")
        with pytest.raises(OutcomeUnknown):
            await sending.sends()
        smsc.does(release=True)
        await sending.until(lambda: bool(sending.carrier._late))
        sending.desk.fault = None
        assert (await sending.desk.answers.get()).ids == ("m1",)


async def test_the_answer_to_a_submit_whose_caller_was_cancelled_is_told(start: Start) -> None:
    smsc = await start(hold=True)
    async with a_carrier(smsc.port) as sending:
        (task,) = sending.starts_sending("a")
        await sending.until(lambda: sending.carrier.state().links[0].in_flight == 1)
        task.cancel()
        await asyncio.wait([task])
        smsc.does(release=True)
        assert (await sending.desk.answers.get()).ids == ("m1",)


# ---- not sent


async def test_without_a_bind_nothing_waits() -> None:
    async with a_carrier(1, room=None) as sending:
        with pytest.raises(Unreachable, match="no bind"):
            await sending.sends()
        assert not sending.carrier.up
        assert sending.carrier.room == 0


async def test_at_its_moment_nothing_leaves_any_more(start: Start) -> None:
    smsc = await start(show=True)
    async with a_carrier(smsc.port) as sending:
        for within in (0, -SECOND):
            with pytest.raises(Unreachable):
                await sending.sends("too late", within=within)
        await sending.sends("in time")
        assert (await smsc.told("submit"))["text"] == "in time"


async def test_what_finds_no_room_in_time_is_not_sent(start: Start) -> None:
    smsc = await start(hold=True)
    async with a_carrier(smsc.port, window=1) as sending:
        (first,) = sending.starts_sending("first")
        await sending.until(lambda: sending.carrier.room == 0)
        with pytest.raises(Unreachable, match="the window had no room in time"):
            await sending.sends("second", within=20 * MILLISECOND)
        smsc.does(release=True)
        assert await first == ("m1",)


async def test_what_is_no_longer_valid_is_not_sent(start: Start) -> None:
    smsc = await start()
    async with a_carrier(smsc.port) as sending:
        with pytest.raises(Unreachable, match="validity"):
            await sending.sends(valid_until=CLOCK.now())


# ---- the rest of a message


async def test_parts_that_were_taken_before_are_not_given_again(start: Start) -> None:
    smsc = await start(show=True)
    async with a_carrier(smsc.port) as sending:
        progress = Progress("north", ("x1", "x2"), 3)
        assert await sending.sends(LONG, progress=progress) == ("x1", "x2", "m1")
        assert (await smsc.told("submit"))["udh"][-2:] == "03"


async def test_a_message_of_which_all_was_taken_is_taken(start: Start) -> None:
    smsc = await start(show=True)
    async with a_carrier(smsc.port) as sending:
        message = message_of("Hello", now=CLOCK.now(), progress=Progress("north", ("x1",), 1))
        assert await sending.carrier.submit(message, monotonic() + SECOND) == Taken(("x1",))


async def test_what_another_carrier_has_is_no_concern_of_this_one(start: Start) -> None:
    smsc = await start()
    async with a_carrier(smsc.port) as sending:
        assert await sending.sends("Hello", progress=Progress("south", ("x1",), 1)) == ("m1",)


@pytest.mark.parametrize(
    ("progress", "kind"),
    [
        (Progress("north", ("x1", None), 3), OutcomeUnknown),
        (Progress("north", (None, "x2"), 3), OutcomeUnknown),
        (Progress("north", ("x1",), 4), Refused),
    ],
)
async def test_what_cannot_be_continued_is_not(start: Start, progress: Progress, kind: type[CarrierFailure]) -> None:
    smsc = await start()
    async with a_carrier(smsc.port) as sending:
        with pytest.raises(kind) as caught:
            await sending.sends(LONG, progress=progress)
        assert caught.value.taken == progress.ids
        assert await sending.sends() == ("m1",)


# ---- questions


async def test_what_became_of_a_part_may_be_asked(start: Start) -> None:
    smsc = await start(state=5)
    async with a_carrier(smsc.port, query=True) as sending:
        message = message_of(now=CLOCK.now())
        found = await sending.carrier.query(message, ["m1", "m2"])
        assert [(each.carrier_message_id, each.change.value, each.recipient) for each in found] == [
            ("m1", "fail", RECIPIENT),
            ("m2", "fail", RECIPIENT),
        ]
        assert found[0].error is not None
        assert found[0].error.code == "40008"


@pytest.mark.parametrize(("query", "answer"), [(False, {}), (True, {"state": 1}), (True, {"queryStatus": 0x67})])
async def test_nothing_comes_of_a_question_that_may_not_be_asked_or_has_no_answer_yet(
    start: Start, query: bool, answer: dict[str, int]
) -> None:
    smsc = await start(**answer)
    async with a_carrier(smsc.port, query=query) as sending:
        assert await sending.carrier.query(message_of(now=CLOCK.now()), ["m1"]) == []


async def test_a_question_that_cannot_be_written_or_asked_has_no_answer(start: Start) -> None:
    smsc = await start()
    message = message_of(now=CLOCK.now())
    async with a_carrier(smsc.port, query=True) as sending:
        assert await sending.carrier.query(message, ["x" * 65]) == []
        smsc.does(drop=True)
        await sending.until(lambda: not sending.carrier.up)
        assert await sending.carrier.query(message, ["m1"]) == []


# ---- pairs


async def test_a_pair_sends_over_one_and_hears_over_the_other(start: Start) -> None:
    smsc = await start(show=True)
    async with a_carrier(smsc.port, mode=Binds.PAIR, window=4, room=4) as sending:
        await both_bound(sending)
        assert sending.carrier.room == 4
        assert await sending.sends() == ("m1",)
        names = [(each.name, each.window) for each in sending.carrier.state().links]
        assert names == [("transmitter-1", 4), ("receiver-1", 0)]


async def both_bound(sending: Sending) -> None:
    """Return once every link is bound."""
    await sending.until(lambda: all(each.state == "bound" for each in sending.carrier.state().links))


# ---- what is odd


async def test_what_the_carrier_sends_and_nobody_can_use_is_shown() -> None:
    async with a_carrier(1, room=None) as sending:
        await sending.carrier.noticed(Unusable(7, 0x4, Status.RINVCMDID, "a request that only a client makes"))
        error = sending.carrier.state().last_error
        assert error == "The carrier sent what cannot be used: a request that only a client makes."


async def test_what_says_nothing_of_a_message_settles_nothing() -> None:
    mark = Ticket(1, Mark(message_of(now=CLOCK.now()).id, 1, 1))
    async with a_carrier(1, room=None) as sending:
        for event in (
            Notice(AlertNotification()),
            Unexpected(Pdu(9, 0, SubmitSmResp("m1")), None),
            Unexpected(Pdu(9, 0x58, SubmitSmResp()), mark),
            Unexpected(Pdu(9, 0, GenericNack()), mark),
            Answered(mark, 0x0B, "", SubmitSmResp()),
            Answered(Ticket(2, None), 0, "m1", SubmitSmResp("m1")),
            NotSent(mark, Reason.LOST),
        ):
            await sending.carrier.noticed(event)
        assert sending.desk.answers.empty()


async def test_nothing_is_taken_before_there_is_somebody_to_keep_it() -> None:
    carrier = SmppCarrier(options_of(1), Shelves(), CLOCK)
    with pytest.raises(RuntimeError, match="not started"):
        await carrier.delivered(Delivery(1, DeliverSm()))
