"""`/balance`: what an organisation has left, by the settings and by what its messages cost."""

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from heliograph.api.auth import Caller
from heliograph.api.context import ApiContext
from heliograph.api.operations import Operation, Resources
from heliograph.api.problems import JSON
from heliograph.api.shapes import Data, encode
from heliograph.domain.pricing import amount_text
from heliograph.store.traffic import Spent

_DECIMALS = 2


class BalanceBody(Struct, kw_only=True):
    """Amounts as texts. `balance` is the opening balance less what was charged for messages that are kept."""

    record_type: str = "balance"
    balance: str
    credit_limit: str
    available_credit: str
    pending: str
    """What scheduled messages will cost when they are released."""
    currency: str


async def retrieve(context: ApiContext, request: Request) -> Response:
    """`GET /balance`."""

    async def attempt(caller: Caller, epoch: int) -> Spent:
        await context.confirm(caller, epoch)
        return await context.store.traffic.spent(caller.organization_id, currency)

    currency = context.tables.rates.currency
    spent = await context.as_caller(request.headers.get("authorization"), attempt)
    billing = context.billing
    balance = billing.opening_balance - spent.charged
    body = BalanceBody(
        balance=_amount(balance),
        credit_limit=_amount(billing.credit_limit),
        available_credit=_amount(balance + billing.credit_limit),
        pending=_amount(spent.pending),
        currency=currency,
    )
    return Response(encode(Data(body)), media_type=JSON)


def _amount(units: int) -> str:
    """At least two decimals, and as many as it takes: nothing is rounded."""
    return f"-{amount_text(-units, _DECIMALS)}" if units < 0 else amount_text(units, _DECIMALS)


RESOURCES: Resources = {"/balance": {"GET": Operation(retrieve, "Read the balance", answer=BalanceBody)}}
"""`/balance`."""
