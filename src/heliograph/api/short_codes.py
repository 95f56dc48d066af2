"""`/short_codes`: short codes and the profiles they are on (Contract 10)."""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import UNSET, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from heliograph.api.auth import Caller
from heliograph.api.body import JsonBody
from heliograph.api.context import ApiContext
from heliograph.api.operations import PAGE_PARAMETERS, Operation, Resources, filter_parameters
from heliograph.api.paging import read_filters
from heliograph.api.problems import JSON
from heliograph.api.senders import (
    listed,
    listed_of_profile,
    no_such_profile,
    profile_of_body,
    read_profile_filter,
    required,
)
from heliograph.api.shapes import Data, encode
from heliograph.domain.address import AddressKind
from heliograph.domain.errors import Code, Refusal
from heliograph.domain.ids import OrganizationId, canonical_uuid
from heliograph.domain.instant import to_text
from heliograph.domain.senders import check_tags
from heliograph.store.account_changes import NoSuchRecord
from heliograph.store.numbers import UNASSIGNED, KeptSender, NoSuchProfile, SenderChange, SenderFilter

FILTERS: Mapping[str, frozenset[str]] = {"messaging_profile_id": frozenset({"eq"})}
KINDS = (AddressKind.SHORT_CODE,)


class ShortCodeChange(Struct, kw_only=True):
    """The body of `PATCH /short_codes/{id}`: the profile has to be named, null or empty for none."""

    messaging_profile_id: str | UnsetType | None = UNSET
    tags: list[str] | None = None


class ShortCodeBody(Struct, kw_only=True):
    """A short code as it is answered; without a country there is no `country_code`, as there is no null for it."""

    record_type: str = "short_code"
    id: str
    short_code: str
    country_code: str | UnsetType = UNSET
    messaging_profile_id: str | None
    tags: Sequence[str]
    created_at: str
    updated_at: str


DECODER = msgspec.json.Decoder(ShortCodeChange)


async def index(context: ApiContext, request: Request) -> Response:
    """`GET /short_codes`, newest first."""
    given = read_filters(request.query_params)
    profile_id = read_profile_filter(given.get(("messaging_profile_id", "eq")))
    return await listed(context, request, SenderFilter(KINDS, profile_id), short_code_body)


async def index_of_profile(context: ApiContext, request: Request) -> Response:
    """`GET /messaging_profiles/{id}/short_codes`, newest first."""
    return await listed_of_profile(context, request, KINDS, short_code_body)


async def retrieve(context: ApiContext, request: Request) -> Response:
    """`GET /short_codes/{id}`."""

    async def attempt(caller: Caller, epoch: int) -> KeptSender:
        await context.confirm(caller, epoch)
        return await _find(context, caller.organization_id, request.path_params["id"])

    return _answer(await context.as_caller(request.headers.get("authorization"), attempt))


async def change(context: ApiContext, request: Request) -> Response:
    """`PATCH /short_codes/{id}`: from the answer on, every message goes by it."""

    async def attempt(caller: Caller, epoch: int) -> tuple[KeptSender, SenderChange]:
        wanted = await body.read()
        if wanted.messaging_profile_id is UNSET:
            raise required("messaging_profile_id")
        await context.confirm(caller, epoch)
        known = await _find(context, caller.organization_id, request.path_params["id"])
        profile_id: str = UNASSIGNED
        if wanted.messaging_profile_id:
            profile_id = await profile_of_body(context, caller.organization_id, wanted.messaging_profile_id)
        return known, SenderChange(profile_id, None if wanted.tags is None else check_tags(wanted.tags))

    body = JsonBody(request, DECODER, context.max_body)
    known, wanted = await context.as_caller(request.headers.get("authorization"), attempt)
    organization_id, sender_id, now = known.sender.organization_id, known.sender.id, context.store.clock.now()
    try:
        await context.store.senders.change(organization_id, sender_id, wanted, now)
    except NoSuchProfile:
        raise no_such_profile(wanted.profile_id or "") from None
    except NoSuchRecord:
        raise _unknown(request.path_params["id"]) from None
    return _answer(await _find(context, organization_id, sender_id))


def short_code_body(kept: KeptSender) -> ShortCodeBody:
    """A short code as it is answered."""
    sender = kept.sender
    return ShortCodeBody(
        id=sender.id,
        short_code=sender.address,
        country_code=sender.country or UNSET,
        messaging_profile_id=sender.profile_id,
        tags=sender.tags,
        created_at=to_text(kept.created_at),
        updated_at=to_text(kept.updated_at),
    )


def _answer(kept: KeptSender) -> Response:
    return Response(encode(Data(short_code_body(kept))), media_type=JSON)


async def _find(context: ApiContext, organization_id: OrganizationId, text: str) -> KeptSender:
    """By its id: the contract has a UUID here, and no code."""
    sender_id = canonical_uuid(text)
    found = await context.store.senders.find(organization_id, KINDS, sender_id=sender_id) if sender_id else None
    if found is None:
        raise _unknown(text)
    return found


def _unknown(text: str) -> Refusal:
    return Refusal(Code.NOT_FOUND, f"There is no short code with the id '{text[:48]}'.", "/id")


RESOURCES: Resources = {
    "/short_codes": {
        "GET": Operation(
            index,
            "List short codes",
            answer=ShortCodeBody,
            query=[*PAGE_PARAMETERS, *filter_parameters(FILTERS)],
            listed=True,
        )
    },
    "/short_codes/{id}": {
        "GET": Operation(retrieve, "Read a short code", answer=ShortCodeBody),
        "PATCH": Operation(change, "Put a short code on a profile, or tag it", ShortCodeChange, ShortCodeBody),
    },
    "/messaging_profiles/{id}/short_codes": {
        "GET": Operation(
            index_of_profile,
            "List the short codes of a profile",
            answer=ShortCodeBody,
            query=PAGE_PARAMETERS,
            listed=True,
        )
    },
}
"""`/short_codes`."""
