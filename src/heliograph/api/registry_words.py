"""`/10dlc/enum/{endpoint}`: the words that fields of brands and campaigns may hold. A bare list, sorted."""

from collections.abc import Collection, Mapping

from starlette.requests import Request
from starlette.responses import Response

from heliograph.api.auth import Caller
from heliograph.api.brands import STATUS
from heliograph.api.campaigns import ACTIVE, ENDED
from heliograph.api.context import ApiContext
from heliograph.api.operations import Operation, Resources
from heliograph.api.problems import JSON
from heliograph.api.shapes import encode
from heliograph.domain.campaign_classes import Usecase
from heliograph.domain.errors import Code, Refusal
from heliograph.domain.registry import (
    ALTERNATIVE_IDS,
    BRAND_RELATIONSHIP,
    STOCK_EXCHANGES,
    VERTICALS,
    EntityType,
    IdentityStatus,
)

WORDS: Mapping[str, Collection[str]] = {
    "altBusinessIdType": ALTERNATIVE_IDS,
    "brandIdentityStatus": list(IdentityStatus),
    "brandRelationship": [BRAND_RELATIONSHIP],
    "brandStatus": [STATUS],
    "campaignStatus": [ACTIVE, ENDED],
    "entityType": list(EntityType),
    "stockExchange": STOCK_EXCHANGES,
    "usecase": list(Usecase),
    "vertical": VERTICALS,
}
"""What is held here; the provider also lists networks and vettings, of which this registry knows none."""


async def index(context: ApiContext, request: Request) -> Response:
    """`GET /10dlc/enum/{endpoint}`."""

    async def attempt(caller: Caller, epoch: int) -> Collection[str]:
        await context.confirm(caller, epoch)
        endpoint = request.path_params["endpoint"]
        if endpoint not in WORDS:
            detail = f"There are no words of '{endpoint[:48]}', only of {', '.join(WORDS)}."
            raise Refusal(Code.NOT_FOUND, detail, "/endpoint")
        return WORDS[endpoint]

    words = await context.as_caller(request.headers.get("authorization"), attempt)
    return Response(encode(sorted(words)), media_type=JSON)


RESOURCES: Resources = {
    "/10dlc/enum/{endpoint}": {
        "GET": Operation(index, "List the words that a field may hold", answer=list[str], flat=True)
    }
}
"""`/10dlc/enum`."""
