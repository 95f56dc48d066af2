"""Many numbers put on a profile, by jobs that are interrupted."""

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from heliograph.domain.accounts import Profile
from heliograph.domain.bulk_updates import KIND, BulkUpdateResult, BulkUpdateWish, result_of
from heliograph.domain.instant import MINUTE
from heliograph.domain.senders import own_sender
from heliograph.jobs import bulk_updates
from heliograph.jobs.bulk_updates import bulk_update
from heliograph.jobs.runner import JobRunner
from heliograph.store.jobs import ClaimLost, Job, JobStatus
from heliograph.store.numbers import NUMBERS
from heliograph.store.store import Store
from tests.builders import epoch, make_account, new_id

HANDLERS = {KIND: bulk_update}


async def with_numbers(store: Store, many: int) -> tuple[Profile, list[str]]:
    """A profile, and numbers of its organisation that are on none."""
    organization, profile = await make_account(store)
    numbers = [f"+1312555{index:04d}" for index in range(many)]
    for address in numbers:
        sender = own_sender(new_id(store), organization.id, None, address)
        await store.changes.add_sender(sender, store.clock.now())
    return profile, numbers


async def added(store: Store, profile: Profile, numbers: Sequence[str]) -> Job:
    now = store.clock.now()
    wish = msgspec.json.encode(BulkUpdateWish(profile.id, tuple(numbers)))
    job = Job(new_id(store), profile.organization_id, KIND, wish, now, now)
    await store.jobs.add(job)
    return job


async def result(store: Store, job: Job) -> tuple[JobStatus, BulkUpdateResult]:
    kept = await store.jobs.find(job.organization_id, job.id, KIND)
    assert kept is not None
    return kept.status, result_of(kept.result)


async def assigned(store: Store, profile: Profile, numbers: Sequence[str]) -> list[bool]:
    found = [await store.senders.find(profile.organization_id, NUMBERS, address=each) for each in numbers]
    return [each is not None and each.sender.profile_id == profile.id for each in found]


async def test_numbers_are_done_piece_by_piece_in_order(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_updates, "AT_ONCE", 2)
    profile, numbers = await with_numbers(store, 5)
    before = await epoch(store)
    job = await added(store, profile, [*numbers[:3], "nope", *numbers[3:], "+13125559999"])
    await JobRunner(store, HANDLERS).settle()
    assert await result(store, job) == (JobStatus.COMPLETE, BulkUpdateResult(tuple(numbers), ("nope", "+13125559999")))
    assert await assigned(store, profile, numbers) == [True] * 5
    assert await epoch(store) == before + 3  # one for each piece that moved a number


async def test_what_a_dead_process_did_is_not_done_again_and_the_rest_is(
    store: Store, beside: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first dies between a piece and the record of it, in the worst moment there is."""
    monkeypatch.setattr(bulk_updates, "AT_ONCE", 2)
    profile, numbers = await with_numbers(store, 6)
    job = await added(store, profile, numbers)
    held = await store.jobs.claim(HANDLERS, new_id(store), MINUTE)
    assert held is not None
    first, second = numbers[:2], numbers[2:4]
    await store.senders.assign(job.organization_id, profile.id, first, store.clock.now())
    await store.jobs.progress(held, msgspec.json.encode(BulkUpdateResult(tuple(first))))
    await store.senders.assign(job.organization_id, profile.id, second, store.clock.now())
    # Somebody changes what was done and recorded: it must stay as they left it.
    await store.senders.assign(job.organization_id, "", first, store.clock.now())
    await store.sandbox.set_ahead(2 * MINUTE)
    await beside.engine.synchronize_clock()
    await JobRunner(beside, HANDLERS).settle()
    assert await result(store, job) == (JobStatus.COMPLETE, BulkUpdateResult(tuple(numbers)))
    assert await assigned(store, profile, numbers) == [False] * 2 + [True] * 4


async def test_a_process_that_lost_the_job_does_and_records_nothing(store: Store) -> None:
    profile, numbers = await with_numbers(store, 1)
    job = await added(store, profile, numbers)
    held = await store.jobs.claim(HANDLERS, new_id(store), MINUTE)
    assert held is not None
    await store.jobs.delete(job.organization_id, job.id, KIND)
    with pytest.raises(ClaimLost):
        await bulk_update(store, held)
    assert await assigned(store, profile, numbers) == [False]


async def test_of_a_profile_that_is_deleted_meanwhile_the_rest_fails(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_updates, "AT_ONCE", 2)
    profile, numbers = await with_numbers(store, 4)
    job = await added(store, profile, numbers)
    held = await store.jobs.claim(HANDLERS, new_id(store), MINUTE)
    assert held is not None
    await store.jobs.progress(held, msgspec.json.encode(BulkUpdateResult(tuple(numbers[:2]))))
    await store.jobs.hand_back(held)
    await store.changes.delete_profile(job.organization_id, profile.id, store.clock.now())
    await JobRunner(store, HANDLERS).settle()
    assert await result(store, job) == (JobStatus.COMPLETE, BulkUpdateResult(tuple(numbers[:2]), tuple(numbers[2:])))


async def test_two_wishes_at_once_both_come_to_their_end(store: Store, beside: Store) -> None:
    profile, numbers = await with_numbers(store, 20)
    jobs = [await added(store, profile, order) for order in (numbers, numbers[::-1])]
    await asyncio.gather(*(JobRunner(each, HANDLERS).settle() for each in (store, beside)))
    assert [(await result(store, each))[0] for each in jobs] == [JobStatus.COMPLETE] * 2
    assert await assigned(store, profile, numbers) == [True] * 20
