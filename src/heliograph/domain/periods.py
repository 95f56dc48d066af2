"""Stretches of time as people name them: days, weeks and months, all in UTC, a week beginning on Monday."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from re import ASCII
from re import compile as regex
from typing import NamedTuple

from heliograph.domain.instant import DAY, HOUR, MILLISECOND, SECOND, Instant, UnreadableTime, parse

LONGEST = 3_660
"""Days that `last_N_days` reaches back at most: as far as messages are kept at most."""
_DATE = regex(r"\d{4}-\d\d-\d\d", ASCII)
_LAST_DAYS = regex(r"last_([1-9]\d{0,3})_days", ASCII)


class Span(NamedTuple):
    """Moments from `first` to `last`, both included."""

    first: Instant
    last: Instant


def span_of(text: str) -> Span:
    """What a text names: a date its whole day, a time its millisecond, which is as exact as times are told.

    What lies before 1970 is taken as the beginning of 1970: there were no messages. Raises `UnreadableTime`, also for a
    moment of the year 9999, after which times have no text; and `TimeWithoutZone`.
    """
    if _DATE.fullmatch(text):
        try:
            begin, length = int(_midnight(date.fromisoformat(text))), DAY
        except ValueError as error:
            raise UnreadableTime(text) from error
    else:
        moment = parse(text)
        begin, length = moment - moment % MILLISECOND, MILLISECOND
    if begin >= _TOO_LATE:
        raise UnreadableTime(text)
    return Span(Instant(max(0, begin)), Instant(max(0, begin + length - 1)))


def named_range(name: str, now: Instant) -> Span | None:
    """`today`, `last_week`, `this_month`, `last_7_days` and their like (Contract 10); None for a word that is none.

    `last_N_days` is today and the N days before it.
    """
    today = datetime.fromtimestamp(now // SECOND, UTC).date()
    if made := _RANGES.get(name):
        return _days(*made(today))
    counted = _LAST_DAYS.fullmatch(name)
    if counted is None or int(counted[1]) > LONGEST:
        return None
    return _days(today - timedelta(days=int(counted[1])), today + timedelta(days=1))


def _day(shift: int) -> Callable[[date], tuple[date, date]]:
    return lambda today: (today + timedelta(days=shift), today + timedelta(days=shift + 1))


def _week(shift: int) -> Callable[[date], tuple[date, date]]:
    def made(today: date) -> tuple[date, date]:
        monday = today - timedelta(days=today.weekday() - 7 * shift)
        return monday, monday + timedelta(days=7)

    return made


def _month(shift: int) -> Callable[[date], tuple[date, date]]:
    def first_of(months: int) -> date:
        return date(months // 12, months % 12 + 1, 1)

    def made(today: date) -> tuple[date, date]:
        months = today.year * 12 + today.month - 1 + shift
        return first_of(months), first_of(months + 1)

    return made


_RANGES: Mapping[str, Callable[[date], tuple[date, date]]] = {
    "yesterday": _day(-1),
    "today": _day(0),
    "tomorrow": _day(1),
    "last_week": _week(-1),
    "this_week": _week(0),
    "next_week": _week(1),
    "last_month": _month(-1),
    "this_month": _month(0),
    "next_month": _month(1),
}


def _days(first: date, until: date) -> Span:
    return Span(_midnight(first), Instant(_midnight(until) - 1))


def _midnight(day: date) -> Instant:
    return Instant((day - date(1970, 1, 1)).days * DAY)


_TOO_LATE = _midnight(date(9999, 1, 1))


class TimeFrame(NamedTuple):
    """How far back figures go, and how long each step of their course is."""

    length: int
    step: int


TIME_FRAMES: Mapping[str, TimeFrame] = {
    "1h": TimeFrame(HOUR, HOUR // 12),
    "3h": TimeFrame(3 * HOUR, HOUR // 4),
    "24h": TimeFrame(DAY, HOUR),
    "3d": TimeFrame(3 * DAY, HOUR),
    "7d": TimeFrame(7 * DAY, DAY),
    "30d": TimeFrame(30 * DAY, DAY),
}
"""Contract 10. A step of 5 minutes, 15 minutes, an hour or a day."""
