"""`/phone_numbers/messaging`: numbers, the profiles they are on and how they fare (Contract 10).

Adding and removing numbers is ours: the provider sells them at another place.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from re import compile as regex

import msgspec
from msgspec import UNSET, Struct, UnsetType
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from heliograph import randomness
from heliograph.api.auth import Caller
from heliograph.api.body import JsonBody
from heliograph.api.context import ApiContext
from heliograph.api.operations import PAGE_PARAMETERS, Operation, Parameter, Resources, filter_parameters
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
from heliograph.domain.address import AddressKind, BadAddress, parse_destination
from heliograph.domain.compose import MMS_COUNTRIES
from heliograph.domain.errors import Code, Refusal
from heliograph.domain.ids import OrganizationId, canonical_uuid
from heliograph.domain.instant import to_text
from heliograph.domain.number_health import NumberHealth
from heliograph.domain.senders import check_tags, own_sender
from heliograph.store.account_changes import AlreadyExists, NoSuchRecord
from heliograph.store.numbers import NUMBERS, KeptSender, NoSuchProfile, SenderChange, SenderFilter

PRODUCT = "A2P"
"""Messages from programs to people: the one product there is."""
FILTERS: Mapping[str, frozenset[str]] = {
    "messaging_profile_id": frozenset({"eq"}),
    "phone_number": frozenset({"eq", "contains"}),
    "type": frozenset({"eq"}),
}
TYPES: Mapping[AddressKind, str] = {
    AddressKind.LONG_CODE: "longcode",
    AddressKind.TOLL_FREE: "tollfree",
    AddressKind.SHORT_CODE: "shortcode",
}
POOLED = (AddressKind.LONG_CODE, AddressKind.TOLL_FREE)
SORT = "sort[phone_number]"
_PART = regex(r"\+?[0-9]{1,15}")


class NumberRequest(Struct, kw_only=True):
    """The body of `POST /phone_numbers/messaging`, which is ours."""

    phone_number: str | None = None
    messaging_profile_id: str | None = None
    tags: list[str] | None = None
    country_code: str | None = None


class NumberChange(Struct, kw_only=True):
    """The body of `PATCH /phone_numbers/{id}/messaging`; what is absent or null stays as it is."""

    messaging_profile_id: str | None = None
    messaging_product: str | None = None
    tags: list[str] | None = None


class Reach(Struct):
    """From and to where messages of one sort go."""

    domestic_two_way: bool
    international_inbound: bool
    international_outbound: bool


class Features(Struct):
    """What a number can do; MMS is null where it cannot."""

    sms: Reach
    mms: Reach | None


class HealthBody(Struct):
    """How messages of the last day fared; 0 messages, and ratios without a blemish, until that was measured."""

    message_count: int
    inbound_outbound_ratio: float
    success_ratio: float
    spam_ratio: float


class NumberBody(Struct, kw_only=True):
    """A number as it is answered. A number of no country has no `country_code`: there is no null for it."""

    record_type: str = "messaging_settings"
    id: str
    phone_number: str
    messaging_profile_id: str | None
    organization_id: str
    country_code: str | UnsetType = UNSET
    type: str
    messaging_product: str = PRODUCT
    eligible_messaging_products: Sequence[str] = (PRODUCT,)
    traffic_type: str = PRODUCT
    features: Features
    health: HealthBody
    tags: Sequence[str]
    created_at: str
    updated_at: str


CREATE_DECODER = msgspec.json.Decoder(NumberRequest)
CHANGE_DECODER = msgspec.json.Decoder(NumberChange)


async def index(context: ApiContext, request: Request) -> Response:
    """`GET /phone_numbers/messaging`: numbers and short codes, newest first unless they are to be sorted."""
    return await listed(context, request, _filter(request.query_params), number_body)


async def index_of_profile(context: ApiContext, request: Request) -> Response:
    """`GET /messaging_profiles/{id}/phone_numbers`: its long codes and toll-free numbers, which make its pool."""
    return await listed_of_profile(context, request, POOLED, number_body)


async def create(context: ApiContext, request: Request) -> Response:
    """`POST /phone_numbers/messaging`, an extension: a number or short code of one's own."""

    async def attempt(caller: Caller, epoch: int) -> Sender:
        wanted = await body.read()
        _check_self_service(context)
        profile_id = None
        if wanted.messaging_profile_id:
            profile_id = await profile_of_body(context, caller.organization_id, wanted.messaging_profile_id)
        await context.confirm(caller, epoch)
        made = own_sender(
            randomness.new_id(now), caller.organization_id, profile_id, _number(wanted), wanted.country_code
        )
        return replace(made, tags=check_tags(wanted.tags or ()))

    body, now = JsonBody(request, CREATE_DECODER, context.max_body), context.store.clock.now()
    made = await context.as_caller(request.headers.get("authorization"), attempt)
    try:
        await context.store.changes.add_sender(made, now)
    except AlreadyExists:
        # Whose it is, is not told (promise P7).
        detail = f"{made.address} is here already."
        raise Refusal(Code.DUPLICATE_RESOURCE, detail, "/phone_number") from None
    except NoSuchRecord:
        raise no_such_profile(made.profile_id or "") from None
    return _answer(KeptSender(made, now, now, NumberHealth()))


async def retrieve(context: ApiContext, request: Request) -> Response:
    """`GET /phone_numbers/{id}/messaging`; the number itself is an id too."""

    async def attempt(caller: Caller, epoch: int) -> KeptSender:
        await context.confirm(caller, epoch)
        return await find_number(context, caller.organization_id, request.path_params["id"])

    return _answer(await context.as_caller(request.headers.get("authorization"), attempt))


async def change(context: ApiContext, request: Request) -> Response:
    """`PATCH /phone_numbers/{id}/messaging`: from the answer on, every message goes by it."""

    async def attempt(caller: Caller, epoch: int) -> tuple[KeptSender, SenderChange]:
        wanted = await body.read()
        if wanted.messaging_product not in {None, PRODUCT}:
            detail = f"'messaging_product' must be {PRODUCT}, got '{wanted.messaging_product[:32]}'."
            raise Refusal(Code.INVALID_ENUM, detail, "/messaging_product")
        await context.confirm(caller, epoch)
        known = await find_number(context, caller.organization_id, request.path_params["id"])
        profile_id: str | None = wanted.messaging_profile_id
        if profile_id:
            profile_id = await profile_of_body(context, caller.organization_id, profile_id)
        return known, SenderChange(profile_id, None if wanted.tags is None else check_tags(wanted.tags))

    body = JsonBody(request, CHANGE_DECODER, context.max_body)
    known, wanted = await context.as_caller(request.headers.get("authorization"), attempt)
    return _answer(await change_number(context, known.sender, wanted, request))


async def remove(context: ApiContext, request: Request) -> Response:
    """`DELETE /phone_numbers/{id}/messaging`, an extension: messages that were accepted from it are still sent."""

    async def attempt(caller: Caller, epoch: int) -> Sender:
        _check_self_service(context)
        await context.confirm(caller, epoch)
        return (await find_number(context, caller.organization_id, request.path_params["id"])).sender

    known = await context.as_caller(request.headers.get("authorization"), attempt)
    try:
        return _answer(await context.store.senders.remove(known.organization_id, known.id))
    except NoSuchRecord:
        raise _unknown(request.path_params["id"]) from None


def _check_self_service(context: ApiContext) -> None:
    """Raise a `Refusal` where the operator alone says whose number is whose."""
    if not context.own_numbers:
        detail = "Numbers are added and removed by the operator of this service: 'heliograph numbers'."
        raise Refusal(Code.NOT_AUTHORIZED, detail)


async def find_number(context: ApiContext, organization_id: OrganizationId, text: str) -> KeptSender:
    """A number or short code of an organisation by its id or its digits. Raises a `Refusal`."""
    found = await context.store.senders.find(organization_id, NUMBERS, **_named(text))
    if found is None:
        raise _unknown(text)
    return found


async def change_number(context: ApiContext, sender: Sender, wanted: SenderChange, request: Request) -> KeptSender:
    """Change a number, and read it as it now is. Raises a `Refusal`."""
    senders, now = context.store.senders, context.store.clock.now()
    try:
        await senders.change(sender.organization_id, sender.id, wanted, now)
    except NoSuchProfile:
        raise no_such_profile(wanted.profile_id or "") from None
    except NoSuchRecord:
        raise _unknown(request.path_params["id"]) from None
    return await find_number(context, sender.organization_id, sender.id)


def number_body(kept: KeptSender) -> NumberBody:
    """A number as it is answered."""
    sender, health = kept.sender, kept.health
    return NumberBody(
        id=sender.id,
        phone_number=sender.address,
        messaging_profile_id=sender.profile_id,
        organization_id=sender.organization_id,
        country_code=sender.country or UNSET,
        type=TYPES[sender.kind],
        features=Features(EVERYWHERE, EVERYWHERE if _sends_mms(sender) else None),
        health=HealthBody(health.sent, health.inbound_outbound_ratio, health.success_ratio, health.spam_ratio),
        tags=sender.tags,
        created_at=to_text(kept.created_at),
        updated_at=to_text(kept.updated_at),
    )


EVERYWHERE = Reach(domestic_two_way=True, international_inbound=True, international_outbound=True)
"""We hold no number back: where messages go is for the profile and the routes to say."""


def _sends_mms(sender: Sender) -> bool:
    return sender.kind is AddressKind.SHORT_CODE or sender.country in MMS_COUNTRIES


def _answer(kept: KeptSender) -> Response:
    return Response(encode(Data(number_body(kept))), media_type=JSON)


def _named(text: str) -> dict[str, str | None]:
    sender_id = canonical_uuid(text)
    if sender_id is not None:
        return {"sender_id": sender_id}
    try:
        return {"address": parse_destination(text).text}
    except BadAddress:
        raise _unknown(text) from None


def _number(wanted: NumberRequest) -> str:
    if not wanted.phone_number:
        raise required("phone_number")
    try:
        return parse_destination(wanted.phone_number).text
    except BadAddress as error:
        raise Refusal(Code.INVALID_PHONE_NUMBER, str(error).replace("one destination: ", ""), "/phone_number") from None


def _unknown(text: str) -> Refusal:
    return Refusal(Code.NOT_FOUND, f"There is no number '{text[:48]}'.", "/id")


def _filter(query: QueryParams) -> SenderFilter:
    given = read_filters(query)
    listed, contains = given.get(("phone_number", "eq")), given.get(("phone_number", "contains"))
    return SenderFilter(
        _kinds(given.get(("type", "eq"))),
        read_profile_filter(given.get(("messaging_profile_id", "eq"))),
        None if listed is None else [_wanted_number(each) for each in listed.split(",")],
        None if contains is None else _wanted_part(contains),
        _sort(query),
    )


def _kinds(text: str | None) -> Sequence[AddressKind]:
    if text is None:
        return NUMBERS
    kinds = [kind for kind, name in TYPES.items() if name == text]
    if not kinds:
        detail = f"'filter[type]' must be one of {', '.join(TYPES.values())}, got '{text[:32]}'."
        raise Refusal(Code.INVALID_FILTER, detail, parameter="filter[type]")
    return kinds


def _wanted_number(text: str) -> str:
    """Read as strictly as numbers are: a filter that cannot match would answer that there are none."""
    try:
        return parse_destination(text).text
    except BadAddress as error:
        raise Refusal(Code.INVALID_FILTER, f"{error}{_hint(text)}", parameter="filter[phone_number]") from None


def _wanted_part(text: str) -> str:
    if not _PART.fullmatch(text):
        parameter = "filter[phone_number][contains]"
        detail = f"'{parameter}' must be digits, maybe after a '+', got '{text[:32]}'.{_hint(text)}"
        raise Refusal(Code.INVALID_FILTER, detail, parameter=parameter)
    return text


def _hint(text: str) -> str:
    """An unescaped plus arrives as a space."""
    return " Write '+' as %2B." if text.startswith(" ") else ""


def _sort(query: QueryParams) -> bool | None:
    for parameter in query:
        if parameter.startswith("sort") and parameter != SORT:
            detail = f"There is no '{parameter[:64]}' here, only '{SORT}'."
            raise Refusal(Code.BAD_REQUEST, detail, parameter=parameter[:64])
    text = query.get(SORT)
    if text not in {None, "asc", "desc"}:
        raise Refusal(Code.BAD_REQUEST, f"'{SORT}' must be asc or desc, got '{text[:32]}'.", parameter=SORT)
    return None if text is None else text == "desc"


RESOURCES: Resources = {
    "/phone_numbers/messaging": {
        "GET": Operation(
            index,
            "List numbers",
            answer=NumberBody,
            query=[
                *PAGE_PARAMETERS,
                *(each for each in filter_parameters(FILTERS) if not each.name.startswith("filter[type]")),
                Parameter("filter[type]", "only those of this type", {"enum": list(TYPES.values())}),
                Parameter(SORT, "by number, and not the newest first", {"enum": ["asc", "desc"]}),
            ],
            listed=True,
        ),
        "POST": Operation(create, "Add a number of your own", NumberRequest, NumberBody, refusals=(403,)),
    },
    "/phone_numbers/{id}/messaging": {
        "GET": Operation(retrieve, "Read a number", answer=NumberBody),
        "PATCH": Operation(change, "Put a number on a profile, or tag it", NumberChange, NumberBody),
        "DELETE": Operation(remove, "Remove a number", answer=NumberBody),
    },
    "/messaging_profiles/{id}/phone_numbers": {
        "GET": Operation(
            index_of_profile, "List the numbers of a profile", answer=NumberBody, query=PAGE_PARAMETERS, listed=True
        ),
    },
}
"""`/phone_numbers/messaging`."""
