"""Pages and filters of list endpoints (Contract 11)."""

from dataclasses import dataclass
from re import compile as regex

from msgspec import Struct
from starlette.datastructures import QueryParams

from heliograph.domain.errors import Code, Refusal
from heliograph.domain.instant import MILLISECOND, Instant, TimeWithoutZone, UnreadableTime, parse
from heliograph.store.between import Between

DEFAULT_SIZE = 20
LARGEST_SIZE = 250
LARGEST_NUMBER = 1_000_000
_FILTER = regex(r"filter\[(\w+)\](?:\[(\w+)\])?")


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list is wanted."""

    number: int
    size: int

    @property
    def offset(self) -> int:
        """How many items come before it."""
        return (self.number - 1) * self.size


class PageMeta(Struct):
    """`meta` of a list."""

    page_number: int
    page_size: int
    total_pages: int
    total_results: int


def page_meta(page: Page, total: int) -> PageMeta:
    """The `meta` of one page of `total` items."""
    return PageMeta(page.number, page.size, -(-total // page.size), total)


def read_page(query: QueryParams, default: int = DEFAULT_SIZE, largest: int = LARGEST_SIZE) -> Page:
    """`page[number]` and `page[size]`; raises a `Refusal`."""
    number = read_whole(query, "page[number]", 1, LARGEST_NUMBER)
    return Page(number, read_whole(query, "page[size]", default, largest))


def read_filters(query: QueryParams) -> dict[tuple[str, str], str]:
    """`filter[name]` and `filter[name][operator]`, a bare one as `eq`; raises a `Refusal` for one given twice."""
    found: dict[tuple[str, str], str] = {}
    for parameter, value in query.multi_items():
        if (match := _FILTER.fullmatch(parameter)) is None:
            continue
        which = match[1], match[2] or "eq"
        if which in found:
            raise Refusal(Code.INVALID_FILTER, f"'{parameter}' is given more than once.", parameter=parameter)
        if "\0" in value:
            raise Refusal(Code.INVALID_FILTER, "A filter cannot hold the character U+0000.", parameter=parameter)
        found[which] = value
    return found


def read_between(query: QueryParams, name: str) -> Between:
    """`name[gte]` and `name[lte]`, times with a zone; raises a `Refusal` for an unreadable time.

    We tell times in milliseconds, so `lte` reaches to the end of its millisecond: what was told is found again.
    """
    first, last = (_time(each, query[each]) if each in query else None for each in (f"{name}[gte]", f"{name}[lte]"))
    until = None if last is None else Instant(last - last % MILLISECOND + MILLISECOND - 1)
    return Between(first, until)


def _time(parameter: str, value: str) -> Instant:
    example = "2026-11-23T10:00:00Z"
    try:
        return parse(value)
    except TimeWithoutZone:
        detail = f"'{parameter}' must say its zone, as in {example}; got '{value[:48]}'."
    except UnreadableTime:
        # An unescaped plus arrives as a space.
        hint = " Write '+' as %2B." if " " in value else ""
        detail = f"'{parameter}' must be an ISO 8601 date and time such as {example}, got '{value[:48]}'.{hint}"
    raise Refusal(Code.BAD_REQUEST, detail, parameter=parameter)


def read_whole(query: QueryParams, parameter: str, default: int, largest: int) -> int:
    """A whole number from 1 to `largest`, `default` where it is not given; raises a `Refusal`."""
    text = query.get(parameter)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and 1 <= int(text) <= largest):
        detail = f"'{parameter}' must be a whole number from 1 to {largest}, got '{text[:32]}'."
        raise Refusal(Code.BAD_REQUEST, detail, parameter=parameter)
    return int(text)
