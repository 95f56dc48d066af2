"""`/messaging_url_domains`: the domains that links can be shortened to (Contract 6.3, 10)."""

from uuid import NAMESPACE_DNS, uuid5

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from heliograph.api.auth import Caller
from heliograph.api.context import ApiContext
from heliograph.api.operations import PAGE_PARAMETERS, Operation, Resources
from heliograph.api.paging import page_meta, read_page
from heliograph.api.problems import JSON
from heliograph.api.shapes import Data, encode


class UrlDomainBody(Struct):
    """One domain, as `domain` of `url_shortener_settings` takes it; the same id wherever it is set up."""

    id: str
    url_domain: str
    use_case: str = "short_links"
    record_type: str = "messaging_url_domain"


async def index(context: ApiContext, request: Request) -> Response:
    """`GET /messaging_url_domains`, in the order of the settings: the same for every organisation."""

    async def attempt(caller: Caller, epoch: int) -> None:
        await context.confirm(caller, epoch)

    page = read_page(request.query_params)
    await context.as_caller(request.headers.get("authorization"), attempt)
    domains = context.link_domains
    listed = [url_domain_body(each) for each in domains[page.offset : page.offset + page.size]]
    return Response(encode(Data(listed, page_meta(page, len(domains)))), media_type=JSON)


def url_domain_body(domain: str) -> UrlDomainBody:
    """A domain as it is answered."""
    return UrlDomainBody(str(uuid5(NAMESPACE_DNS, domain)), domain)


RESOURCES: Resources = {
    "/messaging_url_domains": {
        "GET": Operation(index, "List domains of short links", answer=UrlDomainBody, query=PAGE_PARAMETERS, listed=True)
    }
}
"""`/messaging_url_domains`."""
