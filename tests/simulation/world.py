"""A world in which everything hangs on one seed: time, chance, the database's answers.

    virtual time   a loop whose clock jumps to the next timer when nothing is ready
    chance         `heliograph.randomness` draws from the seed
    the database   real SQLite; what it is asked runs in turn after a drawn delay, and may be lost on the way
    processes      tasks marked with the process that they belong to; the database answers a dead one no more

Nothing runs beside the loop, so one seed makes one history. Sets of text are walked in another order in every Python
unless `PYTHONHASHSEED` is fixed, which `__main__` sees to.
"""

import asyncio
import selectors
import sqlite3
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

import aiosqlite.core
import pytest

from heliograph import clock, randomness
from heliograph.domain.instant import MILLISECOND, SECOND
from heliograph.store import sqlite

BEGINNING = 1_790_000_000 * SECOND
"""When every history begins; in microseconds since 1970."""
LOCKED_FOR = 30.0
"""Seconds that a statement waits for the right to write."""
PATIENCE = 0.2
"""By how much of what it has waited it waits on at most, before it asks for that right again."""


class Stuck(Exception):
    """Nothing is ready, and nothing will be."""


@dataclass(eq=False)
class Process:
    """What stands for an operating system's process: dead, it is answered no more; paused, it is answered later."""

    name: str
    alive: bool = True
    paused_until: float = 0.0
    connections: list["aiosqlite.core.Connection"] = field(default_factory=list)


CURRENT: ContextVar[Process | None] = ContextVar("process", default=None)


@dataclass
class Weather:
    """How likely it is that something goes wrong with one question to the database."""

    lost_commit: float = 0.0
    """It is committed, and nobody is told."""
    failed_commit: float = 0.0
    """It is not committed."""
    slow: float = 0.0
    """The answer takes seconds."""


class World:
    """Time, chance and the database of one seed."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)
        self.weather = Weather()
        self.counts: Counter[str] = Counter()
        self.loop = SimulatedLoop()
        self.kept: list[asyncio.Task[Any]] = []
        """Tasks that nobody waits for: the loop alone would not hold on to them."""

    def now(self) -> int:
        """Microseconds since 1970."""
        return BEGINNING + round(self.loop.time() * SECOND)

    def close(self) -> None:
        """The end: whatever still waits is let go of without a word."""
        for task in asyncio.all_tasks(self.loop):
            unlogged: Any = task
            unlogged._log_destroy_pending = False
        self.loop.close()

    def kill(self, process: Process) -> None:
        """kill -9: what it has not committed is gone; its tasks never run on past their next question."""
        process.alive = False
        for each in process.connections:
            if each._connection is not None:
                each._connection.close()

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Within it the program lives in this world."""
        init = aiosqlite.core.Connection.__init__

        def connect(connection: Any, *given: Any, **named: Any) -> None:
            init(connection, *given, **named)
            connection._tx = _Desk(self, connection)
            connection._thread = _NoThread()

        replaced: list[tuple[Any, str, object]] = [
            (clock, "time", _Time(self)),
            (randomness, "secrets", _Secrets(self.chance)),
            (randomness, "new_id", randomness._Ids().new),
            (sqlite, "BUSY_MS", 0),
            (aiosqlite.core.Connection, "__init__", connect),
        ]
        with pytest.MonkeyPatch.context() as change:
            for place, name, other in replaced:
                change.setattr(place, name, other)
            asyncio.set_event_loop(self.loop)
            try:
                yield
            finally:
                asyncio.set_event_loop(None)


class _Time:
    """What `heliograph.clock` asks the machine."""

    CLOCK_BOOTTIME = 7

    def __init__(self, world: World) -> None:
        self._world = world

    def time_ns(self) -> int:
        return self._world.now() * 1_000

    def monotonic_ns(self) -> int:
        return round(self._world.loop.time() * 1_000_000_000)

    def clock_gettime_ns(self, _which: int) -> int:
        return self.monotonic_ns()


class _Secrets:
    """What `heliograph.randomness` draws from."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance

    def token_bytes(self, size: int) -> bytes:
        return self._chance.randbytes(size)

    def token_hex(self, size: int) -> str:
        return self._chance.randbytes(size).hex()

    def token_urlsafe(self, size: int) -> str:
        return self._chance.randbytes(size).hex()[: (size * 4 + 2) // 3]

    def randbits(self, bits: int) -> int:
        return self._chance.getrandbits(bits)

    def randbelow(self, bound: int) -> int:
        return self._chance.randrange(bound)

    def choice(self, choices: Sequence[Any]) -> Any:
        return self._chance.choice(choices)


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop that waits for nothing: its time is that of the next timer."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_Jump(self))

    def time(self) -> float:
        """Seconds since the beginning."""
        return self._now

    def run_in_executor(  # type: ignore[override]  # of any kind of work
        self, _executor: Any, work: Callable[..., Any], *given: Any
    ) -> "asyncio.Future[Any]":
        """At once, and here."""
        done = self.create_future()
        done.set_result(work(*given))
        return done


class _Jump(selectors.SelectSelector):
    """Where a real loop would sleep, time goes on."""

    def __init__(self, loop: SimulatedLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        """Nothing is ever heard from outside."""
        if timeout is None:
            raise Stuck
        self._loop._now += max(0.0, timeout)
        return []


class _NoThread:
    """aiosqlite's thread, which is not needed here."""

    daemon = True

    def start(self) -> None:
        """Nothing to start."""


_Job = tuple["asyncio.Future[Any] | None", Callable[[], Any]]


class _Desk:
    """Answers one connection's questions, one after the other, in the place of its thread."""

    def __init__(self, world: World, connection: Any) -> None:
        self._world = world
        self._process = CURRENT.get()
        if self._process is not None:
            self._process.connections.append(connection)
        self._waiting: deque[_Job] = deque()
        self._busy = False

    def put_nowait(self, job: _Job) -> None:
        """Answer it when its turn comes; after the end of the world, never."""
        if self._world.loop.is_closed():
            return
        self._waiting.append(job)
        if not self._busy:
            self._next()

    def _next(self) -> None:
        self._busy = bool(self._waiting)
        if self._busy:
            self._world.loop.call_later(self._delay(), self._answer, *self._waiting.popleft(), self._world.loop.time())

    def _delay(self) -> float:
        world = self._world
        if self._process is not None and world.chance.random() < world.weather.slow:
            world.counts["slow answers"] += 1
            return world.chance.uniform(0.5, 6.0)
        return world.chance.choice((0.0, 0.0, 0.0002, 0.001, 0.003))

    def _answer(self, future: "asyncio.Future[Any] | None", work: Callable[[], Any], since: float) -> None:
        process, now = self._process, self._world.loop.time()
        if process is not None and not process.alive:
            return
        if process is not None and process.paused_until > now:
            self._world.loop.call_at(process.paused_until, self._answer, future, work, process.paused_until)
            return
        try:
            result = self._done(work)
        except sqlite3.OperationalError as error:
            if "locked" in str(error) and now - since < LOCKED_FOR:
                pause = self._world.chance.uniform(0.0005, 0.003 + PATIENCE * (now - since))
                self._world.loop.call_later(pause, self._answer, future, work, since)
                return
            self._give(future, error)
        except Exception as error:  # noqa: BLE001 - whatever it is, it goes to who asked
            self._give(future, error)
        else:
            self._give(future, None, result)
        self._next()

    def _done(self, work: Callable[[], Any]) -> Any:
        world = self._world
        committing = isinstance(work, partial) and "COMMIT" in work.args[:1] and self._process is not None
        if committing and world.chance.random() < world.weather.failed_commit:
            world.counts["failed commits"] += 1
            raise sqlite3.OperationalError("disk I/O error")
        result = work()
        if committing and world.chance.random() < world.weather.lost_commit:
            world.counts["lost commits"] += 1
            raise sqlite3.OperationalError("the answer was lost")
        return result

    @staticmethod
    def _give(future: "asyncio.Future[Any] | None", error: BaseException | None, result: Any = None) -> None:
        if future is None or future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)


def micros(seconds: float) -> int:
    """As the program counts time."""
    return round(seconds * 1_000) * MILLISECOND
