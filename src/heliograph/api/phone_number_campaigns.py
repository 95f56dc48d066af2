"""`/10dlc/phone_number_campaigns`: which numbers belong to which campaign. Answers have no envelope.

An assignment takes effect with its answer: messages that are taken from then on show the campaign and go at its rate.
"""

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from heliograph.api.auth import Caller
from heliograph.api.body import JsonBody
from heliograph.api.brands import registry_id
from heliograph.api.context import ApiContext
from heliograph.api.operations import Operation, Resources, filter_parameters
from heliograph.api.paging import read_filters
from heliograph.api.problems import JSON
from heliograph.api.records import part_parameters, read_part
from heliograph.api.shapes import encode
from heliograph.domain.accounts import Sender
from heliograph.domain.address import BadAddress, parse_destination
from heliograph.domain.errors import Code, Refusal
from heliograph.domain.ids import OrganizationId
from heliograph.domain.instant import to_text
from heliograph.domain.registry import Assignment, check_number
from heliograph.store.account_changes import NoSuchRecord
from heliograph.store.registry import (
    ASSIGNMENT_ORDERS,
    AssignedElsewhere,
    AssignmentFilter,
    CampaignEnded,
    NoSuchCampaign,
)

DEFAULT_SIZE = 20
ASSIGNED = "ASSIGNED"
UNASSIGNED = "PENDING_UNASSIGNMENT"
"""The answer to DELETE: there is no word for what is done."""
FILTERS = {
    "telnyx_campaign_id": frozenset({"eq"}),
    "telnyx_brand_id": frozenset({"eq"}),
    "tcr_campaign_id": frozenset({"eq"}),
    "tcr_brand_id": frozenset({"eq"}),
}


class AssignmentRequest(Struct, kw_only=True, rename="camel"):
    """The body of POST and of PUT; the campaign by its id or by its name in the registry."""

    phone_number: str | None = None
    campaign_id: str | None = None


class AssignmentBody(Struct, kw_only=True, rename="camel"):
    """A number of a campaign as it is answered."""

    phone_number: str
    campaign_id: str
    telnyx_campaign_id: str
    tcr_campaign_id: str
    brand_id: str
    tcr_brand_id: str
    assignment_status: str = ASSIGNED
    created_at: str
    updated_at: str


class AssignmentRecords(Struct, kw_only=True, rename="camel"):
    """One page of the list of numbers."""

    page: int
    records: list[AssignmentBody]
    total_records: int


DECODER = msgspec.json.Decoder(AssignmentRequest)


async def create(context: ApiContext, request: Request) -> Response:
    """`POST /10dlc/phone_number_campaigns`: for a number without a campaign. Asked again: the same."""
    return await _assign(context, request, None)


async def change(context: ApiContext, request: Request) -> Response:
    """`PUT /10dlc/phone_number_campaigns/{phoneNumber}`: for a number with a campaign."""
    return await _assign(context, request, request.path_params["phoneNumber"])


async def _assign(context: ApiContext, request: Request, path: str | None) -> Response:
    async def attempt(caller: Caller, epoch: int) -> tuple[Sender, str]:
        wanted = await body.read()
        number, campaign = _required(wanted.phone_number, "phoneNumber"), _required(wanted.campaign_id, "campaignId")
        if path is not None and number != path:
            detail = f"'phoneNumber' must be the number of the path, {path[:32]}, got '{number[:32]}'."
            raise Refusal(Code.BAD_REQUEST, detail, "/phoneNumber")
        address = _number(number)
        sender = await context.store.accounts.sender(caller.organization_id, address)
        if sender is None:
            raise _no_number(path, number)
        check_number(sender)
        await context.confirm(caller, epoch)
        return sender, campaign

    body = JsonBody(request, DECODER, context.max_body)
    sender, campaign = await context.as_caller(request.headers.get("authorization"), attempt)
    which, now = registry_id(campaign), context.store.clock.now()
    try:
        assigned = await context.store.registry.assign(
            sender.organization_id, sender.id, which, now, move=path is not None
        )
    except NoSuchCampaign:
        detail = f"There is no campaign '{campaign[:48]}'."
        raise Refusal(Code.NO_ASSOCIATED_RESOURCE, detail, "/campaignId") from None
    except CampaignEnded:
        raise Refusal(Code.BAD_REQUEST, f"Campaign {which} is not active any more.", "/campaignId") from None
    except AssignedElsewhere as other:
        detail = f"{sender.address} belongs to campaign {other}; PUT moves it."
        raise Refusal(Code.DUPLICATE_RESOURCE, detail, "/phoneNumber") from None
    except NoSuchRecord:
        raise _no_number(path, sender.address) from None
    return _answer(assignment_body(assigned))


async def index(context: ApiContext, request: Request) -> Response:
    """`GET /10dlc/phone_number_campaigns`, the last assigned first unless they are sorted."""

    async def attempt(caller: Caller, epoch: int) -> AssignmentRecords:
        await context.confirm(caller, epoch)
        total, found = await context.store.registry.assignments(caller.organization_id, wanted, part)
        listed = [assignment_body(each) for each in found]
        return AssignmentRecords(page=page.number, records=listed, total_records=total)

    page, part = read_part(request.query_params, DEFAULT_SIZE, ASSIGNMENT_ORDERS)
    given = {name: value for (name, _), value in read_filters(request.query_params).items()}
    wanted = AssignmentFilter(*(given.get(name) for name in FILTERS))
    return _answer(await context.as_caller(request.headers.get("authorization"), attempt))


async def retrieve(context: ApiContext, request: Request) -> Response:
    """`GET /10dlc/phone_number_campaigns/{phoneNumber}`."""

    async def attempt(caller: Caller, epoch: int) -> Assignment:
        await context.confirm(caller, epoch)
        number = _number(request.path_params["phoneNumber"])
        found = await context.store.registry.assignment(caller.organization_id, number)
        if found is None:
            raise _not_assigned(request.path_params["phoneNumber"])
        return found

    return _answer(assignment_body(await context.as_caller(request.headers.get("authorization"), attempt)))


async def remove(context: ApiContext, request: Request) -> Response:
    """`DELETE /10dlc/phone_number_campaigns/{phoneNumber}`: answered with what it was."""

    async def attempt(caller: Caller, epoch: int) -> OrganizationId:
        await context.confirm(caller, epoch)
        return caller.organization_id

    organization_id = await context.as_caller(request.headers.get("authorization"), attempt)
    number = _number(request.path_params["phoneNumber"])
    try:
        gone = await context.store.registry.unassign(organization_id, number)
    except NoSuchRecord:
        raise _not_assigned(request.path_params["phoneNumber"]) from None
    body = assignment_body(gone)
    body.assignment_status = UNASSIGNED
    return _answer(body)


def assignment_body(assignment: Assignment) -> AssignmentBody:
    """A number of a campaign as it is answered."""
    campaign = assignment.campaign
    return AssignmentBody(
        phone_number=assignment.number,
        campaign_id=campaign.id,
        telnyx_campaign_id=campaign.id,
        tcr_campaign_id=campaign.tcr_id,
        brand_id=campaign.brand.id,
        tcr_brand_id=campaign.brand.tcr_id,
        created_at=to_text(assignment.created_at),
        updated_at=to_text(assignment.updated_at),
    )


def _required(value: str | None, name: str) -> str:
    if not value:
        raise Refusal(Code.MISSING_PARAMETER, f"The '{name}' parameter is required and cannot be blank.", f"/{name}")
    return value


def _number(text: str) -> str:
    """A number as it is kept; empty, and so nobody's, for a text that is none."""
    try:
        return parse_destination(text).text
    except BadAddress:
        return ""


def _no_number(path: str | None, number: str) -> Refusal:
    """The number is none of the organisation's or, for PUT, has no campaign."""
    if path is not None:
        return _not_assigned(path)
    return Refusal(Code.NO_ASSOCIATED_RESOURCE, f"'{number[:32]}' is none of your numbers.", "/phoneNumber")


def _not_assigned(number: str) -> Refusal:
    return Refusal(Code.NOT_FOUND, f"There is no number '{number[:32]}' with a campaign.", "/phoneNumber")


def _answer(body: Struct) -> Response:
    return Response(encode(body), media_type=JSON)


_QUERY = [*part_parameters(DEFAULT_SIZE, ASSIGNMENT_ORDERS), *filter_parameters(FILTERS)]
RESOURCES: Resources = {
    "/10dlc/phone_number_campaigns": {
        "POST": Operation(create, "Assign a number to a campaign", AssignmentRequest, AssignmentBody, flat=True),
        "GET": Operation(index, "List the numbers of campaigns", answer=AssignmentRecords, query=_QUERY, flat=True),
    },
    "/10dlc/phone_number_campaigns/{phoneNumber}": {
        "GET": Operation(retrieve, "Read the campaign of a number", answer=AssignmentBody, flat=True),
        "PUT": Operation(change, "Move a number to a campaign", AssignmentRequest, AssignmentBody, flat=True),
        "DELETE": Operation(remove, "Take a number off its campaign", answer=AssignmentBody, flat=True),
    },
}
"""`/10dlc/phone_number_campaigns`."""
