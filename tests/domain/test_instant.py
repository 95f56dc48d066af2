"""Points in time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.domain.instant import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    Instant,
    TimeWithoutZone,
    UnreadableTime,
    duration_text,
    parse,
    to_text,
)

NEW_YEAR = 1_767_225_600 * SECOND


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("2026-01-01T00:00:00Z", 0),
        ("2026-01-01T00:00Z", 0),
        ("2026-01-01t00:00:00z", 0),
        ("2026-01-01T00:00:00-00", 0),
        ("2026-01-01T00:00:00-0000", 0),
        ("2026-01-01T00:00:00-00:00", 0),
        ("2026-01-01T00:00:00+00:00", 0),
        ("2026-01-01T00:00:00-08:00", 8 * HOUR),
        ("2026-01-01T05:30:00+0530", 0),
        ("2026-01-01T00:00:00.5Z", SECOND // 2),
        ("2026-01-01T00:00:00,25Z", SECOND // 4),
        ("2026-01-01T00:00:00.123456789Z", 123_456),
    ],
)
def test_a_time_is_read(text: str, offset: int) -> None:
    assert parse(text) == NEW_YEAR + offset


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tomorrow",
        "2026-01-01",
        "2026-02-30T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:00:60Z",
        "2026-01-01T00:00:00+24:00",
        "2026-01-01T00:00:00+01:60",
        "2026-01-01 00:00:00Z",
        " 2026-01-01T00:00:00Z",
        "2026-01-01T00:00:00Z\n",
        "1767225600",
        "２026-01-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UnreadableTime):
        parse(text)


def test_a_time_without_a_zone_is_told_apart() -> None:
    with pytest.raises(TimeWithoutZone):
        parse("2026-01-01T00:00:00")


def test_text_is_utc_with_milliseconds_rounded_down() -> None:
    assert to_text(Instant(NEW_YEAR + 999_999)) == "2026-01-01T00:00:00.999Z"


@given(st.integers(min_value=0, max_value=4_000_000_000_000))
def test_reading_what_was_written_gives_it_back(milliseconds: int) -> None:
    instant = Instant(milliseconds * 1_000)
    assert parse(to_text(instant)) == instant


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (0, "0 seconds"),
        (SECOND, "1 second"),
        (90 * SECOND, "90 seconds"),
        (5 * MINUTE, "5 minutes"),
        (DAY, "1 day"),
        (250_000, "0.25 seconds"),
    ],
)
def test_a_length_of_time_is_said_in_the_largest_unit(micros: int, text: str) -> None:
    assert duration_text(micros) == text
