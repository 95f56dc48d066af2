"""The guarded HTTP client against real servers on this machine, hostile ones above all.

Where a test needs an address that is permitted beside one that is not, 127.0.0.2 is allowed and 127.0.0.1 is not.
"""

import asyncio
import gzip
import socket
import ssl
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from ipaddress import ip_network
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from heliograph import outgoing
from heliograph.domain.delivery import Fault
from heliograph.domain.instant import MILLISECOND, SECOND
from heliograph.outgoing import Guard, HttpAnswer, OutgoingFailure, OutgoingHttp, OutgoingOptions, read_url

LOCAL = OutgoingOptions(loopback=True, connect=10 * SECOND, largest_answer=1000)
STRICT = OutgoingOptions()
OTHER_HOME = OutgoingOptions(allow=(ip_network("127.0.0.2/32"),))
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
OPEN_END = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n"

ANY_HOST = "0.0.0.0"  # noqa: S104 - that it leads here is what is tested

Play = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Endpoint:
    """A server that reads requests and plays what it is told after each; counts its connections."""

    def __init__(self, play: Play, port: int) -> None:
        self.port = port
        self.connections = 0
        self.requests: list[bytes] = []
        self.asked = asyncio.Event()
        self.left = asyncio.Event()
        """A connection came to its end."""
        self._play = play
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            while not writer.is_closing():
                self.requests.append(await self._request(reader))
                self.asked.set()
                await self._play(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the other side left, or the test is over
        finally:
            self.left.set()
            writer.close()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @staticmethod
    async def _request(reader: asyncio.StreamReader) -> bytes:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        return head + await reader.readexactly(int(length.partition(b":")[2]))


def says(*parts: bytes) -> Play:
    """Sends this."""

    async def play(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.writelines(parts)
        await writer.drain()

    return play


def says_and_hangs_up(data: bytes) -> Play:
    async def play(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        writer.close()

    return play


def says_and_resets(data: bytes) -> Play:
    """Sends this, then ends the connection with a RST."""

    async def play(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        linger = (1).to_bytes(4, sys.byteorder) + bytes(4)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()

    return play


def says_and_hangs(data: bytes) -> Play:
    """Sends this, and nothing more until the other side leaves."""

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await reader.read()
        writer.close()

    return play


def floods(head: bytes, piece: bytes) -> Play:
    """Sends `piece` for as long as it is taken."""

    async def play(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(piece)
            await writer.drain()

    return play


def drips(head: bytes, drop: bytes) -> Play:
    """Sends `drop` fifty times a second until the other side leaves."""

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        gone = asyncio.ensure_future(reader.read())
        while not gone.done():
            writer.write(drop)
            await asyncio.wait({gone}, timeout=0.02)
        await gone
        writer.close()

    return play


ANSWERS = says(OK)


@asynccontextmanager
async def endpoint(
    play: Play = ANSWERS, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Endpoint]:
    place = Endpoint(play, port)
    server = await asyncio.start_server(place.serve, host, port, ssl=tls)
    place.port = server.sockets[0].getsockname()[1]
    async with server:
        yield place
        await place.close()


@asynccontextmanager
async def client(options: OutgoingOptions = LOCAL, **named: Any) -> AsyncIterator[OutgoingHttp]:
    http = OutgoingHttp(options, **named)
    await http.start()
    try:
        yield http
    finally:
        await http.stop()


async def post(
    http: OutgoingHttp, url: str, within: int = 20 * SECOND, headers: Mapping[str, str] | None = None
) -> HttpAnswer:
    sent = {"Content-Type": "application/json", **(headers or {})}
    return await http.post(url, b'{"a":1}', sent, timeout=within)


async def failure(http: OutgoingHttp, url: str, within: int = 20 * SECOND) -> OutgoingFailure:
    with pytest.raises(OutgoingFailure) as caught:
        await post(http, url, within)
    return caught.value


async def fault_of(play: Play) -> OutgoingFailure:
    async with endpoint(play) as place, client() as http:
        return await failure(http, place.url)


def leads_to(*addresses: str) -> Callable[[str], Sequence[str]]:
    return lambda _host: addresses


# ------------------------------------------------------------------------------------------------ what is never dialled

LITERALS = [
    "127.0.0.1",
    "127.255.255.254",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[::ffff:0:127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::]",
    "[fe80::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[fec0::1]",
    "[ff02::1]",
    "[2001:db8::1]",
    "[4000::1]",
    "[64:ff9b::168.63.129.16]",
    "[2002:a83f:8110::]",
    ANY_HOST,
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.2.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "①②⑦.0.0.1",
    "127。0。0。1",
    "127.0.0．1",
]
WAYS_TO_WRITE = [
    "127.1",
    "127.0.1",
    "2130706433",
    "017700000001",
    "0177.0.0.1",
    "0x7f000001",
    "0x7f.1",
    "127.0.0.0x1",
    "127.0.0.01",
    "127.0.0.1.",
    "127.0.0.256",
    "0",
    "0x",
    "8.8.8.8.8",
    "example.1",
]
STRANGE = [
    "http://user@127.0.0.1:{port}/",
    "http://user:word@127.0.0.1:{port}/",
    "http://@127.0.0.1:{port}/",
    "http://:@127.0.0.1:{port}/",
    "http://example.com@127.0.0.1:{port}/",
    "http://example.com\\@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}\\.example.com/",
    "http://127.0.0.1:{port}:80/",
    "http://[::1%25lo]:{port}/",
    "http://[::1%lo]:{port}/",
    "http://[127.0.0.1]:{port}/",
    "http://[v1.localhost]:{port}/",
    "http://::1:{port}/",
    "http://[::1:{port}/",
    "http://%31%32%37.0.0.1:{port}/",
    "http://127.0.0.1:0/",
    "http://127.0.0.1:65536/",
    "http://127.0.0.1:-1/",
    "http://127.0.0.1:+{port}/",
    "http://127.0.0.1:٣/",
    "http://127.0.0.1\t:{port}/",
    "http://127.0.0.1:{port}/a b",
    "http://127.0.0.1:{port}/\r\nX-Header: a",
    "http://127.0.0.1:{port}/\x00",
    " http://127.0.0.1:{port}/",
    "http://\u2028/",
    "http://\ud800/",
    "http:///path",
    "http://",
    "http://:{port}/",
    "http:127.0.0.1:{port}",
    "http:/127.0.0.1:{port}/",
    "//127.0.0.1:{port}/",
    "127.0.0.1:{port}/",
    "",
    "file:///etc/passwd",
    "ftp://127.0.0.1:{port}/",
    "gopher://127.0.0.1:{port}/_x",
    "ws://127.0.0.1:{port}/",
    "unix:///run/docker.sock",
    "javascript:alert(1)",
    "httpx://127.0.0.1:{port}/",
    "http://" + "a" * 300 + "/",
    "http://" + "ä" * 50_000 + "/",
]


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


HAS_IPV6 = _has_ipv6()


@asynccontextmanager
async def whole_machine() -> AsyncIterator[Sequence[Endpoint]]:
    """Listens at every address of this machine, IPv4 and, where there is any, IPv6, on one port."""
    async with endpoint(host=ANY_HOST) as four:
        if not HAS_IPV6:
            yield [four]
            return
        async with endpoint(host="::", port=four.port) as six:
            yield [four, six]


@pytest.mark.parametrize("host", [*LITERALS, *WAYS_TO_WRITE, "localhost", "LOCALHOST", "ｌocalhost"], ids=ascii)
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_an_address_that_is_not_public_is_refused_and_not_dialled(scheme: str, host: str) -> None:
    async with whole_machine() as places, client(STRICT) as http:
        refused = await failure(http, f"{scheme}://{host}:{places[0].port}/hook")
        assert refused.fault is Fault.REFUSED_ADDRESS, refused.detail
        assert [place.connections for place in places] == [0] * len(places)


@pytest.mark.parametrize("host", ["localhost.", "localhost..", "a..b", "x" * 64 + ".example"], ids=ascii)
async def test_a_name_bent_out_of_shape_reaches_nothing(host: str) -> None:
    """Whether `localhost.` is a name is the system's to say; it does not lead here either way."""
    async with whole_machine() as places, client(STRICT) as http:
        refused = await failure(http, f"http://{host}:{places[0].port}/hook")
        assert refused.fault in {Fault.REFUSED_ADDRESS, Fault.NO_NAME}
        assert [place.connections for place in places] == [0] * len(places)


@pytest.mark.parametrize("url", STRANGE, ids=lambda url: ascii(url)[:40])
async def test_a_url_that_could_be_read_in_two_ways_is_refused_where_even_loopback_is_open(url: str) -> None:
    async with endpoint() as place, client() as http:
        refused = await failure(http, url.replace("{port}", str(place.port)))
        assert refused.fault is Fault.REFUSED_ADDRESS
        assert place.connections == 0


@pytest.mark.parametrize(
    ("url", "detail"),
    [
        ("http://a:b@example.com/", "The URL holds a user name or a password."),
        ("ftp://example.com/", "The URL does not begin with http:// or https://."),
        ("http://example.com/\n", "The URL holds a space or a control character."),
        ("http://example.com:0/", "The URL names no host that can be called, or no port."),
        ("http://127.1/", "The URL holds an IPv4 address that is not written as four decimal numbers."),
        ("http://127.0.0.1/", "The host is at an address that may not be called."),
    ],
)
async def test_a_refusal_says_what_is_wrong(url: str, detail: str) -> None:
    async with client(STRICT) as http:
        assert (await failure(http, url)).detail == detail


@pytest.mark.parametrize("address", [*(host.strip("[]") for host in LITERALS if host.isascii()), "2606:4700::1%lo"])
async def test_a_name_that_leads_to_such_an_address_is_refused_without_telling_the_address(address: str) -> None:
    async with whole_machine() as places, client(STRICT, look_up=leads_to(address)) as http:
        refused = await failure(http, f"http://hooks.example:{places[0].port}/hook")
        assert (refused.fault, refused.detail) == (
            Fault.REFUSED_ADDRESS,
            "The name hooks.example leads to an address that may not be called.",
        )
        assert [place.connections for place in places] == [0] * len(places)


async def test_what_a_resolver_gives_that_is_no_address_is_not_looked_up_again() -> None:
    async with client(look_up=leads_to("localhost")) as http:
        assert (await failure(http, "http://hooks.example/")).fault is Fault.REFUSED_ADDRESS


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1", "::ffff:8.8.8.8", "64:ff9b::808:808", "172.32.0.1"])
def test_a_public_address_is_permitted(address: str) -> None:
    assert Guard(STRICT).permits(address)


@given(st.ip_addresses(v=4))
def test_an_address_is_judged_alike_in_every_wrapping(address: object) -> None:
    guard = Guard(STRICT)
    assert guard.permits(f"::ffff:{address}") == guard.permits(f"64:ff9b::{address}") == guard.permits(str(address))


def test_a_guard_that_is_asked_for_a_socket_to_a_refused_address_makes_none() -> None:
    info = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 80))
    with pytest.raises(OutgoingFailure) as caught:
        Guard(STRICT).socket(info)
    assert caught.value.fault is Fault.REFUSED_ADDRESS


def test_the_longest_name_can_be_called() -> None:
    host = ".".join(["a" * 62] * 4)
    assert read_url(f"https://{host}:65535/").host == host


async def test_a_name_that_changes_its_address_is_judged_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing, "NAME_KEPT", 0)
    addresses = iter(["127.0.0.2", "127.0.0.1"])
    goodbye = says_and_hangs_up(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    async with (
        endpoint() as forbidden,
        endpoint(goodbye, host="127.0.0.2", port=forbidden.port) as permitted,
        client(OTHER_HOME, look_up=lambda _host: [next(addresses)]) as http,
    ):
        url = f"http://rebinding.example:{permitted.port}/"
        assert (await post(http, url)).status == 200
        assert (await failure(http, url)).fault is Fault.REFUSED_ADDRESS
        assert (permitted.connections, forbidden.connections) == (1, 0)


BOTH = [("127.0.0.2", "127.0.0.1"), ("127.0.0.1", "127.0.0.2")]


@pytest.mark.parametrize("addresses", BOTH)
async def test_there_is_no_falling_back_to_a_refused_address(addresses: tuple[str, ...]) -> None:
    async with endpoint() as forbidden, client(OTHER_HOME, look_up=leads_to(*addresses)) as http:
        assert (await failure(http, f"http://both.example:{forbidden.port}/")).fault is Fault.NO_CONNECTION
        assert forbidden.connections == 0


@pytest.mark.parametrize("addresses", BOTH)
async def test_a_refused_address_does_not_close_the_permitted_one_beside_it(addresses: tuple[str, ...]) -> None:
    async with (
        endpoint() as forbidden,
        endpoint(host="127.0.0.2", port=forbidden.port) as permitted,
        client(OTHER_HOME, look_up=leads_to(*addresses)) as http,
    ):
        assert (await post(http, f"http://both.example:{permitted.port}/")).status == 200
        assert (permitted.connections, forbidden.connections) == (1, 0)


@pytest.mark.parametrize("host", ["127.0.0.2", "[::ffff:127.0.0.2]"])
async def test_an_allowed_network_is_open(host: str) -> None:
    async with endpoint(host="127.0.0.2") as place, client(OTHER_HOME) as http:
        assert (await post(http, f"http://{host}:{place.port}/")).status == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.3", "[::1]", "[64:ff9b::127.0.0.2]", "10.0.0.2"])
async def test_an_allowed_network_opens_nothing_else(host: str) -> None:
    async with whole_machine() as places, client(OTHER_HOME) as http:
        assert (await failure(http, f"http://{host}:{places[0].port}/")).fault is Fault.REFUSED_ADDRESS
        assert [place.connections for place in places] == [0] * len(places)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "localhost", *(["[::1]"] if HAS_IPV6 else [])])
async def test_where_loopback_is_open_this_machine_can_be_called(host: str) -> None:
    async with whole_machine() as places, client() as http:
        assert (await post(http, f"http://{host}:{places[0].port}/")).status == 200


@pytest.mark.parametrize("host", ["10.0.0.1", "169.254.169.254", ANY_HOST, "[fe80::1]"])
async def test_where_loopback_is_open_nothing_else_is(host: str) -> None:
    async with whole_machine() as places, client() as http:
        assert (await failure(http, f"http://{host}:{places[0].port}/")).fault is Fault.REFUSED_ADDRESS


def test_of_a_long_list_of_addresses_only_the_first_are_dialled() -> None:
    addresses = [f"8.8.8.{n}" for n in range(200)] + [f"2606:4700::{n}" for n in range(200)]
    few = outgoing._few(addresses)
    assert few == [*addresses[:4], *addresses[200:204]]


# ------------------------------------------------------------------------------------------------------ what is sent


async def test_a_post_arrives_as_it_was_given() -> None:
    async with endpoint() as place, client() as http:
        await post(http, place.url + "a%2Fb?c=d#e", headers={"X-One": "1"})
        head, _, body = place.requests[0].partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        assert lines[0] == "POST /a%2Fb?c=d HTTP/1.1"
        assert {"X-One: 1", "Content-Type: application/json", f"Host: 127.0.0.1:{place.port}"} <= set(lines)
        assert body == b'{"a":1}'


async def test_an_empty_post_says_that_it_is_empty() -> None:
    async with endpoint() as place, client() as http:
        await http.post(place.url, b"", {}, timeout=20 * SECOND)
        assert b"Content-Length: 0\r\n" in place.requests[0]


async def test_an_answer_is_told_whole() -> None:
    said = b"HTTP/1.1 418 Teapot\r\nX-A: 1\r\nx-a: \xe4\r\nContent-Length: 3\r\n\r\nabc"
    async with endpoint(says(said)) as place, client() as http:
        answer = await post(http, place.url)
    assert answer == HttpAnswer(418, (("X-A", "1"), ("x-a", "ä"), ("Content-Length", "3")), b"abc", cut=False)


async def test_nothing_compressed_is_asked_for_and_no_version_is_told() -> None:
    async with endpoint() as place, client() as http:
        await post(http, place.url)
        assert {b"Accept-Encoding: identity", b"User-Agent: Heliograph"} <= set(place.requests[0].split(b"\r\n"))


async def test_the_caller_may_name_another_user_agent() -> None:
    async with endpoint() as place, client() as http:
        await post(http, place.url, headers={"user-agent": "Tester"})
        assert place.requests[0].lower().count(b"user-agent:") == 1


async def test_a_header_with_a_line_break_is_the_callers_mistake_and_sends_nothing() -> None:
    async with endpoint() as place, client() as http:
        with pytest.raises(ValueError, match="header"):
            await post(http, place.url, headers={"X-A": "1\r\nX-B: 2"})
        assert place.requests == []


async def test_cookies_are_not_kept() -> None:
    async with endpoint(says(OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: a=b\r\n\r\n"))) as place, client() as http:
        for _ in range(2):
            await post(http, place.url)
        assert b"cookie" not in place.requests[1].lower()


async def test_a_proxy_named_by_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with endpoint() as proxy, endpoint() as place, client() as http:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        await post(http, place.url)
        assert (proxy.connections, place.connections) == (0, 1)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer(status: int) -> None:
    async with endpoint() as target:
        head = f"HTTP/1.1 {status} Elsewhere\r\nLocation: {target.url}\r\nContent-Length: 0\r\n\r\n"
        async with endpoint(says(head.encode())) as place, client() as http:
            assert (await post(http, place.url)).status == status
        assert target.connections == 0


# -------------------------------------------------------------------------------------------------- hostile answers


@pytest.mark.parametrize(("size", "cut"), [(0, False), (999, False), (1000, False), (1001, True), (70_000, True)])
async def test_so_much_of_a_body_is_read_and_no_more(size: int, cut: bool) -> None:
    said = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size
    async with endpoint(says(said)) as place, client() as http:
        answer = await post(http, place.url)
    assert (answer.status, len(answer.body), answer.cut) == (200, min(size, 1000), cut)


@pytest.mark.parametrize("head", [OPEN_END, b"HTTP/1.1 200 OK\r\n\r\n"], ids=["length", "until the end"])
async def test_an_endless_body_costs_little_memory_and_is_hung_up_on(head: bytes) -> None:
    async with endpoint(floods(head, b"x" * 65536)) as place, client() as http:
        tracemalloc.start()
        try:
            answer = await post(http, place.url)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert answer.cut
        assert peak < 2_000_000
        await place.left.wait()


async def test_a_connection_with_a_cut_answer_is_not_used_again() -> None:
    async with endpoint(says(OPEN_END + b"x" * 5000)) as place, client() as http:
        for _ in range(2):
            assert (await post(http, place.url)).cut
        assert place.connections == 2


async def test_what_is_compressed_stays_so() -> None:
    bomb = gzip.compress(bytes(100_000))
    said = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb) + bomb
    async with endpoint(says(said)) as place, client() as http:
        answer = await post(http, place.url)
    assert (answer.body, answer.cut) == (bomb, False)


@pytest.mark.parametrize("play", [drips(OPEN_END, b"x"), says_and_hangs(OPEN_END + b"x")], ids=["drip", "silence"])
async def test_a_body_that_does_not_end_is_cut_at_the_time_out(play: Play) -> None:
    async with endpoint(play) as place, client() as http:
        answer = await post(http, place.url, 300 * MILLISECOND)
        assert (answer.status, answer.body[:1], answer.cut) == (200, b"x", True)
        await place.left.wait()


@pytest.mark.parametrize(
    "play",
    [
        says_and_hangs(b""),
        says_and_hangs(b"HTTP/1.1 200 OK\r\nX-A: "),
        drips(b"HTTP/1.1 200 OK\r\nX-A: ", b"x"),
        drips(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    ],
    ids=["silence", "half a head", "drip", "hints"],
)
async def test_a_head_that_does_not_end_is_no_answer_after_the_time_out(play: Play) -> None:
    async with endpoint(play) as place, client() as http:
        ended = await failure(http, place.url, 300 * MILLISECOND)
        assert (ended.fault, ended.detail) == (Fault.OTHER, "No answer within 0.3 seconds.")
        await place.left.wait()


@pytest.mark.parametrize(
    "garbage",
    [
        b"220 mail.example ESMTP\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-A: " + b"x" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-A: x\r\n" * 1000 + b"\r\n",
        b"\x00" * 1000,
    ],
    ids=lambda garbage: ascii(garbage[:40]),
)
async def test_what_is_not_http_is_no_answer(garbage: bytes) -> None:
    ended = await fault_of(says(garbage))
    assert (ended.fault, ended.detail) == (Fault.OTHER, "What 127.0.0.1 answered could not be read as HTTP.")


@pytest.mark.parametrize("end", [says_and_hangs_up, says_and_resets])
@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nX-A"], ids=["before", "within"])
async def test_a_connection_that_ends_before_the_head_does_is_no_answer(
    end: Callable[[bytes], Play], said: bytes
) -> None:
    ended = await fault_of(end(said))
    assert (ended.fault, ended.detail) == (
        Fault.OTHER,
        "The connection to 127.0.0.1 was closed before an answer came.",
    )


async def test_a_body_that_ends_early_is_cut() -> None:
    async with endpoint(says_and_hangs_up(OPEN_END + b"abc")) as place, client() as http:
        answer = await post(http, place.url)
    assert (answer.status, answer.body, answer.cut) == (200, b"abc", True)


async def test_a_connection_made_over_to_another_protocol_is_not_used_again() -> None:
    upgrade = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"
    async with endpoint(says(upgrade)) as place, client() as http:
        for _ in range(2):
            assert (await post(http, place.url, 300 * MILLISECOND)).status == 101
        assert place.connections == 2


async def test_an_answer_sent_ahead_of_its_request_is_not_taken_for_one() -> None:
    async with endpoint(says(OK + OK.replace(b"200", b"299"))) as place, client() as http:
        for _ in range(2):
            assert (await post(http, place.url)).status == 200
        assert place.connections == 2


# ------------------------------------------------------------------------------------------------ names and connections


async def test_where_nobody_listens_there_is_no_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with client() as http:
        ended = await failure(http, f"http://127.0.0.1:{port}/")
    assert (ended.fault, ended.detail) == (Fault.NO_CONNECTION, "No connection to 127.0.0.1 could be made.")


def _no_name(host: str) -> Sequence[str]:
    raise socket.gaierror(socket.EAI_NONAME, "not known")


def _unpronounceable(host: str) -> Sequence[str]:
    raise UnicodeError("label too long")


@pytest.mark.parametrize("look_up", [_no_name, _unpronounceable, leads_to()])
async def test_a_name_without_an_address_is_told_as_such(look_up: outgoing.LookUp) -> None:
    async with client(look_up=look_up) as http:
        ended = await failure(http, "http://hooks.example/")
    assert ended.fault is Fault.NO_NAME
    assert "hooks.example" in ended.detail


async def test_a_name_that_is_not_resolved_in_the_time_for_connections_is_no_connection() -> None:
    held = threading.Event()
    options = OutgoingOptions(connect=200 * MILLISECOND)
    async with client(options, look_up=lambda _host: [str(held.wait())]) as http:
        ended = await failure(http, "http://hooks.example/")
    held.set()
    assert ended.fault is Fault.NO_CONNECTION


async def test_a_name_is_tried_at_its_next_address() -> None:
    async with endpoint() as place, client(look_up=leads_to("127.0.0.2", "127.0.0.1")) as http:
        assert (await post(http, f"http://hooks.example:{place.port}/")).status == 200


async def test_two_posts_share_a_connection() -> None:
    async with endpoint() as place, client() as http:
        for _ in range(2):
            await post(http, place.url)
        assert (len(place.requests), place.connections) == (2, 1)


async def test_a_kept_connection_that_the_server_closed_costs_no_delivery() -> None:
    async with endpoint(says_and_hangs_up(OK)) as place, client() as http:
        for number in range(1, 20):
            assert (await post(http, place.url)).status == 200
            await place.left.wait()
            place.left.clear()
            assert place.connections == number


@pytest.mark.parametrize("end", [says_and_hangs_up(b""), says_and_resets(b"")], ids=["end", "reset"])
async def test_what_was_sent_on_a_kept_connection_is_never_sent_twice(end: Play) -> None:
    plays = [ANSWERS, end, ANSWERS]
    async with endpoint(lambda reader, writer: plays.pop(0)(reader, writer)) as place, client() as http:
        assert (await post(http, place.url)).status == 200
        assert (await failure(http, place.url)).fault is Fault.OTHER
        assert (len(place.requests), place.connections) == (2, 1)


async def test_a_post_that_hangs_holds_up_no_other() -> None:
    async with endpoint(says_and_hangs(b"")) as deaf, endpoint() as place, client() as http:
        hanging = [asyncio.create_task(post(http, deaf.url)) for _ in range(150)]
        await deaf.asked.wait()
        assert (await post(http, place.url)).status == 200
        assert not any(task.done() for task in hanging)
        for task in hanging:
            task.cancel()
        ended = await asyncio.gather(*hanging, return_exceptions=True)
        assert {type(error) for error in ended} == {asyncio.CancelledError}


async def test_a_dead_name_server_holds_up_no_other_name() -> None:
    held = threading.Event()

    def look_up(host: str) -> Sequence[str]:
        return ["127.0.0.1"] if host == "alive.example" or held.wait() else []

    async with endpoint() as place, client(look_up=look_up) as http:
        dead = [
            asyncio.create_task(failure(http, f"http://n{n}.dead.test:{place.port}/", 300 * MILLISECOND))
            for n in range(2 * outgoing.LOOK_UPS)
        ]
        assert {ended.fault for ended in await asyncio.gather(*dead)} == {Fault.OTHER}
        assert (await post(http, f"http://alive.example:{place.port}/")).status == 200
        held.set()


async def test_a_place_for_look_ups_is_given_back_when_the_look_up_ends() -> None:
    held = threading.Event()

    def look_up(host: str) -> Sequence[str]:
        held.wait()
        return ["127.0.0.1"]

    names = [f"n{n}.slow.test" for n in range(3 * outgoing.LOOK_UPS_OF_A_DOMAIN)]
    async with endpoint() as place, client(look_up=look_up) as http:
        posts = [asyncio.create_task(post(http, f"http://{name}:{place.port}/")) for name in names]
        held.set()
        assert {answer.status for answer in await asyncio.gather(*posts)} == {200}


async def test_a_failure_of_the_resolver_itself_reaches_the_caller_and_keeps_no_place() -> None:
    def broken(host: str) -> Sequence[str]:
        raise LookupError(host)

    async with client(look_up=broken) as http:
        for _ in range(2 * outgoing.LOOK_UPS_OF_A_DOMAIN):
            with pytest.raises(LookupError):
                await post(http, "http://hooks.example/")


async def test_where_no_thread_can_be_had_the_name_is_not_resolved_and_no_place_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with endpoint() as place, client(look_up=leads_to("127.0.0.1")) as http:
        url = f"http://hooks.example:{place.port}/"
        with monkeypatch.context() as scarcity:
            scarcity.setattr(threading.Thread, "start", _no_thread)
            for _ in range(2 * outgoing.LOOK_UPS_OF_A_DOMAIN):
                assert (await failure(http, url)).fault is Fault.NO_NAME
        assert (await post(http, url)).status == 200


def _no_thread(_thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


async def test_a_request_given_up_while_it_waits_for_a_look_up_keeps_no_place() -> None:
    held, asked, loop = threading.Event(), asyncio.Event(), asyncio.get_running_loop()

    def look_up(host: str) -> Sequence[str]:
        loop.call_soon_threadsafe(asked.set)
        held.wait()
        return ["127.0.0.1"]

    names = outgoing._Names(look_up, Guard(LOCAL))
    slow = [f"n{n}.d{n // outgoing.LOOK_UPS_OF_A_DOMAIN}.test" for n in range(2 * outgoing.LOOK_UPS)]
    waiting = [asyncio.create_task(names.resolve(name)) for name in slow]
    await asked.wait()
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    held.set()
    found = await asyncio.gather(*map(names.resolve, slow))
    assert len(found) == len(slow)


# -------------------------------------------------------------------------------------------------------------- TLS


def serving(*names: str, authority: trustme.CA, years: tuple[int, int] = (2020, 2200)) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    begin, end = (datetime(year, 1, 1, tzinfo=UTC) for year in years)
    authority.issue_cert(*names, not_before=begin, not_after=end).configure_cert(context)
    return context


@asynccontextmanager
async def tls_pair(
    play: Play = ANSWERS,
    *,
    names: Sequence[str] = ("hooks.example",),
    years: tuple[int, int] = (2020, 2200),
    trusted: bool = True,
) -> AsyncIterator[tuple[OutgoingHttp, Endpoint, str]]:
    """A client, and a TLS server that it finds under any name."""
    authority = trustme.CA()
    trust = ssl.create_default_context()
    (authority if trusted else trustme.CA()).configure_trust(trust)
    async with (
        endpoint(play, tls=serving(*names, authority=authority, years=years)) as place,
        client(tls=trust, look_up=leads_to("127.0.0.1")) as http,
    ):
        yield http, place, f"https://hooks.example:{place.port}/"


@pytest.mark.parametrize("host", ["hooks.example", "HOOKS.example", "hooks.example."])
async def test_a_server_with_a_good_certificate_is_called_over_tls(host: str) -> None:
    async with tls_pair() as (http, place, _):
        assert (await post(http, f"https://{host}:{place.port}/")).status == 200


@pytest.mark.parametrize(
    ("flaw", "fault"),
    [
        ({"years": (2020, 2021)}, Fault.EXPIRED_CERTIFICATE),
        ({"years": (2199, 2200)}, Fault.BAD_CERTIFICATE),
        ({"names": ("other.example",)}, Fault.WRONG_NAME),
        ({"trusted": False}, Fault.UNTRUSTED_ROOT),
    ],
    ids=["expired", "not yet valid", "wrong name", "untrusted"],
)
async def test_a_certificate_that_does_not_hold_has_its_own_fault_and_nothing_is_sent(
    flaw: dict[str, Any], fault: Fault
) -> None:
    async with tls_pair(**flaw) as (http, place, url):
        ended = await failure(http, url)
        assert (ended.fault, "hooks.example" in ended.detail, place.requests) == (fault, True, [])


async def test_a_certificate_for_a_name_does_not_do_for_an_address() -> None:
    async with tls_pair() as (http, place, _):
        assert (await failure(http, f"https://127.0.0.1:{place.port}/")).fault is Fault.WRONG_NAME


async def test_without_a_context_of_ours_the_system_decides_whom_to_trust() -> None:
    context = serving("127.0.0.1", authority=trustme.CA())
    async with endpoint(tls=context) as place, client() as http:
        assert (await failure(http, f"https://127.0.0.1:{place.port}/")).fault is Fault.UNTRUSTED_ROOT


async def test_a_server_that_speaks_no_tls_is_no_connection() -> None:
    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server, client() as http:
        port = server.sockets[0].getsockname()[1]
        assert (await failure(http, f"https://127.0.0.1:{port}/")).fault is Fault.NO_CONNECTION


def _deaf(listener: socket.socket, context: ssl.SSLContext, said: bytes, left: Callable[[], object]) -> None:
    """Speaks TLS, says this, and answers nothing more, not even the other side's goodbye."""
    connection, _ = listener.accept()
    with context.wrap_socket(connection, server_side=True) as speaking:
        speaking.sendall(said)
        raw = socket.socket(fileno=speaking.detach())
    with raw, suppress(ConnectionResetError):
        while raw.recv(65536):
            pass
    left()


@pytest.mark.parametrize("said", [b"", OPEN_END + b"x" * 5000], ids=["no head", "too large a body"])
async def test_a_deaf_server_over_tls_is_hung_up_on_at_once(said: bytes) -> None:
    """An orderly end of TLS would wait another 30 seconds for the server's part in it."""
    authority, trust, left = trustme.CA(), ssl.create_default_context(), asyncio.Event()
    authority.configure_trust(trust)
    leave = partial(asyncio.get_running_loop().call_soon_threadsafe, left.set)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        context = serving("127.0.0.1", authority=authority)
        threading.Thread(target=_deaf, args=(listener, context, said, leave), daemon=True).start()
        async with client(tls=trust) as http:
            with suppress(OutgoingFailure):
                await post(http, f"https://127.0.0.1:{listener.getsockname()[1]}/", 300 * MILLISECOND)
            async with asyncio.timeout(10):
                await left.wait()


# ---------------------------------------------------------------------------------------------------- start and stop


async def test_it_may_be_started_and_stopped_twice_and_in_any_order() -> None:
    http = OutgoingHttp(LOCAL)
    await http.stop()
    async with endpoint() as place:
        for _ in range(2):
            await http.start()
            await http.start()
            assert (await post(http, place.url)).status == 200
            await http.stop()
            await http.stop()


async def test_a_request_before_the_start_is_a_mistake_of_the_program() -> None:
    with pytest.raises(RuntimeError, match="not started"):
        await post(OutgoingHttp(LOCAL), "http://hooks.example/")


async def test_a_stop_ends_the_requests_under_way() -> None:
    async with endpoint(says_and_hangs(b"")) as place, client() as http:
        hanging = asyncio.create_task(failure(http, place.url))
        await place.asked.wait()
        await http.stop()
        ended = await hanging
    assert (ended.fault, ended.detail) == (Fault.OTHER, "The request was given up because the service stopped.")


async def test_a_stop_does_not_wait_for_a_look_up() -> None:
    held, asked, loop = threading.Event(), asyncio.Event(), asyncio.get_running_loop()

    def look_up(host: str) -> Sequence[str]:
        loop.call_soon_threadsafe(asked.set)
        held.wait()
        return []

    async with client(look_up=look_up) as http:
        hanging = [asyncio.create_task(failure(http, "http://hooks.example/")) for _ in range(2)]
        await asked.wait()
        await http.stop()
        ended = await asyncio.gather(*hanging)
    held.set()
    assert {each.detail for each in ended} == {"The request was given up because the service stopped."}


async def test_a_request_that_is_cancelled_is_cancelled() -> None:
    async with endpoint(says_and_hangs(b"")) as place, client() as http:
        hanging = asyncio.create_task(post(http, place.url))
        await place.asked.wait()
        hanging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hanging
        await place.left.wait()


def test_a_look_up_that_blocks_does_not_keep_the_process_from_leaving() -> None:
    program = """
import asyncio, threading
from heliograph.outgoing import OutgoingFailure, OutgoingHttp, OutgoingOptions

async def main():
    http = OutgoingHttp(OutgoingOptions(), look_up=lambda host: threading.Event().wait())
    await http.start()
    try:
        await http.post("http://hooks.example/", b"", {}, timeout=100_000)
    except OutgoingFailure as failure:
        print(failure.detail)
    await http.stop()

asyncio.run(main())
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert (ended.stdout, ended.stderr) == ("No answer within 0.1 seconds.\n", "")
