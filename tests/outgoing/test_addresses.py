"""The guarded HTTP client: which addresses are dialled, and which never."""

import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.domain.delivery import Fault
from heliograph.outgoing import OutgoingFailure
from heliograph.outgoing.client import Guard, _few
from heliograph.outgoing.urls import read_url
from tests.outgoing.endpoints import (
    ANY_HOST,
    OK,
    OTHER_HOME,
    STRICT,
    Endpoint,
    client,
    endpoint,
    failure,
    leads_to,
    post,
    says_and_hangs_up,
)

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
    monkeypatch.setattr("heliograph.outgoing.client.NAME_KEPT", 0)
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
    few = _few(addresses)
    assert few == [*addresses[:4], *addresses[200:204]]
