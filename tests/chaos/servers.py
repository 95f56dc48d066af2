"""Real servers that are killed, stopped, paused and started again, and clients that talk to them all the while."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from random import Random
from typing import Any

import aiohttp

from heliograph.clock import Clock, SystemClock
from heliograph.domain.errors import Code
from heliograph.domain.instant import MILLISECOND, SECOND, Instant, parse, to_text
from heliograph.testing.server_process import ServerFailed, ServerProcess
from tests.chaos.auditor import Answer
from tests.chaos.evidence import Ledger
from tests.chaos.workload import until

HANDSETS = {"+15005550000": 80, "+15005550001": 5, "+15005550003": 5, "+15005550007": 5, "+15005550008": 5}
"""Delivered, not delivered, refused, the receipt before the answer, two receipts; how many of 100 go to each."""
CLIENTS = 48
BETWEEN = (100, 300)
HELIOGRAPH = (sys.executable, "-m", "heliograph")
PATIENCE = 300.0
"""Seconds that a client waits for an answer: the test itself would end before."""
GONE = "gone"
CANCEL_ANSWERS = {200: Answer.CANCELLED, 403: Answer.REFUSED}


def quick(record: Path, **own: str) -> dict[str, str]:
    """Settings under which a schedule of milliseconds is allowed, and a lost lease is noticed within a second."""
    return {
        "SCHEDULE__MIN_LEAD": "0",
        "SCHEDULE__CANCEL_CUTOFF": "0",
        "SANDBOX__RECEIPT_DELAY": "0",
        "SANDBOX__ANSWER_DELAY": "50ms",
        "SANDBOX__RECORD_FILE": str(record),
        "DISPATCH__LEASE": "1s",
        "LOG__LEVEL": "warning",
        **own,
    }


@dataclass(frozen=True, slots=True)
class Account:
    """Whom clients are, where there is no sandbox to tell them."""

    api_key: str
    number: str


class Server:
    """A server that may go down and come up again, each time at another address.

    It is a sandbox, unless clients have an account with it.
    """

    def __init__(self, database_url: str, settings: Mapping[str, str], account: Account | None = None) -> None:
        self._database_url = database_url
        self._settings = settings
        self._account = account
        self._process = ServerProcess(database_url)
        self._until_down = ExitStack()
        self.program: Sequence[str] = HELIOGRAPH
        """What is run when it starts next."""
        self.role = "serve"
        self.options: Sequence[str] = ()
        self.up = asyncio.Event()
        self.log = ""
        """What the ones that went down have written."""

    async def start(self) -> None:
        """Return once it accepts requests."""
        sandbox = self._account is None
        process = ServerProcess(
            self._database_url,
            self._settings,
            sandbox=sandbox,
            role=self.role,
            options=self.options,
            program=self.program,
        )
        self._process = await asyncio.to_thread(self._until_down.enter_context, process)
        self.up.set()

    async def begin(self) -> bool:
        """As `start`; False when it ends before it accepts requests."""
        try:
            await self.start()
        except ServerFailed as failed:
            self.log += str(failed)
            return False
        return True

    async def stop(self) -> None:
        """SIGTERM; return when it has drained. Requests that are under way are answered."""
        self.up.clear()
        assert await asyncio.to_thread(self._process.stop) == 0
        await self._down()

    def kill(self) -> None:
        """kill -9, in this very turn of the event loop: every request that is under way loses its answer."""
        self.up.clear()
        self._process.kill()

    async def ends(self) -> int:
        """Its exit status, once it has ended by itself."""
        status = await asyncio.to_thread(self._process.wait)
        await self._down()
        return status

    async def come_back(self) -> None:
        """Start again what was killed."""
        await self._down()
        await self.start()

    async def crash_and_start(self) -> None:
        """Kill it, and start it again."""
        self.kill()
        await self.come_back()

    async def stop_and_start(self) -> None:
        """As for an upgrade."""
        await self.stop()
        await self.start()

    def pause(self) -> None:
        """SIGSTOP."""
        self._process.pause()

    def resume(self) -> None:
        """SIGCONT."""
        self._process.resume()

    async def ask(
        self, session: aiohttp.ClientSession, method: str, path: str, body: object = None, *, key: str | None = None
    ) -> tuple[int, Any]:
        """The status and body of an answer; waits while the server is down. `key` is another's than its account's."""
        await self.up.wait()
        headers = {"authorization": f"Bearer {key or self.api_key}"}
        url = self._process.base_url + path
        async with session.request(method, url, json=body, headers=headers) as response:
            return response.status, await response.json()

    async def time_of_day(self, session: aiohttp.ClientSession) -> Instant:
        """Its own wall clock, to the second: the date of an answer."""
        async with session.get(self._process.ready["base_url"] + "/healthz") as response:
            return Instant(round(parsedate_to_datetime(response.headers["date"]).timestamp()) * SECOND)

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    @property
    def written(self) -> str:
        """The log so far, also of the one that runs."""
        return self.log + (self._process.log() if self.up.is_set() else "")

    @property
    def base_url(self) -> str:
        """Where it is now, with `/v2`."""
        return self._process.base_url

    @property
    def api_key(self) -> str:
        """Its account's."""
        return self._account.api_key if self._account else self._process.ready["api_key"]

    @property
    def number(self) -> str:
        """The number to send from."""
        return self._account.number if self._account else self._process.ready["from_number"]

    async def _down(self) -> None:
        self.up.clear()
        if self._process.ready:
            self.log += self._process.log()
        await asyncio.to_thread(self._until_down.close)
        self._process = ServerProcess(self._database_url)


@asynccontextmanager
async def serving(
    database_url: str,
    settings: Mapping[str, str],
    count: int = 1,
    account: Account | None = None,
    program: Sequence[str] = HELIOGRAPH,
) -> AsyncIterator[list[Server]]:
    """Servers on one database, stopped at the end if they are still up."""
    made = [Server(database_url, settings, account) for _ in range(count)]
    for server in made:
        server.program = program
    async with running(made) as servers:
        yield servers


@asynccontextmanager
async def running(servers: list[Server]) -> AsyncIterator[list[Server]]:
    """Servers that were made, started, and stopped at the end if they are still up."""
    try:
        for server in servers:
            await server.start()
        yield servers
    finally:
        for server in servers:
            if server.up.is_set():
                server.resume()
                await server.stop()


Compose = Callable[[], Mapping[str, str]]
"""What the next message says, and to whom."""


class Client:
    """Sends requests, and writes down every answer and every one that did not come."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        ledger: Ledger,
        chance: Random,
        fields: Mapping[str, str],
        compose: Compose | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._session = session
        self._fields = fields
        self._compose = compose or self._to_handset
        self._ledger = ledger
        self._chance = chance
        self._clock = clock or SystemClock()

    async def send(self, server: Server) -> str | None:
        """Send a message at once: its id, if it was acknowledged."""
        return await self._take(server, "/messages", {})

    async def schedule(self, server: Server, lead: int) -> tuple[str | None, Instant]:
        """Schedule a message for `lead` microseconds from now: its id, if it was acknowledged, and its moment."""
        send_at = Instant(self._clock.now() + lead)
        return await self._take(server, "/messages/schedule", {"send_at": to_text(send_at)}), send_at

    async def cancel(self, server: Server, message_id: str) -> None:
        """Ask until there is an answer: one that was lost leaves open what became of the message."""
        while (got := await self._ask(server, "DELETE", f"/messages/{message_id}")) is None:
            continue
        if got[0] != 404:  # what was acknowledged and is gone is for the auditor to find
            await self._ledger.cancelled(message_id, CANCEL_ANSWERS[got[0]])

    async def read(self, server: Server, message_id: str) -> str:
        """What has become of a message; `gone` where there is none."""
        while (got := await self._ask(server, "GET", f"/messages/{message_id}")) is None:
            continue
        status = str(got[1]["data"]["to"][0]["status"]) if got[0] == 200 else GONE
        await self._ledger.read(message_id, status)
        return status

    async def change_mind(self, message_id: str, at: Instant, servers: Sequence[Server]) -> None:
        """Cancel at a moment, and then at each further server, as a client whose answer was late would."""
        await until(at, self._clock)
        for server in servers:
            await self.cancel(server, message_id)

    async def _take(self, server: Server, path: str, more: Mapping[str, str]) -> str | None:
        await server.up.wait()
        body = {"from": server.number, **self._compose(), **self._fields, **more}
        got = await self._ask(server, "POST", path, body)
        if got is None:
            return None
        if got[0] != 200:
            # The one thing that can be wrong with it: its moment went by while the server was down.
            assert got[1]["errors"][0].get("source") == {"pointer": "/send_at"}, got
            return None
        message_id = str(got[1]["data"]["id"])
        if "send_at" in more:
            self._ledger.send_at[message_id] = parse(more["send_at"])
        await self._ledger.took(message_id)
        return message_id

    def _to_handset(self) -> Mapping[str, str]:
        [handset] = self._chance.choices([*HANDSETS], [*HANDSETS.values()])
        return {"to": handset, "text": "Your order is on its way."}

    async def _ask(self, server: Server, method: str, path: str, body: object = None) -> tuple[int, Any] | None:
        """None when the answer was lost, or says that nobody knows what became of the request."""
        try:
            status, told = await server.ask(self._session, method, path, body)
        except (aiohttp.ClientError, ConnectionError, TimeoutError):
            self._ledger.lost += 1
            return None
        assert status != 500, f"a fault of ours: {told}"
        if status == 503:
            assert told["errors"][0]["code"] == Code.SERVICE_UNAVAILABLE
            self._ledger.unavailable += 1
            return None
        return status, told


@asynccontextmanager
async def client(
    ledger: Ledger,
    chance: Random,
    compose: Compose | None = None,
    clock: Clock | None = None,
    *,
    patience: float = PATIENCE,
    **fields: str,
) -> AsyncIterator[Client]:
    """A client that writes into `ledger`, and gives its messages these fields beside what it composes.

    After `patience`, seconds, it takes an answer for lost.
    """
    timeout = aiohttp.ClientTimeout(total=patience)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        yield Client(session, ledger, chance, fields, compose, clock)


Disaster = Callable[[Server], Awaitable[None]]


async def storm(
    server: Server,
    ledger: Ledger,
    chance: Random,
    disasters: Sequence[Disaster],
    compose: Compose | None = None,
    *,
    others: Sequence[Server] = (),
    crowd: int = CLIENTS,
    between: tuple[int, int] = BETWEEN,
    patience: float = PATIENCE,
    **fields: str,
) -> None:
    """Load a server, and let one disaster after another happen to it while many requests are under way.

    What is cancelled is cancelled there, or at one of the others. `between` two disasters there are so many answers.
    """
    calm = asyncio.Event()
    sending = client(ledger, chance, compose, None, patience=patience, **fields)
    async with sending as sender, asyncio.TaskGroup() as clients:
        for _ in range(crowd):
            clients.create_task(_be_busy(sender, server, [server, *others], chance, calm))
        for disaster in disasters:
            await ledger.more_answers(chance.randint(*between))
            await disaster(server)
        await ledger.more_answers(between[0])
        calm.set()


async def _be_busy(
    sender: Client, server: Server, all_servers: Sequence[Server], chance: Random, calm: asyncio.Event
) -> None:
    """Send, schedule, and cancel most of what was scheduled about when it falls due."""
    while not calm.is_set():
        await sender.send(server)
        message_id, send_at = await sender.schedule(server, chance.randint(50, 500) * MILLISECOND)
        if message_id is not None and chance.random() < 0.7:
            moment = Instant(send_at + chance.randint(-100, 20) * MILLISECOND)
            await sender.change_mind(message_id, moment, chance.choices(all_servers, k=2))
