"""A load generator: HTTP/1.1 over connections kept open, one request in flight on each.

    Plan on standard input --> requests, each of them different --> Outcome on standard output

It runs in a process of its own, so that the parent's work never delays a request. An answer is read no further than its
status and its length. Without a rate a connection sends its next request as soon as it has its answer (how much is
possible?); with one, requests leave at even distances whether or not earlier ones were answered, and the time that a
request waits for a free connection counts as its latency (how long does it take?).
"""

import asyncio
import gc
import sys
import time
from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from re import compile as regex
from typing import cast

import msgspec
import uvloop

CONNECTIONS = 64
RECIPIENTS = 10_000
"""+1312555 and four digits. Texts tell messages to the same recipient apart."""
_TICK = 0.001
"""Seconds between two looks at the clock when a rate is given."""
_PATIENCE = 30
"""Seconds that the last answers may take."""
_LENGTH = regex(rb"\r\ncontent-length: (\d+)\r\n")
_BLANK_LINE = b"\r\n\r\n"
_OK = b"HTTP/1.1 200 "
_SECOND = 1_000_000_000
_MICROS = 1_000_000


class Plan(msgspec.Struct, kw_only=True):
    """What to send, and for how long."""

    port: int
    path: str
    key: str = ""
    seconds: float
    connections: int = CONNECTIONS
    rate: float | None = None
    """Requests a second; None: as many as are answered."""
    first: int = 0
    """The serial number of the first message."""
    sender: str = ""
    send_at: str = ""
    """To the second and without a zone: each message adds a fraction of its own."""
    ids: list[str] | None = None
    """DELETE these, each once, until none is left; None: POST messages."""


class Outcome(msgspec.Struct, kw_only=True):
    """What came of it. Every answer counted had status 200; times are in microseconds."""

    answered: int
    seconds: float
    """From the first request to the last answer."""
    busy: float
    """The part of that time in which the generator used its core: near 1 it would be the bottleneck."""
    p50: float
    p99: float
    longest: float

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answered / self.seconds


class UnexpectedAnswer(Exception):
    """A request was not answered with 200; the text is the answer's beginning."""


def requests(plan: Plan) -> Iterator[bytes]:
    """The requests of a plan, each a message or an id of its own."""
    head = f"host: 127.0.0.1:{plan.port}\r\nauthorization: Bearer {plan.key}\r\naccept: application/json\r\n"
    if plan.ids is not None:
        yield from (f"DELETE {plan.path}/{each} HTTP/1.1\r\n{head}\r\n".encode() for each in plan.ids)
        return
    body = _message_template(plan)
    head += f"content-type: application/json\r\ncontent-length: {len(body % (0, 0, 0))}\r\n"
    whole = f"POST {plan.path} HTTP/1.1\r\n{head}\r\n".encode() + body
    serial = plan.first
    while True:
        yield whole % (serial % RECIPIENTS, serial, serial % _MICROS)
        serial += 1


def _message_template(plan: Plan) -> bytes:
    """The body of a message, with places for the end of the recipient, the serial number and the microseconds."""
    body = {
        "from": plan.sender,
        "to": "+1312555%04d",
        "text": "Reminder %010d: your appointment is tomorrow at 10:00. Reply C to call it off.",
        "send_at": f"{plan.send_at}.%06dZ",
    }
    return msgspec.json.encode(body)


class _Connection(asyncio.Protocol):
    """Sends one request and tells the load when its answer is whole."""

    def __init__(self, load: "_Load") -> None:
        self._load = load
        self._part = b""
        self._transport: asyncio.WriteTransport | None = None
        self.started = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._load.fail(f"the server closed a connection: {error}")

    def send(self, request: bytes, started: int) -> None:
        self.started = started
        assert self._transport is not None
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        answer = self._part + data if self._part else data
        if not _is_whole(answer):
            self._part = answer
            return
        self._part = b""
        if not answer.startswith(_OK):
            self._load.fail(answer[:2_000].decode(errors="replace"))
        self._load.answered(self)


def _is_whole(answer: bytes) -> bool:
    end = answer.find(_BLANK_LINE)
    if end < 0:
        return False
    length = _LENGTH.search(answer, 0, end + 2)
    if length is None:
        raise UnexpectedAnswer(f"an answer without its length: {answer[:end]!r}")
    return len(answer) >= end + len(_BLANK_LINE) + int(length[1])


class _Load:
    """As many requests as are answered."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._requests = requests(plan)
        self._in_flight = 0
        self._exhausted = False
        self._until = 0
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.latencies = array("q")

    async def run(self) -> Outcome:
        loop = asyncio.get_running_loop()
        made = [
            await loop.create_connection(lambda: _Connection(self), "127.0.0.1", self._plan.port)
            for _ in range(self._plan.connections)
        ]
        started, used = time.perf_counter_ns(), time.process_time_ns()
        self._until = started + int(self._plan.seconds * _SECOND)
        self._begin([connection for _, connection in made])
        await asyncio.wait_for(self._done, self._plan.seconds + _PATIENCE)
        if not self.latencies:
            raise UnexpectedAnswer("there was nothing to send")
        elapsed, used = time.perf_counter_ns() - started, time.process_time_ns() - used
        return outcome(self.latencies, elapsed, used)

    def fail(self, reason: str) -> None:
        if not self._done.done():
            self._done.set_exception(UnexpectedAnswer(reason))

    def answered(self, connection: _Connection) -> None:
        now = time.perf_counter_ns()
        self.latencies.append(now - connection.started)
        self._in_flight -= 1
        self._go_on(connection, now)
        self._end_if_over()

    def _begin(self, connections: Sequence[_Connection]) -> None:
        for each in connections:
            self._send(each, time.perf_counter_ns())

    def _go_on(self, connection: _Connection, now: int) -> None:
        if now < self._until:
            self._send(connection, now)

    def _more_to_come(self) -> bool:
        """Whether something is sent later, though nothing is in flight."""
        return False

    def _end_if_over(self) -> None:
        over = self._in_flight == 0 and (self._exhausted or not self._more_to_come())
        if over and not self._done.done():
            self._done.set_result(None)

    def _send(self, connection: _Connection, started: int) -> None:
        request = next(self._requests, None)
        if request is None:
            self._exhausted = True
            self._end_if_over()
            return
        self._in_flight += 1
        connection.send(request, started)


class _EvenLoad(_Load):
    """Requests at a rate, on whichever connection is free; those that find none wait, and their time runs."""

    def __init__(self, plan: Plan, rate: float) -> None:
        super().__init__(plan)
        self._idle: list[_Connection] = []
        self._overdue: deque[int] = deque()
        self._distance = int(_SECOND / rate)
        self._next = 0

    def _begin(self, connections: Sequence[_Connection]) -> None:
        self._idle = list(connections)
        self._next = time.perf_counter_ns()
        self._tick()

    def _tick(self) -> None:
        now = time.perf_counter_ns()
        while self._next <= min(now, self._until):
            self._overdue.append(self._next)
            self._next += self._distance
        while self._idle and self._overdue:
            self._send(self._idle.pop(), self._overdue.popleft())
        if self._next <= self._until:
            asyncio.get_running_loop().call_later(_TICK, self._tick)

    def _go_on(self, connection: _Connection, _now: int) -> None:
        if self._overdue:
            self._send(connection, self._overdue.popleft())
        else:
            self._idle.append(connection)

    def _more_to_come(self) -> bool:
        return self._next <= self._until


def outcome(latencies: "array[int]", elapsed: int, used: int) -> Outcome:
    ordered = sorted(latencies)
    count = len(ordered)
    return Outcome(
        answered=count,
        seconds=elapsed / _SECOND,
        busy=used / elapsed,
        p50=ordered[count // 2] / 1_000,
        p99=ordered[count * 99 // 100] / 1_000,
        longest=ordered[-1] / 1_000,
    )


async def _run(plan: Plan) -> Outcome:
    return await (_Load(plan) if plan.rate is None else _EvenLoad(plan, plan.rate)).run()


def main() -> None:
    """Carry out the plan that stands on standard input."""
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
    gc.disable()
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(_run(plan))))


if __name__ == "__main__":
    main()
