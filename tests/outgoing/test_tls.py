"""The guarded HTTP client: TLS."""

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
import trustme

from heliograph.domain.delivery import Fault
from heliograph.domain.instant import MILLISECOND
from heliograph.outgoing import OutgoingFailure, OutgoingHttp
from tests.outgoing.endpoints import (
    ANSWERS,
    OPEN_END,
    Endpoint,
    Play,
    client,
    endpoint,
    failure,
    leads_to,
    post,
)


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
