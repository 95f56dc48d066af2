"""`/messaging_profiles`: make, list, read, change and delete (Contract 6.1)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from re import Pattern
from re import compile as regex
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from heliograph import randomness
from heliograph.api.auth import Caller
from heliograph.api.body import JsonBody, wrong_type
from heliograph.api.context import ApiContext
from heliograph.api.operations import PAGE_PARAMETERS, Operation, Resources, filter_parameters
from heliograph.api.paging import page_meta, read_filters, read_page
from heliograph.api.problems import JSON
from heliograph.api.shapes import Data, encode
from heliograph.domain.accounts import ANYWHERE, NumberPool, Profile, ProfileSettings, UrlShortener
from heliograph.domain.address import is_country
from heliograph.domain.compose import check_url
from heliograph.domain.errors import Code, Refusal
from heliograph.domain.ids import OrganizationId, ProfileId, canonical_uuid
from heliograph.domain.instant import to_text
from heliograph.domain.links import domain_name
from heliograph.store.account_changes import NoSuchRecord

MAX_NAME = 255
MAX_SECRET = 255
MAX_ID = 64
# Contract 6.1; without a letter it would be a number (Contract 4.2).
_ALPHA = regex(r"(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11}")
_ALPHA_WANTED = "1 to 11 letters, digits and spaces with at least one letter"
_LIMIT = regex(r"[0-9]{1,48}(?:\.[0-9]{1,15})?")
_PREFIX = regex(r"[A-Za-z0-9_-]{0,32}")
FILTERS = {"name": frozenset({"eq", "contains"})}


class ProfileRequest(Struct, kw_only=True):
    """The body of `POST /messaging_profiles`; what is absent has the provider's default."""

    name: str | UnsetType | None = UNSET
    whitelisted_destinations: list[str] | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET
    webhook_url: str | UnsetType | None = UNSET
    webhook_failover_url: str | UnsetType | None = UNSET
    webhook_api_version: str | UnsetType = UNSET
    number_pool_settings: dict[str, object] | UnsetType | None = UNSET
    url_shortener_settings: dict[str, object] | UnsetType | None = UNSET
    alpha_sender: str | UnsetType | None = UNSET
    daily_spend_limit: str | UnsetType | None = UNSET
    daily_spend_limit_enabled: bool | UnsetType = UNSET
    mms_fall_back_to_sms: bool | UnsetType = UNSET
    mms_transcoding: bool | UnsetType = UNSET
    mobile_only: bool | UnsetType = UNSET
    smart_encoding: bool | UnsetType = UNSET
    health_webhook_url: str | UnsetType | None = UNSET
    ai_assistant_id: str | UnsetType | None = UNSET
    resource_group_id: str | UnsetType | None = UNSET


class ProfileChange(ProfileRequest, kw_only=True):
    """The body of `PATCH /messaging_profiles/{id}`; what is absent stays as it is."""

    v1_secret: str | UnsetType = UNSET


class ProfileBody(Struct, kw_only=True):
    """A profile as it is answered: unset URLs are empty texts, an unset limit is left out (Contract 6.1)."""

    record_type: str = "messaging_profile"
    id: str
    organization_id: str
    name: str
    enabled: bool
    webhook_url: str
    webhook_failover_url: str
    webhook_api_version: str
    whitelisted_destinations: Sequence[str]
    number_pool_settings: NumberPool | None
    url_shortener_settings: UrlShortener | None
    alpha_sender: str | None
    daily_spend_limit: str | UnsetType = UNSET
    daily_spend_limit_enabled: bool
    mms_fall_back_to_sms: bool
    mms_transcoding: bool
    mobile_only: bool
    smart_encoding: bool
    health_webhook_url: str | None
    ai_assistant_id: str | None
    resource_group_id: str | None
    v1_secret: str
    redaction_enabled: bool
    redaction_level: int
    created_at: str
    updated_at: str


DECODER = msgspec.json.Decoder(ProfileRequest)
CHANGE_DECODER = msgspec.json.Decoder(ProfileChange)

Given = Mapping[str, Any]
"""The fields that a body holds."""
_REQUIRED: Given = {"name": None, "whitelisted_destinations": None}


async def create(context: ApiContext, request: Request) -> Response:
    """`POST /messaging_profiles`."""

    async def attempt(caller: Caller, epoch: int) -> Profile:
        given = _checked({**_REQUIRED, **_given(await body.read())})
        await context.confirm(caller, epoch)
        now = context.store.clock.now()
        return Profile(
            id=ProfileId(randomness.new_id(now)),
            organization_id=caller.organization_id,
            name=given["name"],
            settings=_changed(ProfileSettings(v1_secret=randomness.secret()), given, context.link_domains),
            created_at=now,
            updated_at=now,
        )

    body = JsonBody(request, DECODER, context.max_body)
    profile = await context.as_caller(request.headers.get("authorization"), attempt)
    await context.store.changes.save_profile(profile)
    return _answer(profile)


async def index(context: ApiContext, request: Request) -> Response:
    """`GET /messaging_profiles`, newest first."""

    async def attempt(caller: Caller, epoch: int) -> tuple[int, Sequence[Profile]]:
        await context.confirm(caller, epoch)
        filters = {operator: value for (_, operator), value in read_filters(request.query_params).items()}
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
            raise _no_profile(request)
        await context.confirm(caller, epoch)
        return profile

    return _answer(await context.as_caller(request.headers.get("authorization"), attempt))


async def change(context: ApiContext, request: Request) -> Response:
    """`PATCH /messaging_profiles/{id}`: from the answer on, every request and every event goes by it."""

    async def attempt(caller: Caller, epoch: int) -> tuple[OrganizationId, Given]:
        given = _checked(_given(await body.read()))
        await context.confirm(caller, epoch)
        return caller.organization_id, given

    def changed(profile: Profile) -> Profile:
        settings = _changed(profile.settings, given, context.link_domains)
        return replace(profile, name=given.get("name", profile.name), settings=settings, updated_at=now)

    body = JsonBody(request, CHANGE_DECODER, context.max_body)
    organization_id, given = await context.as_caller(request.headers.get("authorization"), attempt)
    now = context.store.clock.now()
    return await _change(context, request, organization_id, changed)


async def regenerate_secret(context: ApiContext, request: Request) -> Response:
    """`POST /messaging_profiles/{id}/actions/regenerate_secret`: events of version 1 are signed with the new one."""

    def changed(profile: Profile) -> Profile:
        settings = msgspec.structs.replace(profile.settings, v1_secret=randomness.secret())
        return replace(profile, settings=settings, updated_at=now)

    organization_id = await _organization(context, request)
    now = context.store.clock.now()
    return await _change(context, request, organization_id, changed)


async def delete(context: ApiContext, request: Request) -> Response:
    """`DELETE /messaging_profiles/{id}`: answers with the profile as it was.

    What was accepted under it is still sent and reported.
    """
    organization_id = await _organization(context, request)
    profile_id = _profile_id(request)
    try:
        changes, now = context.store.changes, context.store.clock.now()
        return _answer(await changes.delete_profile(organization_id, profile_id, now))
    except NoSuchRecord:
        raise _no_profile(request) from None


async def _organization(context: ApiContext, request: Request) -> OrganizationId:
    """Whose request it is, where that is all there is to judge."""

    async def attempt(caller: Caller, epoch: int) -> OrganizationId:
        await context.confirm(caller, epoch)
        return caller.organization_id

    return await context.as_caller(request.headers.get("authorization"), attempt)


async def _change(
    context: ApiContext, request: Request, organization_id: OrganizationId, change: Callable[[Profile], Profile]
) -> Response:
    try:
        changes, profile_id = context.store.changes, _profile_id(request)
        return _answer(await changes.change_profile(organization_id, profile_id, change))
    except NoSuchRecord:
        raise _no_profile(request) from None


def profile_body(profile: Profile) -> ProfileBody:
    """A profile as it is answered."""
    settings = msgspec.structs.asdict(profile.settings)
    for name in ("webhook_url", "webhook_failover_url"):
        settings[name] = settings[name] or ""
    if settings["daily_spend_limit"] is None:
        settings["daily_spend_limit"] = UNSET
    return ProfileBody(
        id=profile.id,
        organization_id=profile.organization_id,
        name=profile.name,
        **settings,
        created_at=to_text(profile.created_at),
        updated_at=to_text(profile.updated_at),
    )


def _answer(profile: Profile) -> Response:
    return Response(encode(Data(profile_body(profile))), media_type=JSON)


def _profile_id(request: Request) -> str:
    profile_id = canonical_uuid(request.path_params["id"])
    if profile_id is None:
        raise _no_profile(request)
    return profile_id


def _no_profile(request: Request) -> Refusal:
    detail = f"There is no messaging profile '{request.path_params['id'][:48]}'."
    return Refusal(Code.NOT_FOUND, detail, "/id")


def _given(wanted: ProfileRequest) -> Given:
    return {name: value for name, value in msgspec.structs.asdict(wanted).items() if value is not UNSET}


def _checked(given: Given) -> Given:
    """The same, once every field that is given is in order by itself; raises a `Refusal`."""
    for name, check in _CHECKS.items():
        if name in given:
            check(given[name])
    return given


def _changed(settings: ProfileSettings, given: Given, domains: Sequence[str]) -> ProfileSettings:
    """Settings with the fields given in the place of their own; those of pool and links one by one (Contract 6.1)."""
    own = {name: value for name, value in given.items() if name != "name"}
    if "whitelisted_destinations" in own:
        own["whitelisted_destinations"] = tuple(own["whitelisted_destinations"])
    if "number_pool_settings" in own:
        own["number_pool_settings"] = _pool(own["number_pool_settings"], settings.number_pool_settings)
    if "url_shortener_settings" in own:
        known = settings.url_shortener_settings
        own["url_shortener_settings"] = _shortener(own["url_shortener_settings"], known, domains)
    if own.get("daily_spend_limit", settings.daily_spend_limit) is None:
        _check_unlimited(own.get("daily_spend_limit_enabled", False))
        own["daily_spend_limit_enabled"] = False
    return msgspec.structs.replace(settings, **own)


def _check_unlimited(enforced: bool) -> None:
    """A limit without an amount would let everything pass; to take the amount away switches it off."""
    if enforced:
        detail = "The 'daily_spend_limit' parameter is required while 'daily_spend_limit_enabled' is true."
        raise Refusal(Code.MISSING_PARAMETER, detail, "/daily_spend_limit")


def _check_name(name: str | None) -> None:
    _check_present(name, "name")
    _check_length(name, "name", MAX_NAME)
    if "\0" in (name or ""):
        raise Refusal(Code.BAD_REQUEST, "'name' cannot hold the character U+0000.", "/name")


def _check_secret(secret: str) -> None:
    """Events of version 1 are signed with it, so it cannot be blank."""
    _check_present(secret, "v1_secret")
    _check_length(secret, "v1_secret", MAX_SECRET)


def _check_present(text: str | None, name: str) -> None:
    if not text or not text.strip():
        detail = f"The '{name}' parameter is required and cannot be blank."
        raise Refusal(Code.MISSING_PARAMETER, detail, f"/{name}")


def _check_length(text: str | None, name: str, most: int) -> None:
    if text is not None and len(text) > most:
        detail = f"'{name}' has at most {most} characters, got {len(text)}."
        raise Refusal(Code.LENGTH_OUT_OF_RANGE, detail, f"/{name}")


def _check_version(version: str) -> None:
    if version not in {"1", "2", "2010-04-01"}:
        detail = f"'webhook_api_version' must be 1, 2 or 2010-04-01, got '{version[:32]}'."
        raise Refusal(Code.INVALID_ENUM, detail, "/webhook_api_version")


def _check_destinations(destinations: list[str] | None) -> None:
    pointer = "/whitelisted_destinations"
    if destinations is None:
        detail = "The 'whitelisted_destinations' parameter is required and cannot be blank."
        raise Refusal(Code.MISSING_PARAMETER, detail, pointer)
    for index, each in enumerate(destinations):
        if each != ANYWHERE and not is_country(each):
            detail = f"A destination is a country of ISO 3166 such as 'US', or '*'; got '{each[:16]}'."
            raise Refusal(Code.BAD_REQUEST, detail, f"{pointer}/{index}")


def _check_form(value: str | None, form: Pattern[str], name: str, wanted: str) -> None:
    if value is not None and not form.fullmatch(value):
        raise Refusal(Code.BAD_REQUEST, f"'{name}' must be {wanted}, got '{value[:32]}'.", f"/{name}")


def _pool(given: Given | None, known: NumberPool | None) -> NumberPool | None:
    """The pool with what is given in the place of its own; `null` and `{}` both turn it off (Contract 6.2)."""
    pointer = "/number_pool_settings"
    if not given:
        return None
    try:
        pool = msgspec.convert({**(msgspec.structs.asdict(known) if known else {}), **given}, NumberPool)
    except msgspec.ValidationError as error:
        raise wrong_type(str(error), pointer) from None
    if pool.long_code_weight < 0 or pool.toll_free_weight < 0:
        raise Refusal(Code.OUT_OF_RANGE, "A weight is 0 or more.", pointer)
    return pool


def _shortener(given: Given | None, known: UrlShortener | None, domains: Sequence[str]) -> UrlShortener | None:
    """The shortener with what is given in the place of its own; `null` and `{}` turn it off (Contract 6.3)."""
    pointer = "/url_shortener_settings"
    if not given:
        return None
    try:
        shortener = msgspec.convert({**(msgspec.structs.asdict(known) if known else {}), **given}, UrlShortener)
    except msgspec.ValidationError as error:
        raise wrong_type(str(error), pointer) from None
    if domain_name(shortener.domain) not in domains:
        offered = ", ".join(domains) or "none"
        detail = f"'{shortener.domain[:64]}' is no domain for short links here; there are: {offered}."
        raise Refusal(Code.INVALID_DOMAIN, detail, f"{pointer}/domain")
    if not _PREFIX.fullmatch(shortener.prefix):
        detail = "'prefix' has at most 32 letters, digits, '-' and '_'."
        raise Refusal(Code.BAD_REQUEST, detail, f"{pointer}/prefix")
    return shortener


_CHECKS: Mapping[str, Callable[[Any], None]] = {
    "name": _check_name,
    "webhook_url": lambda url: check_url(url or None, "/webhook_url"),
    "webhook_failover_url": lambda url: check_url(url or None, "/webhook_failover_url"),
    "health_webhook_url": lambda url: check_url(url or None, "/health_webhook_url"),
    "whitelisted_destinations": _check_destinations,
    "webhook_api_version": _check_version,
    "alpha_sender": lambda text: _check_form(text, _ALPHA, "alpha_sender", _ALPHA_WANTED),
    "daily_spend_limit": lambda text: _check_form(text, _LIMIT, "daily_spend_limit", "a decimal such as '100.00'"),
    "ai_assistant_id": lambda text: _check_length(text, "ai_assistant_id", MAX_ID),
    "resource_group_id": lambda text: _check_length(text, "resource_group_id", MAX_ID),
    "v1_secret": _check_secret,
}
"""What each field has to be by itself, in the order they are judged in."""


RESOURCES: Resources = {
    "/messaging_profiles": {
        "POST": Operation(create, "Create a messaging profile", ProfileRequest, ProfileBody),
        "GET": Operation(
            index,
            "List messaging profiles",
            answer=ProfileBody,
            query=[*PAGE_PARAMETERS, *filter_parameters(FILTERS)],
            listed=True,
        ),
    },
    "/messaging_profiles/{id}": {
        "GET": Operation(retrieve, "Read a messaging profile", answer=ProfileBody),
        "PATCH": Operation(change, "Change a messaging profile", ProfileChange, ProfileBody),
        "DELETE": Operation(delete, "Delete a messaging profile", answer=ProfileBody),
    },
    "/messaging_profiles/{id}/actions/regenerate_secret": {
        "POST": Operation(regenerate_secret, "Give a messaging profile a new secret of version 1", answer=ProfileBody),
    },
}
"""`/messaging_profiles`."""
