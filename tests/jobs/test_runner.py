"""A job is done whatever becomes of the process that does it."""

import asyncio

from heliograph.domain.ids import OrganizationId
from heliograph.domain.instant import HOUR, MINUTE, SECOND
from heliograph.jobs.runner import ATTEMPTS, Done, JobRunner
from heliograph.store.jobs import Job, JobStatus
from heliograph.store.store import Store
from tests.builders import new_id

ORGANIZATION = OrganizationId("00000000-0000-7000-8000-000000000001")


class Work:
    """A handler that waits for its word; what it was given, in order."""

    def __init__(self, *, waits: bool = False, fails: int = 0) -> None:
        self.given: list[Job] = []
        self.fails = fails
        self.begun = asyncio.Event()
        self.word = asyncio.Event()
        if not waits:
            self.word.set()

    async def __call__(self, store: Store, job: Job) -> Done:
        self.given.append(job)
        self.begun.set()
        await self.word.wait()
        if len(self.given) <= self.fails:
            raise ConnectionError("away")
        return Done(b'{"by":"' + str(len(self.given)).encode() + b'"}')


async def added(store: Store) -> Job:
    now = store.clock.now()
    job = Job(new_id(store), ORGANIZATION, "count", b"{}", now, now)
    await store.jobs.add(job)
    return job


async def found(store: Store, job: Job) -> Job:
    kept = await store.jobs.find(ORGANIZATION, job.id, "count")
    assert kept is not None
    return kept


async def test_a_job_that_is_added_wakes_the_runner(store: Store) -> None:
    work = Work()
    runner = JobRunner(store, {"count": work})
    store.jobs.added = runner.wake
    await runner.start()
    await runner.wait_passed(1)
    job = await added(store)
    async with asyncio.timeout(1.5):  # less than it polls
        await work.begun.wait()
    await runner.stop()
    assert [each.id for each in work.given] == [job.id]


async def test_a_process_that_dies_leaves_its_job_to_another(store: Store, beside: Store) -> None:
    """The first never comes back from its handler, nor renews its lease, as after a kill."""
    dies, lives = Work(waits=True), Work()
    job = await added(store)
    dying = asyncio.create_task(JobRunner(store, {"count": dies}, lease=MINUTE).work())
    await dies.begun.wait()
    other = JobRunner(beside, {"count": lives})
    assert await other.work() is False
    await store.sandbox.set_ahead(2 * MINUTE)
    await beside.engine.synchronize_clock()
    assert await other.work() is True
    dies.word.set()
    await dying
    kept = await found(store, job)
    assert (kept.status, kept.result, kept.attempts) == (JobStatus.COMPLETE, b'{"by":"1"}', 2)
    assert lives.given[0].id == job.id


async def test_a_job_in_hand_keeps_its_lease_and_is_left_off_once_it_is_deleted(store: Store) -> None:
    work = Work(waits=True)
    job = await added(store)
    doing = asyncio.create_task(JobRunner(store, {"count": work}, lease=SECOND // 10).work())
    await work.begun.wait()
    begun = await store.jobs.next_due(store.clock.now())
    while await store.jobs.next_due(store.clock.now()) == begun:  # noqa: ASYNC110 - a row that changes is no event
        await asyncio.sleep(0)
    assert await store.jobs.delete(ORGANIZATION, job.id, "count") is not None
    async with asyncio.timeout(5):
        assert await doing is True


async def test_what_fails_is_tried_again_later_and_given_up_after_its_attempts(store: Store) -> None:
    passing, lasting = Work(fails=1), Work(fails=ATTEMPTS)
    for work, status, tries in ((passing, JobStatus.COMPLETE, 2), (lasting, JobStatus.FAILED, ATTEMPTS)):
        job = await added(store)
        runner = JobRunner(store, {"count": work})
        for _ in range(ATTEMPTS + 1):
            await runner.settle()
            await store.sandbox.set_ahead(store.clock.offset + HOUR)
        kept = await found(store, job)
        assert (kept.status, len(work.given)) == (status, tries)
    assert kept.reason == f"It failed {ATTEMPTS} times: ConnectionError."


async def test_a_job_that_ends_every_process_is_given_up_too(store: Store) -> None:
    work = Work()
    job = await added(store)
    for _ in range(ATTEMPTS):
        assert await store.jobs.claim(["count"], new_id(store), SECOND) is not None
        await store.sandbox.set_ahead(store.clock.offset + MINUTE)
    await JobRunner(store, {"count": work}).settle()
    assert ((await found(store, job)).status, work.given) == (JobStatus.FAILED, [])


async def test_a_runner_that_is_stopped_hands_its_job_back(store: Store, beside: Store) -> None:
    work = Work(waits=True)
    job = await added(store)
    runner = JobRunner(store, {"count": work})
    await runner.start()
    await work.begun.wait()
    await runner.stop()
    assert (await found(store, job)).attempts == 0
    await JobRunner(beside, {"count": Work()}).settle()
    assert (await found(store, job)).status is JobStatus.COMPLETE
