"""`/sandbox`: the test clock and the handsets. These routes exist only in sandbox mode, and ask for no key."""

from collections.abc import Awaitable, Callable

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from heliograph.api.body import JsonBody
from heliograph.api.context import ApiContext
from heliograph.api.problems import JSON
from heliograph.api.shapes import Data, arrival_body, encode
from heliograph.domain.errors import Code, Refusal
from heliograph.domain.instant import DAY, SECOND, Instant, TimeWithoutZone, UnreadableTime, parse, to_text

FARTHEST = 3_660 * DAY
"""The largest jump of the test clock: ten years."""

Advance = Callable[[Instant], Awaitable[None]]


class AdvanceRequest(Struct, kw_only=True):
    """The body of `POST /sandbox/clock/advance`: one of the two."""

    seconds: float | None = None
    to: str | None = None


DECODER = msgspec.json.Decoder(AdvanceRequest)


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
    return _json(Data([{"handset": row["handset"], "messages": row["messages"]} for row in rows]))


async def handset(context: ApiContext, request: Request) -> Response:
    """`GET /sandbox/handsets/{number}`: what arrived there, oldest first."""
    number = request.path_params["number"]
    # PostgreSQL holds no NUL, so nothing has arrived at such a number.
    arrivals = [] if "\0" in number else await context.store.sandbox.handset(number)
    return _json(Data([arrival_body(each) for each in arrivals]))


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
