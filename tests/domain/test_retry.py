"""How long to wait before something is tried again."""

from hypothesis import given
from hypothesis import strategies as st

from heliograph.domain.instant import MINUTE, SECOND
from heliograph.domain.retry import backoff


def test_the_wait_doubles() -> None:
    assert [backoff(attempt, SECOND, MINUTE, 0.999_999) // 999_999 for attempt in (1, 2, 3)] == [1, 2, 4]


@given(st.integers(min_value=1, max_value=10_000), st.floats(min_value=0, max_value=1, exclude_max=True))
def test_it_lies_between_half_the_wait_and_the_whole(attempt: int, random: float) -> None:
    wait = backoff(attempt, SECOND, MINUTE, random)
    whole = min(SECOND * 2 ** (attempt - 1), MINUTE)
    assert whole // 2 <= wait <= whole
