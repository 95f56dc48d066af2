"""A receiver of webhooks that does as it is told: a real HTTP server on loopback, in a thread of its own.

Attempts are waited for by the sandbox's clock (`Caller.settle`), so there is nothing to wait for here.
"""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from typing import Any, NamedTuple, Self


class Told(NamedTuple):
    """What came to a receiver."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def data(self) -> Any:
        """The event."""
        return json.loads(self.body)["data"]

    @property
    def event(self) -> bytes:
        """The event, byte for byte: everything between the two keys of the envelope."""
        return self.body.removeprefix(b'{"data":').rpartition(b',"meta":')[0]


class Receiver:
    """Takes webhooks on loopback and answers 200, or what it was told to answer at a path, in that order."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self._answers: dict[str, list[tuple[int, dict[str, str], bytes]]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def url(self, path: str) -> str:
        """The URL of a path."""
        return f"http://127.0.0.1:{self._server.server_port}{path}"

    def answer(self, path: str, status: int, body: str = "", **headers: str) -> None:
        """Answer so once, after whatever else was asked for at this path."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._answers.setdefault(path, []).append((status, named, body.encode()))

    def at(self, path: str) -> list[Told]:
        """What came to a path, in order."""
        return [each for each in self.told if each.path == path]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.told.append(Told(self.path, {n.lower(): v for n, v in self.headers.items()}, body))
                told = receiver._answers.get(self.path)
                status, headers, content = told.pop(0) if told else (200, {}, b"")
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it has there
                """Nothing."""

        return Handler
