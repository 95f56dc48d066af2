"""How many requests pass: whatever many processes ask at whatever moments."""

from hypothesis import given
from hypothesis import strategies as st

from heliograph.domain.instant import DAY, HOUR, MINUTE, SECOND, Instant
from heliograph.domain.request_rate import RequestRate, take

START = 1_800_000_000 * SECOND
limits = st.sampled_from([1, 2, 3, 7, 10, 64, 100, 1_000, 999_999, 1_000_000])
steps = st.lists(st.one_of(st.just(0), st.integers(0, 50_000), st.integers(0, 3 * SECOND)), min_size=1, max_size=60)


@given(limits, steps)
def test_no_second_has_more_than_the_limit(limit: int, waits: list[int]) -> None:
    rate, now, next_at = RequestRate(limit), START, Instant(0)
    given_out: list[tuple[int, int]] = []
    for wait in waits:
        now += wait
        block = take(rate, next_at, Instant(now))
        next_at = block.next_at
        given_out.append((now, block.granted))
    for begin, _ in given_out:
        within = sum(granted for at, granted in given_out if begin <= at < begin + SECOND)
        # What was there at its beginning, and what came free within it.
        assert within <= 2 * limit
        long_run = sum(granted for at, granted in given_out if at >= begin)
        assert long_run <= limit + (given_out[-1][0] - begin) // rate.interval + 1


@given(limits)
def test_a_whole_second_may_be_used_at_once_and_no_more(limit: int) -> None:
    rate, next_at, granted = RequestRate(limit), Instant(0), 0
    while (block := take(rate, next_at, Instant(START))).granted:
        granted += block.granted
        next_at = block.next_at
        assert block.left == limit - granted
    assert granted == limit
    assert 0 < block.wait <= rate.interval


@given(limits)
def test_who_waits_as_long_as_told_is_let_in(limit: int) -> None:
    rate, next_at = RequestRate(limit), Instant(0)
    while (block := take(rate, next_at, Instant(START))).granted:
        next_at = block.next_at
    assert not take(rate, next_at, Instant(START + block.wait - 1)).granted
    assert take(rate, next_at, Instant(START + block.wait)).granted
    assert take(rate, next_at, Instant(START + block.reset)).left == limit - rate.block


@given(limits, st.integers(0, SECOND), st.sampled_from([2 * MINUTE, HOUR, DAY]))
def test_who_used_all_before_the_clock_was_put_back_is_let_in(limit: int, waited: int, back: int) -> None:
    rate, next_at = RequestRate(limit), Instant(0)
    while (block := take(rate, next_at, Instant(START))).granted:
        next_at = block.next_at
    now = Instant(START + waited - back)
    granted = 0
    while (block := take(rate, next_at, now)).granted:
        granted += block.granted
        next_at = block.next_at
    assert granted == limit
    assert block.wait <= rate.interval


@given(limits, st.integers(0, 20 * SECOND))
def test_who_waited_behind_others_is_given_nothing_twice(limit: int, late: int) -> None:
    rate, next_at = RequestRate(limit), Instant(0)
    while (block := take(rate, next_at, Instant(START))).granted:
        next_at = block.next_at
    assert not take(rate, next_at, Instant(START - late)).granted
