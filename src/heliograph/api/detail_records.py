"""`/detail_records`: every message of both directions, searched (Contract 10)."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from msgspec import UNSET, Struct, UnsetType
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from heliograph.api.auth import Caller
from heliograph.api.context import ApiContext
from heliograph.api.operations import PAGE_PARAMETERS, Operation, Parameter, Resources, filter_parameters
from heliograph.api.paging import page_meta, read_filters, read_page
from heliograph.api.problems import JSON
from heliograph.api.ranges import Place, read_span
from heliograph.api.shapes import Data, encode
from heliograph.domain.delivery import DeliveryStatus
from heliograph.domain.errors import Code, Refusal
from heliograph.domain.ids import canonical_uuid
from heliograph.domain.instant import Instant, to_text
from heliograph.domain.periods import Span, named_range
from heliograph.domain.pricing import amount_text
from heliograph.domain.reports import Direction, Record, RecordStatus
from heliograph.store.between import Between
from heliograph.store.traffic import BOTH, Condition, RecordFilter, Told

LARGEST_SIZE = 50
_EQUAL = frozenset({"eq"})
_TEXT = frozenset({"eq", "contains", "starts_with", "ends_with"})
_ORDER = frozenset({"eq", "gt", "gte", "lt", "lte"})
FILTERS: Mapping[str, frozenset[str]] = {
    "record_type": _EQUAL,
    "date_range": _EQUAL,
    "uuid": _EQUAL,
    "direction": _EQUAL,
    "cli": _TEXT,
    "cld": _TEXT,
    "message_type": _EQUAL,
    "parts": _ORDER,
    "status": _EQUAL,
    "profile_id": _EQUAL,
    "profile_name": _TEXT,
    "currency": _EQUAL,
    "tags": _EQUAL,
    "errors": _EQUAL,
    "created_at": _ORDER,
    "sent_at": _ORDER,
    "completed_at": _ORDER,
}
_MOMENTS = ("sent_at", "completed_at")
_CHOICES: Mapping[str, Sequence[str]] = {
    "direction": [each.value for each in Direction],
    "message_type": ["SMS", "MMS", "RCS"],
    "status": [each.value for each in RecordStatus],
}
_LARGEST_PARTS = 1_000_000
_LONGEST_TEXT = 255
"""SQLite takes a pattern of at most 50,000 bytes; no attribute is as long as this."""


class DetailRecordBody(Struct, kw_only=True):
    """A record as it is answered. What is not known, or has not happened, is left out: the schema has no nulls."""

    record_type: str = "message_detail_record"
    uuid: str
    user_id: str
    direction: str
    cli: str
    cld: str
    message_type: str
    parts: int
    status: str
    errors: Sequence[str]
    profile_id: str
    profile_name: str
    carrier: str
    carrier_fee: str
    rate: str
    cost: str
    currency: str
    country_code: str | UnsetType = UNSET
    source_country_code: str | UnsetType = UNSET
    on_net: bool
    fteu: bool
    tags: str
    delivery_status: str | UnsetType = UNSET
    delivery_status_webhook_url: str
    delivery_status_failover_url: str
    created_at: str
    sent_at: str | UnsetType = UNSET
    completed_at: str | UnsetType = UNSET
    updated_at: str


class Wanted(NamedTuple):
    """What a query asks for."""

    records: RecordFilter
    newest: bool


async def index(context: ApiContext, request: Request) -> Response:
    """`GET /detail_records`."""

    async def attempt(caller: Caller, epoch: int) -> tuple[int, Sequence[Record], Told]:
        await context.confirm(caller, epoch)
        records, newest = read_wanted(request.query_params, context.store.clock.now())
        traffic, mine = context.store.traffic, caller.organization_id
        found = await traffic.page(mine, records, page.offset, page.size, newest=newest)
        return await traffic.count(mine, records), found, await traffic.told(mine, found)

    page = read_page(request.query_params, largest=LARGEST_SIZE)
    total, records, told = await context.as_caller(request.headers.get("authorization"), attempt)
    return Response(
        encode(Data([record_body(each, told) for each in records], page_meta(page, total))), media_type=JSON
    )


def read_wanted(query: QueryParams, now: Instant) -> Wanted:
    """The filters and the order; raises a `Refusal`."""
    filters = read_filters(query)
    _check_record_type(filters.pop(("record_type", "eq"), None))
    spans = [_date_range(filters.pop(("date_range", "eq")), now)] if ("date_range", "eq") in filters else []
    directions: Sequence[Direction] = BOTH
    conditions: list[Condition] = []
    for (name, operator), text in filters.items():
        parameter = _parameter(query, name, operator)
        if name == "created_at":
            spans.append(_bounds(text, operator, parameter))
        elif name in _MOMENTS:
            conditions += _moments(name, _bounds(text, operator, parameter))
        else:
            value = _value(name, text, parameter)
            if name == "direction":
                directions = [Direction(str(value))]
            else:
                conditions.append(Condition(name, operator, value))
    return Wanted(RecordFilter(_within_all(spans), directions, conditions), _newest(query))


def record_body(record: Record, told: Told) -> DetailRecordBody:
    """A record as it is answered; rates are those of one part."""
    return DetailRecordBody(
        uuid=record.id,
        user_id=record.organization_id,
        direction=record.direction,
        cli=record.sender,
        cld=record.recipient,
        message_type=record.type,
        parts=record.parts,
        status=record.status,
        errors=record.errors,
        profile_id=record.profile_id,
        profile_name=record.profile_name,
        carrier=record.carrier,
        carrier_fee=amount_text(record.carrier_fee, 5),
        rate=amount_text(record.each_part(record.rate), 5),
        cost=amount_text(record.cost, 4),
        currency=record.currency,
        country_code=record.country or UNSET,
        source_country_code=record.source_country or UNSET,
        on_net=record.sender in told.ours and record.recipient in told.ours,
        fteu=False,
        tags=",".join(record.tags),
        delivery_status=_OUTCOMES.get(told.webhook.get(record.id, DeliveryStatus.PENDING), UNSET),
        delivery_status_webhook_url=record.webhook_url or "",
        delivery_status_failover_url=record.webhook_failover_url or "",
        created_at=to_text(record.created_at),
        sent_at=_time(record.sent_at),
        completed_at=_time(record.completed_at),
        updated_at=to_text(record.updated_at),
    )


_OUTCOMES: Mapping[DeliveryStatus, str] = {
    DeliveryStatus.DELIVERED: "success: webhook succeeded",
    DeliveryStatus.FAILED: "failure: webhook failed",
}


def _check_record_type(text: str | None) -> None:
    parameter = "filter[record_type]"
    if text is None:
        detail = "'filter[record_type]' is required; 'messaging' is the only one here."
        raise Refusal(Code.MISSING_PARAMETER, detail, parameter=parameter)
    if text != "messaging":
        detail = f"There are records of messaging only, none of '{text[:32]}'."
        raise Refusal(Code.INVALID_FILTER, detail, parameter=parameter)


def _date_range(text: str, now: Instant) -> Span:
    span = named_range(text, now)
    if span is None:
        detail = f"A date range is one such as today, last_week, this_month or last_7_days; got '{text[:32]}'."
        raise Refusal(Code.INVALID_FILTER, detail, parameter="filter[date_range]")
    return span


def _parameter(query: QueryParams, name: str, operator: str) -> str:
    """As it was written: a bare name stands for `eq`."""
    bare = f"filter[{name}]"
    return bare if operator == "eq" and bare in query else f"{bare}[{operator}]"


_BEGINNING, _END = Instant(0), Instant(2**62)


def _bounds(text: str, operator: str, parameter: str) -> Span:
    """What a comparison with a date, or with a time, leaves."""
    first, last = read_span(text, Place(parameter))
    return {
        "eq": Span(first, last),
        "gte": Span(first, _END),
        "gt": Span(Instant(last + 1), _END),
        "lte": Span(_BEGINNING, last),
        "lt": Span(_BEGINNING, Instant(first - 1)),
    }[operator]


def _within_all(spans: Sequence[Span]) -> Between:
    if not spans:
        return Between()
    first, last = max(each.first for each in spans), min(each.last for each in spans)
    return Between(None if first == _BEGINNING else first, None if last == _END else last)


def _moments(name: str, span: Span) -> Sequence[Condition]:
    bounds = _within_all([span])
    found = [Condition(name, "gte", bounds.first)] if bounds.first is not None else []
    return [*found, Condition(name, "lte", bounds.last)] if bounds.last is not None else found


def _value(name: str, text: str, parameter: str) -> object:
    if len(text) > _LONGEST_TEXT:
        detail = f"'{parameter}' has at most {_LONGEST_TEXT} characters, got {len(text):,}."
        raise Refusal(Code.INVALID_FILTER, detail, parameter=parameter)
    if name in _CHOICES and text not in _CHOICES[name]:
        detail = f"'{parameter}' is one of {', '.join(_CHOICES[name])}; got '{text[:32]}'."
        raise Refusal(Code.INVALID_FILTER, detail, parameter=parameter)
    if name == "parts":
        if not (text.isascii() and text.isdigit() and int(text[:9]) <= _LARGEST_PARTS and len(text) <= 9):
            raise Refusal(
                Code.INVALID_FILTER, f"'{parameter}' is a whole number, got '{text[:32]}'.", parameter=parameter
            )
        return int(text)
    if name in {"uuid", "profile_id"}:
        known = canonical_uuid(text)
        if known is None:
            raise Refusal(Code.INVALID_FILTER, f"'{parameter}' is a UUID, got '{text[:48]}'.", parameter=parameter)
        return known
    return text


def _newest(query: QueryParams) -> bool:
    sort = query.get("sort", "-created_at")
    if sort not in {"created_at", "-created_at"}:
        detail = f"Records are sorted by 'created_at' or '-created_at', got '{sort[:32]}'."
        raise Refusal(Code.BAD_REQUEST, detail, parameter="sort")
    return sort.startswith("-")


def _time(instant: Instant | None) -> str | UnsetType:
    return UNSET if instant is None else to_text(instant)


_SIZE = Parameter("page[size]", "how many a page", {"type": "integer", "minimum": 1, "maximum": LARGEST_SIZE})
_SORT = Parameter("sort", "the order; newest first without it", {"enum": ["created_at", "-created_at"]})

RESOURCES: Resources = {
    "/detail_records": {
        "GET": Operation(
            index,
            "Search detail records",
            answer=DetailRecordBody,
            query=[PAGE_PARAMETERS[0], _SIZE, _SORT, *filter_parameters(FILTERS)],
            listed=True,
        )
    }
}
"""`/detail_records`."""
