"""The sockets of the scripted SMSC: bad peers, and TLS."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import trustme

from heliograph.carriers.smpp import smsc_connection
from heliograph.carriers.smpp.events import Closed, Reason
from heliograph.carriers.smpp.pdu import (
    BindTransceiver,
    DeliverSm,
    Tag,
    encode,
)
from heliograph.carriers.smpp.smsc import Smsc
from heliograph.carriers.smpp.smsc_connection import server_tls
from heliograph.carriers.smpp.smsc_script import Script
from heliograph.domain.instant import MILLISECOND
from tests.carriers.smpp.esme import asking, bound

Start = Callable[..., Awaitable[Smsc]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts an SMSC with a script."""
    async with AsyncExitStack() as until_end:

        async def started(script: Script | None = None, **options: Any) -> Smsc:
            return await until_end.enter_async_context(Smsc(script, **options))

        yield started


# ------------------------------------------------------------------------------------------------------------ bad peers


async def test_what_is_not_smpp_is_hung_up_on(start: Start) -> None:
    told: list[str] = []
    smsc = await start(tell=told.append)
    reader, writer = await asyncio.open_connection("127.0.0.1", smsc.port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    assert (await reader.read())[4:8] == b"\x80\0\0\0"
    writer.close()
    assert told[-1] == "link 1: ended: what came is not SMPP"


async def stuck_connection(smsc: Smsc) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """One that is bound and reads nothing, with more on its way than any buffer holds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", smsc.port, limit=1)
    writer.write(encode(BindTransceiver("me", "secret"), 1))
    await smsc.wait_bound()
    for _ in range(200):
        smsc.send(DeliverSm(tlvs=((Tag.MESSAGE_PAYLOAD, b"x" * 60_000),)))
    return reader, writer


async def test_who_takes_nothing_is_read_no_more_until_they_do(start: Start) -> None:
    smsc = await start(Script(deliver_window=1_000))
    reader, writer = await stuck_connection(smsc)
    (connection,) = smsc._connections
    assert not connection._transport.is_reading()
    await reader.readexactly(200 * 60_000)
    assert connection._transport.is_reading()
    writer.close()


async def test_who_takes_no_last_bytes_is_hung_up_on(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smsc_connection, "FLUSH_TIME", 0.05)
    smsc = await start(Script(deliver_window=1_000, answer_timeout=50 * MILLISECOND))
    _, writer = await stuck_connection(smsc)
    smsc.unbind_links()
    await smsc.wait_bound(0)
    writer.close()


# ------------------------------------------------------------------------------------------------------------------ TLS


def files_of(authority: trustme.CA, folder: Path, name: str) -> Path:
    """A certificate and its key in one file."""
    authority.issue_cert(name).private_key_and_cert_chain_pem.write_to_path(folder / f"{name}.pem")
    return folder / f"{name}.pem"


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def test_it_speaks_tls(start: Start, tmp_path: Path) -> None:
    authority = trustme.CA()
    smsc = await start(tls=server_tls(files_of(authority, tmp_path, "smsc.example")))
    async with bound(smsc.port, tls=trusting(authority), name="smsc.example") as esme:
        assert (await esme.submit()).status == 0


async def test_a_client_shows_its_certificate(start: Start, tmp_path: Path) -> None:
    authority, clients = trustme.CA(), trustme.CA()
    clients.cert_pem.write_to_path(tmp_path / "clients.pem")
    smsc = await start(tls=server_tls(files_of(authority, tmp_path, "smsc.example"), None, tmp_path / "clients.pem"))
    context = trusting(authority)
    context.load_cert_chain(files_of(clients, tmp_path, "esme.example"))
    async with bound(smsc.port, tls=context, name="smsc.example") as esme:
        assert (await esme.submit()).status == 0


async def test_a_client_without_a_certificate_is_not_let_in(start: Start, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    smsc = await start(tls=server_tls(files_of(authority, tmp_path, "smsc.example"), None, tmp_path / "ca.pem"))
    esme = await asking(smsc.port, tls=trusting(authority), name="smsc.example")
    assert await esme.events.get() == Closed(Reason.LOST)
    assert smsc.stats()["binds"] == 0
