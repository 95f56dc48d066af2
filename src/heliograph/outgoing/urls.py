"""Which URLs are called: read strictly, before anything is looked up."""

from ipaddress import IPv4Address
from re import ASCII
from re import compile as regex

from yarl import URL

from heliograph.outgoing.interface import refusal

LONGEST_AUTHORITY = 253 + len(":65535")
"""Characters of the longest name that DNS can carry (RFC 1035, 2.3.4) and a port."""

_CONTROL = regex(r"[\x00-\x20\x7f]")
_URL = regex(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?:[/?#].*)?", ASCII)
_HOST = regex(r"(?:\[[0-9A-Fa-f:.]+\]|[^\[\]:@\\%]+)(?::[0-9]{0,5})?", ASCII)
# A host of which the last label is a number is an IPv4 address, in whatever way it is written (WHATWG URL, 3.5).
_NUMERIC = regex(r"(?:.*\.)?(?:[0-9]+|0[xX][0-9A-Fa-f]*)\.?", ASCII)


def read_url(text: str) -> URL:
    """The URL to call. Raises `OutgoingFailure` for one that is not plain http or https to a host and a port.

    Stricter than the parser behind it, which drops tabs and line breaks and an empty user name: nothing that two
    programs could read in two ways is called. The host's address is judged later.
    """
    if _CONTROL.search(text):
        raise refusal("The URL holds a space or a control character.")
    parts = _URL.fullmatch(text)
    if parts is None or parts["scheme"].lower() not in {"http", "https"}:
        raise refusal("The URL does not begin with http:// or https://.")
    if "@" in parts["authority"]:
        raise refusal("The URL holds a user name or a password.")
    if len(parts["authority"]) > LONGEST_AUTHORITY:
        raise refusal("The URL names a host longer than a name can be.")
    try:
        url = URL(text)
        host, port = url.raw_host, url.port
    except ValueError as error:
        raise refusal("The URL names no host that can be called.") from error
    if not host or not port or _HOST.fullmatch(parts["authority"]) is None:
        raise refusal("The URL names no host that can be called, or no port.")
    if _NUMERIC.fullmatch(host) and not _is_dotted_quad(host):
        raise refusal("The URL holds an IPv4 address that is not written as four decimal numbers.")
    return url


def _is_dotted_quad(host: str) -> bool:
    try:
        IPv4Address(host)
    except ValueError:
        return False
    return True
