"""Lists of the 10DLC endpoints: `page` and `recordsPerPage`, `sort`, and an answer with `records` and no envelope."""

from collections.abc import Collection, Sequence

from starlette.datastructures import QueryParams

from heliograph.api.operations import Parameter
from heliograph.api.paging import LARGEST_NUMBER, LARGEST_SIZE, Page, read_whole
from heliograph.domain.errors import Code, Refusal
from heliograph.store.registry import Part

NEWEST = "-createdAt"
"""The order of a list that is asked for in none."""


def read_part(query: QueryParams, size: int, orders: Collection[str]) -> tuple[Page, Part]:
    """The page that a query asks for, of `size` records unless it says how many; raises a `Refusal`."""
    page = Page(
        read_whole(query, "page", 1, LARGEST_NUMBER),
        read_whole(query, "recordsPerPage", size, LARGEST_SIZE),
    )
    order = query.get("sort", NEWEST)
    if order.removeprefix("-") not in orders:
        known = ", ".join(sorted(orders))
        detail = f"'sort' must be one of {known}, with '-' before it for the other way; got '{order[:32]}'."
        raise Refusal(Code.BAD_REQUEST, detail, parameter="sort")
    return page, Part(order, page.offset, page.size)


def read_text(query: QueryParams, name: str) -> str | None:
    """A filter; raises a `Refusal` for one that no record can have."""
    value = query.get(name)
    if value is not None and "\0" in value:
        raise Refusal(Code.INVALID_FILTER, "A filter cannot hold the character U+0000.", parameter=name)
    return value


def part_parameters(size: int, orders: Collection[str]) -> Sequence[Parameter]:
    """The parameters that `read_part` reads."""
    sorts = [sign + each for each in sorted(orders) for sign in ("", "-")]
    page = {"type": "integer", "minimum": 1, "maximum": LARGEST_NUMBER, "default": 1}
    return [
        Parameter("page", "which page, from 1", page),
        Parameter(
            "recordsPerPage",
            "how many a page",
            {"type": "integer", "minimum": 1, "maximum": LARGEST_SIZE, "default": size},
        ),
        Parameter("sort", "by what, with '-' backwards", {"type": "string", "enum": sorts, "default": NEWEST}),
    ]
