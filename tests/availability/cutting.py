"""A proxy before PostgreSQL that reads the protocol, and cuts connections at their COMMIT."""

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import Enum
from pathlib import Path
from random import Random
from urllib.parse import parse_qs, urlsplit

_TLS_REQUEST = 80_877_103
_RESET = struct.pack("ii", 1, 0)
_HEAD = 5


class Cut(Enum):
    """Where a connection is cut."""

    NONE = "none"
    BEFORE = "before the server has the COMMIT"
    AFTER = "after the server has answered it, before we have"
    BETWEEN = "once the server has it, and perhaps before it has done it"


class CuttingProxy:
    """Listens on loopback; each COMMIT that passes is cut by chance."""

    def __init__(self, server_socket: Path, chance: Random, rate: float) -> None:
        self._server_socket = server_socket
        self._chance = chance
        self.rate = rate
        """How many COMMITs of all are cut."""
        self.cuts: Counter[Cut] = Counter()
        self.holds_open = False
        """Whether who has been told by the server that it ends the session is left to find that it has."""
        self.ended = asyncio.Event()
        """The server has ended a session, and what it said last was passed on."""
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on one connection until it ends, or is cut."""
        try:
            server_reader, server_writer = await asyncio.open_unix_connection(str(self._server_socket))
        except OSError:
            writer.transport.abort()
            return
        muted = asyncio.Event()
        back = asyncio.create_task(self._answers(server_reader, writer, muted))
        with suppress(OSError, asyncio.IncompleteReadError):
            await self._requests(reader, writer, server_writer, muted)
        server_writer.close()
        await back
        _reset(writer)

    async def _requests(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        server: asyncio.StreamWriter,
        muted: asyncio.Event,
    ) -> None:
        await _begin(reader, writer, server)
        while True:
            head = await reader.readexactly(_HEAD)
            body = await reader.readexactly(struct.unpack("!i", head[1:])[0] - 4)
            cut = self._drawn() if head[:1] == b"Q" and body.rstrip(b"\0;").endswith(b"COMMIT") else Cut.NONE
            self.cuts[cut] += 1
            if cut is Cut.BEFORE:
                return
            if cut is Cut.AFTER:
                muted.set()
            server.write(head + body)
            await server.drain()
            if cut is Cut.AFTER:
                await reader.read(1)  # nothing more comes: the answer is kept back, and then the line is cut
            if cut is not Cut.NONE:
                return

    async def _answers(self, server: asyncio.StreamReader, writer: asyncio.StreamWriter, muted: asyncio.Event) -> None:
        with suppress(OSError):
            while answer := await server.read(1 << 16):
                if muted.is_set():
                    break  # it has answered
                writer.write(answer)
                await writer.drain()
        self.ended.set()
        if not self.holds_open:
            _reset(writer)

    def _drawn(self) -> Cut:
        if self._chance.random() >= self.rate:
            return Cut.NONE
        return self._chance.choice((Cut.BEFORE, Cut.AFTER, Cut.BETWEEN))


async def _begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
    while True:
        size = await reader.readexactly(4)
        body = await reader.readexactly(struct.unpack("!i", size)[0] - 4)
        if struct.unpack("!i", body[:4])[0] != _TLS_REQUEST:
            server.write(size + body)
            return
        writer.write(b"N")


def _reset(writer: asyncio.StreamWriter) -> None:
    """RST, not FIN: nothing that is on the way arrives."""
    used = writer.get_extra_info("socket")
    if used is not None and not writer.transport.is_closing():
        with suppress(OSError):
            used.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()


@asynccontextmanager
async def cutting(admin_url: str, chance: Random, rate: float) -> AsyncIterator[tuple[CuttingProxy, str]]:
    """A proxy before the server of a URL with a socket, and the URL of the same database through it."""
    parts = urlsplit(admin_url)
    proxy = CuttingProxy(Path(parse_qs(parts.query)["host"][0]) / ".s.PGSQL.5432", chance, rate)
    listening = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = listening.sockets[0].getsockname()[1]
    try:
        yield proxy, f"postgresql://postgres@127.0.0.1:{proxy.port}{parts.path}"
    finally:
        listening.close()
