"""`/legacy/reporting/batch_detail_records/messaging`: detail records as a CSV file (Contract 10)."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any
from zoneinfo import available_timezones

import msgspec
from msgspec import UNSET, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from heliograph import randomness
from heliograph.api import report_files
from heliograph.api.auth import Caller
from heliograph.api.body import JsonBody
from heliograph.api.context import ApiContext
from heliograph.api.operations import PAGE_PARAMETERS, Operation, Resources
from heliograph.api.paging import LARGEST_SIZE, read_page
from heliograph.api.ranges import Place, read_range
from heliograph.api.usage_reports import check_no_accounts, read_profiles
from heliograph.domain.errors import Code, Refusal
from heliograph.domain.instant import Instant, to_text
from heliograph.domain.periods import Span
from heliograph.domain.reports import DETAIL_REPORT, DetailWish, Direction, NumberFilter, RecordType
from heliograph.store.jobs import Job

MOST_FILTERS = 100
LONGEST_NAME = 255
_DIRECTIONS = [Direction.INBOUND, Direction.OUTBOUND]
_RECORD_TYPES = [RecordType.COMPLETED, RecordType.INCOMPLETE, RecordType.ERRORS]
"""Both by number, from 1."""
_WAYS = ("contains", "starts_with", "ends_with")


class FilterBody(Struct, kw_only=True, omit_defaults=True):
    """One filter; all that it names holds."""

    filter_type: str = "and"
    cli: str | None = None
    cli_filter: str | None = None
    cld: str | None = None
    cld_filter: str | None = None
    tags_list: str | None = None
    billing_group: str | None = None


class BatchReportRequest(Struct, kw_only=True):
    """The body of a request for a file. There are no connections, billing groups and managed accounts here."""

    start_time: str | None = None
    end_time: str | None = None
    directions: list[int] | None = None
    record_types: list[int] | None = None
    profiles: list[str] | None = None
    filters: list[FilterBody] | None = None
    include_message_body: bool | None = None
    timezone: str | None = None
    report_name: str | None = None
    connections: list[int] | None = None
    managed_accounts: list[str] | None = None
    select_all_managed_accounts: bool | None = None


class BatchReportBody(Struct, kw_only=True):
    """A batch report. `reason` is an extension: why it failed."""

    id: str
    record_type: str = "mdr_report"
    status: str
    report_name: str
    start_date: str
    end_date: str
    directions: Sequence[str]
    record_types: Sequence[str]
    profiles: Sequence[str]
    connections: Sequence[int] = ()
    filters: Sequence[FilterBody]
    report_url: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    created_at: str
    updated_at: str


DECODER = msgspec.json.Decoder(BatchReportRequest)
_wish = msgspec.json.Decoder(DetailWish).decode


async def create(context: ApiContext, request: Request) -> Response:
    """`POST /legacy/reporting/batch_detail_records/messaging`."""

    async def attempt(caller: Caller, epoch: int) -> Job:
        wish = read_wish(await body.read(), context.store.clock.now(), randomness.secret())
        await context.confirm(caller, epoch)
        return report_files.new_job(context, caller, DETAIL_REPORT, wish)

    body = JsonBody(request, DECODER, context.max_body)
    job = await context.as_caller(request.headers.get("authorization"), attempt)
    await context.store.jobs.add(job)
    return report_files.answer(context, request, job, report_body)


async def index(context: ApiContext, request: Request) -> Response:
    """`GET /legacy/reporting/batch_detail_records/messaging`. Pages are an extension."""
    page = read_page(request.query_params, LARGEST_SIZE)
    return await report_files.index(context, request, DETAIL_REPORT, report_body, page)


async def retrieve(context: ApiContext, request: Request) -> Response:
    """`GET /legacy/reporting/batch_detail_records/messaging/{id}`."""
    return await report_files.retrieve(context, request, DETAIL_REPORT, report_body)


async def delete(context: ApiContext, request: Request) -> Response:
    """`DELETE /legacy/reporting/batch_detail_records/messaging/{id}`."""
    return await report_files.delete(context, request, DETAIL_REPORT, report_body)


def read_wish(given: BatchReportRequest, now: Instant, secret: str) -> DetailWish:
    """What is asked for; raises a `Refusal`."""
    check_no_accounts(given.managed_accounts)
    if given.connections:
        raise Refusal(Code.NO_ASSOCIATED_RESOURCE, "There are no connections here.", "/connections")
    span = _span(given, now)
    name = given.report_name or ""
    if len(name) > LONGEST_NAME or "\0" in name:
        detail = f"'report_name' has at most {LONGEST_NAME} characters, and not U+0000."
        raise Refusal(Code.LENGTH_OUT_OF_RANGE, detail, "/report_name")
    return DetailWish(
        first=span.first,
        last=span.last,
        secret=secret,
        directions=_numbered(given.directions, _DIRECTIONS, "directions"),
        record_types=_numbered(given.record_types, _RECORD_TYPES, "record_types"),
        profiles=read_profiles(given.profiles or (), Place("profiles", in_body=True)),
        filters=_filters(given.filters or ()),
        include_message_body=bool(given.include_message_body),
        timezone=_timezone(given.timezone or "UTC"),
        report_name=name,
    )


def report_body(job: Job, url: str | None) -> BatchReportBody:
    """A report as it is answered."""
    wish = _wish(job.wish)
    return BatchReportBody(
        id=job.id,
        status=report_files.status_of(job),
        report_name=wish.report_name or job.id,
        start_date=to_text(wish.first),
        end_date=to_text(Instant(wish.last + 1)),
        directions=[each.upper() for each in wish.directions or _DIRECTIONS],
        record_types=wish.record_types or _RECORD_TYPES,
        profiles=wish.profiles,
        filters=[_filter_body(each) for each in wish.filters],
        report_url=url or UNSET,
        reason=job.reason or UNSET,
        created_at=to_text(job.created_at),
        updated_at=to_text(job.updated_at),
    )


def _filter_body(kept: NumberFilter) -> FilterBody:
    return FilterBody(**msgspec.structs.asdict(kept))


def _span(given: BatchReportRequest, now: Instant) -> Span:
    for name in ("start_time", "end_time"):
        if not getattr(given, name):
            detail = f"The '{name}' parameter is required and cannot be blank."
            raise Refusal(Code.MISSING_PARAMETER, detail, f"/{name}")
    places = Place("start_time", in_body=True), Place("end_time", in_body=True)
    return read_range(given.start_time, given.end_time, places, now)


def _numbered(given: Sequence[int] | None, words: Sequence[Any], name: str) -> tuple[Any, ...]:
    for index, each in enumerate(given or ()):
        if not 1 <= each <= len(words):
            meanings = ", ".join(f"{number} for {word}" for number, word in enumerate(words, 1))
            raise Refusal(Code.INVALID_ENUM, f"'{name}' holds {meanings}; got {each}.", f"/{name}/{index}")
    return tuple(words[each - 1] for each in sorted(set(given or ())))


def _filters(given: Sequence[FilterBody]) -> tuple[NumberFilter, ...]:
    if len(given) > MOST_FILTERS:
        raise Refusal(Code.BAD_REQUEST, f"There may be {MOST_FILTERS} filters, got {len(given)}.", "/filters")
    kinds = [each.filter_type for each in given]
    for index, each in enumerate(given):
        _check_filter(each, f"/filters/{index}")
        if each.filter_type == "and" and "or" in kinds[:index]:
            raise Refusal(Code.BAD_REQUEST, "After an 'or' comes no 'and'.", f"/filters/{index}/filter_type")
    if kinds and kinds[0] != "and":
        raise Refusal(Code.BAD_REQUEST, "The first filter is an 'and'.", "/filters/0/filter_type")
    own = NumberFilter.__struct_fields__
    return tuple(NumberFilter(**{name: getattr(each, name) for name in own}) for each in given)


def _check_filter(given: FilterBody, pointer: str) -> None:
    if given.billing_group:
        detail = "There are no billing groups here."
        raise Refusal(Code.NO_ASSOCIATED_RESOURCE, detail, f"{pointer}/billing_group")
    if given.filter_type not in {"and", "or"}:
        detail = f"'filter_type' is 'and' or 'or', got '{given.filter_type[:16]}'."
        raise Refusal(Code.INVALID_ENUM, detail, f"{pointer}/filter_type")
    ways: Mapping[str, str | None] = {"cli_filter": given.cli_filter, "cld_filter": given.cld_filter}
    for name, way in ways.items():
        if way is not None and way not in _WAYS:
            detail = f"'{name}' is one of {', '.join(_WAYS)}; got '{way[:16]}'."
            raise Refusal(Code.INVALID_ENUM, detail, f"{pointer}/{name}")
    texts = [each for each in (given.cli, given.cld, given.tags_list) if each]
    if not texts:
        raise Refusal(Code.BAD_REQUEST, "A filter names a 'cli', a 'cld' or a tag.", pointer)
    if any("\0" in each or len(each) > LONGEST_NAME for each in texts):
        detail = f"A filter holds at most {LONGEST_NAME} characters, and not U+0000."
        raise Refusal(Code.BAD_REQUEST, detail, pointer)


@cache
def _timezones() -> frozenset[str]:
    return frozenset(available_timezones())


def _timezone(name: str) -> str:
    if name not in _timezones():
        detail = f"'timezone' is a name such as America/New_York, got '{name[:48]}'."
        raise Refusal(Code.INVALID_ENUM, detail, "/timezone")
    return name


_PATH = "/legacy/reporting/batch_detail_records/messaging"

RESOURCES: Resources = {
    _PATH: {
        "POST": Operation(create, "Ask for detail records as a file", BatchReportRequest, BatchReportBody),
        "GET": Operation(index, "List batch reports", answer=BatchReportBody, query=PAGE_PARAMETERS, listed=True),
    },
    f"{_PATH}/{{id}}": {
        "GET": Operation(retrieve, "Read a batch report", answer=BatchReportBody),
        "DELETE": Operation(delete, "Delete a batch report and its file", answer=BatchReportBody),
    },
}
"""`/legacy/reporting/batch_detail_records/messaging`."""
