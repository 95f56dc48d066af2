"""Errors as HTTP: the one table of statuses, and the `errors[]` envelope (Contract 2.1, 2.2)."""

from collections.abc import Mapping

import msgspec
from starlette.responses import Response

from heliograph.domain.errors import TITLES, Code, Refusal

HELP_URL = "https://developers.telnyx.com/docs/overview/errors/"
JSON = "application/json"

STATUSES: Mapping[Code, int] = {
    Code.INVALID_URL: 400,
    Code.INVALID_PHONE_NUMBER: 422,
    Code.MISSING_PARAMETER: 400,
    Code.NOT_FOUND: 404,
    Code.UNEXPECTED: 500,
    Code.AUTHENTICATION_FAILED: 401,
    Code.NOT_AUTHORIZED: 403,
    Code.TOO_MANY_REQUESTS: 429,
    Code.DUPLICATE_RESOURCE: 409,
    Code.BAD_REQUEST: 400,
    Code.NOT_E164: 400,
    Code.NO_ASSOCIATED_RESOURCE: 422,
    Code.INVALID_EMAIL: 400,
    Code.RESOURCE_IN_USE: 409,
    Code.INVALID_JSON: 400,
    Code.LENGTH_OUT_OF_RANGE: 400,
    Code.INVALID_TYPE: 400,
    Code.INVALID_ENCODING: 400,
    Code.JSON_EXPECTED: 415,
    Code.METHOD_NOT_ALLOWED: 405,
    Code.INVALID_FILTER: 400,
    Code.INVALID_ENUM: 400,
    Code.OUT_OF_RANGE: 400,
    Code.RESOURCE_LOCKED: 403,
    Code.SERVICE_UNAVAILABLE: 503,
    Code.KEY_REVOKED: 401,
    Code.NOT_REGISTERED: 400,
    Code.OPTED_OUT: 409,
    Code.UNSUPPORTED_TYPE: 400,
    Code.TOO_LARGE: 400,
    Code.CONTENT_MIX: 400,
    Code.INVALID_FROM: 400,
    Code.ALPHA_NOT_CONFIGURED: 400,
    Code.ALPHA_MISMATCH: 400,
    Code.INVALID_FROM_FOR_MMS: 400,
    Code.INVALID_REGION: 400,
    Code.INVALID_TO: 400,
    Code.PROFILE_DISABLED: 403,
    Code.NO_CONTENT: 400,
    Code.INVALID_MMS: 400,
    Code.QUEUE_FULL: 429,
    Code.NO_USABLE_NUMBERS: 400,
    Code.INVALID_ALPHA: 400,
    Code.INVALID_DOMAIN: 400,
    Code.UNUSUALLY_LONG: 400,
    Code.NO_DESTINATIONS: 400,
    Code.BRAND_IN_USE: 400,
    Code.SPEND_LIMIT_REACHED: 429,
}
"""The status of each code that answers a request; the other codes stand in a message's own `errors[]`."""

DO_NOT_RETRY = {"x-should-retry": "false"}
"""The SDKs repeat a failed POST by themselves and send no idempotency key (Contract 8.5)."""
LASTING = frozenset({Code.OPTED_OUT, Code.QUEUE_FULL, Code.SPEND_LIMIT_REACHED})
"""What the SDKs would repeat by its status, a 409 or a 429, within seconds, and what outlasts them."""


def problem(refusal: Refusal, *, status: int | None = None, headers: Mapping[str, str] | None = None) -> Response:
    """The answer to a request that was not taken."""
    error: dict[str, object] = {"code": refusal.code, "title": TITLES[refusal.code], "detail": refusal.detail}
    if refusal.pointer is not None:
        error["source"] = {"pointer": refusal.pointer}
    elif refusal.parameter is not None:
        error["source"] = {"parameter": refusal.parameter}
    error["meta"] = {"url": HELP_URL + refusal.code, **refusal.meta}
    body = msgspec.json.format(msgspec.json.encode({"errors": [error]}), indent=2)
    if refusal.code in LASTING:
        headers = DO_NOT_RETRY
    return Response(body, status or STATUSES[refusal.code], headers, media_type=JSON)
