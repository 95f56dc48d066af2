"""The socket: against an SMSC that nobody here wrote, and against peers that do what no good SMSC would."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trustme

from heliograph.carriers.smpp import link as link_module
from heliograph.carriers.smpp.events import (
    Answered,
    Bound,
    Closed,
    Delivery,
    Event,
    NotSent,
    PeerUnbinding,
    Reason,
    Unanswered,
    Unexpected,
)
from heliograph.carriers.smpp.link import Link, Ticket, connect
from heliograph.carriers.smpp.pdu import (
    BindTransceiver,
    BindTransceiverResp,
    CancelSm,
    CancelSmResp,
    Decoder,
    DeliverSm,
    DeliverSmResp,
    Pdu,
    QuerySm,
    QuerySmResp,
    SubmitSm,
    SubmitSmResp,
    Tag,
    Unbind,
    UnbindResp,
    encode,
    find_text,
)
from heliograph.carriers.smpp.session import Mode, NotBound, Options
from heliograph.carriers.smpp.status import Status
from heliograph.clock import monotonic
from heliograph.domain.instant import MILLISECOND
from tests.carriers.smpp.peers import Start

TEXT = SubmitSm(source_addr="15550002222", destination_addr="15550001111", registered_delivery=1, short_message=b"hi")


class Listener:
    """Hears what a link tells, and keeps deliveries as it is told to."""

    def __init__(self) -> None:
        self.kept: list[DeliverSm] = []
        self.events: asyncio.Queue[Event] = asyncio.Queue()
        self.arrivals: asyncio.Queue[Delivery] = asyncio.Queue()
        self.may_keep = asyncio.Event()
        self.may_keep.set()
        self.fault: Exception | None = None

    async def delivered(self, delivery: Delivery) -> int:
        self.arrivals.put_nowait(delivery)
        await self.may_keep.wait()
        if self.fault is not None:
            raise self.fault
        assert isinstance(delivery.body, DeliverSm)
        self.kept.append(delivery.body)
        return Status.ROK

    async def noticed(self, event: Event) -> None:
        self.events.put_nowait(event)


@pytest.fixture
def listener() -> Listener:
    return Listener()


# ---------------------------------------------------------------------------------------- an SMSC that is not ours


async def bound_to(port: int, listener: Listener, **options: Any) -> Link:
    """A link on which the peer has accepted our bind."""
    link = await connect("127.0.0.1", port, Options("me", "secret", **options), listener, timeout=10)
    assert isinstance(await listener.events.get(), Bound)
    return link


async def test_bind_submit_and_unbind(start: Start, listener: Listener) -> None:
    smsc = await start(show=True)
    link = await bound_to(smsc.port, listener, system_type="SMPP")
    bind = {"bind": "bind_transceiver", "system_id": "me", "system_type": "SMPP", "interface_version": 0x34}
    assert await smsc.told("bind") == bind
    end = await link.submit(TEXT)
    assert isinstance(end, Answered)
    assert (end.status, end.message_id) == (0, "m1")
    assert (await smsc.told("submit"))["submit"] == "15550001111"
    await link.close()
    assert await smsc.told("unbind")
    assert listener.events.get_nowait() == Closed(Reason.UNBOUND)


@pytest.mark.parametrize("mode", [Mode.TRANSMITTER, Mode.RECEIVER])
async def test_the_other_binds_are_understood(start: Start, listener: Listener, mode: Mode) -> None:
    smsc = await start()
    link = await bound_to(smsc.port, listener, mode=mode)
    assert (await smsc.told("bind"))["bind"] == f"bind_{mode.name.lower()}"
    await link.close()


async def test_a_refused_bind_is_told_with_its_status(start: Start, listener: Listener) -> None:
    smsc = await start(bindStatus=0x0E)
    link = await connect("127.0.0.1", smsc.port, Options("me", "wrong"), listener, timeout=10)
    assert await listener.events.get() == Closed(Reason.REFUSED, Status.RINVPASWD)
    await link.close()
    with pytest.raises(NotBound):
        await link.submit(TEXT)


async def test_a_message_is_acknowledged_when_it_is_kept_and_not_before(start: Start, listener: Listener) -> None:
    smsc = await start(message="hello")
    listener.may_keep.clear()
    link = await bound_to(smsc.port, listener)
    await listener.arrivals.get()
    assert isinstance(await link.submit(TEXT), Answered)
    assert listener.kept == []
    listener.may_keep.set()
    assert (await smsc.told("message"))["message"] == 0
    assert [each.short_message for each in listener.kept] == [b"hello"]
    await link.close()


async def test_a_message_that_could_not_be_kept_is_to_come_again(start: Start, listener: Listener) -> None:
    smsc = await start(message="hello")
    listener.fault = OSError("the disk is full")
    link = await bound_to(smsc.port, listener)
    assert (await smsc.told("message"))["message"] == Status.RX_T_APPN
    await link.close()


async def test_every_message_of_many_is_answered_and_each_receipt_kept(start: Start, listener: Listener) -> None:
    smsc = await start(receipts=True)
    link = await bound_to(smsc.port, listener, window=32, inbox_limit=8)
    ends = await asyncio.gather(*(link.submit(TEXT) for _ in range(1_000)))
    ids = {end.message_id for end in ends if isinstance(end, Answered) and end.status == 0}
    for _ in range(1_000):
        assert (await smsc.told("receipt"))["status"] == 0
    assert len(ids) == 1_000
    assert {find_text(each.tlvs, Tag.RECEIPTED_MESSAGE_ID) for each in listener.kept} == ids
    await link.close()


async def test_throttling_is_a_status(start: Start, listener: Listener) -> None:
    smsc = await start(throttleEvery=3)
    link = await bound_to(smsc.port, listener)
    ends = await asyncio.gather(*(link.submit(TEXT) for _ in range(6)))
    assert sorted(end.status for end in ends if isinstance(end, Answered)) == [0, 0, 0, 0, 0x58, 0x58]
    await link.close()


async def test_a_dropped_connection_ends_every_submit_and_says_how(start: Start, listener: Listener) -> None:
    smsc = await start(dropAfter=5)
    link = await bound_to(smsc.port, listener, window=10)
    ends = await asyncio.gather(*(link.submit(TEXT) for _ in range(30)))
    kinds = {kind: sum(isinstance(end, kind) for end in ends) for kind in (Answered, Unanswered, NotSent)}
    assert sum(kinds.values()) == 30
    assert kinds[Answered] <= 4
    assert kinds[Unanswered] >= 1
    assert kinds[NotSent] >= 16
    assert await listener.events.get() == Closed(Reason.LOST)
    await link.close()


async def test_a_submit_without_an_answer_is_unknown_and_the_link_goes_on(start: Start, listener: Listener) -> None:
    smsc = await start(quietAfter=1)
    link = await bound_to(smsc.port, listener, response_timeout=200 * MILLISECOND)
    assert isinstance(await link.submit(TEXT), Answered)
    assert isinstance(await link.submit(TEXT), Unanswered)
    await link.close()
    assert listener.events.get_nowait() == Closed(Reason.UNBOUND)


async def test_a_quiet_link_is_kept_alive(start: Start, listener: Listener) -> None:
    smsc = await start()
    link = await bound_to(smsc.port, listener, enquire_interval=50 * MILLISECOND)
    for _ in range(3):
        await smsc.told("enquire_link")
    assert isinstance(await link.submit(TEXT), Answered)
    await link.close()


async def test_query_and_cancel_are_understood(start: Start, listener: Listener) -> None:
    smsc = await start()
    link = await bound_to(smsc.port, listener)
    queried = await link.submit(QuerySm("m1"))
    cancelled = await link.submit(CancelSm(message_id="m1"))
    assert isinstance(queried, Answered)
    assert queried.body == QuerySmResp("m1", "", 2, 0)
    assert isinstance(cancelled, Answered)
    assert cancelled.body == CancelSmResp()
    await link.close()


# -------------------------------------------------------------------------------------------------- TLS


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def tls_options(authority: trustme.CA, name: str) -> dict[str, str]:
    certificate = authority.issue_cert(name)
    chain = b"".join(each.bytes() for each in certificate.cert_chain_pems)
    return {"key": certificate.private_key_pem.bytes().decode(), "cert": chain.decode()}


async def test_tls_with_a_certificate_we_trust(start: Start, listener: Listener, authority: trustme.CA) -> None:
    smsc = await start(tls=tls_options(authority, "smsc.example"))
    link = await connect(
        "127.0.0.1",
        smsc.port,
        Options("me", "secret"),
        listener,
        timeout=10,
        tls=trusting(authority),
        server_hostname="smsc.example",
    )
    assert isinstance(await listener.events.get(), Bound)
    assert isinstance(await link.submit(TEXT), Answered)
    await link.close()


async def test_tls_with_a_certificate_for_another_is_refused(
    start: Start, listener: Listener, authority: trustme.CA
) -> None:
    smsc = await start(tls=tls_options(authority, "other.example"))
    options = Options("me", "secret")
    with pytest.raises(ssl.SSLCertVerificationError):
        await connect(
            "127.0.0.1",
            smsc.port,
            options,
            listener,
            timeout=10,
            tls=trusting(authority),
            server_hostname="smsc.example",
        )


# ------------------------------------------------------------------------------------------- peers made of the codec


class OddPeer:
    """One connection, on which a test says what is done."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.decoder = Decoder()
        self.read: list[Pdu] = []

    async def next(self) -> Pdu:
        """The next PDU of the link."""
        while not self.read:
            data = await self.reader.read(65_536)
            assert data, "the link is closed"
            self.read += [each for each in self.decoder.feed(data) if isinstance(each, Pdu)]
        return self.read.pop(0)

    def say(self, data: bytes) -> None:
        self.writer.write(data)


@asynccontextmanager
async def odd_peer(listener: Listener, **options: Any) -> AsyncIterator[tuple[OddPeer, Link]]:
    """A bound link and its peer."""
    arrived: asyncio.Future[OddPeer] = asyncio.get_running_loop().create_future()
    server = await asyncio.start_server(
        lambda reader, writer: arrived.set_result(OddPeer(reader, writer)), "127.0.0.1", 0
    )
    port = server.sockets[0].getsockname()[1]
    link = await connect("127.0.0.1", port, Options("me", "secret", **options), listener, timeout=10)
    peer = await arrived
    bind = await peer.next()
    assert isinstance(bind.body, BindTransceiver)
    peer.say(encode(BindTransceiverResp("odd"), bind.sequence))
    assert isinstance(await listener.events.get(), Bound)
    try:
        yield peer, link
    finally:
        await link.abort()
        peer.writer.close()
        server.close()


async def test_a_connection_that_nobody_takes_is_an_error(listener: Listener) -> None:
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    with pytest.raises(OSError, match=str(port)):
        await connect("127.0.0.1", port, Options("me", "secret"), listener, timeout=10)


async def test_a_peer_that_hangs_up_before_the_bind_is_answered(listener: Listener) -> None:
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    link = await connect("127.0.0.1", port, Options("me", "secret"), listener, timeout=10)
    assert await listener.events.get() == Closed(Reason.LOST)
    await link.close()
    server.close()


async def test_while_the_peer_takes_no_bytes_what_waits_is_not_sent(listener: Listener) -> None:
    async with odd_peer(listener, window=5_000, waiting_limit=5_000) as (_, link):
        big = SubmitSm(tlvs=((Tag.MESSAGE_PAYLOAD, b"x" * 60_000),))
        first = [asyncio.create_task(link.submit(big)) for _ in range(400)]
        # The first write is more than any buffer; what is submitted after it must stay here.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        second = [asyncio.create_task(link.submit(TEXT)) for _ in range(20)]
        for _ in range(3):  # they would leave in the second turn of the loop from here
            await asyncio.sleep(0)
        await link.abort()
        assert {type(end) for end in await asyncio.gather(*first)} == {Unanswered}
        assert {type(end) for end in await asyncio.gather(*second)} == {NotSent}


async def test_while_the_peer_takes_no_bytes_there_is_no_room_and_its_end_is_told(listener: Listener) -> None:
    async with odd_peer(listener, window=5_000, waiting_limit=5_000) as (peer, link):
        changed = asyncio.Event()
        link.changed = changed.set
        big = SubmitSm(tlvs=((Tag.MESSAGE_PAYLOAD, b"x" * 60_000),))
        submits = [asyncio.create_task(link.submit(big)) for _ in range(400)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert (link.room, link.in_flight, link.bound) == (0, 400, True)
        changed.clear()
        for _ in submits:
            await peer.next()
        await changed.wait()
        assert link.room == 4_600
        await link.abort()
        await asyncio.gather(*submits)


async def test_what_waits_for_a_peer_that_takes_no_bytes_is_not_sent_at_its_moment(listener: Listener) -> None:
    async with odd_peer(listener, window=5_000, waiting_limit=5_000) as (_, link):
        big = SubmitSm(tlvs=((Tag.MESSAGE_PAYLOAD, b"x" * 60_000),))
        submits = [asyncio.create_task(link.submit(big)) for _ in range(400)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        end = await link.submit(TEXT, until=monotonic() + 20 * MILLISECOND, mark="a")
        assert end == NotSent(Ticket(401, "a"), Reason.NO_ROOM)
        await link.abort()
        await asyncio.gather(*submits)


async def test_a_late_answer_comes_with_the_mark_of_its_submit(listener: Listener) -> None:
    async with odd_peer(listener, response_timeout=20 * MILLISECOND) as (peer, link):
        submit = asyncio.create_task(link.submit(TEXT, mark="a"))
        sequence = (await peer.next()).sequence
        assert isinstance(await submit, Unanswered)
        peer.say(encode(SubmitSmResp("m1"), sequence))
        assert await listener.events.get() == Unexpected(Pdu(sequence, 0, SubmitSmResp("m1")), Ticket(1, "a"))


async def test_what_waited_leaves_once_the_peer_takes_bytes_again(listener: Listener) -> None:
    async with odd_peer(listener, window=5_000, waiting_limit=5_000) as (peer, link):
        big = SubmitSm(tlvs=((Tag.MESSAGE_PAYLOAD, b"x" * 60_000),))
        first = [asyncio.create_task(link.submit(big)) for _ in range(400)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        last = asyncio.create_task(link.submit(TEXT))
        sequences = [(await peer.next()).sequence for _ in range(401)]
        for sequence in sequences:
            peer.say(encode(SubmitSmResp("m"), sequence))
        assert isinstance(await last, Answered)
        assert {type(end) for end in await asyncio.gather(*first)} == {Answered}
        assert link.room == 5_000


async def test_a_connection_that_breaks_ends_what_is_in_flight(listener: Listener) -> None:
    async with odd_peer(listener) as (peer, link):
        task = asyncio.create_task(link.submit(TEXT))
        await peer.next()
        # To linger for no time is to reset the connection instead of closing it.
        connection = peer.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.writer.transport.abort()
        assert isinstance(await task, Unanswered)
        assert await listener.events.get() == Closed(Reason.LOST)


async def test_a_full_inbox_stops_reading_until_there_is_room(listener: Listener) -> None:
    async with odd_peer(listener, inbox_limit=2) as (peer, link):
        listener.may_keep.clear()
        for sequence in range(1, 3):
            peer.say(encode(DeliverSm(source_addr=str(sequence)), sequence))
        for _ in range(2):
            await listener.arrivals.get()
        assert not link._transport.is_reading()
        for sequence in range(3, 7):
            peer.say(encode(DeliverSm(source_addr=str(sequence)), sequence))
        listener.may_keep.set()
        answers = [await peer.next() for _ in range(6)]
        assert sorted(each.sequence for each in answers) == [1, 2, 3, 4, 5, 6]
        assert {type(each.body) for each in answers} == {DeliverSmResp}


async def test_the_end_of_a_submit_that_nobody_waits_for_is_told(listener: Listener) -> None:
    async with odd_peer(listener) as (peer, link):
        task = asyncio.create_task(link.submit(TEXT))
        sent = await peer.next()
        task.cancel()
        await asyncio.wait([task])
        peer.say(encode(SubmitSmResp("m1"), sent.sequence))
        end = await listener.events.get()
        assert isinstance(end, Answered)
        assert end.message_id == "m1"


async def test_a_submit_cancelled_as_its_answer_comes_is_told(listener: Listener) -> None:
    async with odd_peer(listener) as (peer, link):
        task = asyncio.create_task(link.submit(TEXT))
        sent = await peer.next()
        link.data_received(encode(SubmitSmResp("m1"), sent.sequence))
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert isinstance(await listener.events.get(), Answered)


async def test_what_a_closing_transport_would_drop_is_known_as_not_sent(listener: Listener) -> None:
    async with odd_peer(listener) as (_, link):
        task = asyncio.create_task(link.submit(TEXT))
        await asyncio.sleep(0)
        # The write comes in the next turn of the loop, and the loss is told after it.
        link._transport.close()
        assert link.room == 0
        assert isinstance(await task, NotSent)


async def test_the_peers_unbind_closes_the_connection_after_the_answer(listener: Listener) -> None:
    async with odd_peer(listener) as (peer, _):
        peer.say(encode(Unbind(), 9))
        assert await peer.next() == Pdu(9, 0, UnbindResp())
        assert await peer.reader.read() == b""
        assert isinstance(await listener.events.get(), PeerUnbinding)
        assert await listener.events.get() == Closed(Reason.PEER_UNBOUND)


async def test_a_peer_that_takes_nothing_is_hung_up_on(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "FLUSH_TIME", 0.05)
    times = {"unbind_timeout": 100 * MILLISECOND, "response_timeout": 100 * MILLISECOND}
    async with odd_peer(listener, window=5_000, **times) as (_, link):
        big = SubmitSm(tlvs=((Tag.MESSAGE_PAYLOAD, b"x" * 60_000),))
        submits = [asyncio.create_task(link.submit(big)) for _ in range(400)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await link.close()
        assert {type(end) for end in await asyncio.gather(*submits)} == {Unanswered}
        assert listener.events.get_nowait() == Closed(Reason.SILENT_UNBIND)


async def test_a_handler_that_fails_does_not_silence_the_link(listener: Listener) -> None:
    async with odd_peer(listener) as (peer, link):
        listener.events = asyncio.Queue(maxsize=1)
        for _ in range(2):
            peer.say(encode(SubmitSmResp("?"), 77))  # the second finds the queue full, which raises
        task = asyncio.create_task(link.submit(TEXT))
        sent = await peer.next()
        peer.say(encode(SubmitSmResp("m1"), sent.sequence))
        assert isinstance(await task, Answered)
        await listener.events.get()
        peer.say(encode(Unbind(), 9))
        assert isinstance(await listener.events.get(), PeerUnbinding)


async def test_closing_twice_closes_once(listener: Listener) -> None:
    async with odd_peer(listener) as (peer, link):
        closing = asyncio.gather(link.close(), link.close())
        unbind = await peer.next()
        peer.say(encode(UnbindResp(), unbind.sequence))
        await closing
        await link.close()
        assert listener.events.get_nowait() == Closed(Reason.UNBOUND)
        assert listener.events.empty()


async def test_the_end_waits_for_a_message_that_is_being_kept(listener: Listener) -> None:
    async with odd_peer(listener) as (peer, link):
        listener.may_keep.clear()
        peer.say(encode(DeliverSm(), 1))
        await listener.arrivals.get()
        ending = asyncio.create_task(link.abort())
        assert await listener.events.get() == Closed(Reason.LOST)
        for _ in range(5):
            await asyncio.sleep(0)
        assert not ending.done()
        listener.may_keep.set()
        await ending
        assert len(listener.kept) == 1


class Dropper(Listener):
    """Drops its link when it hears of anything but the bind."""

    def __init__(self) -> None:
        super().__init__()
        self.link: Link | None = None
        self.dropped = asyncio.Event()

    async def noticed(self, event: Event) -> None:
        await super().noticed(event)
        if self.link is not None and not self.dropped.is_set():
            await self.link.abort()
            self.dropped.set()


async def test_a_handler_may_drop_the_link_it_hears_of() -> None:
    dropper = Dropper()
    async with odd_peer(dropper) as (peer, dropper.link):
        peer.say(encode(SubmitSmResp("?"), 77))
        await dropper.dropped.wait()
