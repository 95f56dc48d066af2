"""What a receiver may do to an attempt, how long the next one waits, and what is given up."""

import asyncio
from datetime import UTC, datetime
from email.utils import format_datetime, formatdate

import pytest
from sqlalchemy import delete

from heliograph.domain.delivery import LONGEST_REST, DeliveryStatus, Tries
from heliograph.domain.events import EventType
from heliograph.domain.instant import DAY, HOUR, MILLISECOND, MINUTE, SECOND, Instant
from heliograph.domain.message import Message
from heliograph.outgoing import OutgoingOptions
from heliograph.store.lanes import EndpointState
from heliograph.store.tables import messages
from heliograph.webhooks.sender import retry_after
from tests.chaos.evidence import seen
from tests.webhooks import receiver as nasty
from tests.webhooks.conftest import OWN_URL, TRIES, Desk, Office, own
from tests.webhooks.receiver import Behaviour, Door, answer

NOW = 1_800_000_000
KEPT = 10 * 1024
"""Bytes of an answer that are kept (Contract 10)."""


# ----------------------------------------------------------------------------------------- what the receiver may do


ONCE = Tries(per_url=1, retry_base=SECOND, retry_max=HOUR)
OK = b"HTTP/1.1 200 OK\r\n"
TOOK, FAILED = DeliveryStatus.DELIVERED, DeliveryStatus.FAILED
ANSWERS: list[tuple[str, Behaviour, DeliveryStatus, int | None, list[int]]] = [
    ("200", answer(200), TOOK, 200, []),
    ("201", answer(201), TOOK, 201, [75299]),
    ("204", answer(204), TOOK, 204, [75299]),
    ("299", answer(299), TOOK, 299, [75299]),
    ("300", answer(300), FAILED, 300, [75300]),
    ("301 elsewhere", answer(301, Location="/elsewhere"), FAILED, 301, [75300]),
    ("307 elsewhere", answer(307, Location="/elsewhere"), FAILED, 307, [75300]),
    ("304", answer(304), FAILED, 304, [75300]),
    ("400", answer(400), FAILED, 400, [75400]),
    ("401", answer(401), FAILED, 401, [75499]),
    ("404", answer(404), FAILED, 404, [75404]),
    ("410", answer(410), FAILED, 410, [75499]),
    ("500", answer(500), FAILED, 500, [75500]),
    ("502", answer(502), FAILED, 502, [75599]),
    ("599", answer(599), FAILED, 599, [75599]),
    ("999", answer(999), FAILED, 999, [75000]),
    ("101", nasty.raw(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"), FAILED, 101, [75000]),
    ("closes", nasty.close_unanswered, FAILED, None, [75000]),
    ("resets", nasty.reset_before_answer, FAILED, None, [75000]),
    ("resets within headers", nasty.reset_within_headers, FAILED, None, [75000]),
    ("closes within headers", nasty.close_within_headers, FAILED, None, [75000]),
    ("closes within a body", nasty.cut_within_body(200), TOOK, 200, []),
    ("closes within a body of 500", nasty.cut_within_body(500), FAILED, 500, [75500]),
    ("garbage", nasty.raw(b"\x16\x03\x01 this is no HTTP \x00\xff\r\n\r\n"), FAILED, None, [75000]),
    ("nothing of a status", nasty.raw(b"HTTP/1.1 abc OK\r\n\r\n"), FAILED, None, [75000]),
    ("a negative length", nasty.raw(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), FAILED, None, [75000]),
    ("two lengths", nasty.raw(OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n"), FAILED, None, [75000]),
    ("a chunk that is none", nasty.raw(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"), FAILED, None, [75000]),
    ("a NUL in a header", nasty.raw(b"HTTP/1.1 200 OK\r\nX-Nul: a\x00b\r\n\r\n"), FAILED, None, [75000]),
    ("endless headers", nasty.endless_headers, FAILED, None, [75000]),
    ("endless body", nasty.endless_body, TOOK, 200, []),
    ("50 MB", nasty.large_body(50 * nasty.MIB), TOOK, 200, []),
    ("50 MB of 500", nasty.large_body(50 * nasty.MIB, 500), FAILED, 500, [75500]),
]
NAMES = [row[0] for row in ANSWERS]


@pytest.mark.parametrize(("behaviour", "status", "code", "errors"), [row[1:] for row in ANSWERS], ids=NAMES)
async def test_whatever_it_answers_is_on_record(
    office: Office, behaviour: Behaviour, status: DeliveryStatus, code: int | None, errors: list[int]
) -> None:
    desk = await office.desk(tries=ONCE)
    desk.receiver.script(OWN_URL, behaviour)
    await desk.refused()
    await desk.settle()
    report = await desk.report()
    [attempt] = report.attempts
    assert (report.status, attempt.response_status, attempt.errors) == (status, code, errors)
    assert attempt.delivered is (status is TOOK)
    assert (attempt.response_headers is None) == (attempt.response_body is None) == (code is None)
    assert (attempt.detail is None) == (code is not None)
    assert attempt.url == desk.receiver.url(OWN_URL)
    assert len(attempt.response_body or "") <= KEPT
    assert {each.path for each in desk.receiver.requests} == {OWN_URL}


SLOW: list[tuple[str, Behaviour, DeliveryStatus, int | None]] = [
    ("never", nasty.silent, FAILED, None),
    ("too late", nasty.too_late, FAILED, None),
    ("headers drip", nasty.dripping_headers, FAILED, None),
    ("body drips", nasty.dripping_body, TOOK, 200),
]


@pytest.mark.parametrize(("behaviour", "status", "code"), [row[1:] for row in SLOW], ids=[row[0] for row in SLOW])
async def test_whoever_takes_too_long_is_left(
    office: Office, behaviour: Behaviour, status: DeliveryStatus, code: int | None
) -> None:
    # Whoever answers at all must have the time for it, on a busy machine too.
    timeout = 200 * MILLISECOND if code is None else SECOND
    desk = await office.desk(tries=ONCE, timeout=timeout)
    desk.receiver.script(OWN_URL, behaviour)
    await desk.refused()
    await desk.settle()
    report = await desk.report()
    [attempt] = report.attempts
    assert (report.status, attempt.response_status) == (status, code)
    # By the wall clock, which is not the one that the timeout goes by.
    assert attempt.finished_at - attempt.started_at >= timeout // 2
    if code is None:
        assert (attempt.errors, attempt.detail) == ([75000], "No answer within 0.2 seconds.")


@pytest.mark.parametrize("door", [Door.CLOSE, Door.RESET])
async def test_a_connection_that_ends_at_once_is_a_failed_attempt(desk: Desk, door: Door) -> None:
    desk.receiver.door = door
    await desk.refused()
    await desk.settle()
    desk.receiver.door = Door.OPEN
    await desk.play_out()
    report = await desk.report()
    assert [each.delivered for each in report.attempts] == [True, False]
    assert report.attempts[1].errors == [75000]


async def test_a_receiver_that_is_down_is_tried_again_and_told_when_it_is_back(desk: Desk) -> None:
    await desk.refused()
    await desk.receiver.down()
    await desk.settle()
    await desk.receiver.up()
    await desk.play_out()
    report = await desk.report()
    assert [each.errors for each in report.attempts] == [[], [75002]]
    assert desk.events() == [EventType.FINALIZED]


async def test_an_internal_address_is_refused_and_the_refusal_is_on_record(office: Office) -> None:
    desk = await office.desk(outgoing=OutgoingOptions(), tries=ONCE)
    await desk.refused()
    await desk.settle()
    [attempt] = (await desk.report()).attempts
    assert attempt.errors == [75002]
    assert desk.receiver.connections == 0


async def test_an_answer_in_no_encoding_is_kept_as_far_as_it_can_be_read(desk: Desk) -> None:
    desk.receiver.script(OWN_URL, answer(200, b"a\x00b\xff\xfe \xed\xa0\x80 end", X_Latin="caf\xe9"))
    await desk.refused()
    await desk.settle()
    [attempt] = (await desk.report()).attempts
    assert attempt.response_body is not None
    assert attempt.response_body.startswith("a\ufffdb\ufffd")
    assert attempt.response_body.endswith(" end")
    assert ("X-Latin", "caf\xe9") in (attempt.response_headers or ())


async def test_of_a_large_answer_ten_kilobytes_are_kept(desk: Desk) -> None:
    desk.receiver.script(OWN_URL, nasty.large_body(nasty.MIB))
    await desk.refused()
    await desk.settle()
    [attempt] = (await desk.report()).attempts
    assert attempt.response_body == "x" * KEPT


async def test_of_many_headers_ten_kilobytes_are_kept(desk: Desk) -> None:
    many = b"".join(b"X-%d: %s\r\n" % (number, b"h" * 4000) for number in range(60))
    desk.receiver.script(OWN_URL, nasty.raw(OK + many + b"\r\n"))
    await desk.refused()
    await desk.settle()
    [attempt] = (await desk.report()).attempts
    kept = attempt.response_headers or ()
    assert kept
    assert sum(len(name) + len(value) for name, value in kept) <= KEPT


async def test_an_attempt_is_on_record_with_its_times_and_what_was_sent(desk: Desk) -> None:
    await desk.refused()
    before = desk.store.clock.now()
    await desk.settle()
    after = desk.store.clock.now()
    [attempt] = (await desk.report()).attempts
    assert before <= attempt.started_at <= attempt.finished_at <= after
    [came] = desk.receiver.requests
    sent = {name.lower(): value for name, value in attempt.request_headers}
    assert sent.items() <= came.headers.items()
    assert {"telnyx-signature-ed25519", "webhook-signature", "content-type", "user-agent"} <= sent.keys()


# --------------------------------------------------------------------------------------------- how long it waits


async def waits(desk: Desk) -> list[int]:
    """Microseconds between the end of each attempt and the moment of the next; each is far more than a minute."""
    found = []
    await desk.settle()
    while (report := await desk.report()).status is DeliveryStatus.PENDING:
        ended = report.attempts[0].finished_at
        due = await desk.store.lanes.next_due(ended)
        assert due is not None
        found.append(due - ended)
        # Past the moment and not to it: the database's clock decides what is due, and may be behind ours.
        await desk.later(due - desk.store.clock.now() + MINUTE)
    return found


async def test_the_wait_doubles_up_to_the_longest(office: Office) -> None:
    desk = await office.desk(tries=Tries(per_url=7, retry_base=HOUR, retry_max=4 * HOUR))
    desk.receiver.otherwise(answer(500))
    await desk.refused()
    for wait, full in zip(await waits(desk), [1, 2, 4, 4, 4, 4], strict=True):
        assert full * HOUR / 2 <= wait <= full * HOUR
    assert len(desk.receiver.requests) == 7


async def test_nothing_is_tried_before_its_wait_is_over(desk: Desk) -> None:
    desk.receiver.otherwise(answer(500))
    await desk.refused()
    await desk.settle()
    await desk.later(2 * MINUTE)
    assert len(desk.receiver.requests) == 1


async def test_the_next_url_is_tried_at_once(desk: Desk) -> None:
    first = desk.receiver.script("/first", answer(410))
    await desk.refused(own(first, desk.receiver.url("/second")))
    await desk.settle()
    assert [each.path for each in desk.receiver.requests] == ["/first", "/second"]


RESTS = [
    ("30", 30),
    ("0", 0),
    (" 30 ", 30),
    ("99999999999999999999", LONGEST_REST // SECOND),
    ("7200", LONGEST_REST // SECOND),
]


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("asked", "seconds"), RESTS)
async def test_an_endpoint_that_asks_for_a_rest_has_it(desk: Desk, status: int, asked: str, seconds: int) -> None:
    desk.receiver.script(OWN_URL, answer(status, Retry_After=asked), answer())
    await desk.refused()
    await desk.settle()
    [attempt] = (await desk.report()).attempts
    state = await desk.endpoint(OWN_URL)
    assert state is not None
    assert state.paused_until == attempt.finished_at + seconds * SECOND
    await desk.play_out()
    assert (await desk.report()).attempts[0].started_at >= state.paused_until


async def test_a_rest_until_a_date_is_kept(desk: Desk) -> None:
    until = real_seconds(desk) + HOUR // SECOND - 100
    date = format_datetime(datetime.fromtimestamp(until, UTC), usegmt=True)
    desk.receiver.script(OWN_URL, answer(429, Retry_After=date), answer())
    await desk.refused()
    await desk.settle()
    [attempt] = (await desk.report()).attempts
    state = await desk.endpoint(OWN_URL)
    assert state is not None
    assert state.paused_until is not None
    # The answer was read within the attempt, and its date counts in whole seconds.
    late = state.paused_until - until * SECOND - desk.store.clock.offset
    assert 0 <= late <= SECOND + attempt.finished_at - attempt.started_at


def real_seconds(desk: Desk) -> int:
    """Unix time without the test clock."""
    return (desk.store.clock.now() - desk.store.clock.offset) // SECOND


NO_WAITS = ["", "soon", "-5", "1e3", "5.5", "٣", "²", "1; 2", "Mon, 99 Foo 2026", "x" * 8000]
OUT_OF_RANGE = [
    "Mon, 01 Jan 2024 00:00:00 +99999999999999999999",
    "Feb 1 00:00:00 99999999999999999999",
    "+99999999999999 Feb 0 00:00:00",
    "Fri, 31 Dec 99999 23:59:59 GMT",
]


@pytest.mark.parametrize("asked", [*NO_WAITS, *OUT_OF_RANGE])
def test_a_wait_that_cannot_be_read_is_none(asked: str) -> None:
    assert retry_after(asked, NOW) is None


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ("0", 0),
        (" 120", 120),
        ("1" * 5000, DAY // SECOND),
        (formatdate(NOW + 90, usegmt=True), 90),
        (formatdate(NOW - 90, usegmt=True), 0),
        (formatdate(NOW + 90), 90),
        ("Fri, 31 Dec 9999 23:59:59 GMT", DAY // SECOND),
        ("Fri, 31 Dec 9999 23:59:59 -2300", DAY // SECOND),
    ],
)
def test_a_wait_is_seconds_or_a_date(asked: str, seconds: int) -> None:
    assert retry_after(asked, NOW) == seconds * SECOND


@pytest.mark.parametrize("asked", OUT_OF_RANGE)
async def test_a_wait_out_of_range_does_not_keep_an_attempt_off_the_record(desk: Desk, asked: str) -> None:
    desk.receiver.script(OWN_URL, answer(503, Retry_After=asked), answer())
    await desk.refused()
    await desk.play_out()
    assert [each.response_status for each in (await desk.report()).attempts] == [200, 503]


async def test_without_a_word_429_rests_the_endpoint_for_one_wait(desk: Desk) -> None:
    desk.receiver.script(OWN_URL, answer(429), answer())
    await desk.refused()
    await desk.settle()
    [attempt] = (await desk.report()).attempts
    state = await desk.endpoint(OWN_URL)
    assert state is not None
    assert state.paused_until is not None
    assert TRIES.retry_base // 2 <= state.paused_until - attempt.finished_at <= TRIES.retry_base


@pytest.mark.parametrize("status", [500, 404, 302])
async def test_a_wait_beside_another_status_rests_nothing(desk: Desk, status: int) -> None:
    desk.receiver.script(OWN_URL, answer(status, Retry_After="60"))
    await desk.refused()
    await desk.settle()
    assert await desk.endpoint(OWN_URL) is None


async def test_all_that_waits_for_a_resting_endpoint_rests_and_nothing_else(desk: Desk) -> None:
    desk.receiver.script(OWN_URL, answer(429, Retry_After="3600"), answer())
    await desk.refused()
    await desk.settle()
    await desk.refused()
    await desk.refused(own(desk.receiver.url("/other")))
    await desk.later(50 * MINUTE)
    assert [each.path for each in desk.receiver.requests] == [OWN_URL, "/other"]
    await desk.play_out()
    assert len(desk.receiver.at(OWN_URL)) == 3


async def test_a_failover_url_is_tried_though_the_first_rests(office: Office) -> None:
    desk = await office.desk(tries=ONCE)
    first = desk.receiver.script("/first", answer(429, Retry_After="60"))
    await desk.refused(own(first, desk.receiver.url("/second")))
    await desk.settle()
    assert [each.path for each in desk.receiver.requests] == ["/first", "/second"]


async def test_a_shorter_rest_does_not_end_a_longer_one(desk: Desk) -> None:
    gates = [asyncio.Event(), asyncio.Event()]
    rests = [answer(429, Retry_After="3600"), answer(429, Retry_After="5")]
    desk.receiver.script(OWN_URL, *(nasty.held(gate, rest) for gate, rest in zip(gates, rests, strict=True)))
    await desk.refuse_all(2, own(desk.receiver.url(OWN_URL)))
    settling = asyncio.create_task(desk.settle())
    await desk.receiver.holds(2)
    await one_after_another(desk, gates)
    await settling
    await desk.later(30 * MINUTE)
    assert len(desk.receiver.requests) == 2


async def one_after_another(desk: Desk, gates: list[asyncio.Event]) -> None:
    """Open gates, each when what came of the one before is on record."""
    attempts = 0

    async def recorded() -> bool:
        return sum(len(each.attempts) for each in await desk.all_reports()) >= attempts

    for gate in gates:
        gate.set()
        attempts += 1
        await seen(recorded, MILLISECOND)


# ----------------------------------------------------------------------------------------- endpoints that are gone


async def test_410_turns_an_endpoint_off_on_record(desk: Desk) -> None:
    desk.receiver.script(OWN_URL, answer(410))
    await desk.refused()
    await desk.settle()
    state, [attempt] = await desk.endpoint(OWN_URL), (await desk.report()).attempts
    assert state is not None
    assert (state.disabled_at, state.reason) == (attempt.finished_at, "It answered 410 Gone.")


async def test_what_waits_for_an_endpoint_that_is_off_goes_to_its_next_url(desk: Desk) -> None:
    gone, next_url = desk.receiver.script("/gone", answer(500), answer(410)), desk.receiver.url("/next")
    await desk.refused(own(gone, next_url))
    await desk.settle()
    await desk.refused(own(gone))
    await desk.settle()
    await desk.play_out()
    assert [each.path for each in desk.receiver.requests] == ["/gone", "/gone", "/next"]


async def test_what_has_nowhere_else_to_go_ends_with_a_reason(desk: Desk) -> None:
    desk.receiver.script(OWN_URL, answer(500), answer(410))
    first = await desk.refused()
    await desk.settle()
    await desk.refused()
    await desk.play_out()
    reports = {each.delivery.message_id: each for each in await desk.all_reports()}
    assert reports[first.id].reason == "Every URL it could go to is turned off."
    assert {each.status for each in reports.values()} == {DeliveryStatus.FAILED}
    assert len(desk.receiver.requests) == 2


@pytest.mark.parametrize("asked", [answer(410), answer(429, Retry_After="600")], ids=["410", "429"])
async def test_the_same_url_of_another_organisation_is_another_endpoint(office: Office, asked: Behaviour) -> None:
    desk, other = await office.desk(), await office.desk(name="Other")
    desk.receiver.script(OWN_URL, asked, answer())
    await desk.refused()
    await desk.settle()
    await other.refused()
    await other.settle()
    assert (await other.report()).status is DeliveryStatus.DELIVERED


async def test_a_replay_that_is_taken_turns_an_endpoint_on_again(desk: Desk) -> None:
    desk.receiver.script(OWN_URL, answer(410), answer())
    await desk.refused()
    await desk.settle()
    first = await desk.report()
    await desk.store.deliveries.replay(desk.organization.id, first.delivery, None)
    await desk.settle()
    state = await desk.endpoint(OWN_URL)
    assert state is not None
    assert (state.disabled_at, state.reason) == (None, None)
    await desk.refused()
    await desk.settle()
    came = desk.receiver.requests
    assert len(came) == 3
    assert came[0].data == came[1].data != came[2].data


async def test_a_replay_that_is_not_taken_leaves_an_endpoint_off(desk: Desk) -> None:
    desk.receiver.script(OWN_URL, answer(410), answer(429))
    await desk.refused()
    await desk.settle()
    await desk.store.deliveries.replay(desk.organization.id, (await desk.report()).delivery, None)
    await desk.play_out()
    state = await desk.endpoint(OWN_URL)
    assert state is not None
    assert state.disabled_at is not None
    assert state.reason == "It answered 410 Gone."


@pytest.mark.parametrize("late", [answer(429, Retry_After="5"), answer(200), answer(500)], ids=["429", "200", "500"])
async def test_an_attempt_that_ends_after_410_does_not_turn_it_on_again(desk: Desk, late: Behaviour) -> None:
    gates = [asyncio.Event(), asyncio.Event()]
    desk.receiver.script(OWN_URL, nasty.held(gates[0], answer(410)), nasty.held(gates[1], late))
    await desk.refuse_all(2, own(desk.receiver.url(OWN_URL)))
    settling = asyncio.create_task(desk.settle())
    await desk.receiver.holds(2)
    await one_after_another(desk, gates)
    await settling
    state = await desk.endpoint(OWN_URL)
    assert state is not None
    assert state.disabled_at is not None


async def test_410_and_429_in_one_commit_leave_it_off_whichever_is_first(desk: Desk) -> None:
    url, now = desk.receiver.url(OWN_URL), desk.store.clock.now()
    off = EndpointState(desk.organization.id, url, None, now, "It answered 410 Gone.")
    rest = EndpointState(desk.organization.id, url, Instant(now + MINUTE))
    for states in ([off, rest], [rest, off]):
        await asyncio.gather(*map(desk.store.set_endpoint, states))
        assert await desk.endpoint(OWN_URL) == EndpointState(
            off.organization_id, url, rest.paused_until, now, off.reason
        )
        await desk.store.set_endpoint(EndpointState(desk.organization.id, url))
        assert await desk.endpoint(OWN_URL) == EndpointState(desk.organization.id, url)


# -------------------------------------------------------------------------------------------- what is no longer there


async def forget(desk: Desk, message: Message) -> None:
    """Delete a message, as the end of its retention does."""
    async with desk.store.engine.transaction() as transaction:
        await transaction.execute(delete(messages).where(messages.c.id == message.id))


async def test_an_event_of_a_message_that_is_gone_ends_with_a_reason(desk: Desk) -> None:
    message = await desk.refused()
    await forget(desk, message)
    await desk.play_out()
    report = await desk.report()
    assert (report.status, report.reason) == (DeliveryStatus.FAILED, "The message is no longer kept.")
    assert desk.receiver.requests == []


async def test_an_event_of_a_message_that_went_between_two_attempts_is_not_told_to_others(desk: Desk) -> None:
    await desk.set_profile(webhook_url=desk.receiver.url("/profile"))
    desk.receiver.script(OWN_URL, answer(500))
    facts = own(desk.receiver.url(OWN_URL), use_profile_webhooks=False)
    message = await desk.refused(facts)
    await desk.settle()
    await forget(desk, message)
    await desk.play_out()
    assert desk.receiver.at("/profile") == []
    assert (await desk.report()).reason == "The message is no longer kept."


async def test_what_waits_out_a_rest_is_sent_when_the_endpoint_is_turned_on(desk: Desk) -> None:
    url = desk.receiver.script("/own", answer(429, Retry_After="3600"), answer())
    await desk.refused(own(url))
    await desk.settle()
    assert len(desk.receiver.at("/own")) == 1
    await desk.store.set_endpoint(EndpointState(desk.organization.id, url))
    await desk.settle()
    assert (await desk.report()).status is DeliveryStatus.DELIVERED
