"""`/reports/mdrs`: the same records in their short form (Contract 10)."""

from collections.abc import Mapping, Sequence

from msgspec import Struct
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from heliograph.api.auth import Caller
from heliograph.api.context import ApiContext
from heliograph.api.operations import PAGE_PARAMETERS, Operation, Parameter, Resources
from heliograph.api.paging import LARGEST_SIZE, page_meta, read_page
from heliograph.api.problems import JSON
from heliograph.api.ranges import Place, read_range, read_span
from heliograph.api.shapes import Data, encode
from heliograph.domain.errors import Code, Refusal
from heliograph.domain.ids import canonical_uuid
from heliograph.domain.instant import Instant, to_text
from heliograph.domain.pricing import amount_text
from heliograph.domain.reports import Direction, Record, RecordStatus
from heliograph.store.between import Between
from heliograph.store.traffic import BOTH, Condition, RecordFilter

_NAMES: Mapping[str, str] = {"profile": "profile_name", "cld": "cld", "cli": "cli"}
"""Parameters that ask for a text, with the attributes they ask it of."""
_CHOICES: Mapping[str, Sequence[str]] = {
    "direction": [each.value.upper() for each in Direction],
    "status": [each.value.upper() for each in RecordStatus],
    "message_type": ["SMS", "MMS"],
}


class MdrBody(Struct, kw_only=True):
    """A record; `cost` is `rate` for each of its parts."""

    id: str
    record_type: str = "mdr_report"
    cli: str
    cld: str
    direction: str
    message_type: str
    parts: int
    rate: str
    cost: str
    currency: str
    profile_name: str
    status: str
    created_at: str


async def index(context: ApiContext, request: Request) -> Response:
    """`GET /reports/mdrs`, newest first. Pages are an extension: without them, the newest 250."""

    async def attempt(caller: Caller, epoch: int) -> tuple[int, Sequence[Record]]:
        await context.confirm(caller, epoch)
        wanted = read_wanted(request.query_params, context.store.clock.now())
        traffic, mine = context.store.traffic, caller.organization_id
        return await traffic.count(mine, wanted), await traffic.page(mine, wanted, page.offset, page.size)

    page = read_page(request.query_params, LARGEST_SIZE)
    total, records = await context.as_caller(request.headers.get("authorization"), attempt)
    return Response(encode(Data([mdr_body(each) for each in records], page_meta(page, total))), media_type=JSON)


def read_wanted(query: QueryParams, now: Instant) -> RecordFilter:
    """What is asked for; raises a `Refusal`."""
    for name, choices in _CHOICES.items():
        if name in query and query[name] not in choices:
            detail = f"'{name}' is one of {', '.join(choices)}; got '{query[name][:32]}'."
            raise Refusal(Code.BAD_REQUEST, detail, parameter=name)
    conditions = [Condition(attribute, "eq", _text(query, name)) for name, attribute in _NAMES.items() if name in query]
    if "id" in query:
        conditions.append(Condition("uuid", "eq", _uuid(query["id"])))
    if "status" in query:
        conditions.append(Condition("status", "eq", query["status"].lower()))
    if "message_type" in query:
        conditions.append(Condition("message_type", "eq", query["message_type"]))
    directions = [Direction(query["direction"].lower())] if "direction" in query else BOTH
    return RecordFilter(_created(query, now), directions, conditions)


def _created(query: QueryParams, now: Instant) -> Between:
    first, last = query.get("start_date"), query.get("end_date")
    places = Place("start_date"), Place("end_date")
    if first is not None:
        return Between(*read_range(first, last, places, now))
    return Between() if last is None else Between(None, read_span(last, places[1]).last)


def mdr_body(record: Record) -> MdrBody:
    """A record as it is answered."""
    return MdrBody(
        id=record.id,
        cli=record.sender,
        cld=record.recipient,
        direction=record.direction.upper(),
        message_type=record.type,
        parts=record.parts,
        rate=amount_text(record.each_part(record.cost), 5),
        cost=amount_text(record.cost, 4),
        currency=record.currency,
        profile_name=record.profile_name,
        status=record.status.upper(),
        created_at=to_text(record.created_at),
    )


def _text(query: QueryParams, name: str) -> str:
    if "\0" in query[name]:
        raise Refusal(Code.BAD_REQUEST, f"'{name}' cannot hold the character U+0000.", parameter=name)
    return query[name]


def _uuid(text: str) -> str:
    known = canonical_uuid(text)
    if known is None:
        raise Refusal(Code.BAD_REQUEST, f"'id' is a UUID, got '{text[:48]}'.", parameter="id")
    return known


_MOMENT = "a date, or a time with its zone"
RESOURCES: Resources = {
    "/reports/mdrs": {
        "GET": Operation(
            index,
            "List detail records in their short form",
            answer=MdrBody,
            query=[
                *PAGE_PARAMETERS,
                Parameter("start_date", f"from when on: {_MOMENT}"),
                Parameter("end_date", f"until when: {_MOMENT}"),
                Parameter("id", "the id of one message", {"type": "string", "format": "uuid"}),
                *(Parameter(name, "which of them", {"enum": list(choices)}) for name, choices in _CHOICES.items()),
                Parameter("profile", "the name of a messaging profile"),
                Parameter("cld", "whom it went to"),
                Parameter("cli", "whom it came from"),
            ],
            listed=True,
        )
    }
}
"""`/reports/mdrs`."""
