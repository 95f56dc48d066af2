"""Domains of short links, and a click, by the provider's Python SDK, unchanged, with both of its clients."""

from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from telnyx.types import MessagingURLDomainListResponse, ReplacedLinkClick, ReplacedLinkClickWebhookEvent

from heliograph.domain.accounts import UrlShortener
from tests.sdk.conftest import Sdk, Service
from tests.webhook_receiver import Receiver
from tests.wire import TO

HOOK = "/hooks"
URL = "https://example.com/offer"


async def test_a_domain_is_listed_and_a_click_through_it_is_told_as_the_sdk_has_it(
    strict_sdk: Sdk, service: Service
) -> None:
    page: Any = await strict_sdk("messaging_url_domains.list", page_number=1, page_size=5)
    (domain,) = page.data
    assert (type(domain), domain.record_type) == (MessagingURLDomainListResponse, "messaging_url_domain")
    assert domain.url_domain == urlsplit(service.base_url).netloc
    with Receiver() as receiver:
        organization, _ = service.accounts.sandbox()
        shortener = UrlShortener(domain.url_domain, send_webhooks=True)
        profile = service.accounts.profile(
            organization, url_shortener_settings=shortener, webhook_url=receiver.url(HOOK)
        )
        sent: Any = await strict_sdk("messages.send", from_=service.accounts.sender(profile), to=TO, text=URL)
        (slug,) = service.accounts.slugs(sent.data.id)
        assert follow(domain.url_domain, slug) == (302, URL)
        service.tester.settle()
        (told,) = [each for each in receiver.at(HOOK) if each.data["record_type"] == "link_clicked"]
    event: Any = strict_sdk.client.webhooks.unsafe_unwrap(told.body.decode())
    assert (type(event), type(event.data)) == (ReplacedLinkClickWebhookEvent, ReplacedLinkClick)
    assert (event.data.message_id, event.data.to, event.data.url) == (sent.data.id, TO.removeprefix("+"), URL)


def follow(domain: str, slug: str) -> tuple[int, str | None]:
    """Where a browser is led."""
    connection = HTTPConnection(domain, timeout=30)
    try:
        connection.request("GET", f"/{slug}")
        response = connection.getresponse()
        return response.status, response.getheader("location")
    finally:
        connection.close()
