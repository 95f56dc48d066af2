"""Group commit."""

import asyncio
from collections.abc import Sequence

import pytest

from heliograph.store.engine import StoreUnavailable, Transaction
from heliograph.store.store import Store
from heliograph.store.writer import GroupCommit


class Verb:
    """Answers with what it is given; fails as it is told."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.failures: list[Exception] = []

    async def __call__(self, transaction: Transaction, items: Sequence[int]) -> Sequence[int]:
        self.batches.append(list(items))
        if self.failures:
            raise self.failures.pop(0)
        if -1 in items:
            raise ValueError("-1")
        return [item * 2 for item in items]


async def test_every_item_gets_its_own_answer(store: Store) -> None:
    verb = Verb()
    answers = await asyncio.gather(*(store.writer.run(verb, each) for each in range(50)))
    assert answers == [each * 2 for each in range(50)]
    assert len(verb.batches) < 5


async def test_a_bad_item_fails_alone(store: Store) -> None:
    verb = Verb()
    answers = await asyncio.gather(*(store.writer.run(verb, each) for each in (1, -1, 2)), return_exceptions=True)
    assert answers[::2] == [2, 4]
    assert isinstance(answers[1], ValueError)


async def test_an_unreachable_database_is_asked_again(store: Store) -> None:
    verb = Verb()
    verb.failures = [StoreUnavailable("gone"), StoreUnavailable("still")]
    assert await store.writer.run(verb, 1) == 2
    assert verb.batches == [[1], [1], [1]]


async def test_patience_has_an_end(store: Store) -> None:
    impatient, verb = GroupCommit(store.engine, patience=0), Verb()
    verb.failures = [StoreUnavailable("gone")]
    await impatient.start()
    with pytest.raises(StoreUnavailable, match="gone"):
        await impatient.run(verb, 1)
    await impatient.stop()


async def test_who_waited_behind_a_silent_database_is_told_with_the_others(store: Store) -> None:
    impatient, begun, silent = GroupCommit(store.engine, patience=0), asyncio.Event(), asyncio.Event()
    batches: list[Sequence[int]] = []

    async def verb(_: Transaction, items: Sequence[int]) -> Sequence[int]:
        batches.append(items)
        begun.set()
        await silent.wait()
        raise StoreUnavailable("silent")

    await impatient.start()
    first = asyncio.ensure_future(impatient.run(verb, 1))
    await begun.wait()
    second = asyncio.ensure_future(impatient.run(verb, 2))
    await asyncio.sleep(0)
    silent.set()
    told = await asyncio.gather(first, second, return_exceptions=True)
    await impatient.stop()
    assert [str(each) for each in told] == ["silent", "silent"]
    assert batches == [[1]]


async def test_stopping_writes_what_waits_and_takes_no_more(store: Store) -> None:
    writer, verb = GroupCommit(store.engine), Verb()
    waiting = asyncio.gather(*(writer.run(verb, each) for each in range(3)))
    await asyncio.sleep(0)
    await writer.start()
    await writer.stop()
    assert await waiting == [0, 2, 4]
    with pytest.raises(StoreUnavailable, match="stopping"):
        await writer.run(verb, 4)


async def test_a_task_cancelled_as_it_begins_a_transaction_leaves_none_open(store: Store) -> None:
    async def begin() -> None:
        async with store.engine.transaction():
            pass

    for _ in range(20):
        task = asyncio.ensure_future(begin())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert await store.writer.run(Verb(), 1) == 2


async def test_a_caller_that_went_away_does_not_disturb_the_others(store: Store) -> None:
    verb = Verb()
    gone = asyncio.ensure_future(store.writer.run(verb, 1))
    stays = asyncio.ensure_future(store.writer.run(verb, 2))
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays == 4
