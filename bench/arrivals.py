"""A receiver of webhooks, and of callbacks by GET, that knows when the last new one came. A process of its own.

What tells one from another is the id of the event, or the whole target of a request that has none. `GET /begin` counts
from nothing; `GET /arrived` tells how many new ones and how many repeats there were since, and when the last new one
came. One that came before `begin` is a repeat after it.
"""

import asyncio
import http.client
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from re import IGNORECASE
from re import compile as regex

import msgspec
import uvloop

from bench.measure import ROOT, Processes
from bench.receiver import Counted, Receiver

_ID = regex(rb"\r\nwebhook-id: *([^\r]+)", IGNORECASE)
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Arrived(msgspec.Struct):
    """What came since the last `begin`."""

    new: int
    repeats: int
    last: int
    """When the last new one came, on the clock of `time.perf_counter_ns`; 0: never."""


class _Counted(Counted):
    def __init__(self) -> None:
        super().__init__()
        self._known: set[bytes] = set()

    def begin(self) -> None:
        """Count from nothing, and forget nothing."""
        super().begin()
        self.last = 0

    def add(self, name: bytes) -> None:
        """Count a request."""
        self.requests += 1
        if name not in self._known:
            self._known.add(name)
            self.ids.add(name)
            self.last = time.perf_counter_ns()


class _Receiver(Receiver):
    """One connection."""

    def __init__(self, counted: _Counted) -> None:
        super().__init__(counted)
        self._arrivals = counted

    def _answer(self, head: bytes) -> bytes:
        target = head.split(b" ", 2)[1]
        if target == b"/begin":
            self._arrivals.begin()
        elif target == b"/arrived":
            return _told(self._arrivals)
        else:
            found = _ID.search(head)
            self._arrivals.add(found[1] if found else target)
        return _ANSWER


def _told(counted: _Counted) -> bytes:
    new = len(counted.ids)
    body = msgspec.json.encode(Arrived(new, counted.requests - new, counted.last))
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


class Arrivals:
    """A running receiver."""

    def __init__(self, port: int, pid: int) -> None:
        self.port = port
        self.processes = Processes(pid)

    def begin(self) -> None:
        """Count from nothing."""
        self._get("/begin")

    def arrived(self) -> Arrived:
        """What came since."""
        return msgspec.json.decode(self._get("/arrived"), type=Arrived)

    def _get(self, path: str) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        finally:
            connection.close()


@contextmanager
def receiver() -> Iterator[Arrivals]:
    """A receiver on a free port."""
    command = [sys.executable, "-m", "bench.arrivals"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield Arrivals(int(process.stdout.readline()), process.pid)
        finally:
            process.kill()


async def _serve() -> None:
    counted = _Counted()
    listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
    server = await asyncio.get_running_loop().create_server(lambda: _Receiver(counted), sock=listening)
    print(listening.getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve())
