"""Binds that keep themselves: refused, lost, over TLS, ended."""

import asyncio
import ssl
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme
from structlog.testing import capture_logs

from heliograph.carriers.interface import Unreachable
from heliograph.carriers.smpp.binds import tls_context
from heliograph.carriers.smpp.options import Binds, Tls
from heliograph.domain.instant import HOUR, MILLISECOND
from tests.carriers.smpp.desk import Sending, a_carrier
from tests.carriers.smpp.peers import Start


def link_states(sending: Sending) -> list[str]:
    return [each.state for each in sending.carrier.state().links]


# ---- refused and lost


async def test_a_refused_bind_is_tried_until_it_is_accepted(start: Start) -> None:
    smsc = await start(bindStatuses=[0x05, 0x0D, 0x0E, 0x0F])
    async with a_carrier(smsc.port) as sending:
        for _ in range(5):
            assert (await smsc.told("bind"))["system_id"] == "me"
        assert await sending.sends() == ("m1",)


async def test_a_refused_bind_says_why_and_waits_for_long(start: Start) -> None:
    smsc = await start(bindStatus=0x0E)
    async with a_carrier(smsc.port, room=None, refused_base=HOUR, refused_max=HOUR) as sending:
        await sending.until(lambda: link_states(sending) == ["refused"])
        state = sending.carrier.state()
        assert not state.up
        assert state.last_error == "transceiver-1: the peer refused the bind with ESME_RINVPASWD"
        with pytest.raises(Unreachable, match="no bind"):
            await sending.sends()


async def test_the_same_trouble_is_logged_once(start: Start) -> None:
    smsc = await start(bindStatuses=[0x0E] * 4)
    with capture_logs() as logs:
        async with a_carrier(smsc.port, refused_base=MILLISECOND) as sending:
            assert sending.carrier.up
    assert [each["action"] for each in logs if each["action"] in {"bind_refused", "bound"}] == ["bind_refused", "bound"]


async def test_a_lost_bind_is_made_again(start: Start) -> None:
    smsc = await start()
    async with a_carrier(smsc.port) as sending:
        for number in range(1, 4):
            assert await sending.sends() == (f"m{number}",)
            smsc.does(drop=True)
            await sending.until(lambda: not sending.carrier.up)
            await sending.up()


async def test_nobody_at_the_other_end_is_no_reason_to_give_up() -> None:
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    async with a_carrier(port, room=None, rebind_base=MILLISECOND) as sending:
        (bind,) = sending.carrier._binds
        await bind.wait_passed(3)
        error = sending.carrier.state().last_error
        assert error is not None
        assert error.startswith(f"transceiver-1: no connection to 127.0.0.1:{port}: ")


async def test_a_peer_that_hangs_up_or_says_nothing_is_tried_again(start: Start) -> None:
    said = list[bytes]()

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said.append(await reader.read(100))
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with a_carrier(server.sockets[0].getsockname()[1], room=None, rebind_base=MILLISECOND) as sending:
        (bind,) = sending.carrier._binds
        await bind.wait_passed(3)
        assert len(said) >= 3
        assert not sending.carrier.up
    server.close()


async def test_a_bind_that_never_held_waits_longer_each_time(start: Start) -> None:
    smsc = await start(bindStatuses=[0x0D] * 5)
    async with a_carrier(smsc.port, refused_base=MILLISECOND, refused_max=HOUR, room=None) as sending:
        (bind,) = sending.carrier._binds
        tries = list[int]()
        for count in range(1, 6):
            await bind.wait_passed(count)
            tries.append(bind._tries)
        assert tries == [1, 2, 3, 4, 5]
        await sending.up()


async def test_one_of_several_binds_is_enough_to_be_up(start: Start) -> None:
    smsc = await start(bindStatuses=[0, 0x05])
    async with a_carrier(smsc.port, binds=2, window=3, room=3, refused_base=HOUR, refused_max=HOUR) as sending:
        await sending.until(lambda: sorted(link_states(sending)) == ["bound", "refused"])
        assert (sending.carrier.up, sending.carrier.room) == (True, 3)
        assert await sending.sends() == ("m1",)


async def test_a_receiver_alone_is_not_up(start: Start) -> None:
    smsc = await start(bindStatuses=[0x0D])
    options: dict[str, Any] = {"mode": Binds.PAIR, "refused_base": HOUR, "refused_max": HOUR}
    async with a_carrier(smsc.port, room=None, **options) as sending:
        await sending.until(lambda: set(link_states(sending)) == {"bound", "refused"})
        transmits = sending.carrier.state().links[0].state == "bound"
        assert sending.carrier.up is transmits


# ---- the end


async def test_stopping_finishes_what_is_in_flight(start: Start) -> None:
    smsc = await start(hold=True, show=True)
    async with a_carrier(smsc.port, window=2) as sending:
        tasks = sending.starts_sending("a", "b", "c")
        for _ in range(2):
            await smsc.told("submit")
        stopping = asyncio.create_task(sending.carrier.stop())
        with pytest.raises(Unreachable, match="stopped"):
            await tasks[2]
        assert not stopping.done()
        smsc.does(release=True)
        assert [await each for each in tasks[:2]] == [("m1",), ("m2",)]
        await stopping
        assert await smsc.told("unbind")
        assert link_states(sending) == ["stopped"]


async def test_a_long_message_is_stopped_between_its_parts_and_says_what_was_taken(start: Start) -> None:
    smsc = await start(hold=True, show=True)
    async with a_carrier(smsc.port) as sending:
        (task,) = sending.starts_sending("hello" * 70)
        await smsc.told("submit")
        stopping = asyncio.create_task(sending.carrier.stop())
        await sending.until(lambda: not sending.carrier.up)
        smsc.does(release=True)
        with pytest.raises(Unreachable) as caught:
            await task
        assert (caught.value.taken, caught.value.parts) == (("m1",), 3)
        await stopping


async def test_a_carrier_can_be_stopped_at_any_time_twice_and_started_again(start: Start) -> None:
    smsc = await start()
    async with a_carrier(smsc.port, room=None) as sending:
        await sending.carrier.stop()
        await sending.carrier.stop()
        with pytest.raises(Unreachable, match="stopped"):
            await sending.sends()
        await sending.carrier.start(sending.desk)
        await sending.carrier.start(sending.desk)
        await sending.up()
        assert await sending.sends() == ("m1",)


async def test_stopping_does_not_wait_for_a_connection_that_does_not_come() -> None:
    connected: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
    server = await asyncio.start_server(lambda _reader, writer: connected.put_nowait(writer), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with a_carrier(port, room=None, tls=Tls(), connect_timeout=HOUR) as sending:
        silent = await connected.get()
        async with asyncio.timeout(5):
            await sending.carrier.stop()
        assert link_states(sending) == ["stopped"]
    silent.close()
    server.close()


async def test_stopping_does_not_wait_for_the_next_try() -> None:
    async with a_carrier(1, room=None, rebind_base=HOUR, rebind_max=HOUR) as sending:
        await sending.until(lambda: link_states(sending) == ["waiting"])
        async with asyncio.timeout(5):
            await sending.carrier.stop()


async def test_a_peer_that_unbinds_is_bound_to_again(start_perl: Start) -> None:
    smsc = await start_perl(unbind=1)
    async with a_carrier(smsc.port) as sending:
        assert (await smsc.told("unbound"))["unbound"] == 0
        await sending.up()
        assert len(await sending.sends()) == 1


# ---- TLS


class Authority:
    """One who signs certificates, and where its own is."""

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        self.folder = folder
        self.file = folder / "ca.pem"
        self.ca.cert_pem.write_to_path(self.file)

    def of_server(self, name: str) -> dict[str, str]:
        """What the SMSC is given for a name."""
        issued = self.ca.issue_cert(name)
        chain = b"".join(each.bytes() for each in issued.cert_chain_pems)
        return {"key": issued.private_key_pem.bytes().decode(), "cert": chain.decode()}

    def of_client(self) -> Path:
        """A certificate of ours with its key in one file."""
        file = self.folder / "ours.pem"
        self.ca.issue_cert("us.example").private_key_and_cert_chain_pem.write_to_path(file)
        return file


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def test_tls_with_an_authority_of_its_own(start: Start, authority: Authority) -> None:
    smsc = await start(tls=authority.of_server("smsc.example"))
    async with a_carrier(smsc.port, tls=Tls(authority.file, "smsc.example")) as sending:
        assert await sending.sends() == ("m1",)


async def test_tls_to_the_host_itself_needs_no_other_name(start: Start, authority: Authority) -> None:
    smsc = await start(tls=authority.of_server("localhost"))
    async with a_carrier(smsc.port, host="localhost", tls=Tls(authority.file)) as sending:
        assert await sending.sends() == ("m1",)


@pytest.mark.parametrize(
    ("tls", "why"),
    [({"server_name": "other.example"}, "Hostname mismatch"), ({"ca_file": None}, "certificate verify failed")],
)
async def test_a_certificate_for_another_or_of_a_stranger_is_no_bind(
    start: Start, authority: Authority, tls: dict[str, Any], why: str
) -> None:
    smsc = await start(tls=authority.of_server("smsc.example"))
    wanted = replace(Tls(authority.file, "smsc.example"), **tls)
    async with a_carrier(smsc.port, tls=wanted, room=None) as sending:
        await sending.until(lambda: link_states(sending) == ["waiting"])
        error = sending.carrier.state().last_error
        assert error is not None
        assert why in error


async def test_the_name_need_not_be_checked(start: Start, authority: Authority) -> None:
    smsc = await start(tls=authority.of_server("smsc.example"))
    tls = Tls(authority.file, "other.example", check_hostname=False)
    async with a_carrier(smsc.port, tls=tls) as sending:
        assert await sending.sends() == ("m1",)


async def test_a_peer_that_asks_who_we_are_is_told(start: Start, authority: Authority) -> None:
    asks = {"requestCert": True, "rejectUnauthorized": True, "ca": authority.file.read_text()}
    smsc = await start(tls=authority.of_server("smsc.example") | asks)
    tls = Tls(authority.file, "smsc.example", certificate=authority.of_client())
    async with a_carrier(smsc.port, tls=tls) as sending:
        assert await sending.sends() == ("m1",)


async def test_without_a_certificate_such_a_peer_is_no_bind(start: Start, authority: Authority) -> None:
    asks = {"requestCert": True, "rejectUnauthorized": True, "ca": authority.file.read_text()}
    smsc = await start(tls=authority.of_server("smsc.example") | asks)
    async with a_carrier(smsc.port, tls=Tls(authority.file, "smsc.example"), room=None) as sending:
        assert "CERTIFICATE" in (await smsc.told("tlsError"))["tlsError"]
        await sending.until(lambda: sending.carrier.state().last_error is not None)
        assert not sending.carrier.up


async def test_a_file_that_is_missing_is_trouble_and_not_the_end(start: Start, tmp_path: Path) -> None:
    smsc = await start()
    async with a_carrier(smsc.port, tls=Tls(tmp_path / "none.pem"), room=None) as sending:
        (bind,) = sending.carrier._binds
        await bind.wait_passed(2)
        error = sending.carrier.state().last_error
        assert error is not None
        assert "No such file" in error


def test_names_are_checked_unless_that_is_unwanted(authority: Authority) -> None:
    assert tls_context(Tls()).check_hostname
    context = tls_context(Tls(authority.file, check_hostname=False))
    assert not context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
