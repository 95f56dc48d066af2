"""The guarded HTTP client against real servers on this machine, hostile ones above all.

Where a test needs an address that is permitted beside one that is not, 127.0.0.2 is allowed and 127.0.0.1 is not.
"""

import asyncio
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any

import pytest

from heliograph.domain.instant import SECOND
from heliograph.outgoing import HttpAnswer, OutgoingFailure, OutgoingHttp, OutgoingOptions

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
