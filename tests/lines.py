"""A way to PostgreSQL that can fall silent: nothing comes through any more, and nobody is told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import parse_qs, urlsplit


class Line:
    """A way to PostgreSQL that can fall silent: nothing comes through any more, and nobody is told."""

    def __init__(self, url: str) -> None:
        self._to = urlsplit(url)
        self.carries = asyncio.Event()
        self.carries.set()
        self._pumps: set[asyncio.Task[None]] = set()

    def lose(self) -> None:
        """Carry nothing more of what was joined by now, as a router does that has forgotten it; only what is new."""
        self.carries.clear()
        self.carries = asyncio.Event()
        self.carries.set()

    @asynccontextmanager
    async def laid(self) -> AsyncIterator[str]:
        """The URL at this end."""
        server = await asyncio.start_server(self._join, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        user = self._to.netloc.rpartition("@")[0] or "postgres"
        try:
            yield self._to._replace(netloc=f"{user}@127.0.0.1:{port}", query="ssl=disable").geturl()
        finally:
            server.close()
            for each in self._pumps:
                each.cancel()
            await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        carries = self.carries
        await carries.wait()
        folder = parse_qs(self._to.query).get("host")
        far = (
            asyncio.open_unix_connection(f"{folder[0]}/.s.PGSQL.5432")
            if folder
            else asyncio.open_connection(self._to.hostname, self._to.port or 5432)
        )
        beyond_reader, beyond_writer = await far
        for pair in ((reader, beyond_writer), (beyond_reader, writer)):
            self._pumps.add(asyncio.create_task(_pump(carries, *pair)))


async def _pump(carries: asyncio.Event, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        with suppress(OSError):
            while data := await reader.read(65536):
                await carries.wait()
                writer.write(data)
    finally:
        writer.close()
