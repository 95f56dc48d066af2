"""Jobs are claimed once, held by a token, and given to another when a lease ends."""

from collections.abc import Awaitable, Callable

import pytest

from heliograph.domain.ids import OrganizationId
from heliograph.domain.instant import MINUTE, SECOND
from heliograph.store.jobs import ClaimLost, Job, JobStatus
from heliograph.store.store import Store
from tests.builders import new_id

ORGANIZATION = OrganizationId("00000000-0000-7000-8000-000000000001")
STRANGER = OrganizationId("00000000-0000-7000-8000-000000000002")


async def added(store: Store, kind: str = "count") -> Job:
    now = store.clock.now()
    job = Job(new_id(store), ORGANIZATION, kind, b'{"to":3}', now, now)
    await store.jobs.add(job)
    return job


async def claimed(store: Store, *kinds: str) -> Job | None:
    return await store.jobs.claim(kinds or ("count",), new_id(store), MINUTE)


async def found(store: Store, job: Job) -> Job:
    kept = await store.jobs.find(ORGANIZATION, job.id, job.kind)
    assert kept is not None
    return kept


async def content(store: Store, job: Job) -> str:
    return "".join([piece async for piece in store.jobs.content(job.id)])


async def test_a_job_is_claimed_once_and_finished(store: Store, beside: Store) -> None:
    job = await added(store)
    mine = await claimed(store)
    assert mine is not None
    assert (mine.id, mine.wish, mine.attempts, await claimed(beside)) == (job.id, job.wish, 1, None)
    await store.jobs.progress(mine, b'{"at":2}')
    assert ((await found(beside, job)).status, (await found(beside, job)).result) == (JobStatus.RUNNING, b'{"at":2}')
    await store.jobs.finish(mine, JobStatus.FAILED, reason="tired")
    over = await found(beside, job)
    assert (over.status, over.result, over.reason, over.over) == (JobStatus.FAILED, b'{"at":2}', "tired", True)
    assert await claimed(beside) is None


async def test_jobs_are_taken_in_their_order_and_only_those_of_known_kinds(store: Store) -> None:
    jobs = [await added(store, kind) for kind in ("strange", "count", "sum", "count")]
    taken = [await claimed(store, "count", "sum") for _ in range(4)]
    assert [each and each.id for each in taken] == [*(each.id for each in jobs[1:]), None]


async def test_when_the_lease_ends_another_has_the_job_and_the_first_changes_nothing(
    store: Store, beside: Store
) -> None:
    job = await added(store)
    first = await claimed(store)
    assert first is not None
    await store.jobs.write_page(first, 0, "from the first, ")
    await store.jobs.write_page(first, 1, "and more")
    await store.sandbox.set_ahead(MINUTE + SECOND)
    await beside.engine.synchronize_clock()
    second = await claimed(beside)
    assert second is not None
    assert (second.id, second.attempts) == (job.id, 2)
    await beside.jobs.write_page(second, 0, "from the second")
    changes: list[Callable[[], Awaitable[None]]] = [
        lambda: store.jobs.renew(first, MINUTE),
        lambda: store.jobs.progress(first, b"{}"),
        lambda: store.jobs.write_page(first, 1, "late"),
        lambda: store.jobs.hand_back(first),
        lambda: store.jobs.finish(first, JobStatus.COMPLETE, b"{}"),
    ]
    for change in changes:
        with pytest.raises(ClaimLost):
            await change()
    assert await content(store, job) == "from the second"
    await beside.jobs.finish(second, JobStatus.COMPLETE, b'{"by":2}')
    assert (await found(store, job)).result == b'{"by":2}'


async def test_a_lease_that_is_renewed_goes_on(store: Store, beside: Store) -> None:
    await added(store)
    mine = await claimed(store)
    assert mine is not None
    await store.sandbox.set_ahead(MINUTE // 2)
    await store.jobs.renew(mine, MINUTE)
    await store.sandbox.set_ahead(MINUTE + MINUTE // 4)
    await beside.engine.synchronize_clock()
    assert await claimed(beside) is None


async def test_what_is_handed_back_is_due_again_when_it_is_said(store: Store) -> None:
    await added(store)
    mine = await claimed(store)
    assert mine is not None
    await store.jobs.hand_back(mine, delay=MINUTE)
    assert await claimed(store) is None
    due = await store.jobs.next_due(store.clock.now())
    assert due is not None
    assert MINUTE <= due - mine.updated_at < 2 * MINUTE
    await store.sandbox.set_ahead(MINUTE + SECOND)
    again = await claimed(store)
    assert again is not None
    await store.jobs.hand_back(again, counted=False)
    last = await claimed(store)
    assert (again.attempts, last and last.attempts) == (2, 2)


async def test_a_file_is_read_piece_by_piece_and_goes_with_its_job(store: Store) -> None:
    job = await added(store)
    mine = await claimed(store)
    assert mine is not None
    for number, piece in enumerate(("a,b\r\n", "1,2\r\n", "3,4\r\n")):
        await store.jobs.write_page(mine, number, piece)
    await store.jobs.write_page(mine, 2, "3,5\r\n")
    assert [piece async for piece in store.jobs.content(job.id)] == ["a,b\r\n", "1,2\r\n", "3,5\r\n"]
    assert await store.jobs.delete(STRANGER, job.id, "count") is None
    gone = await store.jobs.delete(ORGANIZATION, job.id, "count")
    assert (gone and gone.id, await content(store, job)) == (job.id, "")
    with pytest.raises(ClaimLost):
        await store.jobs.write_page(mine, 3, "5,6\r\n")


async def test_jobs_are_listed_by_organisation_and_kind_newest_first(store: Store) -> None:
    jobs = [await added(store) for _ in range(3)]
    await added(store, "sum")
    total, page = await store.jobs.page(ORGANIZATION, "count", 1, 1)
    assert (total, [each.id for each in page]) == (3, [jobs[1].id])
    assert await store.jobs.page(STRANGER, "count", 0, 9) == (0, [])
    assert await store.jobs.find(STRANGER, jobs[0].id, "count") is None
    assert await store.jobs.find(ORGANIZATION, jobs[0].id, "sum") is None
