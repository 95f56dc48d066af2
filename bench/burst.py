"""A load of a set size: so many HTTP requests, each different, over connections kept open with one in flight on each.

    Burst on standard input --> requests --> Taken on standard output

As `bench/load.py`, which measures for a set time, it runs in a process of its own and reads of an answer its status and
its length only.
"""

import asyncio
import gc
import subprocess
import sys
import time
from array import array
from collections.abc import Iterator
from re import IGNORECASE
from re import compile as regex
from typing import cast

import msgspec
import uvloop

from bench.load import CONNECTIONS, Outcome, UnexpectedAnswer, outcome
from bench.measure import ROOT

RECIPIENT = "{recipient}"
"""Stands in a request for eleven digits, a number in Chicago: one of 10,000, in turn."""
SERIAL = "{serial}"
"""Stands in a request for ten digits that no other one has."""
_RECIPIENTS = 10_000
_RECIPIENT, _SERIAL = RECIPIENT.encode(), SERIAL.encode()
_LENGTH = regex(rb"\r\ncontent-length: *(\d+)\r\n", IGNORECASE)
_BLANK_LINE = b"\r\n\r\n"
_PATIENCE = 60
"""Seconds without any answer after which the load gives up."""


class Burst(msgspec.Struct, kw_only=True):
    """What to send."""

    ports: list[int]
    """On loopback; the connections are spread over them."""
    request: str
    """Whole, with places for a recipient and a serial number."""
    answer: str
    """How the answer of a message that was taken begins."""
    first: int
    """The serial number of the first request."""
    count: int


class Taken(msgspec.Struct, kw_only=True):
    """Every request was answered as it should be."""

    began: int
    """The moment of the first request on the clock of `time.perf_counter_ns`, which processes share on Linux."""
    outcome: Outcome


def carry_out(burst: Burst) -> Taken:
    """Send a burst from a process of its own. Ends the program when a message is not taken."""
    command = [sys.executable, "-m", "bench.burst"]
    done = subprocess.run(command, input=msgspec.json.encode(burst), capture_output=True, cwd=ROOT, check=False)
    if done.returncode != 0:
        raise SystemExit(done.stderr.decode())
    return msgspec.json.decode(done.stdout, type=Taken)


def requests(burst: Burst) -> Iterator[bytes]:
    """The requests of a burst."""
    request = burst.request.encode()
    for serial in range(burst.first, burst.first + burst.count):
        yield _filled(request, serial)


def _filled(request: bytes, serial: int) -> bytes:
    recipient = b"1312555%04d" % (serial % _RECIPIENTS)
    return request.replace(_RECIPIENT, recipient).replace(_SERIAL, b"%010d" % serial)


def length_of(body: str) -> int:
    """How many bytes a body with places has when they are filled."""
    return len(_filled(body.encode(), 0))


class _Connection(asyncio.Protocol):
    """Sends a request as soon as the one before is answered."""

    def __init__(self, load: "_Load") -> None:
        self._load = load
        self._pending = b""
        self._began = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def send(self) -> None:
        """Send the next request, if there is one."""
        request = next(self._load.requests, None)
        if request is not None:
            self._began = time.perf_counter_ns()
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._pending += data
        end = self._pending.find(_BLANK_LINE)
        if end < 0:
            return
        length = _LENGTH.search(self._pending, 0, end + 2)
        if length is None:
            self._load.fail(f"an answer without its length: {self._pending!r}")
        elif len(self._pending) >= end + len(_BLANK_LINE) + int(length[1]):
            answer, self._pending = self._pending, b""
            self._load.answered(answer, time.perf_counter_ns() - self._began)
            self.send()

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.fail(f"the server closed a connection: {exc}")


class _Load:
    """All requests of a burst."""

    def __init__(self, burst: Burst) -> None:
        self.requests = requests(burst)
        self._burst = burst
        self._answer = burst.answer.encode()
        self._latencies = array("q")
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self) -> Taken:
        loop, ports = asyncio.get_running_loop(), self._burst.ports
        made = [
            await loop.create_connection(lambda: _Connection(self), "127.0.0.1", ports[index % len(ports)])
            for index in range(CONNECTIONS)
        ]
        began, used = time.perf_counter_ns(), time.process_time_ns()
        for _, connection in made:
            connection.send()
        await self._wait()
        elapsed, used = time.perf_counter_ns() - began, time.process_time_ns() - used
        return Taken(began=began, outcome=outcome(self._latencies, elapsed, used))

    async def _wait(self) -> None:
        known = -1
        while not self._done.done():
            if known == len(self._latencies):
                raise UnexpectedAnswer(f"{known} requests were answered, then none for {_PATIENCE} s")
            known = len(self._latencies)
            await asyncio.wait([self._done], timeout=_PATIENCE)
        self._done.result()

    def answered(self, answer: bytes, latency: int) -> None:
        """Count an answer, the right one."""
        if not answer.startswith(self._answer):
            self.fail(answer[:2_000].decode(errors="replace"))
        self._latencies.append(latency)
        if len(self._latencies) == self._burst.count and not self._done.done():
            self._done.set_result(None)

    def fail(self, reason: str) -> None:
        """End the burst."""
        if not self._done.done():
            self._done.set_exception(UnexpectedAnswer(reason))


async def _run(burst: Burst) -> Taken:
    return await _Load(burst).run()


def main() -> None:
    """Carry out the burst that stands on standard input."""
    burst = msgspec.json.decode(sys.stdin.buffer.read(), type=Burst)
    gc.disable()
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(_run(burst))))


if __name__ == "__main__":
    main()
