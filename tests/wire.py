"""A running server as its callers have it: plain HTTP to it, and accounts made beside it in its database."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from select import select
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

from heliograph.domain.accounts import Campaign, Organization, Profile, ProfileSettings, RuleOverrides
from heliograph.domain.ids import MessageId, OrganizationId, ProfileId
from heliograph.domain.instant import Instant, parse, to_text
from heliograph.server import SANDBOX_ORGANIZATION, new_key, new_sender
from heliograph.store.engine import open_engine
from heliograph.store.schema import migrate
from heliograph.store.store import Store
from heliograph.testing.server_process import ServerProcess
from tests.builders import new_id
from tests.databases import BackgroundLoop, fresh_database
from tests.description import check

Made = TypeVar("Made")

TO = "+18665550001"
LONG_CODE = "+13125550100"
TOLL_FREE = "+18445550001"
SHORT_CODE = "12345"
ALPHANUMERIC = "Heliograph"
MESSAGE = {"from": TOLL_FREE, "to": TO, "text": "Hello, World!"}
NO_SUCH_ID = "01900000-0000-7000-8000-000000000000"
_FREE = count(1000)


@dataclass(frozen=True)
class Answer:
    """A response, read to its end. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)

    @property
    def data(self) -> Any:
        """What is in the envelope of an answer with 200."""
        assert self.status == 200, self.body
        return self.json["data"]

    @property
    def error(self) -> Any:
        """The one error of a refusal."""
        (error,) = self.json["errors"]
        return error

    @property
    def refusal(self) -> tuple[int, str, str | None]:
        """Status, code and pointer."""
        return self.status, self.error["code"], self.error.get("source", {}).get("pointer")


class Caller:
    """Somebody with an API key and one connection, which is kept open for as long as the server does.

    Each answer is held against the provider's description.
    """

    described = True

    def __init__(self, base_url: str, key: str | None) -> None:
        self.key = key
        self.base_url = base_url
        self._connection = HTTPConnection(urlsplit(base_url).netloc, timeout=30)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    @property
    def socket(self) -> object:
        """The open connection; None when there is none."""
        return self._connection.sock

    def __call__(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str | None] | None = None
    ) -> Answer:
        """Ask, and read the answer. Bytes are sent as they are, anything else as JSON; a header of None is left out."""
        authorization = None if self.key is None else f"Bearer {self.key}"
        kind = None if body is None else "application/json"
        wanted = {"Authorization": authorization, "Content-Type": kind} | dict(headers or {})
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        sent = {name: value for name, value in wanted.items() if value is not None}
        if self._is_left():
            self._connection.close()  # and with the request begun anew
        self._connection.request(method, path, content, sent)
        response = self._connection.getresponse()
        answer = Answer(response.status, {n.lower(): v for n, v in response.getheaders()}, response.read())
        if self.described:
            check(method, path, answer.status, answer.body)
        return answer

    def _is_left(self) -> bool:
        """Whether the server has closed a connection that was idle for long: there is something to read, the end."""
        open_socket = self._connection.sock
        return open_socket is not None and bool(select([open_socket], [], [], 0)[0])

    def send(self, path: str = "/v2/messages", /, **fields: object) -> Answer:
        """Send the example of the provider's pages with these fields in place of its own; None leaves one out."""
        body = {**MESSAGE, **{name.rstrip("_"): value for name, value in fields.items()}}
        return self("POST", path, {name: value for name, value in body.items() if value is not None})

    def schedule(self, **ahead: float) -> Any:
        """A message scheduled `hours=1` or so from now."""
        return self.send("/v2/messages/schedule", send_at=self.time(**ahead)).data

    def cancel(self, message_id: str) -> Answer:
        """Call a message off."""
        return self("DELETE", f"/v2/messages/{message_id}")

    def read(self, message_id: str) -> Any:
        """A message as it now is."""
        return self("GET", f"/v2/messages/{message_id}").data

    def time(self, **ahead: float) -> str:
        """A moment from now by the sandbox's clock, as text."""
        return later(self("GET", "/sandbox/clock").data["now"], **ahead)

    def advance_to(self, moment: str) -> None:
        """Move the sandbox's clock; everything due until then is done."""
        assert self("POST", "/sandbox/clock/advance", {"to": moment}).status == 200

    def settle(self) -> None:
        """Wait until everything due by now is done."""
        assert self("POST", "/sandbox/clock/advance", {"seconds": 0}).status == 200

    def handset(self, number: str) -> Any:
        """What arrived at a number, oldest first."""
        return self("GET", f"/sandbox/handsets/{number}").data


def later(moment: str, **ahead: float) -> str:
    """A moment some time after another, both as text."""
    micros = timedelta(**ahead) // timedelta(microseconds=1)
    return to_text(Instant(parse(moment) + micros))


def as_datetime(moment: str) -> datetime:
    """A moment as the SDKs take it."""
    return datetime.fromisoformat(moment)


class Accounts:
    """Organisations, keys, profiles and senders, made in the database of a running server."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server

    def caller(self, key: str | None = None) -> Caller:
        """Somebody with this key, or with the sandbox's own."""
        return Caller(self._server.ready["base_url"], key or self._server.ready["api_key"])

    def sandbox(self) -> tuple[Organization, Profile]:
        """The organisation that every sandbox begins with, and its profile."""

        async def found(store: Store) -> tuple[Organization, Profile]:
            organization = await store.listing.organization(SANDBOX_ORGANIZATION)
            assert organization is not None
            profile = await store.accounts.profile(organization.id, self._server.ready["messaging_profile_id"])
            assert profile is not None
            return organization, profile

        return self._beside(found)

    def organization(self, **rules: int) -> Organization:
        """A new organisation; rules as `RuleOverrides` has them."""

        async def made(store: Store) -> Organization:
            given = RuleOverrides(**rules)
            organization = Organization(OrganizationId(new_id(store)), f"Organisation {next(_FREE)}", given)
            await store.changes.create_organization(organization, store.clock.now())
            return organization

        return self._beside(made)

    def key(self, organization: Organization) -> str:
        """A new key of an organisation."""
        return self._beside(lambda store: new_key(store, organization, "test"))

    def revoke(self, key: str) -> None:
        """Refuse a key from now on."""
        self._beside(lambda store: store.changes.revoke_key(key.split("_")[1], store.clock.now()))

    def profile(self, organization: Organization, **settings: Any) -> Profile:
        """A new profile of an organisation."""

        async def made(store: Store) -> Profile:
            now = store.clock.now()
            given = ProfileSettings(**settings)
            profile = Profile(ProfileId(new_id(store)), organization.id, "Other", given, now, now)
            await store.changes.save_profile(profile)
            return profile

        return self._beside(made)

    def sender(self, profile: Profile, address: str = "", tags: tuple[str, ...] = (), campaign: str = "") -> str:
        """A new sender of a profile; its address, which is a long code that nobody has if none is given."""

        async def made(store: Store) -> str:
            sender = new_sender(store, profile, address or f"+1312555{next(_FREE):04d}")
            sender = replace(sender, tags=tags, campaign=Campaign(campaign) if campaign else None)
            await store.changes.add_sender(sender, store.clock.now())
            return sender.address

        return self._beside(made)

    def slugs(self, message_id: str) -> list[str]:
        """The slugs of the short links of a message."""

        async def found(store: Store) -> list[str]:
            return [each.slug for each in await store.links.of_message(MessageId(message_id))]

        return self._beside(found)

    def clicks(self, slug: str) -> list[tuple[str, str | None]]:
        """When a short link was followed, and with what, oldest first."""

        async def found(store: Store) -> list[tuple[str, str | None]]:
            return [(to_text(each["at"]), each["user_agent"]) for each in await store.links.clicks(slug)]

        return self._beside(found)

    def _beside(self, work: Callable[[Store], Awaitable[Made]]) -> Made:
        """Do something with a store of our own."""
        lasting = _BESIDE.get(self._server)
        if lasting is not None:
            return lasting.do(work)
        once = _Beside(self._server.database_url)
        try:
            return once.do(work)
        finally:
            once.close()


class _Beside:
    """Somebody at the database of a server, beside it."""

    def __init__(self, database_url: str) -> None:
        self._loop = BackgroundLoop()
        self._engine = open_engine(database_url, sandbox=True)

    def do(self, work: Callable[[Store], Awaitable[Made]]) -> Made:
        """With a store that remembers nothing yet."""

        async def run() -> Made:
            store = Store(self._engine)
            await self._engine.synchronize_clock()
            return await work(store)

        return self._loop.run(run())

    def close(self) -> None:
        """Give back the connections."""
        self._loop.run(self._engine.close())
        self._loop.close()


_BESIDE: dict[ServerProcess, _Beside] = {}
"""Of the servers that many tests share."""


@contextmanager
def _shared(server: ServerProcess) -> Iterator[ServerProcess]:
    """A server at which more is done in its database than once."""
    with server:
        beside = _BESIDE[server] = _Beside(server.database_url)
        try:
            yield server
        finally:
            del _BESIDE[server]
            beside.close()


@contextmanager
def on_sqlite(folder: Path, **settings: str) -> Iterator[ServerProcess]:
    """A server on a new SQLite file whose receipts come at once."""
    url = f"sqlite:///{folder / 'h.db'}"
    with _shared(ServerProcess(url, {"SANDBOX__RECEIPT_DELAY": "0", **settings})) as server:
        yield server


@contextmanager
def on_postgres(admin_url: str, **settings: str) -> Iterator[ServerProcess]:
    """The same on a new PostgreSQL database."""
    with fresh_database(admin_url) as url:
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, migrate(url)).result()
        with _shared(ServerProcess(url, {"SANDBOX__RECEIPT_DELAY": "0", **settings})) as server:
            yield server
