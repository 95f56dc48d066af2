"""`/messaging_optouts`: who does not want to be written to (Contract 7.3)."""

from collections.abc import Mapping, Sequence

from msgspec import Struct, field
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from heliograph.api.auth import Caller
from heliograph.api.context import ApiContext
from heliograph.api.operations import (
    PAGE_PARAMETERS,
    Operation,
    Parameter,
    Resources,
    bound_parameters,
    filter_parameters,
)
from heliograph.api.paging import page_meta, read_between, read_filters, read_page
from heliograph.api.problems import JSON
from heliograph.api.shapes import Data, encode
from heliograph.domain.address import BadAddress, parse_sender
from heliograph.domain.consent import OptOut
from heliograph.domain.errors import Code, Refusal
from heliograph.domain.ids import ProfileId, canonical_uuid
from heliograph.domain.instant import to_text
from heliograph.domain.redaction import NUMBERS, hide_number, level
from heliograph.store.consent import OptOutFilter

FILTERS: Mapping[str, frozenset[str]] = {"messaging_profile_id": frozenset({"eq"}), "from": frozenset({"eq"})}


class OptOutBody(Struct, kw_only=True):
    """One opt-out, times as everywhere in this API: the contract's own example of `created_at` is no RFC 3339."""

    created_at: str
    sender: str = field(name="from")
    keyword: str | None
    messaging_profile_id: str
    to: str


async def index(context: ApiContext, request: Request) -> Response:
    """`GET /messaging_optouts`: those that hold, newest first."""

    async def attempt(caller: Caller, epoch: int) -> tuple[int, Sequence[OptOutBody]]:
        await context.confirm(caller, epoch)
        total, found = await context.store.consent.opt_outs(caller.organization_id, page.offset, page.size, wanted)
        return total, [opt_out_body(each, masked=masked or await _hides(context, each)) for each in found]

    page = read_page(request.query_params)
    wanted = _filter(request.query_params)
    masked = _masked(request.query_params)
    total, listed = await context.as_caller(request.headers.get("authorization"), attempt)
    return Response(encode(Data(listed, page_meta(page, total))), media_type=JSON)


async def _hides(context: ApiContext, opt_out: OptOut) -> bool:
    """Whether the profile of an opt-out hides numbers, asked for or not."""
    profile = await context.store.accounts.profile_ever(opt_out.organization_id, opt_out.profile_id)
    return profile is not None and level(profile.settings) >= NUMBERS


def opt_out_body(opt_out: OptOut, *, masked: bool) -> OptOutBody:
    """An opt-out as it is answered; `masked` hides the person's number."""
    return OptOutBody(
        created_at=to_text(opt_out.created_at),
        sender=opt_out.sender,
        keyword=opt_out.keyword,
        messaging_profile_id=opt_out.profile_id,
        to=hide_number(opt_out.recipient) if masked else opt_out.recipient,
    )


def _filter(query: QueryParams) -> OptOutFilter:
    filters = {name: value for (name, _), value in read_filters(query).items()}
    return OptOutFilter(
        _profile_id(filters.get("messaging_profile_id")),
        _sender(filters.get("from")),
        read_between(query, "created_at"),
    )


def _profile_id(text: str | None) -> ProfileId | None:
    if text is None:
        return None
    profile_id = canonical_uuid(text)
    if profile_id is None:
        parameter = "filter[messaging_profile_id]"
        raise Refusal(Code.INVALID_FILTER, f"'{parameter}' must be a UUID, got '{text[:48]}'.", parameter=parameter)
    return ProfileId(profile_id)


def _sender(text: str | None) -> str | None:
    """Read as strictly as a sender is: a filter that cannot match would answer that nobody opted out."""
    try:
        return None if text is None else parse_sender(text).text
    except BadAddress as error:
        # An unescaped plus arrives as a space.
        hint = " Write '+' as %2B." if text and text.startswith(" ") else ""
        raise Refusal(Code.INVALID_FILTER, f"{error}{hint}", parameter="filter[from]") from None


def _masked(query: QueryParams) -> bool:
    text = query.get("redaction_enabled", "false")
    if text not in {"true", "false"}:
        detail = f"'redaction_enabled' must be true or false, got '{text[:32]}'."
        raise Refusal(Code.BAD_REQUEST, detail, parameter="redaction_enabled")
    return text == "true"


RESOURCES: Resources = {
    "/messaging_optouts": {
        "GET": Operation(
            index,
            "List opt-outs",
            answer=OptOutBody,
            query=[
                *PAGE_PARAMETERS,
                *filter_parameters(FILTERS),
                *bound_parameters("created_at"),
                Parameter("redaction_enabled", "whether numbers are masked", {"enum": ["true", "false"]}),
            ],
            listed=True,
        )
    },
}
"""`/messaging_optouts`."""
