"""A receiver of webhooks that does nothing but answer 200, in a process of its own: what limits a figure is not here.

Prints its port, then answers until it is killed. It counts the ids of the events that it was sent; `GET` tells how many
requests and how many different ids there were since the last `GET`.
"""

import asyncio
import socket
from re import IGNORECASE
from re import compile as regex
from typing import cast

import uvloop

_LENGTH = regex(rb"\r\ncontent-length: *(\d+)", IGNORECASE)
_ID = regex(rb"\r\nwebhook-id: *([^\r]+)", IGNORECASE)
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Counted:
    """What came since it was last asked for."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Count from nothing."""
        self.requests = 0
        self.ids: set[bytes] = set()


class Receiver(asyncio.Protocol):
    """One connection."""

    def __init__(self, counted: Counted) -> None:
        self._counted = counted
        self._pending = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self._pending += data
        while (end := self._pending.find(b"\r\n\r\n")) >= 0:
            head = self._pending[:end]
            found = _LENGTH.search(head)
            size = end + 4 + (int(found[1]) if found else 0)
            if len(self._pending) < size:
                return
            self._pending = self._pending[size:]
            self._transport.write(self._answer(head))

    def _answer(self, head: bytes) -> bytes:
        counted = self._counted
        if head.startswith(b"GET"):
            body = b"%d %d" % (counted.requests, len(counted.ids))
            counted.begin()
            return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        counted.requests += 1
        if found := _ID.search(head):
            counted.ids.add(found[1])
        return _ANSWER


async def _serve() -> None:
    counted = Counted()
    listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
    server = await asyncio.get_running_loop().create_server(lambda: Receiver(counted), sock=listening)
    print(listening.getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve())
