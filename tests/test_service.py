"""The contract of everything with a loop."""

import asyncio

import pytest

from heliograph.domain.instant import HOUR
from heliograph.service import Attention, Loop


class Counting(Loop):
    """Counts its passes; fails in those it is told."""

    name = "counting"

    def __init__(self, failing: frozenset[int] = frozenset()) -> None:
        super().__init__()
        self.failing = failing
        self.begun = 0

    async def run_pass(self) -> int:
        self.begun += 1
        if self.begun in self.failing:
            raise RuntimeError(f"pass {self.begun}")
        return HOUR


async def test_it_may_be_stopped_before_it_was_started() -> None:
    await Counting().stop()


async def test_starting_and_stopping_twice_is_fine() -> None:
    loop = Counting()
    for _ in range(2):
        await loop.start()
    await loop.wait_passed(1)
    for _ in range(2):
        await loop.stop()
    assert loop.begun == 1


async def test_it_runs_again_after_a_stop() -> None:
    loop = Counting()
    for count in (1, 2):
        await loop.start()
        await loop.wait_passed(count)
        await loop.stop()
    assert loop.begun == 2


async def test_waking_makes_the_next_pass_come_at_once() -> None:
    loop = Counting()
    await loop.start()
    await loop.wait_passed(1)
    loop.wake()
    await loop.wait_passed(2)
    await loop.stop()


async def test_a_failed_pass_does_not_end_it() -> None:
    loop = Counting(failing=frozenset({1}))
    await loop.start()
    await loop.wait_passed(1)
    loop.wake()
    await loop.wait_passed(2)
    await loop.stop()
    assert loop.begun == 2


@pytest.mark.parametrize("_round", range(5))
async def test_starts_and_stops_in_any_order_leave_it_stopped(_round: int) -> None:
    loop = Counting()
    await asyncio.gather(loop.start(), loop.stop(), loop.start(), loop.stop(), loop.start())
    await loop.stop()
    begun = loop.begun
    await asyncio.sleep(0)
    assert loop.begun == begun


def test_what_found_nothing_for_a_while_is_looked_for_less_often() -> None:
    attention = Attention(2, 7, quiet_after=HOUR)
    assert attention.pause == 2
    assert Attention(2, 7, quiet_after=0).pause == 7


def test_whoever_wants_to_look_seldom_is_not_made_to_look_oftener() -> None:
    assert Attention(9, 7, quiet_after=0).pause == 9


def test_what_is_found_makes_it_look_often_again() -> None:
    attention = Attention(2, 7, quiet_after=HOUR)
    attention._found_at -= 2 * HOUR
    assert attention.pause == 7
    attention.found()
    assert attention.pause == 2
