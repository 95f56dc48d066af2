"""Short links: what goes out in place of those of a text, and what happens when somebody follows one (Contract 6.3).

    GET /<prefix>/<slug> of a domain of ours --> click on disk --> 302 to what the caller wrote

Only what a caller sent can be led on to: nothing of the request but its slug decides where.
"""

from collections.abc import Collection, Sequence
from re import compile as regex
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from heliograph import randomness
from heliograph.api.context import ApiContext
from heliograph.domain.accounts import Profile
from heliograph.domain.compose import Draft
from heliograph.domain.errors import Code, Refusal
from heliograph.domain.ids import MessageId
from heliograph.domain.instant import Instant
from heliograph.domain.links import (
    SLUG_LENGTH,
    Link,
    ShortLink,
    base_of,
    links_in,
    location,
    short_url,
    shortened,
)
from heliograph.log import get_logger
from heliograph.store.engine import StoreUnavailable
from heliograph.store.links import Click

logger = get_logger("links")

MOST_LINKS = 100
"""In one message; each is a row."""
LONGEST_USER_AGENT = 500
_PATH = regex(rf"/(?:(?P<prefix>[^/]+)/)?(?P<slug>[A-Za-z][A-Za-z0-9]{{{SLUG_LENGTH - 1}}})")
# A click is to be counted each time, and is nobody else's business.
_HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex"}


def shorten(
    context: ApiContext, wanted: Draft, profile: Profile, ids: Sequence[str], now: Instant
) -> tuple[Sequence[str] | None, Sequence[ShortLink]]:
    """The text of a draft as it goes out to each recipient, and the links that stand in it; None for as it is.

    `ids` are those of its messages. Raises a `Refusal`.
    """
    shortener = profile.settings.url_shortener_settings
    if shortener is None:
        return None, ()
    text = wanted.command.text or ""
    found = links_in(text, shortener)
    if not found:
        return None, ()
    if len(found) > MOST_LINKS:
        detail = f"At most {MOST_LINKS} links are replaced in one message, got {len(found)}."
        raise Refusal(Code.TOO_LARGE, detail, "/text")
    base_url = base_of(profile, shortener, context.link_bases)
    texts, links = [], []
    for recipient, message_id in zip(wanted.recipients, ids, strict=True):
        slugs = _slugs(found)
        texts.append(
            shortened(text, found, {url: short_url(base_url, shortener.prefix, slug) for url, slug in slugs.items()})
        )
        links += [
            ShortLink(
                slug=slug,
                organization_id=profile.organization_id,
                profile_id=profile.id,
                message_id=MessageId(message_id),
                recipient=recipient.text,
                url=url,
                send_webhooks=shortener.send_webhooks,
                created_at=now,
            )
            for url, slug in slugs.items()
        ]
    return texts, links


def _slugs(links: Sequence[Link]) -> dict[str, str]:
    """A new slug for each URL."""
    return {each.url: randomness.slug(SLUG_LENGTH) for each in links}


class ShortLinks:
    """Leads those on who follow a short link; everything else goes to the application behind it.

    `names` are what paths of the application begin with: a slug behind one of them that is not known is for it, as the
    two may be served under one name.
    """

    def __init__(self, context: ApiContext, application: ASGIApp, names: Collection[str]) -> None:
        self._context = context
        self._application = application
        self._names = names
        self._hosts = frozenset(context.link_bases)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match = _PATH.fullmatch(scope.get("path", "")) if scope["type"] == "http" else None
        if match is None or scope["method"] not in {"GET", "HEAD"} or not self._is_ours(scope):
            await self._application(scope, receive, send)
            return
        response: ASGIApp | None = await self._answer(match["slug"], scope)
        if response is None:
            known = match["prefix"] in self._names
            response = self._application if known else _page("There is nothing behind this link.", 404)
        await response(scope, receive, send)

    def _is_ours(self, scope: Scope) -> bool:
        host = Headers(scope=scope).get("host", "").lower()
        return host in self._hosts or host.removesuffix(":443").removesuffix(":80") in self._hosts

    async def _answer(self, slug: str, scope: Scope) -> Response | None:
        """Where a link leads, once its click is on disk; None for a slug that is not known."""
        try:
            link = await self._context.store.links.find(slug)
            if link is None:
                return None
            if scope["method"] == "GET":
                await self._context.store.click(self._click(link, Headers(scope=scope).get("user-agent")))
        except StoreUnavailable as error:
            logger.warning("a link could not be followed", action="store_unavailable", reason=str(error))
            return _page("This link cannot be followed now; try again.", 503)
        return Response(status_code=302, headers={"Location": location(link.url), **_HEADERS})

    def _click(self, link: ShortLink, user_agent: str | None) -> Click:
        now = self._context.store.clock.now()
        said = None if user_agent is None else user_agent.replace("\0", "")[:LONGEST_USER_AGENT]
        return Click(randomness.new_id(now), link, now, said)


def link_bases(domains: Sequence[str], scheme: str, own: str | None) -> dict[str, str]:
    """The domains of short links, each with the URL it is reached by; `own` is that of the sandbox itself."""
    found = {each.lower(): f"{scheme}://{each.lower()}" for each in domains}
    if own is not None:
        found.setdefault(urlsplit(own).netloc, own)
    return found


def _page(text: str, status: int) -> Response:
    return PlainTextResponse(f"{text}\n", status, headers=_HEADERS)
