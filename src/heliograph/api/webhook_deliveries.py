"""`/webhook_deliveries`: what became of each event, attempt by attempt (Contract 10); and an extension, the replay."""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from heliograph.api.auth import Caller
from heliograph.api.body import JsonBody
from heliograph.api.context import ApiContext
from heliograph.api.operations import PAGE_PARAMETERS, Operation, Resources, filter_parameters
from heliograph.api.paging import page_meta, read_between, read_filters, read_page
from heliograph.api.problems import JSON
from heliograph.api.shapes import Data, encode
from heliograph.bodies import payload_of, webhook
from heliograph.domain.accounts import ProfileSettings
from heliograph.domain.compose import check_url
from heliograph.domain.delivery import DeliveryStatus
from heliograph.domain.errors import Code, Refusal
from heliograph.domain.events import EventType
from heliograph.domain.ids import canonical_uuid
from heliograph.domain.instant import Instant, TimeWithoutZone, UnreadableTime, parse, to_text
from heliograph.domain.redaction import NUMBERS, level, redacted_event
from heliograph.store.deliveries import DeliveryFilter, DeliveryReport, NothingToTell
from heliograph.store.lanes import Attempt

LONGEST_SEARCH = 1_000
"""Characters of a text that is looked for; SQLite takes a pattern of at most 50,000 bytes."""
MOMENTS = frozenset({"gte", "lte"})
FILTERS: Mapping[str, frozenset[str]] = {
    "status": frozenset({"eq"}),
    "event_type": frozenset({"eq"}),
    "webhook": frozenset({"contains"}),
    "attempts": frozenset({"contains"}),
    "started_at": MOMENTS,
    "finished_at": MOMENTS,
}


class RequestBody(Struct):
    url: str
    headers: Sequence[tuple[str, str]]


class ResponseBody(Struct):
    status: int
    headers: Sequence[tuple[str, str]]
    body: str


class HttpBody(Struct):
    request: RequestBody
    response: ResponseBody | UnsetType = UNSET


class AttemptBody(Struct):
    """One attempt. `detail` is an extension: why there was no answer."""

    status: str
    started_at: str
    finished_at: str
    errors: Sequence[int]
    http: HttpBody
    detail: str | UnsetType = UNSET


class DeliveryBody(Struct, kw_only=True):
    """A delivery. Its moments are there once they have come, as the schema has no null for them.

    `reason` is an extension: why it ended without being tried.
    """

    id: str
    user_id: str
    record_type: str
    status: str
    started_at: str | UnsetType = UNSET
    finished_at: str | UnsetType = UNSET
    webhook: Raw
    attempts: Sequence[AttemptBody]
    reason: str | UnsetType = UNSET


class _EventOnly(Struct):
    """What an event is known by when its message is no longer kept."""

    event_type: str
    id: str
    occurred_at: str
    record_type: str = "event"


class ReplayRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """The body of a replay of one event; it may be left out."""

    url: str | None = None


class ReplaySinceRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """The body of a replay of all events since a moment. A field misspelt would send more than was meant."""

    since: str | None = None
    url: str | None = None
    event_types: list[str] | None = None
    status: str | None = None


NOTHING_TO_TELL = "The event was never sent, and its message is no longer kept: nobody knows what it says."
REPLAY_DECODER = msgspec.json.Decoder(ReplayRequest)
SINCE_DECODER = msgspec.json.Decoder(ReplaySinceRequest)


async def index(context: ApiContext, request: Request) -> Response:
    """`GET /webhook_deliveries`, newest first."""

    async def attempt(caller: Caller, epoch: int) -> tuple[int, Sequence[DeliveryBody]]:
        await context.confirm(caller, epoch)
        wanted = read_filter(request.query_params)
        total, reports = await context.store.deliveries.page(caller.organization_id, wanted, page.offset, page.size)
        return total, [await _shown(context, each) for each in reports]

    page = read_page(request.query_params)
    total, listed = await context.as_caller(request.headers.get("authorization"), attempt)
    return _json(Data(listed, page_meta(page, total)))


async def retrieve(context: ApiContext, request: Request) -> Response:
    """`GET /webhook_deliveries/{id}`."""

    async def attempt(caller: Caller, epoch: int) -> DeliveryBody:
        await context.confirm(caller, epoch)
        return await _shown(context, await _find(context, caller, request.path_params["id"]))

    return _json(Data(await context.as_caller(request.headers.get("authorization"), attempt)))


async def replay(context: ApiContext, request: Request) -> Response:
    """`POST /webhook_deliveries/{id}/replay`: the event again, under its own id."""

    async def attempt(caller: Caller, epoch: int) -> DeliveryBody:
        wanted = await body.read() if _has_body(request) else ReplayRequest()
        check_url(wanted.url or None, "/url")
        await context.confirm(caller, epoch)
        report = await _find(context, caller, request.path_params["id"])
        try:
            begun = await context.store.deliveries.replay(caller.organization_id, report.delivery, wanted.url or None)
        except NothingToTell:
            raise Refusal(Code.NOT_FOUND, NOTHING_TO_TELL, "/id") from None
        if begun is None:
            raise Refusal(Code.MISSING_PARAMETER, "The event has no URL to go to now: give 'url'.", "/url")
        return await _shown(context, begun)

    body = JsonBody(request, REPLAY_DECODER, context.max_body)
    return _json(Data(await context.as_caller(request.headers.get("authorization"), attempt)))


async def replay_since(context: ApiContext, request: Request) -> Response:
    """`POST /webhook_deliveries/replay`: every event since a moment again, each under its own id, oldest first."""

    async def attempt(caller: Caller, epoch: int) -> int:
        wanted = await body.read()
        since, events = _since(wanted.since), _event_types(wanted.event_types)
        check_url(wanted.url or None, "/url")
        only_failed = _only_failed(wanted.status)
        await context.confirm(caller, epoch)
        book, organization_id = context.store.deliveries, caller.organization_id
        return await book.replay_since(organization_id, since, events, wanted.url or None, only_failed=only_failed)

    body = JsonBody(request, SINCE_DECODER, context.max_body)
    count = await context.as_caller(request.headers.get("authorization"), attempt)
    return _json(Data({"record_type": "webhook_replay", "replayed": count}))


def read_filter(query: QueryParams) -> DeliveryFilter:
    """The filters of the list (Contract 10); raises a `Refusal`. `pending`, of the status, is an extension."""
    filters = read_filters(query)
    events = filters.get(("event_type", "eq"))
    return DeliveryFilter(
        status=_status(filters.get(("status", "eq"))),
        events=None if events is None else [each.strip() for each in events.split(",")],
        webhook=_searched(filters, "webhook"),
        attempts=_searched(filters, "attempts"),
        started=read_between(query, "filter[started_at]"),
        finished=read_between(query, "filter[finished_at]"),
    )


async def _shown(context: ApiContext, report: DeliveryReport) -> DeliveryBody:
    """A delivery as its profile lets it be shown; what was sent is another matter, and was whole."""
    delivery = report.delivery
    profile = await context.store.accounts.profile_ever(delivery.organization_id, delivery.profile_id)
    return delivery_body(report, None if profile is None else profile.settings)


def delivery_body(report: DeliveryReport, settings: ProfileSettings | None = None) -> DeliveryBody:
    """A delivery as it is answered. One under way has failed so far, once it was tried."""
    delivery = report.delivery
    tried = report.status is DeliveryStatus.PENDING and report.attempts
    return DeliveryBody(
        id=delivery.id,
        user_id=delivery.organization_id,
        record_type="webhook_delivery",
        status=DeliveryStatus.FAILED if tried else report.status,
        started_at=_time(report.started_at),
        finished_at=_time(report.finished_at),
        webhook=_redacted(_webhook(report), settings),
        attempts=[_attempt_body(each) for each in report.attempts],
        reason=report.reason or UNSET,
    )


def _redacted(webhook: Raw, settings: ProfileSettings | None) -> Raw:
    if level(settings) < NUMBERS:
        return webhook
    return Raw(encode(redacted_event(msgspec.json.decode(webhook), settings)))


def _webhook(report: DeliveryReport) -> Raw:
    delivery = report.delivery
    if delivery.webhook is not None:
        return Raw(delivery.webhook)
    if report.subject is not None:
        payload = payload_of(report.subject, delivery.event)
        return Raw(webhook(delivery.event_id, delivery.event, delivery.occurred_at, payload))
    return Raw(encode(_EventOnly(delivery.event, delivery.event_id, to_text(delivery.occurred_at))))


def _attempt_body(attempt: Attempt) -> AttemptBody:
    response: ResponseBody | UnsetType = UNSET
    if attempt.response_status is not None:
        response = ResponseBody(attempt.response_status, attempt.response_headers or (), attempt.response_body or "")
    return AttemptBody(
        status=DeliveryStatus.DELIVERED if attempt.delivered else DeliveryStatus.FAILED,
        started_at=to_text(attempt.started_at),
        finished_at=to_text(attempt.finished_at),
        errors=attempt.errors,
        http=HttpBody(RequestBody(attempt.url, attempt.request_headers), response),
        detail=attempt.detail or UNSET,
    )


async def _find(context: ApiContext, caller: Caller, text: str) -> DeliveryReport:
    canonical = canonical_uuid(text)
    report = await context.store.deliveries.find(caller.organization_id, canonical) if canonical else None
    if report is None:
        raise Refusal(Code.NOT_FOUND, f"There is no webhook delivery with the id '{text[:48]}'.", "/id")
    return report


def _searched(filters: Mapping[tuple[str, str], str], name: str) -> str | None:
    text = filters.get((name, "contains"))
    if text is not None and len(text) > LONGEST_SEARCH:
        detail = f"At most {LONGEST_SEARCH:,} characters can be looked for, got {len(text):,}."
        raise Refusal(Code.INVALID_FILTER, detail, parameter=f"filter[{name}][contains]")
    return text


def _status(text: str | None) -> DeliveryStatus | None:
    if text is None:
        return None
    try:
        return DeliveryStatus(text)
    except ValueError:
        detail = f"A status is delivered, failed or pending; got '{text[:32]}'."
        raise Refusal(Code.INVALID_FILTER, detail, parameter="filter[status][eq]") from None


def _since(text: str | None) -> Instant:
    if not text:
        raise Refusal(Code.MISSING_PARAMETER, "The 'since' parameter is required and cannot be blank.", "/since")
    try:
        return parse(text)
    except (UnreadableTime, TimeWithoutZone):
        detail = f"'since' must be an ISO 8601 date and time with its zone, got '{text[:48]}'."
        raise Refusal(Code.BAD_REQUEST, detail, "/since") from None


def _only_failed(status: str | None) -> bool:
    if status not in {None, DeliveryStatus.FAILED.value}:
        detail = f"'status' may be failed, for what nobody has taken yet; got '{status:.32}'."
        raise Refusal(Code.INVALID_ENUM, detail, "/status")
    return status is not None


def _event_types(given: Sequence[str] | None) -> Sequence[str] | None:
    known = [each.value for each in EventType]
    for index, each in enumerate(given or ()):
        if each not in known:
            detail = f"An event type is one of {', '.join(known)}; got '{each[:48]}'."
            raise Refusal(Code.INVALID_ENUM, detail, f"/event_types/{index}")
    return given


def _has_body(request: Request) -> bool:
    """Whether a body comes with the request, be it an empty one in chunks (RFC 9112, 6.3)."""
    return "transfer-encoding" in request.headers or request.headers.get("content-length", "0") != "0"


def _time(instant: Instant | None) -> str | UnsetType:
    return UNSET if instant is None else to_text(instant)


def _json(body: object) -> Response:
    return Response(encode(body), media_type=JSON)


RESOURCES: Resources = {
    "/webhook_deliveries": {
        "GET": Operation(
            index,
            "List deliveries of events",
            answer=DeliveryBody,
            query=[*PAGE_PARAMETERS, *filter_parameters(FILTERS)],
            listed=True,
        )
    },
    "/webhook_deliveries/replay": {"POST": Operation(replay_since, "Replay events since a moment", ReplaySinceRequest)},
    "/webhook_deliveries/{id}": {"GET": Operation(retrieve, "Read a delivery", answer=DeliveryBody)},
    "/webhook_deliveries/{id}/replay": {"POST": Operation(replay, "Replay an event", ReplayRequest, DeliveryBody)},
}
"""`/webhook_deliveries`."""
