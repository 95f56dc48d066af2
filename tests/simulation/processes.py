"""The service's processes in a simulated world: the real composition, with its two edges to the outside replaced."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from random import Random
from typing import Any

import msgspec
import pytest
from sqlalchemy.util import LRUCache

from heliograph import server, wiring
from heliograph.api.app import create_app
from heliograph.carriers import sandbox
from heliograph.carriers.interface import OutcomeUnknown, Taken, TemporarilyRefused, Throttled, Unreachable
from heliograph.carriers.sandbox import SandboxCarrier
from heliograph.dispatch import rerouting, upkeep
from heliograph.domain.compose import Tables
from heliograph.domain.delivery import Fault
from heliograph.domain.errors import Code
from heliograph.domain.instant import SECOND, Instant
from heliograph.domain.message import Message
from heliograph.domain.nodes import Role
from heliograph.domain.outcome import delivery_error
from heliograph.jobs import runner
from heliograph.outgoing import HttpAnswer, OutgoingFailure
from heliograph.settings import Settings
from heliograph.store.engine import StoreUnavailable
from heliograph.store.store import Store
from tests.chaos.auditor import Handed
from tests.simulation.world import CURRENT, Process, World

_COMPILED: Any = LRUCache(5_000)
_DIALECTS: dict[str, Any] = {}
ANSWERED_WITHIN = 20.0
"""Seconds after which a client gives up on an answer."""


@dataclass
class Outside:
    """Carrier and webhook receiver: what they do by chance, and what they saw."""

    world: World
    trouble: float = 0.0
    """How likely each kind of trouble is with one submit or one webhook."""
    handed: list[Handed] = field(default_factory=list)
    events: defaultdict[str, set[tuple[str, str]]] = field(default_factory=lambda: defaultdict(set))
    """By event id: which message and which event its webhooks told of."""
    taken: set[str] = field(default_factory=set)
    """Ids of events that were answered with 200."""
    history: list[str] = field(default_factory=list)

    @property
    def chance(self) -> Random:
        """Of the seed."""
        return self.world.chance

    def happens(self) -> bool:
        """Whether this trouble comes now."""
        return self.chance.random() < self.trouble

    def note(self, *what: object) -> None:
        """Write down what was seen, with its time."""
        self.history.append(" ".join([f"{self.world.loop.time():.6f}", *map(str, what)]))


async def within(process: Process | None, seconds: float = 0.0) -> None:
    """Let time go by in a process; a dead one never comes back from here."""
    await asyncio.sleep(seconds)
    while process is not None and process.paused_until > asyncio.get_running_loop().time():
        await asyncio.sleep(process.paused_until - asyncio.get_running_loop().time())
    if process is not None and not process.alive:
        await asyncio.get_running_loop().create_future()


class SeededCarrier(SandboxCarrier):
    """The simulated carrier, in the moods of the seed. What it is handed is on record before anything else."""

    outside: Outside

    async def submit(self, message: Message, until: int) -> Taken:
        """Take it, or do not, or take it and say nothing."""
        outside, process = self.outside, CURRENT.get()
        if outside.happens():
            raise outside.chance.choice((Throttled, TemporarilyRefused, Unreachable))(_error(Code.QUEUE_FULL))
        if outside.happens():
            raise OutcomeUnknown(_error(Code.OUTCOME_UNKNOWN))
        outside.handed.append(Handed(message.id, message.attempts, Instant(outside.world.now())))
        outside.note("submit", message.id, message.attempts, process.name if process else "")
        await within(process, outside.chance.uniform(1.0, 6.0) if outside.happens() else outside.chance.random() * 0.2)
        taken = await super().submit(message, until)
        if outside.happens():
            raise OutcomeUnknown(_error(Code.OUTCOME_UNKNOWN))
        return taken


def _error(code: Code) -> Any:
    return delivery_error(code, "The seed wills it.")


class SeededHttp:
    """Webhooks go to a receiver that is down, slow or forgets to answer, as the seed wills."""

    outside: Outside

    def __init__(self, _options: object) -> None:
        self.process = CURRENT.get()

    async def start(self) -> None:
        """Nothing to open."""

    async def stop(self) -> None:
        """Nothing to close."""

    async def post(
        self,
        _url: str,
        body: bytes,
        _headers: Mapping[str, str],
        *,
        timeout: int,  # noqa: ASYNC109 - as the guarded client has it
    ) -> HttpAnswer:
        """An answer, or `OutgoingFailure`."""
        outside, process = self.outside, CURRENT.get()
        await within(process, outside.chance.random() * 0.1)
        if outside.happens():
            raise OutgoingFailure(Fault.NO_CONNECTION, "The seed wills it.")
        told = msgspec.json.decode(body)["data"]
        outside.events[told["id"]].add((told["payload"]["id"], told["event_type"]))
        outside.note("webhook", told["id"], told["event_type"])
        if outside.happens():
            raise OutgoingFailure(Fault.OTHER, "The seed wills it.", sent=True)
        await within(process, outside.chance.random() * 0.1)
        if outside.happens():
            return HttpAnswer(503, (), b"", cut=False)
        outside.taken.add(told["id"])
        return HttpAnswer(200, (), b"", cut=False)


def compile_once(store: Store) -> None:
    """Let a store use what was compiled for the others: that is kept by dialect, of which each engine has its own."""
    engine: Any = store.engine.sqlalchemy.sync_engine
    engine._compiled_cache = _COMPILED
    engine.dialect = engine.pool._dialect = _DIALECTS.setdefault(engine.dialect.name, engine.dialect)


@contextmanager
def edges(outside: Outside) -> Iterator[None]:
    """Within it, what is composed has the simulated edges."""
    http = type("Http", (SeededHttp,), {"outside": outside})
    carrier = type("Carrier", (SeededCarrier,), {"outside": outside})
    replaced: list[tuple[Any, str, object]] = [
        (server, "OutgoingHttp", http),
        (wiring, "OutgoingHttp", http),
        (wiring, "SandboxCarrier", carrier),
        # Most of a seed would be idle looks.
        (rerouting, "INTERVAL", 10 * SECOND),
        (sandbox, "IDLE", 3 * SECOND),
        (upkeep, "INTERVAL", 2 * SECOND),
        (runner, "POLL", 60 * SECOND),
    ]
    with pytest.MonkeyPatch.context() as change:
        for place, name, other in replaced:
            change.setattr(place, name, other)
        yield


class Node:
    """A place where a process of the service runs, dies and is begun again."""

    def __init__(self, name: str, settings: Settings, tables: Tables, outside: Outside) -> None:
        self.name = name
        self.up = asyncio.Event()
        self._settings = settings
        self._tables = tables
        self._outside = outside
        self._count = 0
        self._process = Process(name)
        self._context: Context = copy_context()
        self._stopping = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._app: Any = None

    async def start(self) -> None:
        """Return once it accepts requests; a start that the database prevents is tried again."""
        self._count += 1
        self._process = Process(f"{self.name}.{self._count}")
        self._stopping = asyncio.Event()
        self._context = copy_context()
        self._context.run(CURRENT.set, self._process)
        self._running = asyncio.get_running_loop().create_task(self._run(), context=self._context)
        await self.up.wait()
        self._outside.note("up", self._process.name)

    async def stop(self) -> None:
        """SIGTERM: it finishes what it has in hand."""
        self.up.clear()
        self._stopping.set()
        if self._running is not None:
            await self._running
        self._outside.note("stopped", self._process.name)

    def kill(self) -> None:
        """kill -9."""
        self.up.clear()
        self._outside.note("killed", self._process.name)
        self._outside.world.kill(self._process)

    def pause(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after a while."""
        self._outside.note("paused", self._process.name, seconds)
        self._process.paused_until = asyncio.get_running_loop().time() + seconds

    async def ask(self, method: str, path: str, key: str, body: object = None) -> tuple[int, Any] | None:
        """The answer to a request; None when it does not come."""
        process = self._process
        content = b"" if body is None else msgspec.json.encode(body)
        answered: asyncio.Future[tuple[int, Any]] = asyncio.get_running_loop().create_future()
        status = 0

        async def receive() -> Mapping[str, Any]:
            return {"type": "http.request", "body": content, "more_body": False}

        async def send(message: Mapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            elif not answered.done() and process.alive:
                answered.set_result((status, msgspec.json.decode(message["body"])))

        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": b"",
            "headers": [(b"authorization", f"Bearer {key}".encode()), (b"content-type", b"application/json")],
        }
        # The task is kept: the loop alone would not hold on to it.
        serving = asyncio.get_running_loop().create_task(self._app(scope, receive, send), context=self._context)
        try:
            async with asyncio.timeout(ANSWERED_WITHIN):
                return await answered
        except TimeoutError:
            return None
        finally:
            self._outside.world.kept.append(serving)

    async def _run(self) -> None:
        while not self.up.is_set():
            store = server.open_store(self._settings)
            compile_once(store)
            try:
                await self._serve(store)
            except StoreUnavailable:
                await within(self._process, 0.2)
            finally:
                await store.engine.close()
            if self._stopping.is_set():
                return

    async def _serve(self, store: Any) -> None:
        parts = server.assemble(self._settings, store, self._tables)
        services = [store, server.presence_of(store, parts, Role.SERVE), *parts.working]
        async with server.started(services):
            self._app = create_app(parts.context)
            self.up.set()
            await self._stopping.wait()
