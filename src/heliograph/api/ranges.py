"""Stretches of time in queries and bodies: what each is by itself, and whether an end follows its beginning."""

from typing import NamedTuple

from heliograph.domain.errors import Code, Refusal
from heliograph.domain.instant import DAY, MILLISECOND, Instant, TimeWithoutZone, UnreadableTime
from heliograph.domain.periods import Span, span_of

USUAL = 30 * DAY
"""How far a report goes back that says no beginning."""


class Place(NamedTuple):
    """Where in a request something stands."""

    name: str
    in_body: bool = False

    def refusal(self, code: Code, detail: str) -> Refusal:
        """What is wrong with it."""
        if self.in_body:
            return Refusal(code, detail, f"/{self.name}")
        return Refusal(code, detail, parameter=self.name)


def read_span(text: str, place: Place) -> Span:
    """A date, or a time with its zone; raises a `Refusal`."""
    example = "2026-11-23T10:00:00Z"
    try:
        return span_of(text)
    except TimeWithoutZone:
        detail = f"'{place.name}' must say its zone, as in {example}; got '{text[:48]}'."
    except UnreadableTime:
        # An unescaped plus arrives as a space.
        hint = " Write '+' as %2B." if " " in text and not place.in_body else ""
        detail = f"'{place.name}' must be a date, or an ISO 8601 time such as {example}; got '{text[:48]}'.{hint}"
    raise place.refusal(Code.BAD_REQUEST, detail)


def read_range(first: str | None, last: str | None, places: tuple[Place, Place], now: Instant) -> Span:
    """What a report is about: up to the moment `last`, that not included, or to the end of the date `last`.

    Without an end, up to now; without a beginning, `USUAL` before the end. Raises a `Refusal`, also for an end that
    does not follow its beginning and for a beginning that is yet to come.
    """
    end = Instant(now) if last is None else _end(last, places[1])
    begin = Instant(end - USUAL) if first is None else read_span(first, places[0]).first
    if begin > now:
        raise places[0].refusal(Code.BAD_REQUEST, f"'{places[0].name}' is yet to come.")
    if begin >= end:
        raise places[1].refusal(Code.BAD_REQUEST, f"'{places[1].name}' must be later than '{places[0].name}'.")
    return Span(begin, Instant(end - 1))


def _end(text: str, place: Place) -> Instant:
    span = read_span(text, place)
    whole_day = span.last - span.first > MILLISECOND
    return Instant(span.last + 1) if whole_day else span.first
