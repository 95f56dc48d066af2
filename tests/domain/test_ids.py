"""Ids that sort by the moment they were made."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.domain.ids import RANDOM_BITS, canonical_uuid, uuid7
from heliograph.domain.instant import MILLISECOND, Instant

randoms = st.integers(min_value=0, max_value=2**RANDOM_BITS - 1)
milliseconds = st.integers(min_value=0, max_value=2**48 - 1)


@given(milliseconds, randoms)
def test_it_is_a_uuid_of_version_7(at: int, random: int) -> None:
    made = UUID(uuid7(Instant(at * MILLISECOND), random))
    assert (made.version, made.variant, made.int >> 80) == (7, "specified in RFC 4122", at)


@given(milliseconds, milliseconds, randoms, randoms)
def test_the_later_sorts_after_the_earlier(one: int, two: int, first: int, second: int) -> None:
    if one != two:
        early, late = sorted((one, two))
        assert uuid7(Instant(early * MILLISECOND), first) < uuid7(Instant(late * MILLISECOND), second)


@pytest.mark.parametrize(
    "text", ["", "nope", "40385f64-5717-4562-b3fc-2c963f66afa", "40385f6457174562b3fc2c963f66afa6"]
)
def test_what_is_no_uuid_is_none(text: str) -> None:
    assert canonical_uuid(text) is None


def test_upper_case_is_the_same_id() -> None:
    lower = "40385f64-5717-4562-b3fc-2c963f66afa6"
    assert canonical_uuid(lower.upper()) == lower
