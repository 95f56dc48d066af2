"""The gate: who may send now, in which order, and who waits for what."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from heliograph.carriers.smpp.throttling import CALM_AFTER, Gate, GateClosed, Standing
from heliograph.clock import monotonic
from heliograph.domain.instant import HOUR, MILLISECOND, SECOND

SHORT, LONG = 5 * MILLISECOND, 40 * MILLISECOND


def always() -> bool:
    return True


class Desk:
    """A gate and those who pass it."""

    def __init__(self, base: int = SHORT, maximum: int = LONG) -> None:
        self.opened = asyncio.Event()
        self.gate = Gate(base, maximum, self.opened.set, lambda: 2)
        self.passed: list[int] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def passes(self, order: int, until: int | None = None, ready: Callable[[], bool] = always) -> None:
        await self.gate.turn(order, monotonic() + HOUR if until is None else until, ready)
        self.passed.append(order)

    def comes(self, order: int, ready: Callable[[], bool] = always) -> asyncio.Task[None]:
        task = asyncio.create_task(self.passes(order, None, ready))
        self.tasks.append(task)
        return task

    def throttled(self, order: int) -> None:
        self.gate.ended(order, monotonic() + 1, True)

    def taken(self, order: int) -> None:
        self.gate.ended(order, monotonic() + 1, False)

    async def rested(self) -> None:
        """Return when the rest is over."""
        self.opened.clear()
        assert self.gate.standing is Standing.RESTING
        await self.opened.wait()


async def turns() -> None:
    """Let the other tasks run until they wait."""
    for _ in range(20):
        await asyncio.sleep(0)


@asynccontextmanager
async def a_desk(base: int = SHORT, maximum: int = LONG) -> AsyncIterator[Desk]:
    desk = Desk(base, maximum)
    yield desk
    desk.gate.close()
    await asyncio.gather(*desk.tasks, return_exceptions=True)


async def test_an_open_gate_with_room_lets_through_at_once() -> None:
    async with a_desk() as desk:
        await desk.passes(1)
        await desk.passes(2)
        assert desk.passed == [1, 2]
        assert desk.gate.allowance is None


async def test_without_room_they_wait_in_order_and_go_one_by_one() -> None:
    async with a_desk() as desk:
        room = 0
        for order in (1, 3, 2):
            desk.comes(order, lambda: room > len(desk.passed))
        await turns()
        assert (desk.passed, desk.gate.waiting) == ([], 3)
        room = 2
        desk.gate.poke()
        await turns()
        assert desk.passed == [1, 2]


async def test_who_comes_later_does_not_overtake_who_waits() -> None:
    async with a_desk() as desk:
        room = False
        desk.comes(1, lambda: room)
        await turns()
        desk.comes(2)
        await turns()
        assert desk.passed == []
        room = True
        desk.gate.poke()
        await turns()
        assert desk.passed == [1, 2]


async def test_the_next_part_of_an_older_message_goes_before_newer_ones() -> None:
    async with a_desk() as desk:
        room = False
        desk.comes(7, lambda: room)
        desk.comes(8, lambda: room)
        await turns()
        desk.comes(3, lambda: room)
        await turns()
        room = True
        desk.gate.poke()
        await turns()
        assert desk.passed == [3, 7, 8]


async def test_while_the_carrier_rests_nobody_passes() -> None:
    async with a_desk(HOUR, HOUR) as desk:
        await desk.passes(1)
        desk.throttled(1)
        desk.comes(2)
        await turns()
        assert (desk.passed, desk.gate.allowance, desk.gate.resting) == ([1], 0, True)
        assert desk.gate.resting_until is not None


async def test_after_a_rest_the_throttled_one_goes_alone_and_the_others_when_it_went_well() -> None:
    async with a_desk() as desk:
        await desk.passes(1)
        await desk.passes(2)
        desk.throttled(1)
        for order in (3, 1, 2):
            desk.comes(order)
        await desk.rested()
        await turns()
        assert desk.passed == [1, 2, 1]
        desk.taken(1)
        await turns()
        assert desk.passed == [1, 2, 1, 2, 3]
        assert desk.gate.standing is Standing.OPEN


async def test_a_rest_over_with_nobody_waiting_has_room_for_one_try() -> None:
    async with a_desk() as desk:
        await desk.passes(1)
        desk.throttled(1)
        await desk.rested()
        assert desk.gate.allowance == 1
        await desk.passes(2)
        assert desk.gate.allowance == 0
        desk.taken(2)
        assert desk.gate.allowance is None


async def test_a_try_that_is_too_much_again_doubles_the_rest() -> None:
    async with a_desk(MILLISECOND, HOUR) as desk:
        rests = []
        for _ in range(5):
            await desk.passes(1)
            before = monotonic()
            desk.throttled(1)
            assert desk.gate.resting_until is not None
            rests.append(desk.gate.resting_until - before)
            await desk.rested()
        # Each is spread over the upper half of its length.
        for count, rest in enumerate(rests):
            assert (MILLISECOND << count) / 2 <= rest <= (MILLISECOND << count) + 50 * MILLISECOND


async def test_a_rest_is_never_longer_than_the_longest() -> None:
    async with a_desk(MILLISECOND, 2 * MILLISECOND) as desk:
        for _ in range(8):
            await desk.passes(1)
            desk.throttled(1)
            assert desk.gate.resting_until is not None
            assert desk.gate.resting_until - monotonic() <= 2 * MILLISECOND
            await desk.rested()


async def test_many_answers_of_one_burst_are_one_rest() -> None:
    async with a_desk(10 * MILLISECOND, HOUR) as desk:
        sent_at = monotonic()
        for order in range(1, 9):
            desk.gate.ended(order, sent_at, True)
        assert desk.gate.resting_until is not None
        assert desk.gate.resting_until - monotonic() <= 10 * MILLISECOND


async def test_what_left_before_the_rest_does_not_open_the_gate() -> None:
    async with a_desk(HOUR, HOUR) as desk:
        sent_at = monotonic()
        desk.throttled(1)
        desk.gate.ended(2, sent_at, False)
        assert desk.gate.standing is Standing.RESTING


async def test_rests_are_short_again_after_many_went_well() -> None:
    async with a_desk(MILLISECOND, HOUR) as desk:
        for _ in range(6):
            await desk.passes(1)
            desk.throttled(1)
            await desk.rested()
        for order in range(2, 2 + CALM_AFTER):
            await desk.passes(order)
            desk.taken(order)
        desk.throttled(99)
        assert desk.gate.resting_until is not None
        assert desk.gate.resting_until - monotonic() <= MILLISECOND


async def test_a_try_of_which_nothing_is_known_lets_the_next_one_try() -> None:
    async with a_desk() as desk:
        await desk.passes(1)
        desk.throttled(1)
        desk.comes(1)
        desk.comes(2)
        await desk.rested()
        await turns()
        assert desk.passed == [1, 1]
        desk.gate.ended(1, monotonic() + 1, None)
        await turns()
        assert desk.passed == [1, 1, 2]


async def test_nobody_waits_longer_than_until_their_moment() -> None:
    async with a_desk(HOUR, HOUR) as desk:
        desk.throttled(1)
        with pytest.raises(TimeoutError):
            await desk.passes(2, monotonic() + SHORT)
        with pytest.raises(TimeoutError):
            await desk.passes(2, monotonic() - SECOND)
        assert desk.gate.waiting == 0


async def test_who_gives_up_first_in_line_lets_the_next_one_go() -> None:
    async with a_desk() as desk:
        first = desk.comes(1, lambda: False)
        desk.comes(2)
        await turns()
        assert desk.passed == []
        first.cancel()
        await turns()
        assert desk.passed == [2]


async def test_who_was_let_go_and_finds_the_carrier_resting_waits_on() -> None:
    async with a_desk(HOUR, HOUR) as desk:
        room = False
        desk.comes(2, lambda: room)
        await turns()
        room = True
        desk.gate.poke()
        desk.throttled(1)
        await turns()
        assert (desk.passed, desk.gate.waiting) == ([], 1)


async def test_a_closed_gate_tells_all_who_wait_and_all_who_come() -> None:
    async with a_desk(HOUR, HOUR) as desk:
        desk.throttled(1)
        waiting = desk.comes(2)
        await turns()
        desk.gate.close()
        with pytest.raises(GateClosed):
            await waiting
        with pytest.raises(GateClosed):
            await desk.passes(3)
        desk.taken(1)
        assert desk.gate.allowance == 0


async def test_a_closed_gate_can_be_opened_again() -> None:
    async with a_desk(HOUR, HOUR) as desk:
        desk.gate.close()
        desk.gate.open()
        await desk.passes(1)
        desk.throttled(1)
        desk.gate.open()
        assert desk.gate.standing is Standing.RESTING
