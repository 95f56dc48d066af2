"""The client itself, on aiohttp: names looked up, addresses vetted, connections kept, answers read."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from threading import Thread
from weakref import WeakValueDictionary

import aiohttp
from aiohttp.abc import AbstractResolver, AbstractStreamWriter, ResolveResult
from aiohttp.connector import Connection
from ssrfguard import DEFAULT_DENIED, AddressTable, Block, Reach
from yarl import URL

from heliograph.clock import monotonic
from heliograph.domain.delivery import Fault
from heliograph.domain.instant import SECOND, duration_text
from heliograph.outgoing.interface import (
    Address,
    HttpAnswer,
    LookUp,
    OutgoingFailure,
    OutgoingOptions,
    refusal,
    stopped,
)
from heliograph.outgoing.urls import read_url

IDLE = 1.5
"""Seconds that a connection is kept for the next request.

Less than the servers known for hanging up early (gunicorn 2, Node.js and uvicorn 5): a request that crosses with the
server's hanging up is lost.
"""

TRIES_UNSENT = 3
"""How often a request is begun of which nothing was written, because the server had hung up on a kept connection."""

NAME_KEPT = 10
"""Seconds that a name's addresses are remembered. They are vetted at each dial all the same."""

LOOK_UPS = 32
"""Look-ups under way at once."""

LOOK_UPS_OF_A_DOMAIN = 4
"""Of those, look-ups of names under one domain: a dead name server keeps this many threads busy, and no more."""

ADDRESSES_OF_A_FAMILY = 4
"""How many of a name's IPv4 and of its IPv6 addresses are dialled: a long list must not make a scanner of us."""

# What is handed out of IPv6 (RFC 4291, 2.4), and what DNS64 makes of public IPv4 addresses (RFC 6052). ssrfguard's
# table names what is special within these, and leaves open what lies beside them.
_IPV6 = (IPv6Network("2000::/3"), IPv6Network("64:ff9b::/96"))
# Beside what is not public: a public address that on Azure is the host's own agent, and hands out credentials.
_AGENT = Block(IPv4Network("168.63.129.16/32"), "Cloud agent (Azure)", "", Reach.DENIED)
_DENIED = AddressTable((*DEFAULT_DENIED.blocks, _AGENT))

# X509_V_ERR_*, openssl/x509_vfy.h; the ssl module gives them no names.
_CERTIFICATE_FAULTS = {
    10: (Fault.EXPIRED_CERTIFICATE, "The certificate of {host} has expired."),
    62: (Fault.WRONG_NAME, "The certificate is not for {host}."),
    64: (Fault.WRONG_NAME, "The certificate is not for {host}."),
    **dict.fromkeys(
        (2, 18, 19, 20, 21, 27), (Fault.UNTRUSTED_ROOT, "The certificate of {host} is from an authority not trusted.")
    ),
}
_BAD_CERTIFICATE = (Fault.BAD_CERTIFICATE, "The certificate of {host} could not be verified.")

# The first that fits.
_FAULTS: tuple[tuple[type[Exception], Fault, str], ...] = (
    (aiohttp.InvalidURL, Fault.REFUSED_ADDRESS, "The URL names no host that can be called."),
    (aiohttp.ConnectionTimeoutError, Fault.NO_CONNECTION, "No connection to {host} came about in time."),
    (aiohttp.ClientSSLError, Fault.NO_CONNECTION, "No TLS connection to {host} could be made."),
    (aiohttp.ClientConnectorError, Fault.NO_CONNECTION, "No connection to {host} could be made."),
    (aiohttp.ClientResponseError, Fault.OTHER, "What {host} answered could not be read as HTTP."),
    (Exception, Fault.OTHER, "The connection to {host} was closed before an answer came."),
)


def system_addresses(host: str) -> Sequence[str]:
    """Ask the system's resolver, /etc/hosts included. Raises `OSError`; `UnicodeError` for what cannot be a name."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [str(address[0]) for *_, address in found]


class Client:
    """An open client: its connections, and what it remembers of names. Made within an event loop, for which it is."""

    def __init__(self, options: OutgoingOptions, tls: ssl.SSLContext | None, look_up: LookUp | None) -> None:
        self._options = options
        self._guard = Guard(options)
        self._tls = tls
        self._look_up = look_up or system_addresses
        self._session = self._open()
        self._closed = False

    async def close(self) -> None:
        """Close all connections; a request under way fails. Look-ups that block are left behind."""
        self._closed = True
        await self._session.close()

    async def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        *,
        timeout: int,  # noqa: ASYNC109 - `asyncio.timeout` around it would lose an answer of which the body drips
        largest: int | None,
        until: int | None,
    ) -> HttpAnswer:
        """As of `OutgoingHttp.request`."""
        target = read_url(url)
        gate = _Gate(until, passed=body is None)
        deadline = asyncio.get_running_loop().time() + timeout / SECOND
        try:
            async with asyncio.timeout_at(deadline):
                response = await _send(self._session, method, target, headers, body, gate)
        except asyncio.CancelledError:
            if _is_cancelled():
                raise
            # Nobody cancelled us: the look-up that we waited for ended with the session.
            raise stopped(sent=gate.passed) from None
        except (aiohttp.ClientError, OSError, RuntimeError) as error:
            given_up = stopped(sent=gate.passed) if self._closed else _failure(error, target, timeout, gate)
            raise given_up from error
        return await self._read(response, deadline, self._options.largest_answer if largest is None else largest)

    def _open(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            resolver=_Names(self._look_up, self._guard),
            socket_factory=self._guard.socket,
            ssl=self._tls or True,
            ttl_dns_cache=NAME_KEPT,
            keepalive_timeout=IDLE,
            limit=0,  # a bound here would let the requests that hang hold up all others
        )
        return aiohttp.ClientSession(
            connector=connector,
            response_class=_Response,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            headers={"User-Agent": "Heliograph", "Accept-Encoding": "identity"},
            timeout=aiohttp.ClientTimeout(connect=self._options.connect / SECOND),
        )

    @staticmethod
    async def _read(response: aiohttp.ClientResponse, deadline: float, largest: int) -> HttpAnswer:
        body = bytearray()
        whole = False
        try:
            async with asyncio.timeout_at(deadline):
                while len(body) <= largest and (chunk := await response.content.readany()):
                    body += chunk
            whole = len(body) <= largest
        except (aiohttp.ClientError, OSError):  # a TimeoutError is an OSError
            pass
        finally:
            if not whole:
                _drop(response.connection)
            response.close()
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in response.raw_headers)
        return HttpAnswer(response.status, headers, bytes(body[:largest]), cut=not whole)


async def _send(
    session: aiohttp.ClientSession,
    method: str,
    target: URL,
    headers: Mapping[str, str],
    body: bytes | None,
    gate: "_Gate",
) -> aiohttp.ClientResponse:
    """Send it once; begin again when a kept connection proved dead before a byte of the request was written."""
    tries = 0
    while True:
        tries += 1
        payload = None if body is None else _Body(body, gate)
        try:
            return await session.request(method, target, data=payload, headers=headers, allow_redirects=False)
        except aiohttp.ClientOSError:
            if payload is None or not payload.unsent or tries == TRIES_UNSENT:
                raise


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _failure(error: Exception, target: URL, timeout: int, gate: "_Gate") -> OutgoingFailure:
    """What a caller is told of `error`."""
    if gate.shut:
        return OutgoingFailure(Fault.OTHER, "The connection came about too late to send anything over it.")
    if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ConnectionTimeoutError):
        return OutgoingFailure(Fault.OTHER, f"No answer within {duration_text(timeout)}.", sent=gate.passed)
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        code = getattr(error.certificate_error, "verify_code", 0)
        fault, detail = _CERTIFICATE_FAULTS.get(code, _BAD_CERTIFICATE)
    else:
        fault, detail = next((fault, detail) for kind, fault, detail in _FAULTS if isinstance(error, kind))
    return OutgoingFailure(fault, detail.format(host=target.raw_host), sent=gate.passed)


def _drop(connection: Connection | None) -> None:
    """Hang up at once: an orderly end of TLS would go on reading what a hostile peer sends, for up to 30 seconds."""
    if connection is not None and connection.transport is not None:
        connection.transport.abort()


class _Gate:
    """What the bytes of a request pass as they leave, at whichever try; shut from a moment of `clock.monotonic`."""

    def __init__(self, until: int | None, *, passed: bool) -> None:
        self._until = until
        self.passed = passed
        self.shut = False

    def enter(self) -> None:
        """Bytes are about to leave. Raises `ClientConnectionError` when they may not."""
        self.shut = self._until is not None and monotonic() >= self._until
        if self.shut:
            raise aiohttp.ClientConnectionError("too late")
        self.passed = True


class _Body(aiohttp.BytesPayload):
    """Knows when nothing of its request was written. Head and body are one write, so it is all or nothing."""

    unsent = False

    def __init__(self, value: bytes, gate: _Gate) -> None:
        super().__init__(value)
        self._gate = gate

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Write head and body."""
        transport = writer.transport
        self.unsent = transport is None or transport.is_closing()
        if not self.unsent:
            self._gate.enter()
        await super().write_with_length(writer, content_length)


class _Response(aiohttp.ClientResponse):
    """Hangs up at once when its head does not come."""

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        """Wait for the head of the answer."""
        try:
            return await super().start(connection)
        except BaseException:
            _drop(connection)
            raise


class Guard:
    """Decides which addresses may be dialled, and makes the sockets that dial them."""

    def __init__(self, options: OutgoingOptions) -> None:
        self._allow = options.allow
        self._loopback = options.loopback

    def permits(self, text: str) -> bool:
        """Whether this is an address, and public, allowed, or a loopback address where these are."""
        try:
            address = ip_address(text)
        except ValueError:
            return False
        if isinstance(address, IPv6Address):
            if address.scope_id is not None:  # it says through which interface, which is not a stranger's to say
                return False
            address = address.ipv4_mapped or address
        if any(address in network for network in self._allow):
            return True
        return self._loopback if address.is_loopback else _is_public(address)

    def socket(self, info: aiohttp.AddrInfoType) -> socket.socket:
        """A socket to connect to the address in `info`. Raises `OutgoingFailure` when it is not permitted."""
        family, kind, protocol, _, address = info
        if not self.permits(str(address[0])):
            raise refusal("The host is at an address that may not be called.")
        return socket.socket(family, kind, protocol)


def _is_public(address: Address) -> bool:
    """Public unicast; of an address that carries another (NAT64, 6to4, Teredo), the one within as well."""
    if isinstance(address, IPv6Address) and not any(address in network for network in _IPV6):
        return False
    return not _DENIED.classify(address).blocked


class _Names(AbstractResolver):
    """Looks names up, each on a thread of its own, and leaves out the addresses that may not be dialled.

    Not the loop's resolver: uvloop has 4 threads for all look-ups. Not an executor: leaving the program would wait
    for its threads, and a look-up can block for half a minute. A place is given back when its thread ends, not when
    nobody waits any more.
    """

    def __init__(self, look_up: LookUp, guard: Guard) -> None:
        self._look_up = look_up
        self._guard = guard
        self._places = asyncio.Semaphore(LOOK_UPS)
        self._domains: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002 - all families are dialled
    ) -> list[ResolveResult]:
        """The addresses to dial. Raises `OutgoingFailure`: there are none, or none is permitted."""
        try:
            found = await self._find(host)
        except (OSError, UnicodeError) as error:
            raise OutgoingFailure(Fault.NO_NAME, f"The name {host} could not be resolved.") from error
        if not found:
            raise OutgoingFailure(Fault.NO_NAME, f"The name {host} has no address.")
        permitted = _few([text for text in found if self._guard.permits(text)])
        if not permitted:
            raise refusal(f"The name {host} leads to an address that may not be called.")
        return [_result(host, port, text) for text in permitted]

    async def close(self) -> None:
        """Nothing: a look-up cannot be stopped, and its thread does not outlive the process."""

    async def _find(self, host: str) -> Sequence[str]:
        places = (self._domains.setdefault(_domain(host), asyncio.Semaphore(LOOK_UPS_OF_A_DOMAIN)), self._places)
        await _take(places)
        found: asyncio.Future[Sequence[str]] = asyncio.get_running_loop().create_future()
        found.add_done_callback(_look_at)
        ended = partial(_end, places, found)
        try:
            Thread(target=self._run, args=(host, found.get_loop(), ended), name="look-up", daemon=True).start()
        except RuntimeError as error:
            ended(None, OSError("no thread to look it up"))
            raise OSError("no thread to look it up") from error
        return await found

    def _run(
        self,
        host: str,
        loop: asyncio.AbstractEventLoop,
        ended: Callable[[Sequence[str] | None, Exception | None], None],
    ) -> None:
        addresses: Sequence[str] | None = None
        failure: Exception | None = None
        try:
            addresses = self._look_up(host)
        except Exception as error:  # noqa: BLE001 - whatever it is, it goes to the one who waits
            failure = error
        with suppress(RuntimeError):  # the loop is closed, and nobody waits
            loop.call_soon_threadsafe(ended, addresses, failure)


async def _take(places: Iterable[asyncio.Semaphore]) -> None:
    """Wait for a place of each."""
    taken: list[asyncio.Semaphore] = []
    try:
        for place in places:
            await place.acquire()
            taken.append(place)
    except BaseException:
        for place in taken:
            place.release()
        raise


def _end(
    places: Iterable[asyncio.Semaphore],
    found: "asyncio.Future[Sequence[str]]",
    addresses: Sequence[str] | None,
    failure: Exception | None,
) -> None:
    for place in places:
        place.release()
    if found.done():
        return
    if failure is not None:
        found.set_exception(failure)
    else:
        found.set_result(addresses or ())


def _look_at(found: "asyncio.Future[Sequence[str]]") -> None:
    """A failure that nobody waits for any more is no news."""
    if not found.cancelled():
        found.exception()


def _domain(host: str) -> str:
    """The last two labels: what one name server usually answers for."""
    return ".".join(host.rstrip(".").rsplit(".", 2)[-2:])


def _few(addresses: Sequence[str]) -> list[str]:
    """The first of each family, in their order."""
    six = [text for text in addresses if ":" in text][:ADDRESSES_OF_A_FAMILY]
    four = [text for text in addresses if ":" not in text][:ADDRESSES_OF_A_FAMILY]
    kept = {*six, *four}
    return [text for text in dict.fromkeys(addresses) if text in kept]


def _result(host: str, port: int, text: str) -> ResolveResult:
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    return ResolveResult(
        hostname=host, host=text, port=port, family=family, proto=socket.IPPROTO_TCP, flags=socket.AI_NUMERICHOST
    )
