"""The one source of chance."""

from collections import Counter
from uuid import UUID

from heliograph import randomness
from heliograph.domain.instant import MILLISECOND, SECOND, Instant

NOW = Instant(1_800_000_000_000 * MILLISECOND)


def test_ids_of_one_millisecond_sort_in_the_order_they_were_made() -> None:
    made = [randomness.new_id(NOW) for _ in range(2_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_an_id_says_its_millisecond() -> None:
    assert UUID(randomness.new_id(NOW)).int >> 80 == NOW // MILLISECOND


def test_a_moment_that_was_read_a_little_earlier_makes_a_later_id() -> None:
    made = [randomness.new_id(Instant(NOW - late * MILLISECOND)) for late in (0, 1, 0, 999, 5)]
    assert made == sorted(made)


def test_a_clock_that_went_back_is_obeyed() -> None:
    randomness.new_id(NOW)
    long_before = Instant(NOW - 2 * SECOND)
    assert UUID(randomness.new_id(long_before)).int >> 80 == long_before // MILLISECOND


def test_a_fraction_lies_between_nothing_and_one() -> None:
    assert all(0 <= randomness.fraction() < 1 for _ in range(100))


def test_secrets_differ() -> None:
    assert len({randomness.secret() for _ in range(10)}) == 10
    assert len(randomness.key_id()) == 16


def test_a_slug_begins_with_a_letter_and_needs_no_quoting() -> None:
    made = [randomness.slug(10) for _ in range(2_000)]
    assert len(set(made)) == len(made)
    assert all(len(each) == 10 and each.isascii() and each.isalnum() and each[0].isalpha() for each in made)
    # Every character is drawn, and none much more often than others: 290 times each of the 62.
    drawn = Counter("".join(each[1:] for each in made))
    assert len(drawn) == 62
    assert max(drawn.values()) < 2 * min(drawn.values())
