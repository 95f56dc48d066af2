"""Bugs to be planted in the program of a run: whoever looks for broken promises must notice each."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from sqlalchemy import update

from heliograph import randomness
from heliograph.clock import SystemClock
from heliograph.dispatch.dispatcher import Dispatcher
from heliograph.dispatch.upkeep import Upkeep
from heliograph.domain.instant import SECOND
from heliograph.domain.lifecycle import Change, Status
from heliograph.domain.outcome import RepeatPolicy
from heliograph.store.messages import CancelAnswer, Cancellation
from heliograph.store.sqlite import SqliteEngine
from heliograph.store.store import Store
from heliograph.store.tables import messages
from heliograph.store.writer import GroupCommit
from heliograph.webhooks import payload, sender

Plant = Callable[[], AbstractContextManager[object]]
"""Within it the bug is there."""


@contextmanager
def _changed(place: object, name: str, other: object) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as change:
        change.setattr(place, name, other)
        yield


def _answers_before_the_commit() -> AbstractContextManager[object]:
    async def commit(self: Any, batch: list[Any]) -> list[Any]:
        answers = []
        async with self._engine.transaction() as transaction:
            for each in batch:
                answers += await each.verb(transaction, [each.item])
                if not each.answer.done():
                    each.answer.set_result(answers[-1])
            await asyncio.sleep(0.05)
        return answers

    return _changed(GroupCommit, "_commit", commit)


def _cancels_what_is_being_sent() -> AbstractContextManager[object]:
    real = Store.cancel

    async def cancel(self: Store, cancellation: Cancellation) -> CancelAnswer:
        answer = await real(self, cancellation)
        if answer.message is None or answer.message.status is not Status.SENDING:
            return answer
        mine = messages.c.id == answer.message.id
        async with self.engine.transaction() as transaction:
            await transaction.execute(update(messages).where(mine).values(status="cancelled", claim_token=None))
        return replace(answer, message=msgspec.structs.replace(answer.message, status=Status.CANCELLED), won=True)

    return _changed(Store, "cancel", cancel)


def _submits_twice() -> AbstractContextManager[object]:
    real = Dispatcher._give

    async def give(self: Dispatcher, message: Any, until: int) -> Any:
        await real(self, message, until)
        return await real(self, message, until)

    return _changed(Dispatcher, "_give", give)


def _hands_back_what_was_taken() -> AbstractContextManager[object]:
    real = Dispatcher._taken

    def taken(self: Dispatcher, claimed: Any, left_at: Any, got: Any) -> Any:
        outcome = real(self, claimed, left_at, got)
        if claimed.message.attempts > 1:
            return outcome
        return replace(outcome, change=Change.HAND_BACK, due_at=outcome.at, deadline_at=None, ids=(), left_at=None)

    return _changed(Dispatcher, "_taken", taken)


def _sends_again_what_may_have_left() -> AbstractContextManager[object]:
    real = Upkeep.__init__

    def init(self: Upkeep, store: Any, carriers: Any, _policy: object, settle_after: Any = None) -> None:
        real(self, store, carriers, RepeatPolicy.RATHER_TWICE, settle_after)

    return _changed(Upkeep, "__init__", init)


def _goes_by_a_clock_that_is_ahead() -> AbstractContextManager[object]:
    return _changed(SqliteEngine, "moment", lambda _self: {"now": SystemClock(3 * SECOND).now()})


def _draws_a_new_event_id_for_each_attempt() -> AbstractContextManager[object]:
    real = payload.envelope

    def envelope(webhook: bytes, attempt: int, url: str) -> bytes:
        told = msgspec.json.decode(webhook)
        told["id"] = randomness.new_id(SystemClock().now())
        return real(msgspec.json.encode(told), attempt, url)

    return _changed(sender, "envelope", envelope)


MUTANTS: Mapping[str, tuple[str, Plant]] = {
    "answers-before-the-commit": ("P2", _answers_before_the_commit),
    "cancels-what-is-being-sent": ("P1", _cancels_what_is_being_sent),
    "submits-twice": ("P3", _submits_twice),
    "hands-back-what-was-taken": ("P3", _hands_back_what_was_taken),
    "sends-again-what-may-have-left": ("P3", _sends_again_what_may_have_left),
    "goes-by-a-clock-that-is-ahead": ("P4", _goes_by_a_clock_that_is_ahead),
    "draws-a-new-event-id-for-each-attempt": ("P6", _draws_a_new_event_id_for_each_attempt),
}
"""By name: the promise that it breaks, and how it is planted."""
