"""Files are made in pages, and whole, also when the process that makes one dies half way."""

import asyncio
from typing import Any

import msgspec
from sqlalchemy import insert

from heliograph.domain.ids import OrganizationId, uuid7
from heliograph.domain.instant import HOUR, MINUTE, SECOND, Instant
from heliograph.domain.reports import DETAIL_REPORT, DetailWish
from heliograph.jobs.handlers import HANDLERS
from heliograph.jobs.reports import PAGE
from heliograph.jobs.runner import JobRunner
from heliograph.store.jobs import Job, JobStatus
from heliograph.store.store import Store
from heliograph.store.tables import messages
from tests.builders import new_id

ORGANIZATION = OrganizationId("00000000-0000-7000-8000-000000000001")
MANY = 2 * PAGE + 1


def sent(number: int, at: Instant) -> dict[str, Any]:
    return {
        "id": uuid7(at, number),
        "organization_id": ORGANIZATION,
        "profile_id": ORGANIZATION,
        "type": "SMS",
        "status": "sent",
        "sender": "+18445550001",
        "recipient": "+18665550001",
        "parts": 1,
        "rate": 0,
        "carrier_fee": 0,
        "received_at": at,
        "sent_at": at,
        "valid_until": at,
        "attempts": 1,
        "in_doubt": False,
        "facts": '{"encoding": "GSM-7", "num_chars": 5}',
    }


async def asked(store: Store) -> tuple[Job, list[str]]:
    """A report of more than two pages, and the ids that it is to hold."""
    now = store.clock.now()
    rows = [sent(number, Instant(now - HOUR + number * SECOND)) for number in range(MANY)]
    async with store.engine.transaction() as transaction:
        await transaction.execute(insert(messages), rows)
    wish = DetailWish(first=Instant(now - 2 * HOUR), last=now, secret="s")
    job = Job(new_id(store), ORGANIZATION, DETAIL_REPORT, msgspec.json.encode(wish), now, now)
    await store.jobs.add(job)
    return job, [row["id"] for row in rows]


async def pages(store: Store, job: Job) -> list[list[str]]:
    """The ids in the file, by page."""
    found = [piece.splitlines() async for piece in store.jobs.content(job.id)]
    return [[line.split(",")[0] for line in lines] for lines in found]


async def test_a_large_file_is_made_in_pages_each_record_once(store: Store) -> None:
    job, ids = await asked(store)
    await JobRunner(store, HANDLERS).settle()
    first, *others = await pages(store, job)
    assert (first[0], [len(each) for each in (first, *others)]) == ("id", [PAGE + 1, PAGE, 1])
    assert [*first[1:], *(each for page in others for each in page)] == ids
    kept = await store.jobs.find(ORGANIZATION, job.id, DETAIL_REPORT)
    assert (kept and kept.status, kept and kept.result) == (JobStatus.COMPLETE, b'{"records":2001}')


async def test_a_file_begun_by_a_process_that_died_is_made_anew_by_another(store: Store, beside: Store) -> None:
    job, ids = await asked(store)
    claimed = await store.jobs.claim(HANDLERS, new_id(store), MINUTE)
    assert claimed is not None
    making = asyncio.ensure_future(HANDLERS[DETAIL_REPORT](store, claimed))
    while not await pages(store, job):  # noqa: ASYNC110 - a row that appears is no event
        await asyncio.sleep(0)
    making.cancel()
    await asyncio.wait({making})
    await store.sandbox.set_ahead(2 * MINUTE)
    await beside.engine.synchronize_clock()
    await JobRunner(beside, HANDLERS).settle()
    assert [each for page in await pages(beside, job) for each in page] == ["id", *ids]
