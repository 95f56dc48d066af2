"""Each endpoint has a lane of its own: how many attempts are under way, and who waits for whom."""

import asyncio
from collections import Counter
from collections.abc import Iterable

from heliograph.domain.delivery import DeliveryStatus
from heliograph.domain.events import endpoint_id
from heliograph.domain.instant import HOUR, MINUTE
from heliograph.outgoing import HttpAnswer, OutgoingHttp
from heliograph.store.lanes import LaneClaim
from heliograph.webhooks.sender import WebhookSender
from tests.builders import advance
from tests.chaos.evidence import seen
from tests.webhooks.conftest import OPTIONS, OUTGOING, OWN_URL, PROFILE, Desk, Office, own
from tests.webhooks.receiver import Request, answer, held, silent

MANY = 1_000
FEW = 50


async def all_done(desk: Desk) -> None:
    """Return once no delivery waits."""

    async def look() -> bool:
        return all(each.status is not DeliveryStatus.PENDING for each in await desk.all_reports())

    await seen(look)


async def more_passes(sender: WebhookSender, count: int = 5) -> None:
    """Return once the sender has looked so many times more for something to do."""
    for _ in range(count):
        sender.wake()
        await sender.wait_passed(sender.passed + 1)


def ids(requests: Iterable[Request]) -> Counter[str]:
    """How often each event came."""
    return Counter(each.headers["webhook-id"] for each in requests)


# ---------------------------------------------------------------------------------------------- one delays no other


async def test_an_endpoint_that_never_answers_delays_no_other(desk: Desk) -> None:
    slow = desk.receiver.script("/slow", silent)
    await desk.refuse_all(MANY, own(slow))
    await desk.sender.start()
    await desk.receiver.holds(OPTIONS.endpoint_window, "/slow")
    await desk.refuse_all(FEW, own(desk.receiver.url("/quick")))
    came = await desk.receiver.got(FEW, "/quick")
    assert len(ids(came)) == FEW
    assert desk.receiver.under_way["/slow"] == OPTIONS.endpoint_window
    assert len(desk.receiver.at("/slow")) == OPTIONS.endpoint_window
    await desk.receiver.down()


async def test_a_backlog_is_worked_off_while_others_are_served(desk: Desk) -> None:
    gate = asyncio.Event()
    slow = desk.receiver.script("/slow", held(gate))
    await desk.refuse_all(MANY // 5, own(slow))
    await desk.sender.start()
    await desk.receiver.holds(OPTIONS.endpoint_window, "/slow")
    gate.set()
    await desk.refuse_all(FEW, own(desk.receiver.url("/quick")))
    await all_done(desk)
    assert set(ids(desk.receiver.requests).values()) == {1}
    assert len(desk.receiver.requests) == MANY // 5 + FEW


async def test_many_dead_endpoints_with_older_backlogs_do_not_stand_before_a_new_one(office: Office) -> None:
    desk = await office.desk(window=8, endpoint_window=4)
    gate = asyncio.Event()
    desk.receiver.otherwise(held(gate, answer(500)))
    for number in range(12):
        await desk.refuse_all(4, own(desk.receiver.url(f"/dead-{number}")))
    desk.receiver.script("/quick", answer())
    await desk.sender.start()
    await desk.receiver.holds(8)
    await desk.refused(own(desk.receiver.url("/quick")))
    # The places are free once more, and whoever takes one now keeps it.
    desk.receiver.otherwise(silent)
    gate.set()
    [came] = await desk.receiver.got(1, "/quick")
    assert came.number <= 2 * 8
    await desk.receiver.down()


async def test_lanes_of_which_none_is_served_take_turns(office: Office) -> None:
    desk = await office.desk(window=1)
    desk.receiver.otherwise(answer())
    for number in range(5):
        await desk.refuse_all(3, own(desk.receiver.url(f"/{number}")))
    await desk.settle()
    paths = [each.path for each in desk.receiver.requests]
    assert [len(set(paths[first : first + 5])) for first in (0, 5, 10)] == [5, 5, 5]


# -------------------------------------------------------------------------------------------------- never too many


async def test_no_more_attempts_go_to_one_endpoint_than_it_may_have(office: Office) -> None:
    desk = await office.desk(endpoint_window=5)
    gate = asyncio.Event()
    desk.receiver.script(OWN_URL, held(gate))
    await desk.refuse_all(60, own(desk.receiver.url(OWN_URL)))
    await desk.sender.start()
    await desk.receiver.holds(5)
    await more_passes(desk.sender)
    gate.set()
    await desk.receiver.got(60)
    await all_done(desk)
    assert desk.receiver.most_at_once[OWN_URL] == 5


async def test_no_more_attempts_are_under_way_than_a_process_may_make(office: Office) -> None:
    desk = await office.desk(window=8, endpoint_window=4)
    gate = asyncio.Event()
    desk.receiver.otherwise(held(gate))
    for path in ("/a", "/b", "/c", "/d"):
        await desk.refuse_all(10, own(desk.receiver.url(path)))
    await desk.sender.start()
    await desk.receiver.holds(8)
    await more_passes(desk.sender)
    gate.set()
    await all_done(desk)
    assert desk.receiver.most_of_all == 8
    assert set(ids(desk.receiver.requests).values()) == {1}


async def test_a_step_of_the_test_clock_beside_the_loop_makes_no_more_of_them(office: Office) -> None:
    desk = await office.desk(endpoint_window=4, window=4)
    gate = asyncio.Event()
    desk.receiver.script(OWN_URL, held(gate))
    await desk.refuse_all(40, own(desk.receiver.url(OWN_URL)))
    steps = [asyncio.create_task(desk.settle()) for _ in range(3)]
    await desk.sender.start()
    await desk.receiver.holds(4)
    await more_passes(desk.sender)
    gate.set()
    await asyncio.gather(*steps)
    await all_done(desk)
    assert desk.receiver.most_of_all == 4


async def test_urls_that_fail_over_to_one_share_what_it_may_have(office: Office) -> None:
    desk = await office.desk(endpoint_window=4)
    gate = asyncio.Event()
    shared = desk.receiver.script("/shared", held(gate))
    for path in ("/a", "/b", "/c"):
        gone = desk.receiver.script(path, answer(410))
        await desk.refused(own(gone))
    await desk.settle()
    for path in ("/a", "/b", "/c"):
        await desk.refuse_all(4, own(desk.receiver.url(path), shared))
    await desk.sender.start()
    await desk.receiver.holds(4, "/shared")
    await more_passes(desk.sender)
    gate.set()
    await all_done(desk)
    assert desk.receiver.most_at_once["/shared"] == 4
    assert len(desk.receiver.at("/shared")) == 12


async def test_what_comes_from_an_endpoint_that_is_off_rests_with_the_one_it_goes_to(desk: Desk) -> None:
    gone = desk.receiver.script("/gone", answer(410))
    resting = desk.receiver.script("/resting", answer(429, Retry_After="3600"), answer())
    await desk.refused(own(gone))
    await desk.refused(own(resting))
    await desk.settle()
    await desk.refused(own(gone, resting))
    await desk.later(50 * MINUTE)
    assert len(desk.receiver.at("/resting")) == 1
    await desk.later(20 * MINUTE)
    assert len(desk.receiver.at("/resting")) == 3


async def test_what_waits_for_a_url_that_was_changed_rests_with_the_new_one(desk: Desk) -> None:
    new = desk.receiver.script("/new", answer(429, Retry_After="3600"), answer())
    await desk.refused(own(new))
    await desk.settle()
    await desk.set_profile(webhook_url=desk.receiver.script("/old", answer(500)))
    await desk.refused(PROFILE)
    await desk.settle()
    await desk.set_profile(webhook_url=new)
    await desk.later(50 * MINUTE)
    assert len(desk.receiver.at("/new")) == 1
    await desk.play_out()
    assert len(desk.receiver.at("/new")) == 3


# --------------------------------------------------------------------------------------------------- several senders


async def test_two_senders_make_no_attempt_twice_and_together_make_all(office: Office) -> None:
    desk = await office.desk(endpoint_window=4)
    other = await office.beside(desk, endpoint_window=4)
    gate = asyncio.Event()
    for path in ("/a", "/b", "/c"):
        desk.receiver.script(path, *[held(gate)] * 8, answer())
        await desk.refuse_all(60, own(desk.receiver.url(path)))
    await asyncio.gather(desk.sender.start(), other.sender.start())
    await desk.receiver.holds(24)
    gate.set()
    await all_done(desk)
    assert set(ids(desk.receiver.requests).values()) == {1}
    assert len(desk.receiver.requests) == 180
    assert {each.status for each in await desk.all_reports()} == {DeliveryStatus.DELIVERED}


async def test_a_failing_event_is_with_one_sender_at_a_time(office: Office) -> None:
    desk = await office.desk()
    other = await office.beside(desk)
    desk.receiver.otherwise(answer(500))
    await desk.refuse_all(40, own(desk.receiver.url(OWN_URL)))
    for _ in range(3):
        await asyncio.gather(desk.settle(), other.settle())
        await advance(desk.store, HOUR)
        await other.store.engine.synchronize_clock()
    attempts = Counter((each.event_id, each.told["meta"]["attempt"]) for each in desk.receiver.requests)
    assert len(attempts) == 120
    assert set(attempts.values()) == {1}


async def test_a_lost_lease_is_taken_over_and_the_late_attempt_is_kept_beside(office: Office) -> None:
    desk = await office.desk(lease=MINUTE)
    other = await office.beside(desk)
    gate = asyncio.Event()
    desk.receiver.script(OWN_URL, held(gate, answer(500)), answer())
    await desk.refused()
    late = asyncio.create_task(desk.settle())
    await desk.receiver.holds(1)
    await advance(desk.store, 2 * MINUTE)
    await other.store.engine.synchronize_clock()
    await other.settle()
    assert (await desk.report()).status is DeliveryStatus.DELIVERED
    gate.set()
    await late
    report = await desk.report()
    assert report.status is DeliveryStatus.DELIVERED
    assert sorted(each.response_status or 0 for each in report.attempts) == [200, 500]
    assert set(ids(desk.receiver.requests).values()) == {2}
    assert len({each.data for each in desk.receiver.requests}) == 1


async def test_a_claim_that_nobody_works_on_is_taken_over_when_its_lease_is_over(office: Office) -> None:
    desk = await office.desk()
    await desk.refused()
    lane = LaneClaim(endpoint_id(desk.organization.id, desk.receiver.url(OWN_URL)), 10, MINUTE)
    assert len(await desk.store.claim_deliveries([lane])) == 1
    await desk.settle()
    assert desk.receiver.requests == []
    await desk.later(2 * MINUTE)
    assert len(desk.receiver.requests) == 1


async def test_a_lease_that_is_nearly_over_begins_no_attempt(office: Office) -> None:
    desk = await office.desk(lease=OPTIONS.timeout)
    await desk.refused()
    await desk.settle()
    assert desk.receiver.requests == []
    assert (await desk.report()).status is DeliveryStatus.PENDING


async def test_a_sender_that_stops_records_what_is_under_way(office: Office) -> None:
    desk = await office.desk()
    gate = asyncio.Event()
    desk.receiver.script(OWN_URL, held(gate))
    await desk.refused()
    await desk.sender.start()
    await desk.receiver.holds(1)
    stopping = asyncio.create_task(desk.sender.stop())
    gate.set()
    await stopping
    assert (await desk.report()).status is DeliveryStatus.DELIVERED


async def test_an_attempt_that_cannot_even_be_made_is_on_record_and_ends(office: Office) -> None:
    class Broken(OutgoingHttp):
        async def post(self, *args: object, **given: object) -> HttpAnswer:
            raise ValueError("a fault of ours")

    desk = await office.desk()
    desk.sender = WebhookSender(desk.store, Broken(OUTGOING), OPTIONS)
    await desk.refused()
    await desk.play_out()
    report = await desk.report()
    assert (report.status, [each.errors for each in report.attempts]) == (DeliveryStatus.FAILED, [[75000]] * 3)
