"""Where carriers report: the route alone, over real HTTP, with receivers that do as they are told."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.routing import Router

from heliograph.api.carrier_webhooks import create_route
from heliograph.api.problems import HELP_URL
from heliograph.carriers.upstream_webhooks import UpstreamWebhooks
from heliograph.carriers.webhooks import NotReady, NotVerified, Receiver, Unreadable
from heliograph.clock import SystemClock
from heliograph.store.engine import StoreUnavailable
from tests.carriers.upstreams import NAME, THEIR_ID, Kept, Signer, event

LARGEST = 10_000
PATH = "/carriers/provider/webhooks"


class Obedient:
    """A receiver that notes what it is given, and raises what it is told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.given: list[tuple[Mapping[str, str], bytes, Mapping[str, str]]] = []
        self._error = error

    async def webhook(self, headers: Mapping[str, str], body: bytes, query: Mapping[str, str]) -> None:
        self.given.append((dict(headers), body, dict(query)))
        if self._error is not None:
            raise self._error


class Answer:
    """What came back."""

    def __init__(self, raw: bytes) -> None:
        head, _, self.body = raw.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        self.status = int(first.split(" ")[1])
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}

    @property
    def code(self) -> str:
        """Of its one error, in the house's shape."""
        (error,) = json.loads(self.body)["errors"]
        assert set(error) - {"source"} == {"code", "title", "detail", "meta"}
        assert error["meta"]["url"] == HELP_URL + error["code"]
        return str(error["code"])


class Caller:
    """Calls the route."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __call__(self, path: str = PATH, body: bytes = b"{}", method: str = "POST", **headers: str) -> Answer:
        named = {"host": "ours.example", "connection": "close", "content-length": str(len(body))}
        named |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
        return Answer(await self.raw(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + body))

    async def raw(self, data: bytes) -> bytes:
        """Everything that is said to these bytes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(data)
        answered = await reader.read()
        writer.close()
        return answered


@asynccontextmanager
async def serving(receivers: Mapping[str, Receiver]) -> AsyncIterator[Caller]:
    router = Router([create_route(receivers, LARGEST)], redirect_slashes=False)
    config = uvicorn.Config(router, port=0, log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        yield Caller(server.servers[0].sockets[0].getsockname()[1])
    finally:
        await server.shutdown()


async def answered(
    error: Exception | None = None, path: str = PATH, body: bytes = b"{}", method: str = "POST"
) -> Answer:
    async with serving({"provider": Obedient(error)}) as call:
        return await call(path, body, method)


async def test_what_was_kept_is_answered_with_200() -> None:
    assert ((await answered()).status, (await answered()).body) == (200, b"")


async def test_the_receiver_is_given_the_request_as_it_came() -> None:
    receiver, body = Obedient(), b' {"a": 1}\n\xff'
    async with serving({"provider": receiver}) as call:
        await call(PATH + "?message=a%20b&x=", body, Telnyx_Timestamp="5")
    ((headers, given, query),) = receiver.given
    assert (given, query, headers["telnyx-timestamp"]) == (body, {"message": "a b", "x": ""}, "5")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (NotVerified("The signature does not match."), 403, "10009"),
        (Unreadable("The body is not JSON."), 400, "10015"),
        (NotReady("Not yet."), 503, "10037"),
        (StoreUnavailable("the database is away"), 503, "10037"),
        (ValueError("a bug"), 500, "10007"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
async def test_what_was_not_kept_is_answered_as_it_deserves(error: Exception, status: int, code: str) -> None:
    told = await answered(error)
    assert (told.status, told.code, told.headers.get("x-should-retry")) == (status, code, None)


async def test_what_went_wrong_inside_is_not_told_outside() -> None:
    for error in (ValueError("secret"), StoreUnavailable("secret"), NotReady("secret")):
        assert b"secret" not in (await answered(error)).body


@pytest.mark.parametrize("name", ["other", "Provider", "provider%2F", "%00", "x" * 1000])
async def test_an_unknown_carrier_is_not_found(name: str) -> None:
    assert (await answered(path=f"/carriers/{name}/webhooks")).status == 404


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
async def test_only_post_is_possible(method: str) -> None:
    told = await answered(method=method)
    assert (told.status, told.code, told.headers["allow"]) == (405, "10030", "POST")


async def test_a_body_up_to_the_limit_is_taken_and_a_larger_one_is_not() -> None:
    assert (await answered(body=b"x" * LARGEST)).status == 200
    told = await answered(body=b"x" * (LARGEST + 1))
    assert (told.status, told.code) == (413, "10015")


async def test_a_body_that_does_not_tell_its_length_is_bounded_too() -> None:
    receiver = Obedient()
    async with serving({"provider": receiver}) as call:
        head = f"POST {PATH} HTTP/1.1\r\nHost: ours.example\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        told = Answer(await call.raw(head + b"2710\r\n%s\r\n1\r\nx\r\n" % (b"x" * LARGEST)))
    assert (told.status, receiver.given) == (413, [])


async def test_a_body_that_ends_early_is_given_to_nobody() -> None:
    receiver = Obedient()
    async with serving({"provider": receiver}) as call:
        _, writer = await asyncio.open_connection("127.0.0.1", call._port)
        writer.write(f"POST {PATH} HTTP/1.1\r\nHost: ours.example\r\nContent-Length: 9\r\n\r\nhalf".encode())
        writer.close()
        await writer.wait_closed()
        assert (await call("/carriers/other/webhooks")).status == 404
    assert receiver.given == []


async def test_a_carrier_that_comes_later_is_known_then() -> None:
    receivers: dict[str, Receiver] = {}
    async with serving(receivers) as call:
        assert (await call()).status == 404
        receivers["provider"] = Obedient()
        assert (await call()).status == 200


async def test_an_upstreams_webhook_is_verified_and_kept() -> None:
    signer, kept = Signer(), Kept()
    webhooks = UpstreamWebhooks(NAME, [signer.public], SystemClock())
    webhooks.inbox = kept
    body = event("message.finalized", {"id": THEIR_ID, "to": [{"status": "delivered"}]})
    signed = {name.title().replace("-", "_"): value for name, value in signer.headers(body).items()}
    async with serving({NAME: webhooks}) as call:
        assert (await call(body=body)).status == 403
        assert (await call(body=body + b" ", **signed)).status == 403
        assert (await call(body=body, **signed)).status == 200
    assert len(kept.came) == 1
