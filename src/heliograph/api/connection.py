"""How answers leave: the head and the body of one in a single call of the system."""

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's, on a transport that joins what is written together."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to serve a client."""
        super().connection_made(JoinedWrites(cast("asyncio.Transport", transport), self.loop))


class JoinedWrites(asyncio.Transport):
    """Holds what is written first in a turn of the event loop, and hands it over with what follows or at its end.

    uvicorn writes the head of an answer and then its body: two calls of the system, and two packets, for one answer.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._held: bytes | None = None

    def write(self, data: Any) -> None:
        """Hold it, or hand over what is held and this."""
        if self._held is None:
            self._held = data
            self._loop.call_soon(self._hand_over)
        else:
            held, self._held = self._held, None
            self._transport.writelines((held, data))

    def _hand_over(self) -> None:
        if self._held is not None:
            held, self._held = self._held, None
            self._transport.write(held)

    def close(self) -> None:
        """Close, once what was written has left."""
        self._hand_over()
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether it is closed or will be."""
        return self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What is known of the connection."""
        return self._transport.get_extra_info(name, default)

    def pause_reading(self) -> None:
        """Take nothing from the client for now."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take what it sends again."""
        self._transport.resume_reading()
