"""Servers with a planted bug, and the one without, judged by histories alone (P1 to P7)."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import aiohttp
import pytest

from heliograph.domain.instant import MILLISECOND, Instant
from heliograph.store.schema import migrate
from tests.chaos import mutants
from tests.chaos.auditor import require_kept
from tests.chaos.evidence import Ledger, read_record
from tests.chaos.histories import FINALIZED, UNTOLD, History, ask_as_stranger, judge, read_all
from tests.chaos.servers import HELIOGRAPH, Client, Server, client, quick
from tests.chaos.smpp_servers import new_file, prepare
from tests.webhooks.receiver import Exchange, Receiver, answer, receiving

STRANGERS_NUMBER = "+18445550077"
CHANGE_MIND = 0.7
CANCEL_SENT = 0.2
CROWD = 12
MESSAGES = 30
STRANGER_ASKS = 20
REFUSED_AMONG = 30


def told_quickly(folder: Path) -> dict[str, str]:
    """Settings under which a webhook that a dead server had in hand is tried again after two seconds."""
    webhooks = {"LEASE": "2s", "TIMEOUT": "1s", "TIMEOUT_V1": "1s", "RETRY_BASE": "50ms", "RETRY_MAX": "200ms"}
    more = {f"WEBHOOKS__{name}": value for name, value in webhooks.items()}
    return quick(folder / "record", **more, SANDBOX__ANSWER_DELAY="20ms", WEBHOOKS__TRIES="100")


@pytest.mark.parametrize("bug", mutants.BUGS)
async def test_a_bug_in_the_program_is_found(tmp_path: Path, chance: Random, bug: str) -> None:
    async with world(new_file(tmp_path), tmp_path, chance, mutants.program(bug)) as run:
        await run.load()
        await run.see_the_end()
    require_found(bug, run.history)


def require_found(bug: str, history: History) -> None:
    """The promise that it breaks is among those that are found broken."""
    promise, _ = mutants.BUGS[bug]
    found = Counter(each.promise for each in judge(history))
    print(f"found: {dict(found)}")
    assert found[promise]


async def test_the_program_without_a_bug_passes(tmp_path: Path, chance: Random) -> None:
    async with world(new_file(tmp_path), tmp_path, chance, HELIOGRAPH) as run:
        await run.load()
        await run.see_the_end()
    require_kept(judge(run.history))


class World:
    """A server, those who talk to it, and what they see."""

    def __init__(self, server: Server, history: History, sender: Client, receiver: Receiver, chance: Random) -> None:
        self.server = server
        self.history = history
        self.sender = sender
        self._receiver = receiver
        self._chance = chance

    async def load(self) -> None:
        """So many messages."""
        turns = asyncio.Semaphore(CROWD)

        async def one() -> None:
            async with turns:
                await self._behave()

        async with asyncio.TaskGroup() as clients:
            for _ in range(MESSAGES):
                clients.create_task(one())

    async def see_the_end(self) -> None:
        """Read until all is final, and until the receiver has been told so."""
        await read_all(self.history.ledger, self.sender, self.server)
        await self._receiver.sees(self._all_told)

    def _all_told(self) -> bool:
        told = (each.told["data"] for each in self._receiver.requests)
        ended = {each["payload"]["id"] for each in told if each["event_type"] == FINALIZED}
        reads = self.history.ledger.reads
        return {each for each in self.history.ledger.acknowledged if UNTOLD.isdisjoint(reads[each])} <= ended

    async def _behave(self) -> None:
        """Send, schedule, and then cancel at the due instant, or cancel what is sent, or only look."""
        chance, sender, server = self._chance, self.sender, self.server
        sent = await sender.send(server)
        scheduled, send_at = await sender.schedule(server, chance.randint(50, 500) * MILLISECOND)
        if scheduled is not None and chance.random() < CHANGE_MIND:
            moment = Instant(send_at + chance.randint(-100, 20) * MILLISECOND)
            await sender.change_mind(scheduled, moment, [server, server])
        if sent is not None and chance.random() < CANCEL_SENT:
            await sender.cancel(server, sent)
        for each in (sent, scheduled):
            if each is not None:
                await sender.read(server, each)


@asynccontextmanager
async def world(url: str, folder: Path, chance: Random, program: Sequence[str]) -> AsyncIterator[World]:
    """A server that runs `program`, a receiver that refuses some webhooks, and a stranger."""
    await migrate(url)
    stranger = await prepare(url, STRANGERS_NUMBER)
    ledger = Ledger()
    server = Server(url, told_quickly(folder))
    async with receiving() as receiver, aiohttp.ClientSession() as session:
        receiver.otherwise(refuse_some)
        async with client(ledger, chance, webhook_url=receiver.url("/events")) as sender:
            server.program = program
            await server.start()
            history = History(ledger)
            try:
                yield World(server, history, sender, receiver, chance)
                ids = sorted(ledger.acknowledged)
                history.strangers = await ask_as_stranger(session, server, stranger.api_key, ids[:STRANGER_ASKS])
            finally:
                if server.up.is_set():
                    await server.stop()
            history.handed = read_record(folder / "record")
            history.webhooks = list(receiver.requests)
    print(history)


async def refuse_some(exchange: Exchange) -> None:
    """Every third of the first webhooks is refused, so that there is a second attempt."""
    number = exchange.request.number
    await answer(500 if number < REFUSED_AMONG and number % 3 == 0 else 200)(exchange)
