"""`/sandbox`: the test clock and the handsets. These routes exist only in sandbox mode, and ask for no key."""

from collections.abc import Awaitable, Callable

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from heliograph.api.body import JsonBody
from heliograph.api.context import ApiContext
from heliograph.api.operations import Operation, Resources
from heliograph.api.problems import JSON
from heliograph.api.shapes import ArrivalBody, Data, arrival_body, encode
from heliograph.bodies import InboundBody, inbound_body
from heliograph.domain.address import BadAddress, parse_destination
from heliograph.domain.compose import MAX_MEDIA, check_url
from heliograph.domain.errors import Code, Refusal
from heliograph.domain.handset import HandsetSend
from heliograph.domain.inbound import NotOurs
from heliograph.domain.instant import DAY, SECOND, Instant, TimeWithoutZone, UnreadableTime, parse, to_text
from heliograph.domain.text import MAX_PARTS, RequestedEncoding
from heliograph.domain.text import encode as encode_text

FARTHEST = 3_660 * DAY
"""The largest jump of the test clock: ten years."""

Advance = Callable[[Instant], Awaitable[None]]


class AdvanceRequest(Struct, kw_only=True):
    """The body of `POST /sandbox/clock/advance`: one of the two."""

    seconds: float | None = None
    to: str | None = None


class WriteRequest(Struct, kw_only=True):
    """The body of `POST /sandbox/handsets/{number}/messages`."""

    to: str | None = None
    text: str | None = None
    subject: str | None = None
    media_urls: list[str] | None = None


class HandsetBody(Struct):
    """A number that something arrived at, and how many."""

    handset: str
    messages: int


DECODER = msgspec.json.Decoder(AdvanceRequest)
WRITE_DECODER = msgspec.json.Decoder(WriteRequest)


async def clock(context: ApiContext, _request: Request) -> Response:
    """`GET /sandbox/clock`."""
    await context.store.engine.synchronize_clock()
    return _clock(context)


async def advance(context: ApiContext, request: Request) -> Response:
    """`POST /sandbox/clock/advance`: everything that falls due on the way is done, in order, before the answer."""
    assert context.sandbox is not None  # noqa: S101 - the route exists only with it
    wanted = await JsonBody(request, DECODER, context.max_body).read()
    await context.sandbox.advance(_target(wanted, context.store.clock.now()))
    return _clock(context)


async def handsets(context: ApiContext, _request: Request) -> Response:
    """`GET /sandbox/handsets`: every number that something arrived at."""
    rows = await context.store.sandbox.handsets()
    return _json(Data([HandsetBody(row["handset"], row["messages"]) for row in rows]))


async def handset(context: ApiContext, request: Request) -> Response:
    """`GET /sandbox/handsets/{number}`: what arrived there, oldest first."""
    number = request.path_params["number"]
    # PostgreSQL holds no NUL, so nothing has arrived at such a number.
    arrivals = [] if "\0" in number else await context.store.sandbox.handset(number)
    return _json(Data([arrival_body(each) for each in arrivals]))


async def write(context: ApiContext, request: Request) -> Response:
    """`POST /sandbox/handsets/{number}/messages`: somebody writes to one of the service's numbers."""
    assert context.sandbox is not None  # noqa: S101 - the route exists only with it
    wanted = await JsonBody(request, WRITE_DECODER, context.max_body).read()
    message = _written(request.path_params["number"], wanted)
    try:
        kept = await context.sandbox.write(message)
    except NotOurs as error:
        raise Refusal(Code.INVALID_TO, f"{error} The refusal is on record.", "/to") from None
    return _json(Data(inbound_body(kept)))


def _written(number: str, wanted: WriteRequest) -> HandsetSend:
    handset = _address(number, "/number")
    if not wanted.to:
        raise Refusal(Code.MISSING_PARAMETER, "The 'to' parameter is required and cannot be blank.", "/to")
    to = _address(wanted.to, "/to")
    if handset == to:
        raise Refusal(Code.INVALID_TO, f"Source and destination are identical: {to}.", "/to")
    if not (wanted.text or wanted.media_urls):
        raise Refusal(Code.NO_CONTENT, "Give 'text', 'media_urls' or both.", "/text")
    for name in ("text", "subject"):
        if "\0" in (getattr(wanted, name) or ""):
            raise Refusal(Code.BAD_REQUEST, "The character U+0000 cannot be sent.", f"/{name}")
    urls = wanted.media_urls or []
    if len(urls) > MAX_MEDIA:
        raise Refusal(Code.INVALID_MMS, f"At most {MAX_MEDIA} media URLs, got {len(urls)}.", "/media_urls")
    for index, url in enumerate(urls):
        check_url(url, f"/media_urls/{index}")
    # An empty subject is none: it would make an MMS of an SMS.
    subject = wanted.subject or None
    if not urls and subject is None:
        _check_parts(wanted.text or "")
    return HandsetSend(handset, to, wanted.text, subject, urls)


def _check_parts(text: str) -> None:
    """No carrier puts together more parts than it would take from us (Contract 4.3)."""
    parts = encode_text(text, RequestedEncoding.AUTO, smart=False).parts
    if parts > MAX_PARTS:
        raise Refusal(Code.TOO_LARGE, f"The message needs {parts} parts; the limit is {MAX_PARTS}.", "/text")


def _address(text: str, pointer: str) -> str:
    try:
        return parse_destination(text).text
    except BadAddress as error:
        raise Refusal(Code.INVALID_TO, str(error), pointer) from None


def _target(wanted: AdvanceRequest, now: Instant) -> Instant:
    if (wanted.seconds is None) == (wanted.to is None):
        raise Refusal(Code.BAD_REQUEST, "Give one of 'seconds' and 'to'.", "/")
    if wanted.seconds is not None:
        # Bounded before it is multiplied: a float near its largest becomes infinite.
        seconds = max(-1.0, min(wanted.seconds, FARTHEST / SECOND + 1))
        target, pointer = Instant(now + round(seconds * SECOND)), "/seconds"
    else:
        target, pointer = _moment(wanted.to or ""), "/to"
    if not now <= target <= now + FARTHEST:
        detail = f"The clock moves forward only, at most ten years; it is {to_text(now)}."
        raise Refusal(Code.OUT_OF_RANGE, detail, pointer)
    return target


def _moment(text: str) -> Instant:
    try:
        return parse(text)
    except (UnreadableTime, TimeWithoutZone):
        detail = f"'to' must be an ISO 8601 date and time with its zone, got '{text[:48]}'."
        raise Refusal(Code.BAD_REQUEST, detail, "/to") from None


def _clock(context: ApiContext) -> Response:
    told = context.store.clock
    return _json(Data({"now": to_text(told.now()), "ahead_seconds": told.offset / SECOND}))


def _json(body: object) -> Response:
    return Response(encode(body), media_type=JSON)


RESOURCES: Resources = {
    "/sandbox/clock": {"GET": Operation(clock, "Read the test clock")},
    "/sandbox/clock/advance": {"POST": Operation(advance, "Move the test clock", AdvanceRequest)},
    "/sandbox/handsets": {"GET": Operation(handsets, "List handsets", answer=list[HandsetBody])},
    "/sandbox/handsets/{number}": {
        "GET": Operation(handset, "Read what arrived at a handset", answer=list[ArrivalBody])
    },
    "/sandbox/handsets/{number}/messages": {
        "POST": Operation(write, "Write from a handset", WriteRequest, InboundBody)
    },
}
"""`/sandbox`, beside `/v2`."""
