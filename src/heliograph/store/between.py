"""Bounds of time in the filters of lists."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from sqlalchemy import Column, ColumnElement

from heliograph.domain.instant import Instant


class Between(NamedTuple):
    """Moments from `first` to `last`, both included; None where there is no such bound."""

    first: Instant | None = None
    last: Instant | None = None


ANY_TIME = Between()


def within(column: Column[Any], moments: Between) -> Iterator[ColumnElement[bool]]:
    """The conditions that keep a column within bounds."""
    if moments.first is not None:
        yield column >= moments.first
    if moments.last is not None:
        yield column <= moments.last
