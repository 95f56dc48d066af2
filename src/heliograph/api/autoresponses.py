"""`/messaging_profiles/{profile_id}/autoresp_configs`: what is answered to keywords (Contract 7.4)."""

from collections.abc import Sequence

import msgspec
from msgspec import UNSET, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from heliograph import randomness
from heliograph.api.auth import Caller
from heliograph.api.body import JsonBody
from heliograph.api.context import ApiContext
from heliograph.api.operations import PAGE_PARAMETERS, Operation, Parameter, Resources, bound_parameters
from heliograph.api.paging import page_meta, read_between, read_page
from heliograph.api.problems import JSON
from heliograph.api.shapes import Data, encode
from heliograph.domain.consent import Autoresponse, AutoresponseSettings, check_meaning, check_settings, is_country
from heliograph.domain.errors import Code, Refusal
from heliograph.domain.ids import OrganizationId, ProfileId, canonical_uuid
from heliograph.domain.instant import Instant, to_text
from heliograph.store.account_changes import NoSuchRecord
from heliograph.store.consent import MAX_AUTORESPONSES, AutoresponseFilter, TooManyAutoresponses

DELETED = "OK"
"""The answer to DELETE: a JSON text without an envelope (Contract 7.4)."""


class AutoresponseRequest(Struct, kw_only=True):
    """The body of POST and of PUT, which replaces the whole; unknown fields are ignored."""

    op: str | None = None
    keywords: list[str] | None = None
    country_code: str | None = None
    resp_text: str | None = None


class AutoresponseBody(Struct, kw_only=True):
    """Settings as they are answered. Without a reply of their own there is no `resp_text`: it has no null."""

    country_code: str
    created_at: str
    id: str
    keywords: Sequence[str]
    op: str
    resp_text: str | UnsetType = UNSET
    updated_at: str


DECODER = msgspec.json.Decoder(AutoresponseRequest)


async def create(context: ApiContext, request: Request) -> Response:
    """`POST /messaging_profiles/{profile_id}/autoresp_configs`."""

    async def attempt(caller: Caller, epoch: int) -> Autoresponse:
        profile_id = await _profile(context, caller, request)
        settings = _settings(await body.read())
        check_meaning(settings, await context.store.accounts.autoresponses(caller.organization_id, profile_id))
        await context.confirm(caller, epoch)
        now = context.store.clock.now()
        return _autoresponse(settings, randomness.new_id(now), caller.organization_id, profile_id, now)

    body = JsonBody(request, DECODER, context.max_body)
    made = await context.as_caller(request.headers.get("authorization"), attempt)
    try:
        await context.store.consent.create_autoresponse(made)
    except NoSuchRecord:
        raise _no_profile(request) from None
    except TooManyAutoresponses:
        detail = f"A messaging profile has at most {MAX_AUTORESPONSES:,} auto-responses; delete or change one."
        raise Refusal(Code.BAD_REQUEST, detail, "/") from None
    return _answer(made)


async def index(context: ApiContext, request: Request) -> Response:
    """`GET /messaging_profiles/{profile_id}/autoresp_configs`, newest first."""

    async def attempt(caller: Caller, epoch: int) -> tuple[int, Sequence[Autoresponse]]:
        profile_id = await _profile(context, caller, request)
        await context.confirm(caller, epoch)
        consent = context.store.consent
        return await consent.autoresponses(caller.organization_id, profile_id, page.offset, page.size, wanted)

    page = read_page(request.query_params)
    wanted = _filter(request)
    total, found = await context.as_caller(request.headers.get("authorization"), attempt)
    listed = [autoresponse_body(each) for each in found]
    return Response(encode(Data(listed, page_meta(page, total))), media_type=JSON)


async def retrieve(context: ApiContext, request: Request) -> Response:
    """`GET /messaging_profiles/{profile_id}/autoresp_configs/{autoresp_cfg_id}`."""

    async def attempt(caller: Caller, epoch: int) -> Autoresponse:
        profile_id = await _profile(context, caller, request)
        await context.confirm(caller, epoch)
        consent = context.store.consent
        found = await consent.autoresponse(caller.organization_id, profile_id, _which(request))
        if found is None:
            raise _no_autoresponse(request)
        return found

    return _answer(await context.as_caller(request.headers.get("authorization"), attempt))


async def replace(context: ApiContext, request: Request) -> Response:
    """`PUT /messaging_profiles/{profile_id}/autoresp_configs/{autoresp_cfg_id}`."""

    async def attempt(caller: Caller, epoch: int) -> Autoresponse:
        profile_id = await _profile(context, caller, request)
        which = _which(request)
        settings = _settings(await body.read())
        others = [
            each
            for each in await context.store.accounts.autoresponses(caller.organization_id, profile_id)
            if each.id != which
        ]
        check_meaning(settings, others)
        await context.confirm(caller, epoch)
        now = context.store.clock.now()
        return _autoresponse(settings, which, caller.organization_id, profile_id, now)

    body = JsonBody(request, DECODER, context.max_body)
    wanted = await context.as_caller(request.headers.get("authorization"), attempt)
    try:
        return _answer(await context.store.consent.change_autoresponse(wanted))
    except NoSuchRecord:
        raise _no_autoresponse(request) from None


async def delete(context: ApiContext, request: Request) -> Response:
    """`DELETE /messaging_profiles/{profile_id}/autoresp_configs/{autoresp_cfg_id}`."""

    async def attempt(caller: Caller, epoch: int) -> tuple[OrganizationId, ProfileId, str]:
        profile_id = await _profile(context, caller, request)
        await context.confirm(caller, epoch)
        return caller.organization_id, profile_id, _which(request)

    named = await context.as_caller(request.headers.get("authorization"), attempt)
    try:
        await context.store.consent.delete_autoresponse(*named)
    except NoSuchRecord:
        raise _no_autoresponse(request) from None
    return Response(encode(DELETED), media_type=JSON)


def autoresponse_body(autoresponse: Autoresponse) -> AutoresponseBody:
    """Settings as they are answered."""
    return AutoresponseBody(
        country_code=autoresponse.country_code,
        created_at=to_text(autoresponse.created_at),
        id=autoresponse.id,
        keywords=autoresponse.keywords,
        op=autoresponse.op,
        resp_text=UNSET if autoresponse.resp_text is None else autoresponse.resp_text,
        updated_at=to_text(autoresponse.updated_at),
    )


def _answer(autoresponse: Autoresponse) -> Response:
    return Response(encode(Data(autoresponse_body(autoresponse))), media_type=JSON)


async def _profile(context: ApiContext, caller: Caller, request: Request) -> ProfileId:
    """The profile that the path names; one of somebody else does not exist (promise P7)."""
    profile_id = canonical_uuid(request.path_params["profile_id"])
    profile = await context.store.accounts.profile(caller.organization_id, profile_id) if profile_id else None
    if profile is None:
        raise _no_profile(request)
    return profile.id


def _which(request: Request) -> str:
    which = canonical_uuid(request.path_params["autoresp_cfg_id"])
    if which is None:
        raise _no_autoresponse(request)
    return which


def _no_profile(request: Request) -> Refusal:
    detail = f"There is no messaging profile '{request.path_params['profile_id'][:48]}'."
    return Refusal(Code.NOT_FOUND, detail, "/profile_id")


def _no_autoresponse(request: Request) -> Refusal:
    detail = f"This messaging profile has no auto-response '{request.path_params['autoresp_cfg_id'][:48]}'."
    return Refusal(Code.NOT_FOUND, detail, "/autoresp_cfg_id")


def _settings(wanted: AutoresponseRequest) -> AutoresponseSettings:
    return check_settings(wanted.op, wanted.keywords, wanted.country_code, wanted.resp_text)


def _autoresponse(
    settings: AutoresponseSettings, which: str, organization_id: OrganizationId, profile_id: ProfileId, now: Instant
) -> Autoresponse:
    return Autoresponse(
        id=which,
        organization_id=organization_id,
        profile_id=profile_id,
        created_at=now,
        updated_at=now,
        **msgspec.structs.asdict(settings),
    )


def _filter(request: Request) -> AutoresponseFilter:
    query = request.query_params
    country_code = query.get("country_code")
    if country_code is not None and not is_country(country_code):
        detail = f"'country_code' is a country such as 'US', or '*'; got '{country_code[:32]}'."
        raise Refusal(Code.INVALID_FILTER, detail, parameter="country_code")
    return AutoresponseFilter(country_code, read_between(query, "created_at"), read_between(query, "updated_at"))


RESOURCES: Resources = {
    "/messaging_profiles/{profile_id}/autoresp_configs": {
        "GET": Operation(
            index,
            "List automatic replies",
            answer=AutoresponseBody,
            query=[
                *PAGE_PARAMETERS,
                Parameter("country_code", "only those for this country, or `*`"),
                *bound_parameters("created_at"),
                *bound_parameters("updated_at"),
            ],
            listed=True,
        ),
        "POST": Operation(create, "Create an automatic reply", AutoresponseRequest, AutoresponseBody),
    },
    "/messaging_profiles/{profile_id}/autoresp_configs/{autoresp_cfg_id}": {
        "GET": Operation(retrieve, "Read an automatic reply", answer=AutoresponseBody),
        "PUT": Operation(replace, "Replace an automatic reply", AutoresponseRequest, AutoresponseBody),
        "DELETE": Operation(delete, "Delete an automatic reply", answer=str, flat=True),
    },
}
"""`/messaging_profiles/{profile_id}/autoresp_configs`."""
