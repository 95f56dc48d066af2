"""`/messaging_profiles`: make, list and read (Contract 6.1)."""

from collections.abc import Sequence
from re import Pattern
from re import compile as regex

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from heliograph import randomness
from heliograph.api.auth import Caller
from heliograph.api.body import JsonBody, wrong_type
from heliograph.api.context import ApiContext
from heliograph.api.paging import page_meta, read_filters, read_page
from heliograph.api.problems import JSON
from heliograph.api.shapes import Data, encode
from heliograph.domain.accounts import ANYWHERE, NumberPool, Profile, ProfileSettings
from heliograph.domain.compose import check_url
from heliograph.domain.errors import Code, Refusal
from heliograph.domain.ids import ProfileId, canonical_uuid
from heliograph.domain.instant import to_text

MAX_NAME = 255
_COUNTRY = regex(r"[A-Z]{2}")
_ALPHA = regex(r"[A-Za-z0-9 ]{1,11}")
_LIMIT = regex(r"[0-9]+(?:\.[0-9]+)?")
FILTERS = {"name": frozenset({"eq", "contains"})}


class ProfileRequest(Struct, kw_only=True):
    """The body of `POST /messaging_profiles`."""

    name: str | None = None
    whitelisted_destinations: list[str] | None = None
    enabled: bool = True
    webhook_url: str | None = None
    webhook_failover_url: str | None = None
    webhook_api_version: str = "2"
    number_pool_settings: dict[str, object] | None = None
    url_shortener_settings: dict[str, object] | None = None
    alpha_sender: str | None = None
    daily_spend_limit: str | None = None
    daily_spend_limit_enabled: bool = False
    mms_fall_back_to_sms: bool = False
    mms_transcoding: bool = False
    mobile_only: bool = False
    smart_encoding: bool = False
    health_webhook_url: str | None = None
    ai_assistant_id: str | None = None
    resource_group_id: str | None = None


DECODER = msgspec.json.Decoder(ProfileRequest)


async def create(context: ApiContext, request: Request) -> Response:
    """`POST /messaging_profiles`."""

    async def attempt(caller: Caller, epoch: int) -> Profile:
        wanted = await body.read()
        await context.confirm(epoch)
        now = context.store.clock.now()
        return Profile(
            id=ProfileId(randomness.new_id(now)),
            organization_id=caller.organization_id,
            name=_name(wanted.name),
            settings=_settings(wanted),
            created_at=now,
            updated_at=now,
        )

    body = JsonBody(request, DECODER, context.max_body)
    profile = await context.as_caller(request.headers.get("authorization"), attempt)
    await context.store.changes.save_profile(profile)
    return Response(encode(Data(profile_body(profile))), media_type=JSON)


async def index(context: ApiContext, request: Request) -> Response:
    """`GET /messaging_profiles`, newest first."""

    async def attempt(caller: Caller, epoch: int) -> tuple[int, Sequence[Profile]]:
        await context.confirm(epoch)
        filters = {operator: value for (_, operator), value in read_filters(request.query_params, FILTERS).items()}
        return await context.store.listing.profiles(caller.organization_id, page.offset, page.size, filters)

    page = read_page(request.query_params)
    total, profiles = await context.as_caller(request.headers.get("authorization"), attempt)
    return Response(encode(Data([profile_body(each) for each in profiles], page_meta(page, total))), media_type=JSON)


async def retrieve(context: ApiContext, request: Request) -> Response:
    """`GET /messaging_profiles/{id}`."""

    async def attempt(caller: Caller, epoch: int) -> Profile:
        profile_id = canonical_uuid(request.path_params["id"])
        profile = await context.store.accounts.profile(caller.organization_id, profile_id) if profile_id else None
        if profile is None:
            detail = f"There is no messaging profile '{request.path_params['id'][:48]}'."
            raise Refusal(Code.NOT_FOUND, detail, "/id")
        await context.confirm(epoch)
        return profile

    profile = await context.as_caller(request.headers.get("authorization"), attempt)
    return Response(encode(Data(profile_body(profile))), media_type=JSON)


def profile_body(profile: Profile) -> dict[str, object]:
    """A profile as it is answered."""
    return {
        "record_type": "messaging_profile",
        "id": profile.id,
        "organization_id": profile.organization_id,
        "name": profile.name,
        **_settings_body(profile.settings),
        "created_at": to_text(profile.created_at),
        "updated_at": to_text(profile.updated_at),
    }


def _settings_body(settings: ProfileSettings) -> dict[str, object]:
    """Settings as they are answered: unset URLs are empty texts, an unset limit is left out (Contract 6.1)."""
    body = msgspec.structs.asdict(settings)
    for name in ("webhook_url", "webhook_failover_url"):
        body[name] = body[name] or ""
    if settings.daily_spend_limit is None:
        del body["daily_spend_limit"]
    return body


def _name(name: str | None) -> str:
    if not name or not name.strip():
        raise Refusal(Code.MISSING_PARAMETER, "The 'name' parameter is required and cannot be blank.", "/name")
    if len(name) > MAX_NAME or "\0" in name:
        raise Refusal(Code.LENGTH_OUT_OF_RANGE, f"'name' has 1 to {MAX_NAME} characters, got {len(name)}.", "/name")
    return name


def _settings(wanted: ProfileRequest) -> ProfileSettings:
    for name in ("webhook_url", "webhook_failover_url", "health_webhook_url"):
        check_url(getattr(wanted, name) or None, f"/{name}")
    _check_destinations(wanted.whitelisted_destinations)
    if wanted.webhook_api_version not in {"1", "2", "2010-04-01"}:
        detail = f"'webhook_api_version' must be 1, 2 or 2010-04-01, got '{wanted.webhook_api_version[:32]}'."
        raise Refusal(Code.INVALID_ENUM, detail, "/webhook_api_version")
    _check_form(wanted.alpha_sender, _ALPHA, "alpha_sender", "1 to 11 letters, digits and spaces")
    _check_form(wanted.daily_spend_limit, _LIMIT, "daily_spend_limit", "a decimal number such as '100.00'")
    own = {name: getattr(wanted, name) for name in ProfileRequest.__struct_fields__ if name not in _SEPARATE}
    return ProfileSettings(
        **own,
        whitelisted_destinations=tuple(wanted.whitelisted_destinations or ()),
        number_pool_settings=_pool(wanted.number_pool_settings),
        v1_secret=randomness.secret(),
    )


_SEPARATE = frozenset({"name", "whitelisted_destinations", "number_pool_settings"})


def _check_destinations(destinations: list[str] | None) -> None:
    pointer = "/whitelisted_destinations"
    if destinations is None:
        detail = "The 'whitelisted_destinations' parameter is required and cannot be blank."
        raise Refusal(Code.MISSING_PARAMETER, detail, pointer)
    for index, each in enumerate(destinations):
        if each != ANYWHERE and not _COUNTRY.fullmatch(each):
            detail = f"A destination is a country such as 'US', or '*'; got '{each[:16]}'."
            raise Refusal(Code.BAD_REQUEST, detail, f"{pointer}/{index}")


def _check_form(value: str | None, form: Pattern[str], name: str, wanted: str) -> None:
    if value is not None and not form.fullmatch(value):
        raise Refusal(Code.BAD_REQUEST, f"'{name}' must be {wanted}, got '{value[:32]}'.", f"/{name}")


def _pool(given: dict[str, object] | None) -> NumberPool | None:
    """The pool; `null` and `{}` both turn it off (Contract 6.2)."""
    pointer = "/number_pool_settings"
    if not given:
        return None
    try:
        pool = msgspec.convert(given, NumberPool)
    except msgspec.ValidationError as error:
        raise wrong_type(str(error), pointer) from None
    if pool.long_code_weight < 0 or pool.toll_free_weight < 0:
        raise Refusal(Code.OUT_OF_RANGE, "A weight is 0 or more.", pointer)
    return pool
