"""One seed: processes, clients and disasters for a minute of the world's time, then calm, then the audit.

python -m tests.simulation --seed 17      the history of one seed
"""

import asyncio
import gc
import hashlib
import shutil
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import func, select

from heliograph import server
from heliograph.clock import SystemClock
from heliograph.domain.compose import Tables
from heliograph.domain.instant import SECOND, Instant, to_text
from heliograph.domain.lifecycle import FINAL, Status
from heliograph.domain.nodes import Role
from heliograph.settings import Settings, load
from heliograph.store.schema import migrate
from heliograph.store.store import Store
from heliograph.store.tables import webhook_deliveries
from tests.chaos.auditor import Answer, Violation, audit, audit_pending
from tests.chaos.evidence import Ledger, collect, count_in, pending
from tests.chaos.servers import HANDSETS
from tests.simulation.mutants import Plant
from tests.simulation.processes import Node, Outside, compile_once, edges
from tests.simulation.world import Stuck, Weather, World

LONGEST = 3600.0
"""Seconds of calm after which everything must have come to an end."""
LOOK = 2.0
NUMBERS = (*HANDSETS, "+15005550004", "+15005550005", "+15005550009")


@dataclass
class Outcome:
    """What became of one seed."""

    seed: int
    violations: list[Violation]
    counts: Counter[str] = field(default_factory=Counter)
    history: list[str] = field(default_factory=list)

    @property
    def digest(self) -> str:
        """Of the whole history: the same seed has the same."""
        return hashlib.sha256("\n".join(self.history).encode()).hexdigest()


@dataclass(frozen=True)
class Template:
    """A database with one organisation, made once."""

    file: Path
    api_key: str
    number: str


def settings_for(url: str) -> Settings:
    """Short spans, so that a minute holds everything that can happen."""
    given = {
        "database.url": url,
        "database.pool_size": 4,
        "sandbox.enabled": True,
        "sandbox.webhook_url": "http://receiver.example/hook",
        "sandbox.slow_delay": "3s",
        "schedule.min_lead": "0",
        "schedule.cancel_cutoff": "0",
        "dispatch.lease": "2s",
        "dispatch.poll_interval": "2s",
        "dispatch.unconfirmed_after": "8s",
        "dispatch.retry_max": "4s",
        "webhooks.lease": "6s",
        "webhooks.retry_max": "4s",
        "webhooks.tries": 5,
        "webhooks.poll_interval": "3s",
        "numbers.health_interval": "1h",
    }
    return load(None, {}, given)


@cache
def tables() -> Tables:
    """Rates and facts, read once."""
    return server.load_tables(settings_for("sqlite:///none"))


def make_template(folder: Path) -> Template:
    """Migrate a database and give it the sandbox's organisation; always the same."""
    file = folder / "template.db"
    settings = settings_for(f"sqlite:///{file}")
    world = World(0)

    async def fill() -> Template:
        await migrate(settings.database.url)
        store = server.open_store(settings)
        await store.start()
        running = await server.introduce(store, settings, "", Role.SERVE)
        await store.stop()
        assert running.api_key is not None
        assert running.from_number is not None
        return Template(file, running.api_key, running.from_number)

    with world.entered():
        return world.loop.run_until_complete(fill())


def play(seed: int, template: Template, folder: Path, plant: Plant = nullcontext) -> Outcome:
    """Everything of one seed; `plant` changes the program first, to see whether that is noticed."""
    file = folder / f"{seed}.db"
    shutil.copyfile(template.file, file)
    world = World(seed)
    outside = Outside(world, trouble=world.chance.choice((0.0, 0.02, 0.1)))
    history = History(world, outside, template, settings_for(f"sqlite:///{file}"))
    collecting = gc.isenabled()
    gc.disable()
    try:
        with world.entered(), edges(outside), plant():
            violations = world.loop.run_until_complete(history.run())
    except Stuck:
        violations = [Violation("P2", "", "nothing is ready, and nothing will be")]
    finally:
        world.close()
        for each in (file, file.with_name(f"{file.name}-wal"), file.with_name(f"{file.name}-shm")):
            each.unlink(missing_ok=True)
        if collecting:
            gc.enable()
    return Outcome(seed, violations, world.counts, outside.history)


class History:
    """What happens in one seed."""

    def __init__(self, world: World, outside: Outside, template: Template, settings: Settings) -> None:
        self._world = world
        self._chance: Random = world.chance
        self._outside = outside
        self._template = template
        self._settings = settings
        self._ledger = Ledger()
        self._clock = SystemClock()
        count = self._chance.choice((1, 1, 2, 3))
        self._nodes = [Node(f"n{number}", settings, tables(), outside) for number in range(count)]
        self._faults: list[str] = []

    async def run(self) -> list[Violation]:
        """Live through it, and judge it."""
        for node in self._nodes:
            await node.start()
        self._world.weather = self._chance.choice((Weather(), Weather(), Weather(0.03, 0.03, 0.01)))
        async with asyncio.TaskGroup() as living:
            for _ in range(self._chance.randint(1, 4)):
                living.create_task(self._client(self._chance.randint(2, 6)))
            for _ in range(self._chance.choice((0, 1, 2, 4))):
                living.create_task(self._disaster(self._chance.uniform(0.0, 10.0)))
        self._world.weather, self._outside.trouble = Weather(), 0.0
        store = Store(server.open_store(self._settings).engine)
        compile_once(store)
        await store.engine.synchronize_clock()
        calm = await self._calm(store)
        violations = [] if calm else [Violation("P2", "", "an hour of calm, and not everything came to an end")]
        violations += await self._judged(store)
        for node in self._nodes:
            await node.stop()
        return violations

    async def _judged(self, store: Store) -> list[Violation]:
        stories = await collect(store, self._ledger, self._outside.handed)
        violations = [*audit(stories), *audit_pending(stories, await pending(store))]
        violations += [Violation("P2", "", each) for each in self._faults]
        violations += await self._webhooks(store)
        counts = self._world.counts
        counts["messages"] += len(stories)
        counts["submits"] += len(self._outside.handed)
        counts["cancels that were answered"] += sum(map(len, self._ledger.cancels.values()))
        counts["cancelled"] += sum(Answer.CANCELLED in each for each in self._ledger.cancels.values())
        counts["webhooks"] += len(self._outside.events)
        counts["answers lost"] += self._ledger.lost
        return violations

    async def _webhooks(self, store: Store) -> list[Violation]:
        """P6: one id for one change, and what is recorded as delivered was."""
        broken = []
        by_change: dict[tuple[str, str], set[str]] = {}
        for event_id, told in self._outside.events.items():
            for change in told:
                by_change.setdefault(change, set()).add(event_id)
            if len(told) > 1:
                broken.append(Violation("P6", "", f"event {event_id} told of {sorted(told)}"))
        for (message_id, event), ids in by_change.items():
            if len(ids) > 1:
                broken.append(Violation("P6", message_id, f"{event} has the ids {sorted(ids)}"))
        rows = await store.engine.fetch(select(webhook_deliveries.c.event_id, webhook_deliveries.c.status))
        for row in rows:
            if row["status"] == "delivered" and row["event_id"] not in self._outside.taken:
                broken.append(Violation("P6", "", f"event {row['event_id']} is recorded as delivered, and was not"))
        return broken

    async def _calm(self, store: Store) -> bool:
        """Whether everything comes to an end."""
        until = self._world.loop.time() + LONGEST
        waiting = select(func.count().label("count")).where(webhook_deliveries.c.due_at.is_not(None))
        unfinished = frozenset(Status) - FINAL
        while self._world.loop.time() < until:
            undelivered = (await store.engine.fetch(waiting))[0]["count"]
            if not undelivered and not await count_in(store, unfinished):
                return True
            await asyncio.sleep(LOOK)
        return False

    # --------------------------------------------------------------------------------------------------------- clients

    async def _client(self, wishes: int) -> None:
        for _ in range(wishes):
            await asyncio.sleep(self._chance.uniform(0.0, 2.0))
            await self._chance.choice((self._send, self._schedule, self._schedule, self._change_mind))()

    async def _send(self) -> None:
        await self._take("/v2/messages", {})

    async def _schedule(self) -> tuple[str | None, Instant]:
        send_at = Instant(self._clock.now() + self._chance.randint(0, 6 * SECOND))
        return await self._take("/v2/messages/schedule", {"send_at": to_text(send_at)}), send_at

    async def _change_mind(self) -> None:
        message_id, send_at = await self._schedule()
        if message_id is None:
            return
        at = send_at + round(self._chance.uniform(-0.4, 0.1) * SECOND) * self._chance.choice((1, 1, 1, 5))
        await asyncio.sleep(max(0, at - self._clock.now()) / SECOND)
        for _ in range(self._chance.randint(1, 3)):
            await self._cancel(message_id)

    async def _cancel(self, message_id: str) -> None:
        answer = await self._ask("DELETE", f"/v2/messages/{message_id}")
        if answer is None:
            return
        if answer[0] not in {200, 403}:
            self._faults.append(f"cancel of {message_id} was answered {answer}")
            return
        told = Answer.CANCELLED if answer[0] == 200 else Answer.REFUSED
        self._outside.note("cancel", message_id, told.value)
        await self._ledger.cancelled(message_id, told)

    async def _take(self, path: str, more: dict[str, str]) -> str | None:
        body = {"from": self._template.number, "to": self._chance.choice(NUMBERS), "text": "It is on its way.", **more}
        answer = await self._ask("POST", path, body)
        if answer is None:
            return None
        if answer[0] != 200:
            # The one thing that can be wrong with it: its moment went by while the server was away.
            if answer[1]["errors"][0].get("source", {}).get("pointer") != "/send_at":
                self._faults.append(f"{path} was answered {answer}")
            return None
        message_id = str(answer[1]["data"]["id"])
        self._outside.note("accepted", message_id, more.get("send_at", ""))
        await self._ledger.took(message_id)
        return message_id

    async def _ask(self, method: str, path: str, body: object = None) -> tuple[int, Any] | None:
        """None when no answer came, or one that says that nobody knows."""
        node = self._chance.choice(self._nodes)
        await node.up.wait()
        answer = await node.ask(method, path, self._template.api_key, body)
        if answer is None or answer[0] == 503:
            self._ledger.lost += 1
            return None
        if answer[0] == 500:
            self._faults.append(f"{method} {path} was answered 500")
        return answer

    # ------------------------------------------------------------------------------------------------------- disasters

    async def _disaster(self, after: float) -> None:
        await asyncio.sleep(after)
        node = self._chance.choice(self._nodes)
        happens: Sequence[Callable[[Node], Awaitable[None]]] = (self._crash, self._crash, self._restart, self._pause)
        await self._chance.choice(happens)(node)

    async def _crash(self, node: Node) -> None:
        if not node.up.is_set():
            return
        self._world.counts["crashes"] += 1
        node.kill()
        await asyncio.sleep(self._chance.choice((0.0, 0.5, 4.0)))
        await node.start()

    async def _restart(self, node: Node) -> None:
        if not node.up.is_set():
            return
        self._world.counts["restarts"] += 1
        await node.stop()
        await node.start()

    async def _pause(self, node: Node) -> None:
        if node.up.is_set():
            self._world.counts["pauses"] += 1
            node.pause(self._chance.uniform(0.2, 6.0))
