"""Two Heliographs in a row: ours (A), which its customers use, and theirs (B), a sandbox that A forwards to.

    customer --HTTP--> A --HTTP--> B --> handset
    customer <-webhook- A <-webhook- B <-- handset

A is no sandbox: its clock is the machine's, its rates are on, its carriers are in a file. B reports to A at the URL
that A gives it with each message, and what handsets write at the webhook URL of its profile, which is A's too.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Condition, Thread
from types import TracebackType
from typing import Any, NamedTuple, Self

from heliograph.carriers.upstream_webhooks import read_public_key, verify
from heliograph.clock import SystemClock
from heliograph.domain.accounts import Organization, Profile
from heliograph.domain.instant import SECOND, to_text
from heliograph.domain.signing_keys import keys_at
from heliograph.store.store import Store
from heliograph.testing.server_process import ServerProcess
from heliograph.webhooks.signing import public_key
from tests.ports import free_port
from tests.webhook_receiver import Receiver, Told
from tests.wire import TOLL_FREE, Accounts, Answer, Caller, later

PATIENCE = 60
"""Seconds after which what was waited for does not come any more."""
B_SETTINGS = {"SANDBOX__RECEIPT_DELAY": "0", "LOG__LEVEL": "warning"}
A_SETTINGS = {"SCHEDULE__MIN_LEAD": "0", "SCHEDULE__CANCEL_CUTOFF": "0", "LOG__LEVEL": "warning"}


class _Signalling(list[Told]):
    """A list that says when it has grown."""

    def __init__(self, grown: Condition) -> None:
        super().__init__()
        self._grown = grown

    def append(self, told: Told) -> None:
        with self._grown:
            super().append(told)
            self._grown.notify_all()


class Customer(Receiver):
    """Whom A's webhooks go to."""

    def __init__(self) -> None:
        super().__init__()
        self._grown = Condition()
        self.told = _Signalling(self._grown)

    def event(self, kind: str, concerns: Callable[[Any], bool]) -> Told:
        """The first event of a kind whose payload is the one that is meant; it is waited for."""

        def found() -> Told | None:
            return next((each for each in self.told if _is(each, kind) and concerns(each.data["payload"])), None)

        with self._grown:
            came = self._grown.wait_for(found, PATIENCE)
        assert came is not None, [(each.data["event_type"], each.data["payload"]) for each in self.told]
        return came

    def finalized(self, message_id: str) -> Any:
        """The last word on a message."""
        return self.event("message.finalized", lambda payload: payload["id"] == message_id).data["payload"]

    def received(self, text: str) -> Any:
        """A message that came in."""
        return self.event("message.received", lambda payload: payload["text"] == text).data["payload"]

    def count(self, kind: str, message_id: str) -> int:
        """How many events of a kind there were for a message, each counted once by its id."""
        return len(
            {each.data["id"] for each in self.told if _is(each, kind) and each.data["payload"]["id"] == message_id}
        )


def _is(told: Told, kind: str) -> bool:
    return bool(told.data["event_type"] == kind)


class Theirs:
    """B. It may be killed and started again, at the same address and with what it had."""

    def __init__(self, folder: Path, reports_to: str = "", **settings: str) -> None:
        """`reports_to` is where it sends what handsets write."""
        self.port = free_port()
        self._url = f"sqlite:///{folder / f'their-{self.port}.db'}"
        own = {"SANDBOX__WEBHOOK_URL": reports_to} if reports_to else {}
        self._settings = {**B_SETTINGS, **own, **settings}
        self.server = self._made()
        self.ready: Mapping[str, str] = {}
        """As of the first start: its key stays one."""

    def _made(self) -> ServerProcess:
        return ServerProcess(self._url, self._settings, port=self.port)

    @property
    def base_url(self) -> str:
        """Where it is, or would be."""
        return f"http://127.0.0.1:{self.port}/v2"

    def start(self) -> None:
        """Return once it takes requests."""
        self.server = self._made()
        self.server.start()
        self.ready = self.ready or self.server.ready

    def kill(self) -> None:
        """kill -9."""
        self.server.kill()
        self.server.__exit__(None, None, None)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.__exit__(kind, error, trace)

    @contextmanager
    def caller(self) -> Iterator[Caller]:
        """Somebody with its key, who sees its handsets."""
        with Caller(f"http://127.0.0.1:{self.port}", self.ready["api_key"]) as caller:
            yield caller

    def handset(self, number: str) -> Sequence[Any]:
        """What arrived there; everything due by now has."""
        with self.caller() as caller:
            caller.settle()
            told: Sequence[Any] = caller.handset(number)
            return told

    def writes(self, number: str, text: str, **more: object) -> None:
        """Somebody writes to the number that A sends from."""
        with self.caller() as caller:
            written = {"to": TOLL_FREE, "text": text, **more}
            assert caller("POST", f"/sandbox/handsets/{number}/messages", written).status == 200


class Carrier(NamedTuple):
    """One of A's carriers."""

    theirs: Theirs
    base_url: str = ""
    """Where A calls it; as it is, if not given."""
    more: str = ""
    """Further settings, a line each."""


def config(address: str, carriers: Mapping[str, Carrier], more: str = "") -> str:
    """A's file of settings."""
    tables = []
    for name, (theirs, base_url, own) in carriers.items():
        tables += [
            f"[carriers.{name}]",
            'kind = "upstream"',
            f'base_url = "{base_url or theirs.base_url}"',
            f'api_key = "{theirs.ready["api_key"]}"',
            f'public_key = "{theirs.ready["webhook_public_key"]}"',
            f'callback_url = "{address}"',
            f"{own}\n",
        ]
    return "\n".join(['[outgoing]\nallow = "127.0.0.0/8"\n', *tables, more, ""])


@dataclass(frozen=True)
class Ours:
    """A, an organisation on it, and its customer."""

    server: ServerProcess
    accounts: Accounts
    call: Caller
    customer: Customer
    profile_id: str
    public_key: str
    """What the customer verifies A's webhooks with."""
    config: Path

    def sends(self, to: str, text: str | None = "Hello", **fields: object) -> str:
        """The id of a message that was taken."""
        return str(self.call.send(to=to, text=text, **fields).data["id"])

    def schedules(self, to: str, text: str = "Later", **ahead: float) -> str:
        """The id of a message that is to leave some time from now."""
        moment = later(to_text(SystemClock().now()), **ahead)
        return str(self.call.send("/v2/messages/schedule", to=to, text=text, send_at=moment).data["id"])

    def ends(self, message_id: str) -> Any:
        """The message, once its customer has been told of its end: `status` and the code of its error."""
        self.customer.finalized(message_id)
        return self.call.read(message_id)

    def end(self, message_id: str) -> tuple[str, str]:
        """Its last status, and the code of its error if it has one."""
        message = self.ends(message_id)
        return message["to"][0]["status"], "".join(each["code"] for each in message["errors"])

    def status(self, message_id: str) -> str:
        """How far it is now."""
        return str(self.call.read(message_id)["to"][0]["status"])

    def verifies(self, told: Told, key: str = "") -> None:
        """Raises `NotVerified` for a webhook that A did not sign."""
        now = SystemClock().now() // SECOND
        verify([read_public_key(key or self.public_key)], told.headers, told.body, now)


@contextmanager
def ours(
    folder: Path,
    port: int,
    carriers: Mapping[str, Carrier],
    *,
    database_url: str = "",
    more: str = "",
    sandbox: bool = False,
) -> Iterator[Ours]:
    """A, running on a port with these carriers, and an organisation that sends from B's number."""
    file = folder / f"ours-{port}.toml"
    file.write_text(config(f"http://127.0.0.1:{port}", carriers, more))
    url = database_url or f"sqlite:///{folder / f'ours-{port}.db'}"
    told = {"CONFIG": str(file), **A_SETTINGS}
    with Customer() as customer:
        if sandbox:
            told["SANDBOX__WEBHOOK_URL"] = customer.url("/hooks")
        with ServerProcess(url, told, sandbox=sandbox, port=port) as server:
            accounts = Accounts(server)
            organization, profile = accounts.sandbox() if sandbox else _account(accounts, customer.url("/hooks"))
            key = _public_key(accounts, organization)
            with accounts.caller(accounts.key(organization)) as caller:
                yield Ours(server, accounts, caller, customer, profile.id, key, file)


def _account(accounts: Accounts, webhook_url: str) -> tuple[Organization, Profile]:
    """An organisation with a profile that has B's number."""
    organization = accounts.organization()
    profile = accounts.profile(organization, webhook_url=webhook_url)
    accounts.sender(profile, TOLL_FREE)
    return organization, profile


def _public_key(accounts: Accounts, organization: Organization) -> str:
    async def signer(store: Store) -> str:
        now = store.clock.now()
        return public_key(keys_at(await store.webhook_keys.ensure(organization.id, now), now).signer)

    return accounts._beside(signer)


class Between:
    """Stands between A and B, and passes on what it hears, until it is told to lose an answer."""

    def __init__(self, port: int) -> None:
        self.before_lost: Callable[[], None] | None = None
        """Called when B has answered a message, and then the answer is lost; once."""
        self.lost: list[Answer] = []
        self._port = port
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = Thread(target=self._server.serve_forever, daemon=True)

    @property
    def base_url(self) -> str:
        """What A takes for B."""
        return f"http://127.0.0.1:{self._server.server_port}/v2"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _passed(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer | None:
        """What B answers; None when the answer is to be lost, or B is not there."""
        connection = HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        try:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            answer = Answer(response.status, dict(response.getheaders()), response.read())
        except (OSError, HTTPException):
            return None
        finally:
            connection.close()
        lose, self.before_lost = (self.before_lost, None) if method == "POST" else (None, self.before_lost)
        if lose is None:
            return answer
        self.lost.append(answer)
        lose()
        return None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        between = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._pass_on()

            def do_POST(self) -> None:
                self._pass_on()

            def _pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", "0")))
                answer = between._passed(self.command, self.path, body, dict(self.headers.items()))
                if answer is None:
                    return  # the connection is closed without an answer
                self.send_response(answer.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it has there
                """Nothing."""

        return Handler


class Pictures:
    """A server with media on loopback: what it has, by path, as a type and bytes."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[str, bytes]] = {}
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
        """Where a path is."""
        return f"http://127.0.0.1:{self._server.server_port}{path}"

    def keep(self, path: str, content_type: str, content: bytes) -> str:
        """Have something; its URL."""
        self.kept[path] = content_type, content
        return self.url(path)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        pictures = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                content_type, content = pictures.kept.get(self.path, ("text/plain", b""))
                self.send_response(200 if self.path in pictures.kept else 404)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it has there
                """Nothing."""

        return Handler


def of_message(message_id: str) -> Callable[[Any], bool]:
    """Whether a payload is of a message."""
    return lambda payload: bool(payload["id"] == message_id)
