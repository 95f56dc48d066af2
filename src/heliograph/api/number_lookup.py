"""`/number_lookup/{phone_number}`: what is known of a number, without asking anybody (Contract 9)."""

from msgspec import UNSET, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from heliograph.api.auth import Caller
from heliograph.api.context import ApiContext
from heliograph.api.operations import Operation, Parameter, Resources
from heliograph.api.problems import JSON
from heliograph.api.shapes import Data, encode
from heliograph.domain.address import BadAddress
from heliograph.domain.errors import Code, Refusal
from heliograph.domain.number_lookup import NumberLookup, look_up

CARRIER = "carrier"
CALLER_NAME = "caller-name"


class CarrierBody(Struct, kw_only=True):
    """Whose number it is, as far as its range tells."""

    mobile_country_code: str
    mobile_network_code: str
    name: str
    type: str
    normalized_carrier: str = ""
    error_code: str | None = None


class CallerNameBody(Struct, kw_only=True):
    """Whose name it bears: there is no register of names here, so it is never known."""

    caller_name: str = ""


class PortabilityBody(Struct, kw_only=True):
    """Where it was ported to: there is no register of that here, so of all this only the line is known."""

    lrn: str = ""
    ported_status: str = ""
    ported_date: str = ""
    ocn: str = ""
    line_type: str
    spid: str = ""
    spid_carrier_name: str = ""
    spid_carrier_type: str = ""
    altspid: str = ""
    altspid_carrier_name: str = ""
    altspid_carrier_type: str = ""
    city: str = ""
    state: str = ""


class NumberLookupBody(Struct, kw_only=True):
    """What is known of a number; "" where nothing is. With a `type`, only what was asked for is there."""

    record_type: str = "number_lookup"
    phone_number: str
    country_code: str
    national_format: str
    fraud: str | None = None
    carrier: CarrierBody | UnsetType = UNSET
    caller_name: CallerNameBody | UnsetType = UNSET
    portability: PortabilityBody | UnsetType = UNSET


async def retrieve(context: ApiContext, request: Request) -> Response:
    """`GET /number_lookup/{phone_number}`."""

    async def attempt(caller: Caller, epoch: int) -> NumberLookup:
        await context.confirm(caller, epoch)
        try:
            return look_up(request.path_params["phone_number"], context.tables.directory)
        except BadAddress as error:
            raise Refusal(Code.INVALID_PHONE_NUMBER, str(error), "/phone_number") from None

    wanted = request.query_params.get("type")
    if wanted not in {None, CARRIER, CALLER_NAME}:
        detail = f"'type' must be {CARRIER} or {CALLER_NAME}, got '{wanted[:32]}'."
        raise Refusal(Code.INVALID_ENUM, detail, parameter="type")
    found = await context.as_caller(request.headers.get("authorization"), attempt)
    return Response(encode(Data(number_lookup_body(found, wanted))), media_type=JSON)


def number_lookup_body(found: NumberLookup, wanted: str | None) -> NumberLookupBody:
    """A number as it is answered to a `type`, or to none."""
    carrier = CarrierBody(
        mobile_country_code=found.country_code if found.mobile else "",
        mobile_network_code=found.area if found.mobile else "",
        name=found.carrier,
        type=found.kind,
    )
    return NumberLookupBody(
        phone_number=found.phone_number,
        country_code=found.country_code,
        national_format=found.national_format,
        carrier=UNSET if wanted == CALLER_NAME else carrier,
        caller_name=UNSET if wanted == CARRIER else CallerNameBody(),
        portability=UNSET if wanted == CALLER_NAME else PortabilityBody(line_type=found.kind),
    )


RESOURCES: Resources = {
    "/number_lookup/{phone_number}": {
        "GET": Operation(
            retrieve,
            "Look up a number",
            answer=NumberLookupBody,
            query=[Parameter("type", "what is asked for; all of it without", {"enum": [CARRIER, CALLER_NAME]})],
            refusals=(422,),
        )
    },
}
"""`/number_lookup`."""
