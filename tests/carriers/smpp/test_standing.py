"""What is counted of a carrier."""

from heliograph.carriers.smpp.standing import LATELY, Tally
from heliograph.clock import SystemClock


def test_a_rate_is_of_what_was_taken_lately() -> None:
    tally = Tally(SystemClock())
    assert tally.rate == 0
    for _ in range(3 * LATELY):
        tally.took()
    assert (tally.taken, tally.rate) == (3 * LATELY, 3.0)


def test_what_was_taken_long_ago_is_in_no_rate() -> None:
    tally = Tally(SystemClock())
    tally.took()
    (second,) = tally._seconds
    second[0] -= LATELY
    assert (tally.taken, tally.rate) == (1, 0.0)


def test_only_so_many_seconds_are_remembered() -> None:
    tally = Tally(SystemClock())
    for _ in range(3 * LATELY):
        tally.took()
        tally._seconds[-1][0] -= 1
    assert len(tally._seconds) == LATELY


def test_the_last_trouble_is_shown_with_its_moment() -> None:
    tally = Tally(SystemClock())
    tally.troubled("one")
    tally.troubled("two")
    assert tally.last_error == "two"
    assert tally.last_error_at is not None
