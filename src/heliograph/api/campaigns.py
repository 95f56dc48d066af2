"""`/10dlc/campaignBuilder` and `/10dlc/campaign`: what brands send, as our own registry has it. No envelopes here."""

from dataclasses import replace
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType, field
from starlette.requests import Request
from starlette.responses import Response

from heliograph import randomness
from heliograph.api.auth import Caller
from heliograph.api.body import JsonBody
from heliograph.api.brands import no_brand, registry_id
from heliograph.api.context import ApiContext
from heliograph.api.operations import Operation, Parameter, Resources
from heliograph.api.problems import JSON
from heliograph.api.records import part_parameters, read_part, read_text
from heliograph.api.shapes import encode
from heliograph.domain.errors import Code, Refusal
from heliograph.domain.ids import OrganizationId
from heliograph.domain.instant import SECOND
from heliograph.domain.registry import (
    CSP_ID,
    Brand,
    CampaignDetails,
    RegisteredCampaign,
    check_campaign,
    check_changed,
)
from heliograph.store.account_changes import AlreadyExists, NoSuchRecord
from heliograph.store.registry import CAMPAIGN_ORDERS, CampaignEnded

DEFAULT_SIZE = 10
ACTIVE, ENDED = "ACTIVE", "EXPIRED"
"""`status` of a campaign."""


class CampaignRequest(Struct, kw_only=True, rename="camel"):
    """The body of `POST /10dlc/campaignBuilder`; null and an empty text stand for what is absent."""

    brand_id: str | None = None
    description: str | None = None
    usecase: str | None = None
    sub_usecases: list[str] | None = None
    age_gated: bool | None = None
    auto_renewal: bool | None = None
    direct_lending: bool | None = None
    embedded_link: bool | None = None
    embedded_link_sample: str | None = None
    embedded_phone: bool | None = None
    help_keywords: str | None = None
    help_message: str | None = None
    message_flow: str | None = None
    mno_ids: list[int] | None = None
    number_pool: bool | None = None
    optin_keywords: str | None = None
    optin_message: str | None = None
    optout_keywords: str | None = None
    optout_message: str | None = None
    privacy_policy_link: str | None = None
    reference_id: str | None = None
    reseller_id: str | None = None
    sample1: str | None = None
    sample2: str | None = None
    sample3: str | None = None
    sample4: str | None = None
    sample5: str | None = None
    subscriber_help: bool | None = None
    subscriber_optin: bool | None = None
    subscriber_optout: bool | None = None
    tag: list[str] | None = None
    terms_and_conditions: bool | None = None
    terms_and_conditions_link: str | None = None
    webhook_url: str | None = field(default=None, name="webhookURL")
    webhook_failover_url: str | None = field(default=None, name="webhookFailoverURL")


_Text = str | UnsetType | None


class CampaignChange(Struct, kw_only=True, rename="camel"):
    """The body of `PUT /10dlc/campaign/{campaignId}`; what is absent stays, null or an empty text clears it."""

    reseller_id: _Text = UNSET
    sample1: _Text = UNSET
    sample2: _Text = UNSET
    sample3: _Text = UNSET
    sample4: _Text = UNSET
    sample5: _Text = UNSET
    message_flow: _Text = UNSET
    help_message: _Text = UNSET
    auto_renewal: bool | UnsetType | None = UNSET
    webhook_url: _Text = field(default=UNSET, name="webhookURL")
    webhook_failover_url: _Text = field(default=UNSET, name="webhookFailoverURL")


_Shown = str | UnsetType
_Flag = bool | UnsetType


class CampaignBody(Struct, kw_only=True, rename="camel"):
    """A campaign as it is answered; what is unset is left out, for there are no nulls."""

    campaign_id: str
    tcr_campaign_id: str
    brand_id: str
    tcr_brand_id: str
    brand_display_name: str
    csp_id: str = CSP_ID
    status: str
    campaign_status: str
    submission_status: str = "CREATED"
    usecase: str
    sub_usecases: list[str]
    vertical: str
    description: str
    mock: bool
    age_gated: _Flag = UNSET
    auto_renewal: _Flag = UNSET
    direct_lending: _Flag = UNSET
    embedded_link: _Flag = UNSET
    embedded_link_sample: _Shown = UNSET
    embedded_phone: _Flag = UNSET
    help_keywords: _Shown = UNSET
    help_message: _Shown = UNSET
    message_flow: _Shown = UNSET
    number_pool: _Flag = UNSET
    optin_keywords: _Shown = UNSET
    optin_message: _Shown = UNSET
    optout_keywords: _Shown = UNSET
    optout_message: _Shown = UNSET
    privacy_policy_link: _Shown = UNSET
    reference_id: _Shown = UNSET
    reseller_id: _Shown = UNSET
    sample1: _Shown = UNSET
    sample2: _Shown = UNSET
    sample3: _Shown = UNSET
    sample4: _Shown = UNSET
    sample5: _Shown = UNSET
    subscriber_help: _Flag = UNSET
    subscriber_optin: _Flag = UNSET
    subscriber_optout: _Flag = UNSET
    terms_and_conditions: bool
    terms_and_conditions_link: _Shown = UNSET
    is_t_mobile_registered: bool = field(name="isTMobileRegistered")
    is_t_mobile_suspended: bool = field(default=False, name="isTMobileSuspended")
    is_t_mobile_number_pooling_enabled: bool = field(name="isTMobileNumberPoolingEnabled")
    webhook_url: _Shown = field(default=UNSET, name="webhookURL")
    webhook_failover_url: _Shown = field(default=UNSET, name="webhookFailoverURL")
    create_date: str
    """Seconds since 1970, as a text."""
    assigned_phone_numbers_count: int | UnsetType = UNSET
    """Only in a list."""


class CampaignRecords(Struct, kw_only=True, rename="camel"):
    """One page of the list of campaigns."""

    page: int
    records: list[CampaignBody]
    total_records: int


class CampaignEnd(Struct, kw_only=True):
    """The answer to DELETE."""

    time: float
    """When it ended, in seconds since 1970."""
    record_type: str = "campaign"
    message: str


DECODER = msgspec.json.Decoder(CampaignRequest)
CHANGE_DECODER = msgspec.json.Decoder(CampaignChange)


async def create(context: ApiContext, request: Request) -> Response:
    """`POST /10dlc/campaignBuilder`: active at once."""

    async def attempt(caller: Caller, epoch: int) -> tuple[OrganizationId, dict[str, Any]]:
        given = msgspec.structs.asdict(await body.read())
        await context.confirm(caller, epoch)
        return caller.organization_id, given

    def details(brand: Brand) -> CampaignDetails:
        made = CampaignDetails(**_details(given))
        check_campaign(made, brand)
        return made

    body = JsonBody(request, DECODER, context.max_body)
    organization_id, given = await context.as_caller(request.headers.get("authorization"), attempt)
    brand_id, now = given.pop("brand_id"), context.store.clock.now()
    if not brand_id:
        raise Refusal(Code.MISSING_PARAMETER, "The 'brandId' parameter is required and cannot be blank.", "/brandId")
    which = registry_id(brand_id)
    try:
        campaign = await context.store.registry.create_campaign(
            organization_id, which, randomness.new_id(now), details, now
        )
    except NoSuchRecord:
        raise Refusal(Code.NO_ASSOCIATED_RESOURCE, no_brand(brand_id).detail, "/brandId") from None
    except AlreadyExists:
        detail = f"There is a campaign with the referenceId '{str(given['reference_id'])[:48]}'."
        raise Refusal(Code.DUPLICATE_RESOURCE, detail, "/referenceId") from None
    return _answer(campaign_body(campaign))


async def index(context: ApiContext, request: Request) -> Response:
    """`GET /10dlc/campaign`: the campaigns of one brand, newest first unless they are sorted."""

    async def attempt(caller: Caller, epoch: int) -> CampaignRecords:
        await context.confirm(caller, epoch)
        total, found = await context.store.registry.campaigns(caller.organization_id, brand, part)
        return CampaignRecords(page=page.number, records=[_record(*each) for each in found], total_records=total)

    page, part = read_part(request.query_params, DEFAULT_SIZE, CAMPAIGN_ORDERS)
    brand = read_text(request.query_params, "brandId")
    if not brand:
        detail = "The 'brandId' parameter is required and cannot be blank."
        raise Refusal(Code.MISSING_PARAMETER, detail, parameter="brandId")
    return _answer(await context.as_caller(request.headers.get("authorization"), attempt))


async def retrieve(context: ApiContext, request: Request) -> Response:
    """`GET /10dlc/campaign/{campaignId}`."""

    async def attempt(caller: Caller, epoch: int) -> RegisteredCampaign:
        await context.confirm(caller, epoch)
        which = registry_id(request.path_params["campaignId"])
        found = await context.store.registry.campaign(caller.organization_id, which)
        if found is None:
            raise _no_campaign(request)
        return found

    return _answer(campaign_body(await context.as_caller(request.headers.get("authorization"), attempt)))


async def change(context: ApiContext, request: Request) -> Response:
    """`PUT /10dlc/campaign/{campaignId}`: what it is for stays."""

    async def attempt(caller: Caller, epoch: int) -> tuple[OrganizationId, dict[str, Any]]:
        given = msgspec.structs.asdict(await body.read())
        await context.confirm(caller, epoch)
        return caller.organization_id, {name: value for name, value in given.items() if value is not UNSET}

    def changed(campaign: RegisteredCampaign) -> RegisteredCampaign:
        details = msgspec.structs.replace(campaign.details, **_details(given))
        check_changed(details, given)
        return replace(campaign, details=details, updated_at=now)

    body = JsonBody(request, CHANGE_DECODER, context.max_body)
    organization_id, given = await context.as_caller(request.headers.get("authorization"), attempt)
    which, now = registry_id(request.path_params["campaignId"]), context.store.clock.now()
    try:
        campaign = await context.store.registry.change_campaign(organization_id, which, changed)
    except NoSuchRecord:
        raise _no_campaign(request) from None
    except CampaignEnded:
        raise Refusal(Code.RESOURCE_LOCKED, f"Campaign {which} is not active any more.", "/campaignId") from None
    return _answer(campaign_body(campaign))


async def deactivate(context: ApiContext, request: Request) -> Response:
    """`DELETE /10dlc/campaign/{campaignId}`: it ends for good, and its numbers have none. Asked again: the same."""

    async def attempt(caller: Caller, epoch: int) -> OrganizationId:
        await context.confirm(caller, epoch)
        return caller.organization_id

    organization_id = await context.as_caller(request.headers.get("authorization"), attempt)
    which = registry_id(request.path_params["campaignId"])
    try:
        ended = await context.store.registry.deactivate(organization_id, which, context.store.clock.now())
    except NoSuchRecord:
        raise _no_campaign(request) from None
    message = f"Campaign {ended.id} is deactivated."
    return _answer(CampaignEnd(time=ended.updated_at / SECOND, message=message))


def campaign_body(campaign: RegisteredCampaign) -> CampaignBody:
    """A campaign as it is answered."""
    details = msgspec.structs.asdict(campaign.details)
    shown = {name: value for name, value in details.items() if name not in _OWN and value is not None}
    brand = campaign.brand
    return CampaignBody(
        **shown,
        campaign_id=campaign.id,
        tcr_campaign_id=campaign.tcr_id,
        brand_id=brand.id,
        tcr_brand_id=brand.tcr_id,
        brand_display_name=brand.details.display_name,
        status=ACTIVE if campaign.active else ENDED,
        campaign_status="MNO_PROVISIONED" if campaign.active else "TCR_EXPIRED",
        sub_usecases=list(campaign.details.sub_usecases),
        vertical=brand.details.vertical,
        mock=brand.details.mock,
        terms_and_conditions=bool(campaign.details.terms_and_conditions),
        is_t_mobile_registered=campaign.active,
        is_t_mobile_number_pooling_enabled=bool(campaign.details.number_pool),
        create_date=str(campaign.created_at // SECOND),
    )


_OWN = frozenset({"sub_usecases", "terms_and_conditions", "mno_ids", "tag"})
"""What is shown in another form, or not at all: an answer has no place for it."""


def _record(campaign: RegisteredCampaign, count: int) -> CampaignBody:
    body = campaign_body(campaign)
    body.assigned_phone_numbers_count = count
    return body


def _details(given: dict[str, Any]) -> dict[str, Any]:
    """What was given as details have it: an empty text is unset, lists are fixed."""
    made: dict[str, Any] = {}
    for name, value in given.items():
        if name in {"sub_usecases", "mno_ids", "tag"}:
            made[name] = tuple(value or ())
        else:
            made[name] = None if value == "" else value
    return made


def _no_campaign(request: Request) -> Refusal:
    detail = f"There is no campaign '{request.path_params['campaignId'][:48]}'."
    return Refusal(Code.NOT_FOUND, detail, "/campaignId")


def _answer(body: Struct) -> Response:
    return Response(encode(body), media_type=JSON)


_QUERY = [Parameter("brandId", "only those of this brand; required"), *part_parameters(DEFAULT_SIZE, CAMPAIGN_ORDERS)]
RESOURCES: Resources = {
    "/10dlc/campaignBuilder": {
        "POST": Operation(create, "Register a campaign", CampaignRequest, CampaignBody, flat=True)
    },
    "/10dlc/campaign": {
        "GET": Operation(index, "List the campaigns of a brand", answer=CampaignRecords, query=_QUERY, flat=True)
    },
    "/10dlc/campaign/{campaignId}": {
        "GET": Operation(retrieve, "Read a campaign", answer=CampaignBody, flat=True),
        "PUT": Operation(change, "Change a campaign's samples", CampaignChange, CampaignBody, flat=True),
        "DELETE": Operation(deactivate, "Deactivate a campaign", answer=CampaignEnd, flat=True),
    },
}
"""`/10dlc/campaignBuilder` and `/10dlc/campaign`."""
