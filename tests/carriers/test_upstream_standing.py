"""How an upstream stands: moments are given, so nothing waits."""

import pytest

from heliograph.carriers.upstream_standing import RATE_OVER, Condition, Pauses, Standing
from heliograph.domain.instant import MINUTE, SECOND

START = 1_000 * SECOND
HALF = 0.0
"""The chance that makes a wait the shortest there is: half of what it may be."""


def made(window: int = 10) -> Standing:
    return Standing(window, Pauses(2 * SECOND, MINUTE), START)


def up(window: int = 10) -> Standing:
    standing = made(window)
    standing.probed()
    return standing


def seen(standing: Standing, now: int = START) -> tuple[Condition, bool, int]:
    return standing.condition(now), standing.up(), standing.room(now)


def test_at_first_it_is_asked_before_anything_is_given_to_it() -> None:
    standing = made()
    assert seen(standing) == (Condition.ASKING, False, 0)
    assert standing.probe_due(START)


def test_once_it_has_answered_it_has_its_whole_window() -> None:
    assert seen(up()) == (Condition.UP, True, 10)


def test_what_is_under_way_takes_room() -> None:
    standing = up()
    standing.in_flight = 4
    assert standing.room(START) == 6


def test_more_under_way_than_it_has_room_for_is_no_room() -> None:
    standing = up()
    standing.in_flight = 11
    assert standing.room(START) == 0


def test_after_a_failure_it_is_down_and_asked_again_after_a_pause() -> None:
    standing = up()
    standing.failed(START, HALF)
    assert seen(standing) == (Condition.DOWN, False, 0)
    assert standing.next_change(START) == START + SECOND
    assert (standing.probe_due(START + SECOND - 1), standing.probe_due(START + SECOND)) == (False, True)


def test_after_a_probe_one_message_goes_at_a_time_until_one_is_answered() -> None:
    standing = up()
    standing.failed(START, HALF)
    standing.probed()
    assert seen(standing) == (Condition.TRYING, True, 1)
    standing.answered(START)
    assert seen(standing) == (Condition.UP, True, 10)


def test_failures_of_one_window_count_once() -> None:
    standing = up()
    for _ in range(10):
        standing.failed(START, HALF)
    assert standing.next_change(START) == START + SECOND


def test_each_failed_probe_doubles_the_pause_up_to_the_longest() -> None:
    standing = made()
    waits = []
    for _ in range(8):
        standing.probe_failed(START, HALF)
        waits.append((standing.next_change(START) or 0) - START)
    assert waits == [each * SECOND for each in (1, 2, 4, 8, 16, 30, 30, 30)]


def test_a_failure_after_a_probe_goes_on_doubling() -> None:
    standing = up()
    for wait in (1, 2, 4):
        standing.failed(START, HALF)
        assert standing.next_change(START) == START + wait * SECOND
        standing.probed()


def test_one_that_takes_no_messages_is_asked_later_each_time_until_a_message_is_answered() -> None:
    standing = up()
    for wait in (5, 10, 20):
        standing.misdirected(START, HALF)
        assert standing.next_change(START) == START + wait * SECOND
        standing.probed()
    assert seen(standing) == (Condition.TRYING, True, 1)
    standing.answered(START)
    standing.misdirected(START, HALF)
    assert standing.next_change(START) == START + 5 * SECOND


def test_an_answer_ends_the_doubling() -> None:
    standing = up()
    for _ in range(3):
        standing.failed(START, HALF)
        standing.probed()
    standing.answered(START)
    standing.failed(START, HALF)
    assert standing.next_change(START) == START + SECOND


def test_an_answer_to_what_was_under_way_before_does_not_bring_it_up() -> None:
    standing = up()
    standing.failed(START, HALF)
    standing.answered(START)
    assert seen(standing) == (Condition.DOWN, False, 0)


def test_while_it_rests_it_is_up_and_has_no_room() -> None:
    standing = up()
    standing.throttled(START, 5 * SECOND, HALF)
    assert seen(standing) == (Condition.RESTING, True, 0)
    assert (standing.rest_until(START), standing.next_change(START)) == (START + 5 * SECOND,) * 2


def test_after_a_rest_one_message_goes_first() -> None:
    standing = up()
    standing.throttled(START, 5 * SECOND, HALF)
    over = START + 5 * SECOND
    assert seen(standing, over) == (Condition.TRYING, True, 1)
    assert (standing.rest_until(over), standing.next_change(over)) == (None, None)
    standing.answered(over)
    assert standing.room(over) == 10


def test_an_answer_during_a_rest_does_not_shorten_it() -> None:
    standing = up()
    standing.throttled(START, 5 * SECOND, HALF)
    standing.answered(START + SECOND)
    assert seen(standing, START + 5 * SECOND) == (Condition.TRYING, True, 1)


def test_a_rest_that_is_not_told_grows_with_each() -> None:
    standing, now, waits = up(), START, []
    for _ in range(3):
        standing.throttled(now, None, HALF)
        waits.append((standing.rest_until(now) or 0) - now)
        now += MINUTE
    assert waits == [SECOND, 2 * SECOND, 4 * SECOND]


def test_refusals_of_one_window_are_one_rest() -> None:
    standing = up()
    for _ in range(10):
        standing.throttled(START, None, HALF)
    assert standing.rest_until(START) == START + SECOND


@pytest.mark.parametrize(("asked", "rests"), [(3_600 * SECOND, MINUTE), (0, 0)])
def test_it_rests_as_long_as_it_asks_within_bounds(asked: int, rests: int) -> None:
    standing = up()
    standing.throttled(START, asked, HALF)
    assert (standing.rest_until(START) or START) == START + rests


def test_a_shorter_rest_does_not_cut_a_longer_one() -> None:
    standing = up()
    standing.throttled(START, 10 * SECOND, HALF)
    standing.throttled(START, SECOND, HALF)
    assert standing.rest_until(START) == START + 10 * SECOND


def test_a_rest_goes_on_through_a_failure() -> None:
    standing = up()
    standing.throttled(START, 30 * SECOND, HALF)
    standing.failed(START, HALF)
    standing.probed()
    assert seen(standing, START + SECOND) == (Condition.RESTING, True, 0)


def test_since_when_it_stands_so_is_told() -> None:
    standing = made()
    assert standing.since(START + 5) == START
    standing.probed()
    assert (standing.since(START + 7), standing.since(START + 9)) == (START + 7, START + 7)


def test_the_rate_is_what_was_taken_lately_and_fades() -> None:
    standing, now = up(), START
    for _ in range(1_000):
        now += SECOND // 10
        standing.took(now)
    assert standing.rate(now) == pytest.approx(10, rel=0.02)
    assert standing.rate(now + 10 * RATE_OVER) < 0.01
    assert standing.counts.taken == 1_000
