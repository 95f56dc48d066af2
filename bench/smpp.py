"""SMPP alone: submits a second through the link to an SMSC of other people, and through the session without a socket.

    round: the bare client, the link, the session alone

The bare client is the least that an SMPP client can be: bytes that were made before the clock started, a window, and
answers that are counted and not read. What the link is slower than that is what the session, the codec and the
futures of its callers cost.
"""

import asyncio
import struct
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import cast

import uvloop

from bench.measure import Options as BenchOptions
from bench.measure import show_table, spread
from bench.smsc.process import Smsc, smsc, version
from heliograph.carriers.smpp.events import Answered, Bound, Closed, Delivery, Event
from heliograph.carriers.smpp.link import connect
from heliograph.carriers.smpp.pdu import BindTransceiver, BindTransceiverResp, SubmitSm, SubmitSmResp, encode
from heliograph.carriers.smpp.session import Options, Session
from heliograph.carriers.smpp.status import Status

WINDOW = 64
SUBMITS = 64 * 500
"""Of one turn."""
BLOCK = 64 * 50
"""Submits of the session alone between two looks at the clock: what is prepared for them is not counted."""
_OPTIONS = Options("bench", "secret", window=WINDOW)
_HEADER = struct.Struct(">IIII")
_TIMEOUT = 10


@dataclass(slots=True)
class _Subject:
    """What is measured."""

    name: str
    rates: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)
    """Processor time of this process for each submit, in microseconds."""

    def add(self, seconds: float, used: float) -> None:
        self.rates.append(SUBMITS / seconds)
        self.costs.append(1_000_000 * used / SUBMITS)


def run(options: BenchOptions) -> None:
    """A table of the bare client, the link, and the session alone. Raises `Missing`."""
    bare, link, alone = _Subject("bare client"), _Subject("link"), _Subject("session alone, no peer")
    with smsc(receipts=False) as peer:
        for _ in range(1 + options.rounds):
            _take(bare, peer, _drive_bare)
            _take(link, peer, _drive_link)
            alone.add(*_drive_session())
    for each in (bare, link, alone):
        # The first round warms up the peer, which compiles what it runs often.
        del each.rates[0], each.costs[0]
    ratios = spread([mine / least for mine, least in zip(link.rates, bare.rates, strict=True)])
    rows = [
        [bare.name, *_figures(bare), "1"],
        [link.name, *_figures(link), f"{ratios:.2f}"],
        [alone.name, *_figures(alone), ""],
    ]
    head = ["", "submits a second", "us of this process", "to the bare client"]
    show_table(f"SMPP: {SUBMITS:,} submits a turn, window {WINDOW}, to {version()}", head, rows)


def _figures(subject: _Subject) -> list[str]:
    return [f"{spread(subject.rates):,.0f}", f"{spread(subject.costs):.1f}"]


def _take(
    subject: _Subject, peer: Smsc, drive: Callable[[int], Coroutine[object, object, tuple[float, float]]]
) -> None:
    subject.add(*uvloop.run(drive(peer.port)))
    came = peer.counted().submits
    if came != SUBMITS:
        raise SystemExit(f"{SUBMITS} submits were answered to the {subject.name}, and {came} came")


def _messages() -> Iterator[SubmitSm]:
    """As a carrier makes them: each of a recipient and a text of its own."""
    for serial in range(SUBMITS):
        yield SubmitSm(
            source_addr_ton=1,
            source_addr_npi=1,
            source_addr="18445550001",
            dest_addr_ton=1,
            dest_addr_npi=1,
            destination_addr=f"1312555{serial % 10_000:04d}",
            registered_delivery=1,
            short_message=b"Reminder %010d: your appointment is tomorrow at 10:00. Reply C to call it off." % serial,
        )


# ---------------------------------------------------------------------------------------------------- the bare client


class _Bare(asyncio.Protocol):
    """Keeps the window full with bytes that are there already."""

    def __init__(self, submits: list[bytes]) -> None:
        self._bind = encode(BindTransceiver("bench", "secret"), 1)
        self._submits = iter(submits)
        self._left = len(submits)
        self._pending = b""
        self.bound: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._bind)

    def begin(self) -> None:
        self._send(WINDOW)

    def data_received(self, data: bytes) -> None:
        answers = self._count(data)
        if not self.bound.done():
            self.bound.set_result(None)
            return
        self._left -= answers
        self._send(answers)
        if not self._left:
            self.done.set_result(None)

    def _count(self, data: bytes) -> int:
        """PDUs that are complete now; their first four bytes are their length (S. 5.1)."""
        data, at, count = self._pending + data, 0, 0
        while len(data) - at >= _HEADER.size:
            length = int.from_bytes(data[at : at + 4], "big")
            if len(data) - at < length:
                break
            at += length
            count += 1
        self._pending = data[at:]
        return count

    def _send(self, count: int) -> None:
        self._transport.write(b"".join(islice(self._submits, count)))

    def connection_lost(self, exc: Exception | None) -> None:
        for each in (self.bound, self.done):
            if not each.done():
                each.set_exception(SystemExit(f"the SMSC dropped the bare client: {exc}"))

    def close(self) -> None:
        self._transport.close()


async def _drive_bare(port: int) -> tuple[float, float]:
    submits = [encode(each, sequence) for sequence, each in enumerate(_messages(), 2)]
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(lambda: _Bare(submits), "127.0.0.1", port)
    await asyncio.wait_for(client.bound, _TIMEOUT)
    began, used = time.perf_counter(), time.process_time()
    client.begin()
    await client.done
    spent = time.perf_counter() - began, time.process_time() - used
    client.close()
    return spent


# ------------------------------------------------------------------------------------------------------------ the link


class _Listener:
    """Hears that the link is bound; there is nothing to keep."""

    def __init__(self) -> None:
        self.bound = asyncio.Event()

    async def delivered(self, delivery: Delivery) -> int:
        raise SystemExit(f"nothing was to be delivered: {delivery}")

    async def noticed(self, event: Event) -> None:
        if isinstance(event, Bound):
            self.bound.set()
        elif not isinstance(event, Closed):
            raise SystemExit(f"not expected: {event}")


async def _drive_link(port: int) -> tuple[float, float]:
    listener = _Listener()
    link = await connect("127.0.0.1", port, _OPTIONS, listener, timeout=_TIMEOUT)
    await asyncio.wait_for(listener.bound.wait(), _TIMEOUT)
    messages = _messages()

    async def submit() -> None:
        for each in messages:
            end = await link.submit(each)
            if not isinstance(end, Answered) or end.status != Status.ROK:
                raise SystemExit(f"a submit was not taken: {end}")

    began, used = time.perf_counter(), time.process_time()
    await asyncio.gather(*(submit() for _ in range(WINDOW)))
    spent = time.perf_counter() - began, time.process_time() - used
    await link.close()
    return spent


# --------------------------------------------------------------------------------------------------- the session alone


def _drive_session() -> tuple[float, float]:
    """Requests in, bytes out, prepared answers in, ends out; nothing is sent anywhere."""
    session = Session(_OPTIONS)
    session.bind(0)
    session.bytes_to_send(0)
    session.receive(encode(BindTransceiverResp("SMSC"), 1), 0)
    messages = _messages()
    seconds = used = 0.0
    for first in range(2, SUBMITS + 2, BLOCK):
        answers = [_answers(each) for each in range(first, first + BLOCK, WINDOW)]
        began, used_before = time.perf_counter(), time.process_time()
        for answer in answers:
            for each in islice(messages, WINDOW):
                session.submit(each, each, 0)
            session.bytes_to_send(0)
            if len(session.receive(answer, 0)) != WINDOW:
                raise SystemExit("not every submit came to its end")
        seconds += time.perf_counter() - began
        used += time.process_time() - used_before
    return seconds, used


def _answers(first: int) -> bytes:
    return b"".join(encode(SubmitSmResp(f"m{each:x}"), each) for each in range(first, first + WINDOW))
