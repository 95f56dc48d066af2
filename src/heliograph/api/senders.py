"""What the resources of senders have in common: numbers, short codes, alphanumeric senders."""

from collections.abc import Callable, Collection

from starlette.requests import Request
from starlette.responses import Response

from heliograph.api.auth import Caller
from heliograph.api.context import ApiContext
from heliograph.api.paging import page_meta, read_page
from heliograph.api.problems import JSON
from heliograph.api.shapes import Data, encode
from heliograph.domain.address import AddressKind
from heliograph.domain.errors import Code, Refusal
from heliograph.domain.ids import OrganizationId, ProfileId, canonical_uuid
from heliograph.store.numbers import UNASSIGNED, KeptSender, SenderFilter

NOBODYS = "null"
"""As the value of a filter: those on no profile (Contract 10)."""


async def listed(
    context: ApiContext, request: Request, wanted: SenderFilter, shown: Callable[[KeptSender], object]
) -> Response:
    """A page of the caller's senders."""

    async def attempt(caller: Caller, epoch: int) -> tuple[int, list[object]]:
        await context.confirm(caller, epoch)
        total, found = await context.store.senders.page(caller.organization_id, wanted, page.offset, page.size)
        return total, [shown(each) for each in found]

    page = read_page(request.query_params)
    total, bodies = await context.as_caller(request.headers.get("authorization"), attempt)
    return Response(encode(Data(bodies, page_meta(page, total))), media_type=JSON)


async def listed_of_profile(
    context: ApiContext, request: Request, kinds: Collection[AddressKind], shown: Callable[[KeptSender], object]
) -> Response:
    """A page of the senders on the profile that the path names; one of somebody else does not exist (promise P7)."""

    async def attempt(caller: Caller, epoch: int) -> ProfileId:
        text = request.path_params["id"]
        profile_id = canonical_uuid(text)
        profile = await context.store.accounts.profile(caller.organization_id, profile_id) if profile_id else None
        if profile is None:
            raise Refusal(Code.NOT_FOUND, f"There is no messaging profile '{text[:48]}'.", "/id")
        await context.confirm(caller, epoch)
        return profile.id

    profile_id = await context.as_caller(request.headers.get("authorization"), attempt)
    return await listed(context, request, SenderFilter(kinds, profile_id), shown)


def read_profile_filter(text: str | None) -> str | None:
    """`filter[messaging_profile_id]` as `SenderFilter` has it. Raises a `Refusal` for what is no id."""
    if text is None or text == NOBODYS:
        return text and UNASSIGNED
    profile_id = canonical_uuid(text)
    if profile_id is None:
        parameter = "filter[messaging_profile_id]"
        detail = f"'{parameter}' must be a UUID or '{NOBODYS}', got '{text[:48]}'."
        raise Refusal(Code.INVALID_FILTER, detail, parameter=parameter)
    return profile_id


async def profile_of_body(context: ApiContext, organization_id: OrganizationId, text: str) -> ProfileId:
    """The profile that `messaging_profile_id` names. Raises a `Refusal`."""
    profile_id = canonical_uuid(text)
    profile = await context.store.accounts.profile(organization_id, profile_id) if profile_id else None
    if profile is None:
        raise no_such_profile(text)
    return profile.id


def no_such_profile(text: str) -> Refusal:
    """For a profile named in a body, as it was found not to exist."""
    detail = f"There is no messaging profile '{text[:48]}'."
    return Refusal(Code.NO_ASSOCIATED_RESOURCE, detail, "/messaging_profile_id")


def required(name: str) -> Refusal:
    """For a field of a body that is missing."""
    return Refusal(Code.MISSING_PARAMETER, f"The '{name}' parameter is required and cannot be blank.", f"/{name}")
