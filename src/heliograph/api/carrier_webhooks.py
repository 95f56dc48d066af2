"""`POST /carriers/{name}/webhooks`: where carriers report over HTTP. No API key: the carrier proves who it is.

    request --> carrier of that name --> body, up to a size --> its `Receiver` --> kept --> 200
                                                            --> not verified 403, unreadable 400, not kept 503

2xx means kept. Whatever is not kept is answered so that the carrier brings it again.
"""

from collections.abc import Mapping

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from heliograph.api.body import TooLarge
from heliograph.api.problems import problem
from heliograph.carriers.webhooks import NotReady, NotVerified, Receiver, Unreadable
from heliograph.domain.errors import Code, Refusal
from heliograph.log import get_logger
from heliograph.store.engine import StoreUnavailable

logger = get_logger("api")

PATH = "/carriers/{name}/webhooks"
MAX_BODY = 256 * 1024
"""Bytes of one webhook: a long text and ten media items have some 40 KB."""


def create_route(receivers: Mapping[str, Receiver], max_body: int = MAX_BODY) -> BaseRoute:
    """The route, for carriers by their names; the mapping is looked at anew for each request."""
    return Route(PATH, _CarrierWebhooks(receivers, max_body))


class _CarrierWebhooks:
    """The one resource of the route."""

    def __init__(self, receivers: Mapping[str, Receiver], max_body: int) -> None:
        self._receivers = receivers
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        response = await self._answer(request)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if request.method != "POST":
            refusal = Refusal(Code.METHOD_NOT_ALLOWED, f"{request.method} is not possible here, only POST.")
            return problem(refusal, headers={"allow": "POST"})
        name = request.path_params["name"]
        receiver = self._receivers.get(name)
        if receiver is None:
            return problem(Refusal(Code.NOT_FOUND, f"There is no carrier '{name[:64]}' that reports here."))
        try:
            body = await _read(request, self._max_body)
        except ClientDisconnect:
            return problem(Refusal(Code.BAD_REQUEST, "The connection ended within the body.", "/"))
        except TooLarge:
            detail = f"The body is larger than {self._max_body:,} bytes."
            return problem(Refusal(Code.BAD_REQUEST, detail, "/"), status=413, headers={"connection": "close"})
        return await self._given(receiver, name, request, body)

    async def _given(self, receiver: Receiver, name: str, request: Request, body: bytes) -> Response:
        try:
            await receiver.webhook(request.headers, body, request.query_params)
        except NotVerified as error:
            logger.warning("a webhook was not verified", action="webhook_refused", carrier=name, reason=str(error))
            return problem(Refusal(Code.AUTHENTICATION_FAILED, str(error)), status=403)
        except Unreadable as error:
            logger.warning("a webhook cannot be read", action="webhook_unreadable", carrier=name, reason=str(error))
            return problem(Refusal(Code.BAD_REQUEST, str(error), "/"))
        except (NotReady, StoreUnavailable) as error:
            logger.warning("a webhook was not kept", action="webhook_unkept", carrier=name, reason=str(error))
            return problem(Refusal(Code.SERVICE_UNAVAILABLE, "It could not be kept now; send it again."))
        except Exception:
            logger.exception("a webhook failed", action="internal_fault", carrier=name)
            detail = "Something went wrong on our side; the log of the server has the cause."
            return problem(Refusal(Code.UNEXPECTED, detail))
        return Response(status_code=200)


async def _read(request: Request, limit: int) -> bytes:
    """The body as it came, for that is what is signed. Raises `TooLarge`."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise TooLarge
    return bytes(body)
