"""Servers for the provider's own SDKs, on both databases, and clients that know nothing of them but the base URL."""

import inspect
import os
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from typing import Any

import pytest
from telnyx import AsyncTelnyx, DefaultAsyncHttpxClient, DefaultHttpxClient, Telnyx

from heliograph.testing.server_process import ServerProcess
from tests.description import hold, hold_async
from tests.wire import ALPHANUMERIC, LONG_CODE, SHORT_CODE, Accounts, Caller, as_datetime, on_postgres, on_sqlite


@dataclass(frozen=True)
class Service:
    """A server, an account with a sender of each kind, and somebody who moves the clock and looks at handsets."""

    base_url: str
    api_key: str
    profile_id: str
    accounts: Accounts
    tester: Caller

    def time(self, **ahead: float) -> datetime:
        """A moment from now by the sandbox's clock."""
        return as_datetime(self.tester.time(**ahead))

    def pool(self) -> set[str]:
        """The numbers of the profile: other tests give it more."""
        path = f"/v2/messaging_profiles/{self.profile_id}/phone_numbers?page[size]=250"
        return {each["phone_number"] for each in self.tester("GET", path).data}


def prepared(server: ServerProcess) -> ServerProcess:
    """A server with a sender of each kind."""
    accounts = Accounts(server)
    _, profile = accounts.sandbox()
    for address in (LONG_CODE, SHORT_CODE, ALPHANUMERIC):
        accounts.sender(profile, address, tags=("Greetings",), campaign="TCPA3X7")
    return server


@pytest.fixture(scope="session")
def sqlite_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One for all tests of a worker; they find their own messages by id."""
    with on_sqlite(tmp_path_factory.mktemp("sdk")) as server:
        yield prepared(server)


@pytest.fixture(scope="session")
def postgresql_server(request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    """The same on PostgreSQL."""
    with on_postgres(request.getfixturevalue("postgres_server")) as server:
        yield prepared(server)


@pytest.fixture
def service(database_kind: str, request: pytest.FixtureRequest) -> Iterator[Service]:
    """A server on each database."""
    server: ServerProcess = request.getfixturevalue(f"{database_kind}_server")
    accounts = Accounts(server)
    with accounts.caller() as tester:
        ready = server.ready
        yield Service(server.base_url, ready["api_key"], ready["messaging_profile_id"], accounts, tester)


@dataclass(frozen=True)
class Sdk:
    """A client of either kind behind one way to call it."""

    client: Any

    async def __call__(self, method: str, /, *arguments: Any, **fields: Any) -> Any:
        """Call `messages.send` or so, and wait for what it gives."""
        call = self.client
        for name in method.split("."):
            call = getattr(call, name)
        answer = call(*arguments, **fields)
        return await answer if inspect.isawaitable(answer) else answer

    def with_options(self, **options: Any) -> "Sdk":
        """The same with other options."""
        return Sdk(self.client.with_options(**options))


CLIENTS, DATABASES = (Telnyx, AsyncTelnyx), ("sqlite", "postgresql")
_EVERY_PAIR = bool(os.environ.get("HELIOGRAPH_TEST_CHAOS"))  # noqa: TID251 - not a setting of the service
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For servers without TLS: to read the machine's certificates takes a client 50 ms."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test with each client and on each database. Which of them meet is no matter: only the long form has all."""
    marked = {name for mark in metafunc.definition.iter_markers("parametrize") for name in mark.args[:1]}
    wanted = [
        each for each in ("client_class", "database_kind") if each in metafunc.fixturenames and each not in marked
    ]
    every = list(product(CLIENTS, DATABASES))
    pairs = every if _EVERY_PAIR else [every[0], every[-1]]
    chosen = {"client_class": CLIENTS, "database_kind": DATABASES}
    if len(wanted) == 2:
        ids = [f"{client.__name__}-{kind}" for client, kind in pairs]
        metafunc.parametrize(wanted, pairs, ids=ids, indirect=True)
    for name in wanted if len(wanted) == 1 else ():
        metafunc.parametrize(name, chosen[name], ids=lambda each: getattr(each, "__name__", each), indirect=True)


@pytest.fixture
def database_kind(request: pytest.FixtureRequest) -> str:
    """`sqlite` or `postgresql`."""
    return str(request.param)


@pytest.fixture
def client_class(request: pytest.FixtureRequest) -> Any:
    """The synchronous or the asynchronous client."""
    return request.param


def held(client_class: Any) -> Any:
    """The transport that a client makes for itself, with a look at what comes through it."""
    if client_class is Telnyx:
        return DefaultHttpxClient(verify=NO_TLS, event_hooks={"response": [hold]})
    return DefaultAsyncHttpxClient(verify=NO_TLS, event_hooks={"response": [hold_async]})


@asynccontextmanager
async def connected(client_class: Any, service: Service, **options: Any) -> AsyncIterator[Sdk]:
    """A client of a class for as long as the context lasts; its answers are held against the description."""
    options.setdefault("http_client", held(client_class))
    client = client_class(api_key=service.api_key, base_url=service.base_url, **options)
    try:
        yield Sdk(client)
    finally:
        closing = client.close()
        if closing is not None:
            await closing


@pytest.fixture
async def sdk(client_class: Any, service: Service) -> AsyncIterator[Sdk]:
    """A client as users make it, of each class."""
    async with connected(client_class, service) as sdk:
        yield sdk


@pytest.fixture
async def strict_sdk(client_class: Any, service: Service) -> AsyncIterator[Sdk]:
    """A client that raises when an answer does not fit its models."""
    async with connected(client_class, service, _strict_response_validation=True) as sdk:
        yield sdk
