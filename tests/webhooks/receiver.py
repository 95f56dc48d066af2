"""A receiver of webhooks on this machine that behaves as badly as it is told to, and remembers all that came.

    connection --door--> request read whole --noted--> behaviour of its path plays --> next request, or the end

A behaviour is one coroutine; the script of a path names one for each request, and the last goes on for ever. What waits
for the other side to hang up, or for a gate, does so by signals. Only the drips, of which the pace is what is tested,
let time go by.
"""

import asyncio
import json
import socket
import struct
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any

LOOPBACK = "127.0.0.1"
KIB = 1 << 10
MIB = 1 << 20
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER for no time: closing drops what is unsent and sends RST."""


@dataclass(frozen=True)
class Request:
    """What came; `number` counts all requests of the receiver from 0, in the order in which they were complete."""

    number: int
    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def told(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)

    @property
    def event_id(self) -> str:
        """`data.id` of a webhook of version 2."""
        return str(self.told["data"]["id"])

    @property
    def event(self) -> str:
        """`data.event_type` of a webhook of version 2."""
        return str(self.told["data"]["event_type"])

    @property
    def data(self) -> bytes:
        """The bytes of `data`, as they stand in the body."""
        start = len(b'{"data":')
        return self.body[start : self.body.rindex(b',"meta":')]


class HungUp(Exception):
    """The other side is gone."""


class Exchange:
    """A request, and the means to answer it."""

    def __init__(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.request = request
        self._reader = reader
        self._writer = writer

    async def write(self, data: bytes) -> None:
        """Send bytes. Raises `HungUp`."""
        if self._writer.is_closing():
            raise HungUp
        self._writer.write(data)
        try:
            await self._writer.drain()
        except OSError as error:
            raise HungUp from error

    async def hung_up(self) -> None:
        """Return when the other side has hung up; what it still sends is dropped."""
        with suppress(OSError):
            while await self._reader.read(KIB):
                pass

    async def until(self, gate: asyncio.Event) -> None:
        """Wait for a gate. Raises `HungUp` as soon as the other side has gone."""
        ends = [asyncio.ensure_future(each) for each in (gate.wait(), self.hung_up())]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in ends:
                each.cancel()
        await asyncio.gather(*ends, return_exceptions=True)
        if not gate.is_set():
            raise HungUp

    async def pause(self, seconds: float) -> None:
        """Let time go by. Raises `HungUp` as soon as the other side has gone."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.hung_up(), seconds)
            raise HungUp

    def close(self) -> None:
        """Hang up in good order."""
        self._writer.close()

    def reset(self) -> None:
        """Hang up by RST."""
        _reset(self._writer)


Behaviour = Callable[[Exchange], Awaitable[None]]


def head(status: int, headers: Mapping[str, str] | None = None, length: int | None = None) -> bytes:
    """Status line and headers."""
    told = {**(headers or {}), **({} if length is None else {"Content-Length": str(length)})}
    lines = [f"HTTP/1.1 {status} Status", *(f"{name}: {value}" for name, value in told.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def answer(status: int = 200, body: bytes = b"", **headers: str) -> Behaviour:
    """An answer at once; `Retry_After="5"` becomes the header `Retry-After`."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    bodiless = status == 204 or status < 200

    async def play(exchange: Exchange) -> None:
        await exchange.write(head(status, given, None if bodiless else len(body)) + body)

    return play


def held(gate: asyncio.Event, then: Behaviour | None = None) -> Behaviour:
    """Nothing until the gate is set, then an answer (200)."""
    following = then or answer()

    async def play(exchange: Exchange) -> None:
        await exchange.until(gate)
        await following(exchange)

    return play


def calling(do: Callable[[Request], None], status: int = 200) -> Behaviour:
    """An answer, and in the same turn of the event loop something else."""

    async def play(exchange: Exchange) -> None:
        await exchange.write(head(status, length=0))
        do(exchange.request)

    return play


def raw(data: bytes) -> Behaviour:
    """These bytes in place of an answer, and the end."""

    async def play(exchange: Exchange) -> None:
        await exchange.write(data)
        exchange.close()

    return play


async def silent(exchange: Exchange) -> None:
    """Never answers."""
    await exchange.hung_up()


async def too_late(exchange: Exchange) -> None:
    """Answers 200 when the other side has just given up."""
    await exchange.hung_up()
    await exchange.write(head(200, length=0))


async def close_unanswered(exchange: Exchange) -> None:
    """Hangs up in place of an answer."""
    exchange.close()


async def reset_before_answer(exchange: Exchange) -> None:
    """RST in place of an answer."""
    exchange.reset()


async def reset_within_headers(exchange: Exchange) -> None:
    """RST in the middle of a header."""
    await exchange.write(b"HTTP/1.1 200 OK\r\nContent-Le")
    exchange.reset()


async def close_within_headers(exchange: Exchange) -> None:
    """The end in the middle of a header."""
    await exchange.write(b"HTTP/1.1 200 OK\r\nContent-Le")
    exchange.close()


def cut_within_body(status: int = 200) -> Behaviour:
    """The end in the middle of a body, of which the rest is missing."""

    async def play(exchange: Exchange) -> None:
        await exchange.write(head(status, length=100) + b"half of i")
        exchange.close()

    return play


def large_body(size: int, status: int = 200, piece: bytes = b"x" * (64 * KIB)) -> Behaviour:
    """A body of `size` bytes, as fast as it is taken."""

    async def play(exchange: Exchange) -> None:
        await exchange.write(head(status, length=size))
        for sent in range(0, size, len(piece)):
            await exchange.write(piece[: size - sent])

    return play


async def endless_headers(exchange: Exchange) -> None:
    """One header after another."""
    await exchange.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        await exchange.write(b"X-Filler: %s\r\n" % (b"y" * 1000))


async def endless_body(exchange: Exchange) -> None:
    """A body without an end, as fast as it is taken."""
    await exchange.write(head(200, {"Transfer-Encoding": "chunked"}))
    while True:
        await exchange.write(b"400\r\n%s\r\n" % (b"x" * KIB))


async def dripping_headers(exchange: Exchange) -> None:
    """A byte of a header now and then, without an end."""
    await exchange.write(b"HTTP/1.1 200 OK\r\nX-Drip: ")
    while True:
        await exchange.write(b"d")
        await exchange.pause(0.02)


async def dripping_body(exchange: Exchange) -> None:
    """A status at once, then a byte of a body now and then."""
    await exchange.write(head(200, length=MIB))
    while True:
        await exchange.write(b"d")
        await exchange.pause(0.02)


class Door(Enum):
    """What becomes of a new connection."""

    OPEN = "open"
    CLOSE = "close"
    """Closed at once."""
    RESET = "reset"
    """Reset at once."""


class Receiver:
    """A server on loopback; answers 200 where no script says otherwise."""

    def __init__(self) -> None:
        self.door = Door.OPEN
        self.connections = 0
        self.requests: list[Request] = []
        self.under_way: Counter[str] = Counter()
        """By path, from when a request is complete until its behaviour has played."""
        self.most_at_once: Counter[str] = Counter()
        self.most_of_all = 0
        self._scripts: defaultdict[str, deque[Behaviour]] = defaultdict(deque)
        self._default: Behaviour = answer()
        self._changed = asyncio.Condition()
        self._server: asyncio.Server | None = None
        self._port = 0
        self._tasks: dict[asyncio.Task[Any], asyncio.StreamWriter] = {}

    def url(self, path: str = "/") -> str:
        """Where this path is called."""
        return f"http://{LOOPBACK}:{self._port}{path}"

    def script(self, path: str, *behaviours: Behaviour) -> str:
        """What comes to this path is met with these, one after another, the last of them for ever; its URL."""
        self._scripts[path] = deque(behaviours)
        return self.url(path)

    def otherwise(self, behaviour: Behaviour) -> None:
        """What paths without a script do."""
        self._default = behaviour

    def at(self, path: str) -> list[Request]:
        """What came to a path, oldest first."""
        return [each for each in self.requests if each.path == path]

    async def got(self, count: int, path: str | None = None) -> list[Request]:
        """Return once `count` requests have come (to a path): all of them."""
        await self.sees(lambda: len(self.requests if path is None else self.at(path)) >= count)
        return list(self.requests if path is None else self.at(path))

    async def holds(self, count: int, path: str | None = None) -> None:
        """Return once `count` requests (to a path) are under way at the same time."""
        await self.sees(lambda: (self.under_way.total() if path is None else self.under_way[path]) >= count)

    async def idle(self) -> None:
        """Return once nothing is under way."""
        await self.sees(lambda: not self.under_way.total())

    async def sees(self, condition: Callable[[], bool]) -> None:
        """Return once a condition on what came holds."""
        async with self._changed:
            await self._changed.wait_for(condition)

    async def up(self) -> None:
        """Listen; after `down`, at the same port."""
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, LOOPBACK, self._port, backlog=1024)
            self._port = self._server.sockets[0].getsockname()[1]

    async def down(self) -> None:
        """Close the port and reset every connection: what is under way gets no answer."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for task, writer in self._tasks.items():
            _reset(writer)
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks[task] = writer
        self.connections += 1
        try:
            await self._converse(reader, writer)
        except (OSError, HungUp, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the other side left, or we went down
        finally:
            del self._tasks[task]
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.door is Door.RESET:
            _reset(writer)
        while self.door is Door.OPEN and not writer.is_closing():
            request = await self._read(reader)
            await self._note(request)
            try:
                await self._next(request.path)(Exchange(request, reader, writer))
            finally:
                self.under_way[request.path] -= 1
                await self._tell()

    async def _read(self, reader: asyncio.StreamReader) -> Request:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = lines[0].split(" ")
        headers = {}
        for line in filter(None, lines[1:]):
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        return Request(len(self.requests), method, path, headers, body)

    async def _note(self, request: Request) -> None:
        self.requests.append(request)
        self.under_way[request.path] += 1
        self.most_at_once[request.path] = max(self.most_at_once[request.path], self.under_way[request.path])
        self.most_of_all = max(self.most_of_all, self.under_way.total())
        await self._tell()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _next(self, path: str) -> Behaviour:
        script = self._scripts.get(path)
        if not script:
            return self._default
        return script.popleft() if len(script) > 1 else script[0]


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver that listens."""
    receiver = Receiver()
    await receiver.up()
    try:
        yield receiver
    finally:
        await receiver.down()


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
