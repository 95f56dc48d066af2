"""Links in the text of a message, and the short ones that go out in their place (Contract 6.3).

    text --links_in--> links, each with where it stands --shortened--> the text as it goes out

What the caller wrote stays what is read and reported; the short text is what the handset gets. A link is what begins
with `http://` or `https://`. A bare `example.com` is left alone: whether a word with a full stop is a name of the web
is a guess ("See you at 5.Bring cake"), and a text that is changed by a wrong guess cannot be called back.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from re import IGNORECASE
from re import compile as regex
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import msgspec

from heliograph.domain.accounts import Profile, UrlShortener
from heliograph.domain.compose import MAX_URL
from heliograph.domain.errors import Code, Refusal
from heliograph.domain.ids import MessageId, OrganizationId, ProfileId
from heliograph.domain.instant import Instant

SLUG_LENGTH = 10
"""A letter, then 62 choices each: 59 bits, so that nobody finds one by trying. Each character is one of the SMS."""

PUBLIC_SHORTENERS = frozenset(
    {
        # Those that the provider names (S:UrlShortenerSettings) ...
        *("bit.do", "bit.ly", "goo.gl", "ht.ly", "is.gd", "ow.ly", "rebrand.ly", "t.co", "tiny.cc", "tinyurl.com"),
        # ... "for example", and others that are open to everybody.
        *("buff.ly", "cutt.ly", "j.mp", "rb.gy", "shorturl.at", "t.ly", "v.gd"),
    }
)
"""Services that anybody may hide any address behind, which is why carriers block links to them."""

# Neither the controls and marks that cannot be seen, nor what encloses a link in a text, nor CJK punctuation, which
# follows without a space.
_LINK = regex(
    r"(?<![^\W_])https?://[^\s\x00-\x20\x7f-\xa0\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff0-\uffff\ud800-\udfff"
    r"<>\"`{}|\\^\u00ab\u00bb\u2018-\u201f\u3000-\u3002\u3008-\u3011\uff01\uff08\uff09\uff0c\uff1a\uff1b\uff1f]+",
    IGNORECASE,
)
_AFTER = ".,;:!?'*_~\u2026"
"""What ends a sentence or a quotation, not a link."""
_BRACKETS = {")": "(", "]": "["}
_KEPT = "%/:?#[]@!$&'()*+,;=~"
"""What stands in a URL as it is (RFC 3986, 2.2)."""


class Link(NamedTuple):
    """A link in a text, from `start` to before `end`."""

    start: int
    end: int
    url: str


class ShortLink(msgspec.Struct, frozen=True):
    """A link that was replaced for one recipient of one message."""

    slug: str
    organization_id: OrganizationId
    profile_id: ProfileId
    message_id: MessageId
    recipient: str
    url: str
    """As the caller wrote it."""
    send_webhooks: bool
    created_at: Instant


def links_in(text: str, shortener: UrlShortener) -> Sequence[Link]:
    """The links of a text that its profile wants replaced, in order.

    Left alone are links that cannot be led on to (`location`), links to the shortener's own domain, and what is longer
    than 2,000 characters.
    """
    return [each for each in _links(text) if _is_wanted(each.url, shortener)]


def shortened(text: str, links: Sequence[Link], short: Mapping[str, str]) -> str:
    """The text with links replaced by what `short` has for their URLs."""
    pieces, at = [], 0
    for link in links:
        pieces += [text[at : link.start], short[link.url]]
        at = link.end
    return "".join([*pieces, text[at:]])


def short_url(base_url: str, prefix: str, slug: str) -> str:
    """What stands in a message in the place of a link."""
    return "/".join([base_url, *([prefix] if prefix else []), slug])


def base_of(profile: Profile, shortener: UrlShortener, bases: Mapping[str, str]) -> str:
    """The URL that a profile's domain is reached by. Raises a `Refusal` for one that is no longer offered.

    Links to it would lead nowhere, and to send the long ones would not be what the profile says.
    """
    base = bases.get(domain_name(shortener.domain))
    if base is None:
        detail = (
            f"{shortener.domain[:64]}, which messaging profile {profile.id} has its links shortened to, is not set up."
        )
        raise Refusal(Code.INVALID_DOMAIN, detail, "/messaging_profile_id")
    return base


def domain_name(text: str) -> str:
    """A domain as it is looked up: in small letters, without a scheme."""
    return text.lower().removeprefix("https://").removeprefix("http://").rstrip("/")


def location(url: str) -> str:
    """A link as the header `Location` takes it: ASCII alone, host and path encoded as browsers do it.

    Raises `ValueError` for what is no http or https link, or has a user name in it.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc or parts.port == 0:
        raise ValueError("not a link that can be led on to")
    host = parts.netloc if parts.netloc.isascii() else _ascii_host(parts.netloc)
    found = f"{parts.scheme}://{quote(host, safe=_KEPT)}{url[len(f'{parts.scheme}://{parts.netloc}') :]}"
    return quote(found, safe=_KEPT)


def _ascii_host(netloc: str) -> str:
    return netloc.encode("idna").decode("ascii")


def _links(text: str) -> Iterator[Link]:
    for match in _LINK.finditer(text):
        if match.end() - match.start() <= MAX_URL:
            url = _trimmed(match[0])
            yield Link(match.start(), match.start() + len(url), url)


def _trimmed(url: str) -> str:
    """Without what follows a link in running text: punctuation, and brackets that do not open in it."""
    counts = Counter(url)
    end = len(url)
    while end and ((last := url[end - 1]) in _AFTER or (last in _BRACKETS and counts[last] > counts[_BRACKETS[last]])):
        counts[last] -= 1
        end -= 1
    return url[:end]


def _is_wanted(url: str, shortener: UrlShortener) -> bool:
    try:
        location(url)
        parts = urlsplit(url)
    except ValueError:
        return False
    if parts.netloc.lower() == domain_name(shortener.domain):
        return False
    host = (parts.hostname or "").removesuffix(".").removeprefix("www.")
    return not shortener.replace_blacklist_only or host in PUBLIC_SHORTENERS
