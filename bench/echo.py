"""What the server stack can do at best: decode the JSON body of a POST and answer it.

The same uvicorn settings, router and kind of endpoint as the service, and nothing else.
"""

import socket

import msgspec
import uvicorn
import uvloop
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from heliograph.server import http_config

PATH = "/echo"
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Echo:
    """Answers what it is sent."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = _decode(await Request(scope, receive).body())
        await Response(_encode(body), media_type="application/json")(scope, receive, send)


async def _serve() -> None:
    config = http_config(Router([Route(PATH, Echo())], redirect_slashes=False))
    listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
    print(f"base_url: http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    await uvicorn.Server(config).serve([listening])


def main() -> None:
    """Print where it is, and serve until SIGTERM."""
    uvloop.run(_serve())


if __name__ == "__main__":
    main()
