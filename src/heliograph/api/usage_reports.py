"""Usage reports: `/reports/mdr_usage_reports`, and the same in its older form (Contract 10)."""

from collections.abc import Sequence

import msgspec
from msgspec import UNSET, Struct, UnsetType
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from heliograph import randomness
from heliograph.api import report_files
from heliograph.api.auth import Caller
from heliograph.api.body import JsonBody
from heliograph.api.context import ApiContext
from heliograph.api.operations import PAGE_PARAMETERS, Operation, Parameter, Resources
from heliograph.api.paging import DEFAULT_SIZE, LARGEST_NUMBER, LARGEST_SIZE, Page, read_page, read_whole
from heliograph.api.problems import JSON
from heliograph.api.ranges import Place, read_range
from heliograph.api.shapes import Data, encode
from heliograph.domain.errors import Code, Refusal
from heliograph.domain.ids import canonical_uuid
from heliograph.domain.instant import Instant, to_text
from heliograph.domain.reports import (
    LEGACY_USAGE_REPORT,
    USAGE_REPORT,
    Aggregation,
    UsageRow,
    UsageWish,
    usage_rows,
)
from heliograph.store.between import Between
from heliograph.store.jobs import Job, JobStatus
from heliograph.store.traffic import RecordFilter

MOST_PROFILES = 1_000
_AGGREGATIONS = list(Aggregation)
"""In the older form, by number."""
_STATUSES = {"PENDING": 1, "COMPLETE": 2, "FAILED": 3}


class UsageReportRequest(Struct, kw_only=True):
    """The body of `POST /reports/mdr_usage_reports`; several profiles are separated by commas."""

    aggregation_type: str | None = None
    start_date: str | None = None
    end_date: str | None = None
    profiles: str | None = None


class LegacyUsageReportRequest(Struct, kw_only=True):
    """The body of the older form. Without times it is about the last 30 days. There are no managed accounts here."""

    aggregation_type: int | None = None
    start_time: str | None = None
    end_time: str | None = None
    profiles: list[str] | None = None
    managed_accounts: list[str] | None = None
    select_all_managed_accounts: bool | None = None


class UsageReportBody(Struct, kw_only=True):
    """A usage report. `reason` is an extension: why it failed."""

    id: str
    record_type: str = "mdr_usage_report"
    status: str
    aggregation_type: str
    start_date: str
    end_date: str
    profiles: str
    connections: Sequence[int] = ()
    result: Sequence[UsageRow]
    report_url: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    created_at: str
    updated_at: str


class LegacyResult(Struct):
    """Its lines."""

    rows: Sequence[UsageRow]


class LegacyUsageReportBody(Struct, kw_only=True):
    """A usage report in the older form."""

    id: str
    record_type: str = "mdr_usage_report_v2_legacy"
    status: int
    aggregation_type: int
    start_time: str
    end_time: str
    profiles: Sequence[str]
    connections: Sequence[str] = ()
    result: LegacyResult
    report_url: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    created_at: str
    updated_at: str


DECODER = msgspec.json.Decoder(UsageReportRequest)
LEGACY_DECODER = msgspec.json.Decoder(LegacyUsageReportRequest)
_wish = msgspec.json.Decoder(UsageWish).decode
_rows = msgspec.json.Decoder(list[UsageRow]).decode


async def create(context: ApiContext, request: Request) -> Response:
    """`POST /reports/mdr_usage_reports`."""

    async def attempt(caller: Caller, epoch: int) -> Job:
        given = await body.read()
        for name in ("aggregation_type", "start_date", "end_date"):
            if not getattr(given, name):
                detail = f"The '{name}' parameter is required and cannot be blank."
                raise Refusal(Code.MISSING_PARAMETER, detail, f"/{name}")
        places = Place("start_date", in_body=True), Place("end_date", in_body=True)
        span = read_range(given.start_date, given.end_date, places, context.store.clock.now())
        aggregation = _aggregation(given.aggregation_type, Place("aggregation_type", in_body=True))
        profiles = read_profiles(_separated(given.profiles), Place("profiles", in_body=True))
        await context.confirm(caller, epoch)
        wish = UsageWish(
            first=span.first, last=span.last, secret=randomness.secret(), aggregation=aggregation, profiles=profiles
        )
        return report_files.new_job(context, caller, USAGE_REPORT, wish)

    body = JsonBody(request, DECODER, context.max_body)
    job = await context.as_caller(request.headers.get("authorization"), attempt)
    await context.store.jobs.add(job)
    return report_files.answer(context, request, job, usage_body)


async def create_legacy(context: ApiContext, request: Request) -> Response:
    """`POST /legacy/reporting/usage_reports/messaging`."""

    async def attempt(caller: Caller, epoch: int) -> Job:
        given = await body.read()
        check_no_accounts(given.managed_accounts)
        places = Place("start_time", in_body=True), Place("end_time", in_body=True)
        span = read_range(given.start_time, given.end_time, places, context.store.clock.now())
        aggregation = _numbered(given.aggregation_type)
        profiles = read_profiles(given.profiles or (), Place("profiles", in_body=True))
        await context.confirm(caller, epoch)
        wish = UsageWish(
            first=span.first, last=span.last, secret=randomness.secret(), aggregation=aggregation, profiles=profiles
        )
        return report_files.new_job(context, caller, LEGACY_USAGE_REPORT, wish)

    body = JsonBody(request, LEGACY_DECODER, context.max_body)
    job = await context.as_caller(request.headers.get("authorization"), attempt)
    await context.store.jobs.add(job)
    return report_files.answer(context, request, job, legacy_body)


async def fetch_sync(context: ApiContext, request: Request) -> Response:
    """`GET /reports/mdr_usage_reports/sync`: a report at once, which is not kept."""

    async def attempt(caller: Caller, epoch: int) -> UsageReportBody:
        await context.confirm(caller, epoch)
        query, now = request.query_params, context.store.clock.now()
        if not query.get("aggregation_type"):
            detail = "The 'aggregation_type' parameter is required and cannot be blank."
            raise Refusal(Code.MISSING_PARAMETER, detail, parameter="aggregation_type")
        places = Place("start_date"), Place("end_date")
        span = read_range(query.get("start_date"), query.get("end_date"), places, now)
        aggregation = _aggregation(query.get("aggregation_type"), Place("aggregation_type"))
        profiles = read_profiles(_separated(query.get("profiles")), Place("profiles"))
        wish = UsageWish(first=span.first, last=span.last, secret="", aggregation=aggregation, profiles=profiles)
        records = RecordFilter.of(Between(span.first, span.last), profiles)
        by_tags = aggregation is Aggregation.TAGS
        counted = await context.store.traffic.usage(caller.organization_id, records, by_tags=by_tags)
        return _usage_body(randomness.new_id(now), "COMPLETE", wish, usage_rows(counted, aggregation), now, now)

    report = await context.as_caller(request.headers.get("authorization"), attempt)
    return Response(encode(Data(report)), media_type=JSON)


async def index(context: ApiContext, request: Request) -> Response:
    """`GET /reports/mdr_usage_reports`."""
    return await report_files.index(context, request, USAGE_REPORT, usage_body, read_page(request.query_params))


async def retrieve(context: ApiContext, request: Request) -> Response:
    """`GET /reports/mdr_usage_reports/{id}`."""
    return await report_files.retrieve(context, request, USAGE_REPORT, usage_body)


async def delete(context: ApiContext, request: Request) -> Response:
    """`DELETE /reports/mdr_usage_reports/{id}`."""
    return await report_files.delete(context, request, USAGE_REPORT, usage_body)


async def index_legacy(context: ApiContext, request: Request) -> Response:
    """`GET /legacy/reporting/usage_reports/messaging`; its pages have names of their own."""
    page = _legacy_page(request.query_params)
    return await report_files.index(context, request, LEGACY_USAGE_REPORT, legacy_body, page)


async def retrieve_legacy(context: ApiContext, request: Request) -> Response:
    """`GET /legacy/reporting/usage_reports/messaging/{id}`."""
    return await report_files.retrieve(context, request, LEGACY_USAGE_REPORT, legacy_body)


async def delete_legacy(context: ApiContext, request: Request) -> Response:
    """`DELETE /legacy/reporting/usage_reports/messaging/{id}`."""
    return await report_files.delete(context, request, LEGACY_USAGE_REPORT, legacy_body)


def usage_body(job: Job, url: str | None) -> UsageReportBody:
    """A report as it is answered."""
    rows = _result(job)
    body = _usage_body(job.id, report_files.status_of(job), _wish(job.wish), rows, job.created_at, job.updated_at)
    return msgspec.structs.replace(body, report_url=url or UNSET, reason=job.reason or UNSET)


def legacy_body(job: Job, url: str | None) -> LegacyUsageReportBody:
    """The same in the older form."""
    wish = _wish(job.wish)
    return LegacyUsageReportBody(
        id=job.id,
        status=_STATUSES[report_files.status_of(job)],
        aggregation_type=_AGGREGATIONS.index(wish.aggregation),
        start_time=to_text(wish.first),
        end_time=_until(wish),
        profiles=wish.profiles,
        result=LegacyResult(_result(job)),
        report_url=url or UNSET,
        reason=job.reason or UNSET,
        created_at=to_text(job.created_at),
        updated_at=to_text(job.updated_at),
    )


def _usage_body(
    report_id: str, status: str, wish: UsageWish, rows: Sequence[UsageRow], created: Instant, updated: Instant
) -> UsageReportBody:
    return UsageReportBody(
        id=report_id,
        status=status,
        aggregation_type=wish.aggregation,
        start_date=to_text(wish.first),
        end_date=_until(wish),
        profiles=",".join(wish.profiles),
        result=rows,
        created_at=to_text(created),
        updated_at=to_text(updated),
    )


def _until(wish: UsageWish) -> str:
    """The end as it was asked for: the moment that is no longer included."""
    return to_text(Instant(wish.last + 1))


def _result(job: Job) -> Sequence[UsageRow]:
    return _rows(job.result) if job.status is JobStatus.COMPLETE and job.result else ()


def check_no_accounts(accounts: Sequence[str] | None) -> None:
    """Raises a `Refusal` for a report that is to be limited to what is not there."""
    if accounts:
        detail = "There are no managed accounts here."
        raise Refusal(Code.NO_ASSOCIATED_RESOURCE, detail, "/managed_accounts")


def _aggregation(text: str | None, place: Place) -> Aggregation:
    try:
        return Aggregation(text or "")
    except ValueError:
        detail = f"'{place.name}' is one of {', '.join(Aggregation)}; got '{(text or '')[:32]}'."
        raise place.refusal(Code.INVALID_ENUM, detail) from None


def _numbered(number: int | None) -> Aggregation:
    if number is None:
        detail = "The 'aggregation_type' parameter is required and cannot be blank."
        raise Refusal(Code.MISSING_PARAMETER, detail, "/aggregation_type")
    if number not in range(len(_AGGREGATIONS)):
        detail = f"'aggregation_type' is 0 for no aggregation, 1 for profiles or 2 for tags; got {number}."
        raise Refusal(Code.INVALID_ENUM, detail, "/aggregation_type")
    return _AGGREGATIONS[number]


def _separated(text: str | None) -> Sequence[str]:
    return [each.strip() for each in text.split(",")] if text else ()


def read_profiles(given: Sequence[str], place: Place) -> tuple[str, ...]:
    """Ids of profiles. One that is not the caller's has no messages to count, as one that does not exist."""
    if len(given) > MOST_PROFILES:
        raise place.refusal(Code.BAD_REQUEST, f"'{place.name}' names at most {MOST_PROFILES:,} profiles.")
    known = [canonical_uuid(each) for each in given]
    if None in known:
        detail = f"'{place.name}' holds ids of messaging profiles, got '{given[known.index(None)][:48]}'."
        raise place.refusal(Code.BAD_REQUEST, detail)
    return tuple(each for each in known if each is not None)


def _legacy_page(query: QueryParams) -> Page:
    number = read_whole(query, "page", 1, LARGEST_NUMBER)
    return Page(number, read_whole(query, "per_page", DEFAULT_SIZE, LARGEST_SIZE))


_MOMENT = "a date, or a time with its zone"
_LEGACY_PAGES = [
    Parameter("page", "which page, from 1", {"type": "integer", "minimum": 1, "maximum": LARGEST_NUMBER}),
    Parameter("per_page", "how many a page", {"type": "integer", "minimum": 1, "maximum": LARGEST_SIZE}),
]

RESOURCES: Resources = {
    "/reports/mdr_usage_reports": {
        "POST": Operation(create, "Ask for a usage report", UsageReportRequest, UsageReportBody),
        "GET": Operation(index, "List usage reports", answer=UsageReportBody, query=PAGE_PARAMETERS, listed=True),
    },
    "/reports/mdr_usage_reports/sync": {
        "GET": Operation(
            fetch_sync,
            "Read a usage report at once",
            answer=UsageReportBody,
            query=[
                Parameter("aggregation_type", "what is added up by", {"enum": [each.value for each in Aggregation]}),
                Parameter("start_date", f"from when on: {_MOMENT}; 30 days before the end without it"),
                Parameter("end_date", f"until when: {_MOMENT}; now without it"),
                Parameter("profiles", "ids of messaging profiles, separated by commas"),
            ],
        )
    },
    "/reports/mdr_usage_reports/{id}": {
        "GET": Operation(retrieve, "Read a usage report", answer=UsageReportBody),
        "DELETE": Operation(delete, "Delete a usage report", answer=UsageReportBody),
    },
    "/legacy/reporting/usage_reports/messaging": {
        "POST": Operation(
            create_legacy,
            "Ask for a usage report in the older form",
            LegacyUsageReportRequest,
            LegacyUsageReportBody,
        ),
        "GET": Operation(
            index_legacy,
            "List usage reports in the older form",
            answer=LegacyUsageReportBody,
            query=_LEGACY_PAGES,
            listed=True,
        ),
    },
    "/legacy/reporting/usage_reports/messaging/{id}": {
        "GET": Operation(retrieve_legacy, "Read a usage report in the older form", answer=LegacyUsageReportBody),
        "DELETE": Operation(delete_legacy, "Delete a usage report in the older form", answer=LegacyUsageReportBody),
    },
}
"""`/reports/mdr_usage_reports` and `/legacy/reporting/usage_reports/messaging`."""
