"""Points in time, as the whole service keeps them.

An `Instant` is a count of microseconds since 1970-01-01T00:00:00Z. It is what the database stores, what statements
compare and what policies are given; nothing here reads a clock. Text appears only at the edges: `parse` for what a
caller wrote, `to_text` for what we answer.
"""

from datetime import UTC, datetime
from functools import lru_cache
from re import ASCII
from re import compile as regex
from typing import NewType

Instant = NewType("Instant", int)

MICROSECOND = 1
MILLISECOND = 1_000
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

# Contract 1.1: `YYYY-MM-DDThh:mm`, `:ss`, `:ss.fff`, each with `Z`, `-00`, `-0000`, `-00:00` or any other offset.
_TIME = regex(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?"
    r"(?:[Zz]|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?",
    ASCII,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class UnreadableTime(ValueError):
    """The text is not an ISO 8601 date and time."""


class TimeWithoutZone(ValueError):
    """The text is a date and time, but says no zone: guessing one would send at the wrong hour."""


def parse(text: str) -> Instant:
    """Read an ISO 8601 date and time with a zone.

    Raises `UnreadableTime` when the text is something else or no such moment exists (30 February, hour 24, offset of
    24 hours), and `TimeWithoutZone` when only the zone is missing.
    """
    if _TIME.fullmatch(text) is None:
        raise UnreadableTime(text)
    try:
        moment = datetime.fromisoformat(text.upper())
    except ValueError as error:
        raise UnreadableTime(text) from error
    if moment.tzinfo is None:
        raise TimeWithoutZone(text)
    elapsed = moment - _EPOCH
    return Instant(elapsed.days * DAY + elapsed.seconds * SECOND + elapsed.microseconds)


def to_text(instant: Instant) -> str:
    """UTC with milliseconds, rounded down: `2026-11-23T10:00:00.250Z`."""
    seconds, micros = divmod(instant, SECOND)
    return f"{_second_to_text(seconds)}.{micros // MILLISECOND:03d}Z"


@lru_cache(maxsize=4096)
def _second_to_text(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def duration_text(micros: int) -> str:
    """A length of time in the largest unit that divides it: `5 minutes`, `1 day`, `90 seconds`, `0 seconds`."""
    for size, name in ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute")):
        if micros and micros % size == 0:
            return _counted(micros // size, name)
    return _counted(micros // SECOND if micros % SECOND == 0 else micros / SECOND, "second")


def _counted(count: float, name: str) -> str:
    text = f"{count:f}".rstrip("0").rstrip(".") if isinstance(count, float) else str(count)
    return f"{text} {name}" if count == 1 else f"{text} {name}s"
