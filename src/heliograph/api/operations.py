"""What an operation of the API is: what happens, and what its description says of it.

Each file of a resource declares its paths; `app.py` puts them together, and `openapi.py` describes them.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from heliograph.api.context import ApiContext
from heliograph.domain.errors import Code, Refusal

Endpoint = Callable[[ApiContext, Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a query; `schema` is JSON Schema, without one it is any text."""

    name: str
    """As it is written, brackets included: `filter[name][contains]`."""
    meaning: str
    schema: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    endpoint: Endpoint
    summary: str
    body: Any = None
    """The type that its body is decoded into; None where it has none."""
    answer: Any = None
    """The type of `data`, of one item where it is `listed`; None for any object."""
    query: Sequence[Parameter] = ()
    listed: bool = False
    """Whether `data` is a list, with `meta` beside it that tells its pages."""
    flat: bool = False
    """Whether the answer has no envelope: it is the `answer` itself."""
    status: int = 200
    """The status of its good answer."""
    refusals: Sequence[int] = ()
    """Statuses of refusals beside those that follow from its parameters and its body."""
    media_type: str = "application/json"

    def check_query(self, query: QueryParams) -> None:
        """Raise a `Refusal` for a parameter that is not known here, or that is given twice: none is ever ignored."""
        known = {each.name for each in self.query}
        seen = set()
        for name, _ in query.multi_items():
            if name not in known:
                raise _unknown(name, self.query)
            if name in seen:
                raise Refusal(Code.BAD_REQUEST, f"'{name}' is given more than once.", parameter=name)
            seen.add(name)


def _unknown(name: str, known: Sequence[Parameter]) -> Refusal:
    names = [each.name for each in known]
    filters = [each for each in names if _base(each) not in _NO_FILTERS and "[" in each]
    is_filter = _base(name) in {"filter", *map(_base, filters)}
    kind, alike = ("filter", filters) if is_filter else ("parameter", names)
    only = f", only {', '.join(alike)}" if alike else ""
    code = Code.INVALID_FILTER if is_filter else Code.BAD_REQUEST
    return Refusal(code, f"There is no {kind} '{name[:64]}' here{only}.", parameter=name[:64])


def _base(name: str) -> str:
    return name.split("[", 1)[0]


_NO_FILTERS = frozenset({"page", "sort"})
"""What else is written with brackets."""

Methods = Mapping[str, Operation]
Resources = Mapping[str, Methods]
"""Paths below `/v2`, with what each method does there."""

PAGE_PARAMETERS: Sequence[Parameter] = (
    Parameter("page[number]", "which page, from 1", {"type": "integer", "minimum": 1, "maximum": 1_000_000}),
    Parameter("page[size]", "how many a page", {"type": "integer", "minimum": 1, "maximum": 250}),
)
"""Every list has them (Contract 11)."""


def filter_parameters(filters: Mapping[str, frozenset[str]]) -> Sequence[Parameter]:
    """The parameters that `paging.read_filters` reads: `filter[name]`, and one with each operator beside `eq`."""
    found = []
    for name, operators in filters.items():
        if "eq" in operators:
            found.append(Parameter(f"filter[{name}]", f"only those with this {name}"))
        found += [
            Parameter(f"filter[{name}][{each}]", f"only those whose {name} is {_WORDS[each]}")
            for each in sorted(operators)
        ]
    return found


def bound_parameters(name: str) -> Sequence[Parameter]:
    """The parameters that `paging.read_between` reads."""
    moment = {"type": "string", "format": "date-time"}
    return [
        Parameter(f"{name}[{each}]", f"only those whose {name} is {_WORDS[each]}", moment) for each in ("gte", "lte")
    ]


_WORDS = {
    "eq": "this",
    "contains": "one that contains this",
    "starts_with": "one that begins with this",
    "ends_with": "one that ends with this",
    "gt": "later or more than this",
    "gte": "this or later",
    "lt": "earlier or less than this",
    "lte": "this or earlier",
}
