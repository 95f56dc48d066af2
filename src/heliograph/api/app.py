"""The routes, and what happens to a request whichever of them it takes.

request -> route -> method -> endpoint -> response
                                 |
                                 +-- Refusal, TooLarge, StoreUnavailable, a fault of ours --> problem
"""

from collections.abc import Mapping
from functools import cache
from importlib import metadata

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from heliograph.api import (
    alphanumeric_senders,
    autoresponses,
    balance,
    batch_reports,
    brands,
    bulk_updates,
    campaigns,
    carrier_webhooks,
    detail_records,
    mdrs,
    messages,
    metrics,
    number_lookup,
    opt_outs,
    phone_number_campaigns,
    phone_numbers,
    profiles,
    registry_words,
    report_files,
    sandbox,
    short_codes,
    url_domains,
    usage_reports,
    webhook_deliveries,
)
from heliograph.api.auth import authenticate
from heliograph.api.body import TooLarge
from heliograph.api.context import ApiContext
from heliograph.api.health import health_routes
from heliograph.api.links import ShortLinks
from heliograph.api.openapi import describe
from heliograph.api.operations import Methods, Resources
from heliograph.api.problems import DO_NOT_RETRY, JSON, problem
from heliograph.api.shapes import encode
from heliograph.domain.errors import Code, Refusal
from heliograph.log import get_logger
from heliograph.store.engine import Engine, StoreUnavailable

logger = get_logger("api")

PREFIX = "/v2"

RESOURCES: Resources = {
    path: methods
    for module in (
        messages,
        webhook_deliveries,
        profiles,
        autoresponses,
        phone_numbers,
        short_codes,
        alphanumeric_senders,
        bulk_updates,
        number_lookup,
        opt_outs,
        url_domains,
        brands,
        campaigns,
        phone_number_campaigns,
        registry_words,
        detail_records,
        metrics,
        mdrs,
        usage_reports,
        batch_reports,
        balance,
    )
    for path, methods in module.RESOURCES.items()
}
"""What is served under `/v2` and, as the same, without it. Of two paths that match, the earlier is taken."""


def create_app(context: ApiContext) -> ASGIApp:
    """The API as an ASGI application."""
    served = {PREFIX + path: methods for path, methods in RESOURCES.items()} | dict(RESOURCES)
    if context.sandbox is not None:
        served |= sandbox.RESOURCES
    resources = {path: _Resource(context, methods) for path, methods in served.items()}
    routes: list[BaseRoute] = [Route(path, resource) for path, resource in resources.items() if "{" in path]
    routes += health_routes(context.store.engine)
    routes.append(Route("/openapi.json", _description))
    routes.append(report_files.create_route(context))
    if context.receivers:
        routes.append(carrier_webhooks.create_route(context.receivers))
    others: ASGIApp = _ByCollection(resources, Router(routes, redirect_slashes=False, default=_unknown_route))
    if context.link_bases:
        others = ShortLinks(context, others, {path.split("/")[1] for path in resources})
    return _ByPath(resources, others)


def create_health_app(engine: Engine) -> ASGIApp:
    """Only whether the process is well: for one that takes no requests."""
    return Router(health_routes(engine), redirect_slashes=False, default=_unknown_route)


class _ByPath:
    """A path without parameters needs no pattern: sending takes one look-up, and 8 us less, than the search does.

    Nor do the others wait at the start, or be searched for, among patterns that are never reached.
    """

    def __init__(self, resources: Mapping[str, ASGIApp], others: ASGIApp) -> None:
        self._resources = resources
        self._others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._resources.get(scope.get("path", ""), self._others)(scope, receive, send)


class _ByCollection:
    """Nor does a path whose last part alone is a parameter: reading and calling off one message take a look-up too.

    Which path is taken is as if all were searched in order: no path has a parameter where another has a word before its
    own parameter.
    """

    def __init__(self, resources: Mapping[str, ASGIApp], others: ASGIApp) -> None:
        self._members: dict[str, tuple[str, ASGIApp]] = {}
        for path, resource in resources.items():
            collection, _, last = path.rpartition("/")
            if last.startswith("{") and "{" not in collection:
                self._members.setdefault(collection, (last.strip("{}"), resource))
        self._others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        collection, _, last = scope.get("path", "").rpartition("/")
        member = self._members.get(collection) if last else None
        if member is None:
            await self._others(scope, receive, send)
            return
        name, resource = member
        scope["path_params"] = {name: last}
        await resource(scope, receive, send)


class _Resource:
    """One path with its methods."""

    def __init__(self, context: ApiContext, methods: Methods) -> None:
        self._context = context
        self._methods = methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        response = await (self._answer(request) if self._context.limits is None else self._counted(request))
        await response(scope, receive, send)

    async def _counted(self, request: Request) -> Response:
        """The answer within the limit of the caller's key; who is not recognised is told so by the endpoint."""
        limits = self._context.limits
        assert limits is not None  # noqa: S101 - asked for only with them
        try:
            caller = await authenticate(self._context.store.accounts, request.headers.get("authorization"))
            standing = await limits.count(caller.key_id)
        except (Refusal, StoreUnavailable):
            # With the database away nothing can be counted, and the endpoint says what it can.
            return await self._answer(request)
        response = await self._answer(request) if standing.wait is None else problem(standing.refusal())
        response.headers.update(standing.headers)
        return response

    def _no_such_method(self, method: str) -> Response:
        allowed = ", ".join(self._methods)
        refusal = Refusal(Code.METHOD_NOT_ALLOWED, f"{method} is not possible here, only {allowed}.")
        return problem(refusal, headers={"allow": allowed})

    async def _answer(self, request: Request) -> Response:
        operation = self._methods.get(request.method)
        if operation is None:
            return self._no_such_method(request.method)
        try:
            if request.scope["query_string"]:
                operation.check_query(request.query_params)
            return await operation.endpoint(self._context, request)
        except Refusal as refusal:
            return problem(refusal)
        except TooLarge:
            detail = f"The body is larger than {self._context.max_body:,} bytes."
            return problem(Refusal(Code.BAD_REQUEST, detail, "/"), status=413, headers={"connection": "close"})
        except StoreUnavailable as error:
            logger.warning("the store did not answer", action="store_unavailable", reason=str(error))
            detail = "The database cannot be reached. Whether this request took effect is not known."
            return problem(Refusal(Code.SERVICE_UNAVAILABLE, detail), headers=_retry_headers(request))
        except Exception:
            logger.exception("a request failed", action="internal_fault", method=request.method, path=request.url.path)
            detail = "Something went wrong on our side; the log of the server has the cause."
            return problem(Refusal(Code.UNEXPECTED, detail), headers=_retry_headers(request))


def _retry_headers(request: Request) -> Mapping[str, str] | None:
    """A repeated POST would send twice; GET and DELETE may be repeated."""
    return DO_NOT_RETRY if request.method == "POST" else None


async def _unknown_route(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        return
    detail = f"There is nothing at {scope['path'][:100]}."
    await problem(Refusal(Code.NOT_FOUND, detail, "/"))(scope, receive, send)


async def _description(_request: Request) -> Response:
    return Response(_described(), media_type=JSON)


@cache
def _described() -> bytes:
    """Made at the first request for it, once: nobody else pays for it."""
    version = metadata.version("heliograph")
    return encode(describe(RESOURCES, PREFIX, sandbox.RESOURCES, version))
