"""What those who call and the client that does it speak of: what may be reached, what came back, why nothing did."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from heliograph.domain.delivery import Fault
from heliograph.domain.instant import MILLISECOND

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

LookUp = Callable[[str], Sequence[str]]
"""The addresses of a name, as text. Runs on a thread and may block; `OSError` says that there are none."""


@dataclass(frozen=True, slots=True)
class OutgoingOptions:
    """What may be reached, and how much of an answer is read."""

    allow: tuple[Network, ...] = ()
    """Networks that may be reached though they are not public."""
    loopback: bool = False
    """This machine may be reached: for the sandbox."""
    connect: int = 1_500 * MILLISECOND
    """Microseconds for the name, the connection and TLS together; after these it is "no connection"."""
    largest_answer: int = 64 * 1024
    """Bytes of an answer's body that are read; the connection is dropped at the next."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What came back."""

    status: int
    headers: tuple[tuple[str, str], ...]
    """As they stood, in order; read as ISO 8859-1 (RFC 9110, 5.5)."""
    body: bytes
    """Not decompressed, whatever `Content-Encoding` says."""
    cut: bool
    """The body is not whole: it was larger than is read, or the time or the connection ended before it did."""


class OutgoingFailure(Exception):
    """No answer. `detail` says why in a sentence that tells a tenant nothing about this side's network.

    `sent` says that bytes of the request may have left; when it is False, none has. A request without a body is not
    watched, and taken as sent once there was an address to dial.
    """

    def __init__(self, fault: Fault, detail: str, *, sent: bool = False) -> None:
        super().__init__(detail)
        self.fault = fault
        self.detail = detail
        self.sent = sent


def refusal(detail: str) -> OutgoingFailure:
    """Of an address that is not called at all."""
    return OutgoingFailure(Fault.REFUSED_ADDRESS, detail)


def stopped(*, sent: bool) -> OutgoingFailure:
    """Of a request that was under way."""
    return OutgoingFailure(Fault.OTHER, "The request was given up because the service stopped.", sent=sent)
