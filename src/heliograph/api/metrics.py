"""Figures of messaging profiles: `/messaging_profile_metrics` and `/messaging_profiles/{id}/metrics` (Contract 10).

Their fields are ours: the schema leaves them free.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from msgspec import Struct
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from heliograph.api.auth import Caller
from heliograph.api.context import ApiContext
from heliograph.api.operations import PAGE_PARAMETERS, Operation, Parameter, Resources
from heliograph.api.paging import page_meta, read_page
from heliograph.api.problems import JSON
from heliograph.api.shapes import Data, encode
from heliograph.domain.accounts import Profile
from heliograph.domain.errors import Code, Refusal
from heliograph.domain.ids import canonical_uuid
from heliograph.domain.instant import Instant, to_text
from heliograph.domain.periods import TIME_FRAMES
from heliograph.store.traffic import Course

USUAL = "24h"
_DECIMALS = 4


class OutboundFigures(Struct):
    """Messages by when they were taken: `sent` are those that the carrier took; of the others none is counted twice."""

    sent: int
    delivered: int
    errors: int
    unconfirmed: int
    delivered_ratio: float | None
    """Of those that are over; null when none is."""
    error_ratio: float | None


class InboundFigures(Struct):
    received: int


class ProfileFigures(Struct):
    """A profile in one time frame."""

    messaging_profile_id: str
    name: str
    time_frame: str
    phone_numbers: int
    outbound: OutboundFigures
    inbound: InboundFigures
    record_type: str = "messaging_profile_metrics"


class StepFigures(Struct):
    """One step of the time frame, by its beginning."""

    timestamp: str
    outbound: OutboundFigures
    inbound: InboundFigures


class ProfileCourse(Struct):
    """A profile in one time frame, and how it went: every step of it, idle ones too."""

    overview: ProfileFigures
    detailed: Sequence[StepFigures]


async def index(context: ApiContext, request: Request) -> Response:
    """`GET /messaging_profile_metrics`: every profile, the newest first."""

    async def attempt(caller: Caller, epoch: int) -> tuple[int, Sequence[ProfileFigures]]:
        await context.confirm(caller, epoch)
        mine, traffic = caller.organization_id, context.store.traffic
        total, profiles = await context.store.listing.profiles(mine, page.offset, page.size, {})
        course = await traffic.course(mine, context.store.clock.now(), TIME_FRAMES[frame])
        numbers = await traffic.numbers(mine)
        return total, [
            _overview(each, frame, numbers.get(each.id, 0), [step for step in course if step.profile_id == each.id])
            for each in profiles
        ]

    page, frame = read_page(request.query_params), _time_frame(request.query_params)
    total, figures = await context.as_caller(request.headers.get("authorization"), attempt)
    return Response(encode(Data(figures, page_meta(page, total))), media_type=JSON)


async def retrieve(context: ApiContext, request: Request) -> Response:
    """`GET /messaging_profiles/{id}/metrics`."""

    async def attempt(caller: Caller, epoch: int) -> ProfileCourse:
        mine, text = caller.organization_id, request.path_params["id"]
        profile_id = canonical_uuid(text)
        profile = await context.store.accounts.profile(mine, profile_id) if profile_id else None
        if profile is None:
            raise Refusal(Code.NOT_FOUND, f"There is no messaging profile '{text[:48]}'.", "/id")
        await context.confirm(caller, epoch)
        now, traffic = context.store.clock.now(), context.store.traffic
        course = await traffic.course(mine, now, TIME_FRAMES[frame], profile.id)
        numbers = (await traffic.numbers(mine)).get(profile.id, 0)
        return ProfileCourse(_overview(profile, frame, numbers, course), _steps(course, frame, now))

    frame = _time_frame(request.query_params)
    course = await context.as_caller(request.headers.get("authorization"), attempt)
    return Response(encode(Data(course)), media_type=JSON)


def _time_frame(query: QueryParams) -> str:
    frame = query.get("time_frame", USUAL)
    if frame not in TIME_FRAMES:
        detail = f"'time_frame' is one of {', '.join(TIME_FRAMES)}; got '{frame[:32]}'."
        raise Refusal(Code.BAD_REQUEST, detail, parameter="time_frame")
    return frame


def _overview(profile: Profile, frame: str, numbers: int, course: Sequence[Course]) -> ProfileFigures:
    return ProfileFigures(profile.id, profile.name, frame, numbers, _outbound(course), _inbound(course))


def _steps(course: Sequence[Course], frame: str, now: Instant) -> Sequence[StepFigures]:
    length, step = TIME_FRAMES[frame]
    begun = now - length - (now - length) % step
    by_step = {each.at: [each] for each in course}
    moments = [Instant(at) for at in range(begun, now + 1, step)]
    found = [(at, by_step.get(at, [])) for at in moments]
    return [StepFigures(to_text(at), _outbound(each), _inbound(each)) for at, each in found]


def _outbound(course: Iterable[Course]) -> OutboundFigures:
    total: Counter[str] = Counter()
    for each in course:
        total.update(sent=each.sent, delivered=each.delivered, errors=each.errors, unconfirmed=each.unconfirmed)
    over = total["delivered"] + total["errors"] + total["unconfirmed"]
    return OutboundFigures(
        total["sent"],
        total["delivered"],
        total["errors"],
        total["unconfirmed"],
        round(total["delivered"] / over, _DECIMALS) if over else None,
        round(total["errors"] / over, _DECIMALS) if over else None,
    )


def _inbound(course: Iterable[Course]) -> InboundFigures:
    return InboundFigures(sum(each.received for each in course))


_FRAME = Parameter("time_frame", f"how far back; {USUAL} without it", {"enum": list(TIME_FRAMES)})

RESOURCES: Resources = {
    "/messaging_profile_metrics": {
        "GET": Operation(
            index,
            "Figures of all messaging profiles",
            answer=ProfileFigures,
            query=[*PAGE_PARAMETERS, _FRAME],
            listed=True,
        )
    },
    "/messaging_profiles/{id}/metrics": {
        "GET": Operation(retrieve, "Figures of a messaging profile", answer=ProfileCourse, query=[_FRAME])
    },
}
"""`/messaging_profile_metrics`, `/messaging_profiles/{id}/metrics`."""
