"""What days, weeks and months are at a moment."""

import pytest

from heliograph.domain.instant import DAY, MILLISECOND, Instant, TimeWithoutZone, UnreadableTime, parse, to_text
from heliograph.domain.periods import TIME_FRAMES, Span, named_range, span_of

SUNDAY = parse("2028-12-31T23:30:00Z")


def texts(span: Span | None) -> tuple[str, str] | None:
    return None if span is None else (to_text(span.first)[:10], to_text(span.last))


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("yesterday", "2028-12-30", "2028-12-30"),
        ("today", "2028-12-31", "2028-12-31"),
        ("tomorrow", "2029-01-01", "2029-01-01"),
        ("last_week", "2028-12-18", "2028-12-24"),
        ("this_week", "2028-12-25", "2028-12-31"),
        ("next_week", "2029-01-01", "2029-01-07"),
        ("last_month", "2028-11-01", "2028-11-30"),
        ("this_month", "2028-12-01", "2028-12-31"),
        ("next_month", "2029-01-01", "2029-01-31"),
        ("last_1_days", "2028-12-30", "2028-12-31"),
        ("last_3660_days", "2018-12-24", "2028-12-31"),
    ],
)
def test_a_named_range_is_of_whole_days_in_utc(name: str, first: str, last: str) -> None:
    assert texts(named_range(name, SUNDAY)) == (first, f"{last}T23:59:59.999Z")


def test_months_go_over_the_end_of_a_year_and_leap_days() -> None:
    assert texts(named_range("last_month", parse("2028-03-31T00:00:00Z"))) == ("2028-02-01", "2028-02-29T23:59:59.999Z")
    assert texts(named_range("last_month", parse("2029-01-01T00:00:00Z"))) == ("2028-12-01", "2028-12-31T23:59:59.999Z")


@pytest.mark.parametrize("name", ["", "Today", "last_0_days", "last_3661_days", "last_-1_days", "last_x_days"])
def test_another_word_names_no_range(name: str) -> None:
    assert named_range(name, SUNDAY) is None


def test_a_date_is_its_day_and_a_time_its_millisecond() -> None:
    assert span_of("2028-02-29") == Span(parse("2028-02-29T00:00:00Z"), Instant(parse("2028-03-01T00:00:00Z") - 1))
    moment = parse("2028-02-29T10:00:00.123Z")
    assert span_of("2028-02-29T11:00:00.1234+01:00") == Span(moment, Instant(moment + MILLISECOND - 1))


def test_what_lies_before_all_messages_is_their_beginning() -> None:
    for text in ("0001-01-01", "0001-01-01T00:00:00+14:00", "1969-12-31"):
        assert span_of(text) == Span(Instant(0), Instant(0))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("2027-02-29", UnreadableTime),
        ("2028-2-9", UnreadableTime),
        ("20280229", UnreadableTime),
        ("yesterday", UnreadableTime),
        ("9999-12-31", UnreadableTime),
        ("9999-12-31T23:59:59-14:00", UnreadableTime),
        ("2028-02-29T10:00:00", TimeWithoutZone),
    ],
)
def test_what_is_neither_is_not_read(text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        span_of(text)


def test_every_time_frame_is_a_whole_number_of_steps_that_begin_at_midnight_too() -> None:
    assert {(frame.length % frame.step, DAY % frame.step) for frame in TIME_FRAMES.values()} == {(0, 0)}
