"""`/alphanumeric_sender_ids`: names that a profile may send from (Contract 4.2, 10)."""

from collections.abc import Mapping
from dataclasses import replace

import msgspec
from msgspec import UNSET, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from heliograph import randomness
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
from heliograph.domain.accounts import Sender
from heliograph.domain.address import AddressKind, BadAddress, parse_sender
from heliograph.domain.errors import Code, Refusal
from heliograph.domain.ids import canonical_uuid
from heliograph.domain.senders import own_sender
from heliograph.store.account_changes import AlreadyExists, NoSuchFallback, NoSuchRecord
from heliograph.store.numbers import KeptSender, SenderFilter

FILTERS: Mapping[str, frozenset[str]] = {"messaging_profile_id": frozenset({"eq"})}
KINDS = (AddressKind.ALPHANUMERIC,)


class AlphanumericRequest(Struct, kw_only=True):
    """The body of `POST /alphanumeric_sender_ids`."""

    alphanumeric_sender_id: str | None = None
    messaging_profile_id: str | None = None
    us_long_code_fallback: str | None = None


class AlphanumericBody(Struct, kw_only=True):
    """An alphanumeric sender as it is answered; without a fallback it has none to show, as there is no null for it."""

    record_type: str = "alphanumeric_sender_id"
    id: str
    alphanumeric_sender_id: str
    messaging_profile_id: str
    organization_id: str
    us_long_code_fallback: str | UnsetType = UNSET


DECODER = msgspec.json.Decoder(AlphanumericRequest)


async def create(context: ApiContext, request: Request) -> Response:
    """`POST /alphanumeric_sender_ids`: of all creations the one that answers 201."""

    async def attempt(caller: Caller, epoch: int) -> Sender:
        wanted = await body.read()
        name = _name(wanted.alphanumeric_sender_id)
        if not wanted.messaging_profile_id:
            raise required("messaging_profile_id")
        profile_id = await profile_of_body(context, caller.organization_id, wanted.messaging_profile_id)
        await context.confirm(caller, epoch)
        made = own_sender(randomness.new_id(now), caller.organization_id, profile_id, name)
        return replace(made, us_long_code_fallback=_fallback(wanted.us_long_code_fallback))

    body, now = JsonBody(request, DECODER, context.max_body), context.store.clock.now()
    made = await context.as_caller(request.headers.get("authorization"), attempt)
    try:
        await context.store.changes.add_sender(made, now)
    except AlreadyExists:
        detail = f"Messaging profile {made.profile_id} has the sender '{made.address}' already."
        raise Refusal(Code.DUPLICATE_RESOURCE, detail, "/alphanumeric_sender_id") from None
    except NoSuchFallback:
        raise _no_fallback(made.us_long_code_fallback or "") from None
    except NoSuchRecord:
        raise no_such_profile(made.profile_id or "") from None
    return _answer(made, status=201)


async def index(context: ApiContext, request: Request) -> Response:
    """`GET /alphanumeric_sender_ids`, newest first."""
    given = read_filters(request.query_params)
    profile_id = read_profile_filter(given.get(("messaging_profile_id", "eq")))
    return await listed(context, request, SenderFilter(KINDS, profile_id), _kept_body)


async def index_of_profile(context: ApiContext, request: Request) -> Response:
    """`GET /messaging_profiles/{id}/alphanumeric_sender_ids`, newest first."""
    return await listed_of_profile(context, request, KINDS, _kept_body)


async def retrieve(context: ApiContext, request: Request) -> Response:
    """`GET /alphanumeric_sender_ids/{id}`."""

    async def attempt(caller: Caller, epoch: int) -> Sender:
        await context.confirm(caller, epoch)
        return await _find(context, caller, request.path_params["id"])

    return _answer(await context.as_caller(request.headers.get("authorization"), attempt))


async def delete(context: ApiContext, request: Request) -> Response:
    """`DELETE /alphanumeric_sender_ids/{id}`: messages that were accepted from it are still sent."""

    async def attempt(caller: Caller, epoch: int) -> Sender:
        await context.confirm(caller, epoch)
        return await _find(context, caller, request.path_params["id"])

    known = await context.as_caller(request.headers.get("authorization"), attempt)
    try:
        return _answer((await context.store.senders.remove(known.organization_id, known.id)).sender)
    except NoSuchRecord:
        raise _unknown(known.id) from None


def alphanumeric_body(sender: Sender) -> AlphanumericBody:
    """An alphanumeric sender as it is answered."""
    return AlphanumericBody(
        id=sender.id,
        alphanumeric_sender_id=sender.address,
        messaging_profile_id=sender.profile_id or "",
        organization_id=sender.organization_id,
        us_long_code_fallback=sender.us_long_code_fallback or UNSET,
    )


def _kept_body(kept: KeptSender) -> AlphanumericBody:
    return alphanumeric_body(kept.sender)


def _answer(sender: Sender, status: int = 200) -> Response:
    return Response(encode(Data(alphanumeric_body(sender))), status, media_type=JSON)


def _name(text: str | None) -> str:
    if not text:
        raise required("alphanumeric_sender_id")
    wanted = "An alphanumeric sender has 1 to 11 letters, digits and spaces, with at least one letter"
    try:
        address = parse_sender(text)
    except BadAddress:
        raise Refusal(Code.INVALID_ALPHA, f"{wanted}; got {text[:32]!r}.", "/alphanumeric_sender_id") from None
    if address.kind is not AddressKind.ALPHANUMERIC:
        raise Refusal(Code.INVALID_ALPHA, f"{wanted}; {address.text} is a number.", "/alphanumeric_sender_id")
    return address.text


def _fallback(text: str | None) -> str | None:
    """As it stands in a body; whether it is a US long code of the caller's is seen when it is kept."""
    if not text:
        return None
    try:
        return parse_sender(text).text
    except BadAddress:
        raise _no_fallback(text) from None


def _no_fallback(text: str) -> Refusal:
    detail = f"'us_long_code_fallback' is a US long code of yours; '{text[:32]}' is none."
    return Refusal(Code.NO_ASSOCIATED_RESOURCE, detail, "/us_long_code_fallback")


async def _find(context: ApiContext, caller: Caller, text: str) -> Sender:
    sender_id, senders = canonical_uuid(text), context.store.senders
    found = await senders.find(caller.organization_id, KINDS, sender_id=sender_id) if sender_id else None
    if found is None:
        raise _unknown(text)
    return found.sender


def _unknown(text: str) -> Refusal:
    return Refusal(Code.NOT_FOUND, f"There is no alphanumeric sender '{text[:48]}'.", "/id")


RESOURCES: Resources = {
    "/alphanumeric_sender_ids": {
        "GET": Operation(
            index,
            "List alphanumeric senders",
            answer=AlphanumericBody,
            query=[*PAGE_PARAMETERS, *filter_parameters(FILTERS)],
            listed=True,
        ),
        "POST": Operation(create, "Let a profile send from a name", AlphanumericRequest, AlphanumericBody, status=201),
    },
    "/alphanumeric_sender_ids/{id}": {
        "GET": Operation(retrieve, "Read an alphanumeric sender", answer=AlphanumericBody),
        "DELETE": Operation(delete, "Delete an alphanumeric sender", answer=AlphanumericBody),
    },
    "/messaging_profiles/{id}/alphanumeric_sender_ids": {
        "GET": Operation(
            index_of_profile,
            "List the alphanumeric senders of a profile",
            answer=AlphanumericBody,
            query=PAGE_PARAMETERS,
            listed=True,
        )
    },
}
"""`/alphanumeric_sender_ids`."""
