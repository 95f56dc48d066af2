"""Group commit: writes that arrive while one commit is in flight share the next.

    run(verb, item) --> waiting --> one transaction of many verbs --> commit --> every caller has its answer

No caller is answered before the commit that holds its change. There is no timer: a batch is what has queued while the
one before it was written. A transaction that fails as a whole is done again item by item, so that one bad item cannot
fail its neighbours. Every verb may be given an item twice (the answer to a commit can be lost): it finds its own change
and gives the same answer.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from heliograph.clock import monotonic
from heliograph.domain.instant import SECOND
from heliograph.log import get_logger
from heliograph.store.engine import Engine, StoreUnavailable, Transaction

logger = get_logger("store")

Item = TypeVar("Item")
Answer = TypeVar("Answer")
Verb = Callable[[Transaction, Sequence[Item]], Awaitable[Sequence[Answer]]]

LARGEST_BATCH = 500
"""A bound on how long one transaction takes; at 64 requests in flight a batch has about 30."""
PATIENCE = 5 * SECOND
"""How long an unreachable database is asked again before the callers are told."""
PAUSE = 0.1
"""Seconds between two such tries."""
LAST = frozenset({"MessageVerbs.accept"})
"""What takes rows that many wait for, slots and sums of a day, comes after what takes messages: as everywhere."""


@dataclass(slots=True)
class _Waiting:
    verb: Verb[Any, Any]
    item: Any
    answer: asyncio.Future[Any]
    since: int


class GroupCommit:
    """The one who writes."""

    def __init__(self, engine: Engine, patience: int = PATIENCE) -> None:
        self._engine = engine
        self._patience = patience
        self._waiting: list[_Waiting] = []
        self._arrived = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self.commits = 0

    async def run(self, verb: Verb[Item, Answer], item: Item) -> Answer:
        """Do `verb` to `item` in the next transaction; its answer, once that is committed.

        Raises `StoreUnavailable` when it is not known to be committed. Whether it was stays open then: the same item
        may be given again.
        """
        if self._stopping:
            raise StoreUnavailable("the server is stopping")
        waiting = _Waiting(verb, item, asyncio.get_running_loop().create_future(), monotonic())
        self._waiting.append(waiting)
        self._arrived.set()
        answer: Answer = await waiting.answer
        return answer

    async def start(self) -> None:
        """Begin to write."""
        if self._task is None:
            self._stopping = False
            self._task = asyncio.create_task(self._run(), name="group-commit")

    async def stop(self) -> None:
        """Write what is waiting, then return."""
        if self._task is None:
            return
        self._stopping = True
        self._arrived.set()
        with suppress(asyncio.CancelledError):
            await self._task
        self._task = None

    async def _run(self) -> None:
        while self._waiting or not self._stopping:
            await self._arrived.wait()
            await self._gather()
            batch, self._waiting = self._waiting[:LARGEST_BATCH], self._waiting[LARGEST_BATCH:]
            if not self._waiting and not self._stopping:
                self._arrived.clear()
            if batch:
                await self._write(batch)

    async def _gather(self) -> None:
        """Let what is ready join: a batch is closed by the first turn of the event loop in which nothing came to it."""
        before = -1
        while before < len(self._waiting) < LARGEST_BATCH:
            before = len(self._waiting)
            await asyncio.sleep(0)

    async def _write(self, batch: list[_Waiting]) -> None:
        try:
            answers = await self._patiently(batch)
        except Exception as error:  # noqa: BLE001 - whatever it is, it goes to the caller whose item caused it
            if isinstance(error, StoreUnavailable):
                _fail([*batch, *self._overdue()], error)
                return
            if len(batch) == 1:
                _fail(batch, error)
                return
            what = {"size": len(batch), "reason": repr(error)}
            logger.warning("a batch failed and is done one by one", action="batch_split", **what)
            for each in batch:
                await self._write([each])
            return
        for each, answer in zip(batch, answers, strict=True):
            if not each.answer.done():
                each.answer.set_result(answer)

    def _overdue(self) -> list[_Waiting]:
        """Take out who waited behind a batch that failed for as long as they would be kept themselves.

        A database that is silent is given up after half a minute: whoever came meanwhile would wait for as long again.
        """
        before = monotonic() - self._patience
        overdue = [each for each in self._waiting if each.since <= before]
        self._waiting = [each for each in self._waiting if each.since > before]
        return overdue

    async def _patiently(self, batch: list[_Waiting]) -> list[Any]:
        give_up = monotonic() + self._patience
        while True:
            try:
                return await self._commit(batch)
            except StoreUnavailable as error:
                if monotonic() >= give_up:
                    raise
                logger.warning("the database cannot be written to", action="store_retry", reason=str(error))
                await asyncio.sleep(PAUSE)

    async def _commit(self, batch: list[_Waiting]) -> list[Any]:
        answers: dict[int, Any] = {}
        async with self._engine.transaction() as transaction:
            # In one order everywhere: two processes that take the same locks in two orders wait in a circle.
            for verb in sorted({each.verb for each in batch}, key=_turn):
                mine = [index for index, each in enumerate(batch) if each.verb == verb]
                given = await verb(transaction, [batch[index].item for index in mine])
                answers.update(zip(mine, given, strict=True))
        self.commits += 1
        return [answers[index] for index in range(len(batch))]


def _turn(verb: Verb[Any, Any]) -> tuple[bool, str]:
    name = getattr(verb, "__qualname__", "")
    return name in LAST, name


def _fail(batch: list[_Waiting], error: Exception) -> None:
    for each in batch:
        if not each.answer.done():
            each.answer.set_exception(error)
