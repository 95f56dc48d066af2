"""Records of both directions stand in one order, and are found along indexes whatever there is beside them."""

from collections.abc import AsyncIterator
from re import compile as regex
from typing import Any

import pytest
from sqlalchemy import insert, text

from heliograph.domain.ids import OrganizationId, ProfileId, uuid7
from heliograph.domain.instant import HOUR, MINUTE, SECOND, Instant
from heliograph.domain.lifecycle import Status
from heliograph.domain.periods import TIME_FRAMES
from heliograph.domain.reports import Direction
from heliograph.store.between import Between
from heliograph.store.store import Store
from heliograph.store.tables import inbound_messages, messages
from heliograph.store.traffic import Condition, RecordFilter
from tests.store.conftest import Filled
from tests.store.test_query_plans import explained, listening

MINE = OrganizationId("00000000-0000-7000-8000-000000000001")
PROFILES = [ProfileId(f"00000000-0000-7000-8000-00000000000{number}") for number in (1, 2)]
MANY = 10_000
WHOLE = regex(r"(Seq Scan on|SCAN) (inbound_)?messages( |$)(?!USING (COVERING )?INDEX)")
INDEXES = ("ix_messages_organization", "ix_inbound_messages_organization")


def organization(number: int) -> str:
    """One of a hundred is ours."""
    return MINE if number % 100 == 0 else f"00000000-0000-7000-8000-{100 + number % 100:012}"


def outbound(number: int, at: Instant) -> dict[str, Any]:
    return {
        "id": uuid7(at, number),
        "organization_id": organization(number),
        "profile_id": PROFILES[number % 200 // 100],
        "type": "SMS",
        "status": (Status.CANCELLED if number % 400 == 0 else Status.DELIVERED).value,
        "sender": "+18445550001",
        "recipient": f"+1866{number % 5000:07}",
        "parts": 1,
        "rate": 205,
        "carrier_fee": 305,
        "received_at": at,
        "sent_at": at,
        "completed_at": at,
        "valid_until": at + HOUR,
        "attempts": 1,
        "in_doubt": False,
        "facts": '{"encoding": "GSM-7", "num_chars": 5}',
    }


def inbound(number: int, at: Instant) -> dict[str, Any]:
    return {
        "id": uuid7(at, number),
        "organization_id": organization(number),
        "profile_id": PROFILES[0],
        "type": "SMS",
        "sender": f"+1866{number % 5000:07}",
        "recipient": "+18445550001",
        "parts": 1,
        "received_at": at,
        "carrier": "sandbox",
        "facts": '{"encoding": "GSM-7", "num_chars": 5}',
    }


async def hours(store: Store) -> None:
    """A message out and one in every second, for almost three hours; the database knows its sizes."""
    now = store.clock.now()
    async with store.engine.transaction() as transaction:
        for table, made in ((messages, outbound), (inbound_messages, inbound)):
            shift = SECOND // 2 if made is inbound else 0
            rows = [made(number, Instant(now - number * SECOND - shift)) for number in range(MANY)]
            await transaction.execute(insert(table), rows)
        await transaction.execute(text("ANALYZE"))


@pytest.fixture
async def busy(filled: Filled) -> AsyncIterator[Store]:
    """A store with all of that."""
    async with filled(hours) as opened:
        yield opened


async def require_indexes(store: Store, asked: list[Any], *, tables: int = 2) -> None:
    """What was asked of messages went along both indexes, and read nothing as a whole."""
    plans = [(sql, plan) for sql, given in asked for plan in await explained(store, sql, given) if "received_at" in sql]
    found = [(sql, plan) for sql, plan in plans if "organization_id =" in sql]
    assert found
    for _, plan in found:
        assert sum(each in plan for each in INDEXES) >= tables, plan
    lines = [line.strip().removeprefix("->").strip() for _, plan in found[:1] for line in plan.splitlines()]
    assert [line for line in lines if WHOLE.match(line)] == []


async def test_a_page_goes_along_both_indexes_and_reads_no_more_than_it_shows(busy: Store) -> None:
    now = busy.clock.now()
    hour = RecordFilter(Between(Instant(now - HOUR), now))
    with listening(busy) as asked:
        newest = await busy.traffic.page(MINE, hour, 0, 20)
        oldest = await busy.traffic.page(MINE, hour, 0, 20, newest=False)
        total = await busy.traffic.count(MINE, hour)
        following, last = await busy.traffic.after(MINE, hour, oldest[0].id, 10)
    await require_indexes(busy, asked)
    # In an hour, 36 of each direction; of ours, a fourth of the outbound was cancelled.
    assert total == 36 + 27
    assert [each.id for each in newest] == sorted((each.id for each in newest), reverse=True)
    assert {each.direction for each in newest} == {Direction.INBOUND, Direction.OUTBOUND}
    assert ([each.id for each in following], last) == ([each.id for each in oldest[1:11]], oldest[10].id)


async def test_without_a_time_each_direction_is_cut_off_along_its_index(busy: Store) -> None:
    with listening(busy) as asked:
        found = await busy.traffic.page(MINE, RecordFilter(), 0, 20)
    listed = [(sql, given) for sql, given in asked if "UNION ALL" in sql]
    for sql, given in listed:
        for plan in await explained(busy, sql, given):
            assert [each for each in INDEXES if each not in plan] == [], plan
            assert "Bitmap" not in plan, plan
            assert not WHOLE.search(plan), plan
    assert (len(listed), len(found)) == (1, 20)


async def test_figures_go_along_the_indexes_and_count_everything_once(busy: Store) -> None:
    now = busy.clock.now()
    with listening(busy) as asked:
        course = await busy.traffic.course(MINE, now, TIME_FRAMES["1h"])
        alone = await busy.traffic.course(MINE, now, TIME_FRAMES["1h"], PROFILES[1])
        usage = await busy.traffic.usage(MINE, RecordFilter(Between(Instant(now - HOUR), now)), by_tags=False)
    await require_indexes(busy, asked)
    assert sum(each.received for each in course) == 36
    # Ours come every 100 seconds; of each four, one was cancelled.
    assert sum(each.delivered for each in course) == sum(each.messages for each in usage if each.cost) == 27
    assert sum(each.sent for each in alone) == sum(each.sent for each in course if each.profile_id == PROFILES[1]) > 0
    assert {each.at % TIME_FRAMES["1h"].step for each in course} == {0}


async def test_all_that_is_kept_is_gone_through_once_page_by_page(busy: Store) -> None:
    seen: list[str] = []
    last: str | None = None
    wanted = RecordFilter(Between(None, Instant(busy.clock.now() - 10 * MINUTE)))
    while True:
        found, last = await busy.traffic.after(MINE, wanted, last, 300)
        seen += [each.id for each in found]
        if last is None:
            break
    assert len(seen) == await busy.traffic.count(MINE, wanted)
    assert seen == sorted(set(seen))


async def test_nothing_is_found_in_no_direction_and_of_no_organisation(busy: Store) -> None:
    nobody = OrganizationId("00000000-0000-7000-8000-0000000000ff")
    assert await busy.traffic.page(MINE, RecordFilter(directions=()), 0, 9) == []
    assert await busy.traffic.count(MINE, RecordFilter(directions=())) == 0
    assert await busy.traffic.page(nobody, RecordFilter(), 0, 9) == []
    assert await busy.traffic.usage(MINE, RecordFilter(conditions=[Condition("parts", "gt", 1)]), by_tags=True) == []
    spent = await busy.traffic.spent(MINE, "USD")
    assert (spent.charged, spent.pending) == (510 * (MANY // 100 - MANY // 400), 0)
    assert (await busy.traffic.spent(MINE, "EUR")).charged == 0
