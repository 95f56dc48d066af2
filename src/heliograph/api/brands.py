"""`/10dlc/brand`: who sends, as our own registry has it. Answers have no envelope."""

from dataclasses import replace
from re import compile as regex
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType, field
from starlette.requests import Request
from starlette.responses import Response

from heliograph import randomness
from heliograph.api.auth import Caller
from heliograph.api.body import JsonBody
from heliograph.api.context import ApiContext
from heliograph.api.operations import Operation, Parameter, Resources
from heliograph.api.problems import JSON
from heliograph.api.records import part_parameters, read_part, read_text
from heliograph.api.shapes import encode
from heliograph.domain.errors import Code, Refusal
from heliograph.domain.ids import OrganizationId
from heliograph.domain.instant import to_text
from heliograph.domain.registry import (
    BRAND_RELATIONSHIP,
    CSP_ID,
    Brand,
    BrandDetails,
    EntityType,
    check_brand,
)
from heliograph.store.account_changes import NoSuchRecord
from heliograph.store.registry import BRAND_ORDERS, BrandFilter, BrandInUse

DEFAULT_SIZE = 10
STATUS = "OK"
"""Of every brand: nobody else has to agree."""
_NAME = regex(r"[A-Za-z0-9-]{1,36}")
FILTERS = {
    "displayName": "display_name",
    "entityType": "entity_type",
    "state": "state",
    "country": "country",
    "brandId": "id",
    "tcrBrandId": "tcr_id",
}

_Text = str | UnsetType | None


class BrandChange(Struct, kw_only=True, rename="camel"):
    """The body of `PUT /10dlc/brand/{brandId}`; what is absent stays as it is, null or an empty text clears it."""

    entity_type: _Text = UNSET
    display_name: _Text = UNSET
    country: _Text = UNSET
    email: _Text = UNSET
    vertical: _Text = UNSET
    company_name: _Text = UNSET
    first_name: _Text = UNSET
    last_name: _Text = UNSET
    ein: _Text = UNSET
    phone: _Text = UNSET
    street: _Text = UNSET
    city: _Text = UNSET
    state: _Text = UNSET
    postal_code: _Text = UNSET
    stock_symbol: _Text = UNSET
    stock_exchange: _Text = UNSET
    ip_address: _Text = UNSET
    website: _Text = UNSET
    business_contact_email: _Text = UNSET
    alt_business_id: _Text = UNSET
    alt_business_id_type: _Text = UNSET
    identity_status: _Text = UNSET
    is_reseller: bool | UnsetType | None = UNSET
    webhook_url: _Text = field(default=UNSET, name="webhookURL")
    webhook_failover_url: _Text = field(default=UNSET, name="webhookFailoverURL")


class BrandRequest(Struct, kw_only=True, rename="camel"):
    """The body of `POST /10dlc/brand`; null and an empty text stand for what is absent."""

    entity_type: str | None = None
    display_name: str | None = None
    country: str | None = None
    email: str | None = None
    vertical: str | None = None
    company_name: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    ein: str | None = None
    phone: str | None = None
    mobile_phone: str | None = None
    street: str | None = None
    city: str | None = None
    state: str | None = None
    postal_code: str | None = None
    stock_symbol: str | None = None
    stock_exchange: str | None = None
    ip_address: str | None = None
    website: str | None = None
    business_contact_email: str | None = None
    is_reseller: bool | None = None
    mock: bool | None = None
    webhook_url: str | None = field(default=None, name="webhookURL")
    webhook_failover_url: str | None = field(default=None, name="webhookFailoverURL")


class BrandBody(Struct, kw_only=True, rename="camel"):
    """A brand as it is answered; what is unset is left out, for there are no nulls."""

    brand_id: str
    tcr_brand_id: str
    reference_id: str
    csp_id: str = CSP_ID
    brand_relationship: str = BRAND_RELATIONSHIP
    status: str = STATUS
    identity_status: str
    entity_type: str
    display_name: str
    country: str
    email: str
    vertical: str
    company_name: str | UnsetType = UNSET
    first_name: str | UnsetType = UNSET
    last_name: str | UnsetType = UNSET
    ein: str | UnsetType = UNSET
    phone: str | UnsetType = UNSET
    mobile_phone: str | UnsetType = UNSET
    street: str | UnsetType = UNSET
    city: str | UnsetType = UNSET
    state: str | UnsetType = UNSET
    postal_code: str | UnsetType = UNSET
    stock_symbol: str | UnsetType = UNSET
    stock_exchange: str | UnsetType = UNSET
    ip_address: str | UnsetType = UNSET
    website: str | UnsetType = UNSET
    business_contact_email: str | UnsetType = UNSET
    alt_business_id: str | UnsetType = UNSET
    alt_business_id_type: str | UnsetType = UNSET
    is_reseller: bool
    mock: bool
    webhook_url: str | UnsetType = field(default=UNSET, name="webhookURL")
    webhook_failover_url: str | UnsetType = field(default=UNSET, name="webhookFailoverURL")
    created_at: str
    updated_at: str
    assigned_campaigns_count: int | UnsetType = UNSET
    """Only where one brand is read."""


class BrandRecord(Struct, kw_only=True, rename="camel"):
    """A brand as it is listed."""

    # It is spelled like this.
    assigned_campaings_count: int
    brand_id: str
    tcr_brand_id: str
    company_name: str | UnsetType = UNSET
    display_name: str
    email: str
    entity_type: str
    identity_status: str
    status: str = STATUS
    website: str | UnsetType = UNSET
    created_at: str
    updated_at: str


class BrandRecords(Struct, kw_only=True, rename="camel"):
    """One page of the list of brands."""

    page: int
    records: list[BrandRecord]
    total_records: int


DECODER = msgspec.json.Decoder(BrandRequest)
CHANGE_DECODER = msgspec.json.Decoder(BrandChange)


async def create(context: ApiContext, request: Request) -> Response:
    """`POST /10dlc/brand`: registered at once."""

    async def attempt(caller: Caller, epoch: int) -> tuple[OrganizationId, BrandDetails]:
        given = msgspec.structs.asdict(await body.read())
        details = BrandDetails(**_cleared(given))
        check_brand(details)
        await context.confirm(caller, epoch)
        return caller.organization_id, details

    body = JsonBody(request, DECODER, context.max_body)
    organization_id, details = await context.as_caller(request.headers.get("authorization"), attempt)
    now = context.store.clock.now()
    brand = await context.store.registry.create_brand(organization_id, randomness.new_id(now), details, now)
    return _answer(brand_body(brand))


async def index(context: ApiContext, request: Request) -> Response:
    """`GET /10dlc/brand`, newest first unless it is sorted."""

    async def attempt(caller: Caller, epoch: int) -> BrandRecords:
        await context.confirm(caller, epoch)
        total, found = await context.store.registry.brands(caller.organization_id, wanted, part)
        return BrandRecords(page=page.number, records=[_record(*each) for each in found], total_records=total)

    page, part = read_part(request.query_params, DEFAULT_SIZE, BRAND_ORDERS)
    wanted = _filter(request)
    return _answer(await context.as_caller(request.headers.get("authorization"), attempt))


async def retrieve(context: ApiContext, request: Request) -> Response:
    """`GET /10dlc/brand/{brandId}`."""

    async def attempt(caller: Caller, epoch: int) -> tuple[Brand, int]:
        await context.confirm(caller, epoch)
        which = registry_id(request.path_params["brandId"])
        found = await context.store.registry.brand(caller.organization_id, which)
        if found is None:
            raise no_brand(request.path_params["brandId"])
        return found

    brand, count = await context.as_caller(request.headers.get("authorization"), attempt)
    answer = brand_body(brand)
    answer.assigned_campaigns_count = count
    return _answer(answer)


async def change(context: ApiContext, request: Request) -> Response:
    """`PUT /10dlc/brand/{brandId}`: its campaigns get the class that follows from it."""

    async def attempt(caller: Caller, epoch: int) -> tuple[OrganizationId, dict[str, Any]]:
        given = msgspec.structs.asdict(await body.read())
        await context.confirm(caller, epoch)
        return caller.organization_id, {name: value for name, value in given.items() if value is not UNSET}

    def changed(brand: Brand) -> Brand:
        details = msgspec.structs.replace(brand.details, **_cleared(given))
        check_brand(details)
        return replace(brand, details=details, updated_at=now)

    body = JsonBody(request, CHANGE_DECODER, context.max_body)
    organization_id, given = await context.as_caller(request.headers.get("authorization"), attempt)
    which, now = registry_id(request.path_params["brandId"]), context.store.clock.now()
    _check_required(given)
    try:
        brand = await context.store.registry.change_brand(organization_id, which, changed)
    except NoSuchRecord:
        raise no_brand(request.path_params["brandId"]) from None
    return _answer(brand_body(brand))


async def remove(context: ApiContext, request: Request) -> Response:
    """`DELETE /10dlc/brand/{brandId}`: with it go its campaigns that have ended."""

    async def attempt(caller: Caller, epoch: int) -> OrganizationId:
        await context.confirm(caller, epoch)
        return caller.organization_id

    organization_id = await context.as_caller(request.headers.get("authorization"), attempt)
    which = registry_id(request.path_params["brandId"])
    try:
        await context.store.registry.delete_brand(organization_id, which)
    except NoSuchRecord:
        raise no_brand(request.path_params["brandId"]) from None
    except BrandInUse:
        detail = f"Brand {which} has active campaigns; deactivate them first."
        raise Refusal(Code.BRAND_IN_USE, detail) from None
    return Response(status_code=204)


def registry_id(text: str) -> str:
    """An id as the registry may have it; empty, and so nobody's, for a text that cannot be one."""
    if not _NAME.fullmatch(text):
        return ""
    return text.lower() if "-" in text else text


def no_brand(text: str) -> Refusal:
    """There is none of that id in the organisation."""
    return Refusal(Code.NOT_FOUND, f"There is no brand '{text[:48]}'.", "/brandId")


def brand_body(brand: Brand) -> BrandBody:
    """A brand as it is answered."""
    details = msgspec.structs.asdict(brand.details)
    shown = {name: value for name, value in details.items() if name not in _NOT_SHOWN and value is not None}
    return BrandBody(
        **shown,
        brand_id=brand.id,
        tcr_brand_id=brand.tcr_id,
        reference_id=brand.id,
        identity_status=brand.identity_status,
        created_at=to_text(brand.created_at),
        updated_at=to_text(brand.updated_at),
    )


_NOT_SHOWN = frozenset({"identity_status", "vetting_score"})
_REQUIRED = ("entity_type", "display_name", "country", "email", "vertical")
_FLAGS = frozenset({"is_reseller", "mock"})


def _record(brand: Brand, count: int) -> BrandRecord:
    details = brand.details
    return BrandRecord(
        assigned_campaings_count=count,
        brand_id=brand.id,
        tcr_brand_id=brand.tcr_id,
        company_name=details.company_name or UNSET,
        display_name=details.display_name,
        email=details.email,
        entity_type=details.entity_type,
        identity_status=brand.identity_status,
        website=details.website or UNSET,
        created_at=to_text(brand.created_at),
        updated_at=to_text(brand.updated_at),
    )


def _cleared(given: dict[str, Any]) -> dict[str, Any]:
    """What was given as details have it: an empty text is unset, a flag that is unset is off."""
    return {name: bool(value) if name in _FLAGS else value or None for name, value in given.items()}


def _check_required(given: dict[str, Any]) -> None:
    """What PUT demands though the brand has it."""
    for name in _REQUIRED:
        if not given.get(name):
            wire = msgspec.structs.fields(BrandChange)[BrandChange.__struct_fields__.index(name)].encode_name
            detail = f"The '{wire}' parameter is required and cannot be blank."
            raise Refusal(Code.MISSING_PARAMETER, detail, f"/{wire}")


def _filter(request: Request) -> BrandFilter:
    given = {field: read_text(request.query_params, name) for name, field in FILTERS.items()}
    entity = given["entity_type"]
    if entity is not None and entity not in list(EntityType):
        detail = f"'entityType' must be one of {', '.join(EntityType)}, got '{entity[:32]}'."
        raise Refusal(Code.INVALID_FILTER, detail, parameter="entityType")
    return BrandFilter(**given)


def _answer(body: Struct) -> Response:
    return Response(encode(body), media_type=JSON)


_QUERY = [
    *part_parameters(DEFAULT_SIZE, BRAND_ORDERS),
    *(Parameter(name, f"only those with this {name}") for name in FILTERS if name != "entityType"),
    Parameter("entityType", "only those of this kind", {"type": "string", "enum": list(EntityType)}),
]
RESOURCES: Resources = {
    "/10dlc/brand": {
        "POST": Operation(create, "Register a brand", BrandRequest, BrandBody, flat=True),
        "GET": Operation(index, "List brands", answer=BrandRecords, query=_QUERY, flat=True),
    },
    "/10dlc/brand/{brandId}": {
        "GET": Operation(retrieve, "Read a brand", answer=BrandBody, flat=True),
        "PUT": Operation(change, "Change a brand", BrandChange, BrandBody, flat=True),
        "DELETE": Operation(remove, "Delete a brand", status=204, flat=True, refusals=(400,)),
    },
}
"""`/10dlc/brand`."""
