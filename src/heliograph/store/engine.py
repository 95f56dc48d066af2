"""The two databases behind one face: connections, transactions, and this moment by the database's clock.

Transactions are begun and ended here, explicitly; SQLAlchemy runs in its autocommit mode below them. What differs
between the engines stands in the two subclasses: how a connection is prepared, how a batch reaches the driver, how the
clock is asked. Statements are the same. Each stands in a module of its own, `sqlite.py` and `postgres.py`, so that its
driver and its dialect, of PostgreSQL's a tenth of the start, are imported by who uses them.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy
from sqlalchemy import ColumnElement, Table, select
from sqlalchemy.engine import CursorResult, Dialect
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.sql import Executable

from heliograph.clock import Clock
from heliograph.domain.instant import SECOND
from heliograph.store.batch import Batch, Compiled, compile_batch, insert_of
from heliograph.store.connections import Connection, dispose
from heliograph.store.tables import test_clock

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Limits:
    """How long PostgreSQL, or the way to it, may keep anybody waiting, in microseconds."""

    idle: int = 5 * SECOND
    """Between two statements of a transaction. A process that is paused there holds its locks no longer than this."""
    lock: int = 10 * SECOND
    """For one lock: longer than a paused process holds it, so that most who wait for one get it after all."""
    answer: int = 30 * SECOND
    """For a whole transaction, or one reading statement. Then the server is frozen, or cut off without a word."""


class StoreUnavailable(Exception):
    """The database cannot be asked now, or the answer to a commit was lost. Nothing is known to have happened."""


SURVEYS = 2
"""How many statements that may read whole tables run at a time in one process."""

Tally = Callable[["Transaction", Mapping[str, int]], Awaitable[None]]
"""Puts down sums, by key."""


class Transaction:
    """One transaction of one connection."""

    def __init__(self, engine: "Engine", connection: Connection, driver: Any) -> None:
        self.engine = engine
        self._connection = connection
        self._driver = driver
        self._followers: list[Callable[[], None]] = []
        self._tallies: dict[Tally, Counter[str]] = {}

    def tally(self, put: Tally, changes: Mapping[str, int]) -> None:
        """Add to sums that many transactions change: `put` is called once with all of them, right before the commit.

        So these rows are locked last, and in one order: no two transactions wait for them in a circle.
        """
        sums = self._tallies.setdefault(put, Counter())
        for key, change in changes.items():
            sums[key] += change

    def tallied(self, put: Tally) -> Counter[str]:
        """What was tallied and is in no table yet; 0 for a key that was not."""
        return self._tallies.get(put, Counter())

    async def finish(self) -> None:
        """Put down what was tallied, by name and key; the last statements before the commit."""
        for put, sums in sorted(self._tallies.items(), key=_name_of_put):
            if changes := {key: change for key, change in sorted(sums.items()) if change}:
                await put(self, changes)

    def then(self, follow: Callable[[], None]) -> None:
        """Call `follow` once this is committed, and not at all when it is not; the same one only once."""
        if follow not in self._followers:
            self._followers.append(follow)

    def committed(self) -> None:
        """What was done is on disk."""
        for follow in self._followers:
            follow()

    async def batch(self, batch: Batch, rows: Sequence[tuple[Any, ...]], **scalars: Any) -> Sequence[Row]:
        """Run a batch over `rows`; what it returns, by column name. Ids come as text."""
        return await self.engine.run_batch(self._driver, batch, rows, scalars)

    async def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[Any]:
        """Run one statement of SQLAlchemy Core."""
        return await self._connection.execute(statement, parameters)


def _name_of_put(tally: tuple[Tally, Counter[str]]) -> str:
    """In one order everywhere, as the rows of each are."""
    return str(getattr(tally[0], "__qualname__", ""))


class Engine(ABC):
    """A database."""

    driver_error: type[Exception]
    """What every error of its driver is a kind of."""
    unreachable: tuple[type[Exception], ...]
    """Of these, those that say what `UNREACHABLE` does."""
    _patience: float | None = None
    """Seconds that a reading statement may take."""

    def __init__(self, engine: sqlalchemy.Engine, clock: Clock, *, sandbox: bool) -> None:
        self._engine = engine
        self.clock = clock
        self.sandbox = sandbox
        self._surveys = asyncio.Semaphore(SURVEYS)

    @property
    def dialect(self) -> Dialect:
        """What SQLAlchemy knows of this kind of database, its name first."""
        return self._engine.dialect

    @property
    def sqlalchemy(self) -> "AsyncEngine":
        """The same connections, with all that SQLAlchemy can do with them."""
        # It imports the ORM, which nobody needs who sends messages.
        from sqlalchemy.ext.asyncio import AsyncEngine

        return AsyncEngine(self._engine)

    def connect(self) -> Connection:
        """A connection of the pool, as an async context."""
        return Connection(self._engine)

    @property
    @abstractmethod
    def now(self) -> ColumnElement[int]:
        """This moment by the database's clock, as an expression within a statement."""

    @property
    def passing(self) -> ColumnElement[int]:
        """The same, asked of the clock again for each row, and once more when its lock had to be waited for."""
        return self.now

    def moment(self) -> dict[str, int]:
        """The parameters that `now` needs when a statement is executed."""
        return {}

    @abstractmethod
    def transaction(self) -> Any:
        """An async context of a `Transaction`; committed at its end, rolled back on an error.

        Raises `StoreUnavailable` when the database cannot be reached or the commit's answer is lost.
        """

    @abstractmethod
    async def run_batch(
        self, driver: Any, batch: Batch, rows: Sequence[tuple[Any, ...]], scalars: Mapping[str, Any]
    ) -> Sequence[Row]:
        """Hand a batch to the driver."""

    async def fetch(self, statement: Executable, parameters: Mapping[str, Any] | None = None) -> Sequence[Row]:
        """The rows of one reading statement, outside of any transaction. Raises `StoreUnavailable`, as they do."""
        return await self._read(statement, parameters or {}, self._patience)

    async def survey(self, statement: Executable, patience: float | None = None) -> Sequence[Row]:
        """The rows of a statement that may read whole tables; without `patience`, seconds, as long as it takes.

        Few are read at a time, so that they never have all connections: what is sent and recorded needs them.
        Raises `StoreUnavailable`, also when its turn does not come in time.
        """
        with self.translated():
            async with asyncio.timeout(patience), self._surveys:
                return await self._read(statement, {}, None)

    async def _read(self, statement: Executable, parameters: Mapping[str, Any], patience: float | None) -> list[Row]:
        with self.translated():
            async with self.connect() as connection:
                # A statement that is given up is cancelled, and its connection dropped.
                async with asyncio.timeout(patience):
                    result = await connection.execute(statement, {**self.moment(), **parameters})
                return [dict(row) for row in result.mappings()]

    async def synchronize_clock(self) -> None:
        """Bring our clock to the database's, its test offset included."""
        if self.sandbox:
            rows = await self.fetch(select(test_clock.c.ahead))
            # Forward only: this answer may be older than a move that was made meanwhile.
            self.clock.offset = max(self.clock.offset, rows[0]["ahead"])

    async def close(self) -> None:
        """Give back every connection."""
        await dispose(self._engine)

    def translated(self) -> AbstractContextManager[None]:
        """Turn what says that the database cannot be used now into `StoreUnavailable`."""
        return translated(self.unreachable)

    def insert(self, table: Table) -> Any:
        """The engine's INSERT, with ON CONFLICT."""
        return insert_of(self.dialect.name)(table)

    def compiled(self, batch: Batch) -> Compiled:
        """A batch compiled for engines like this one, once in a process."""
        key = (batch, self.dialect.name, self.sandbox)
        if (compiled := _COMPILED.get(key)) is None:
            compiled = _COMPILED[key] = compile_batch(batch, self.dialect, self.now, self.passing)
        return compiled


_COMPILED: dict[tuple[Batch, str, bool], Compiled] = {}
"""What this process has compiled: a text hangs on the kind of its database and on whether the clock can be moved."""


UNREACHABLE = (OSError, PoolTimeout, OperationalError, InterfaceError)
"""What says so of any database, beside what the drivers raise. A time that ran out is an `OSError`."""


@contextmanager
def translated(of_driver: tuple[type[Exception], ...]) -> Iterator[None]:
    """Turn `UNREACHABLE` and what a driver has for it, also where SQLAlchemy wraps that, into `StoreUnavailable`."""
    unreachable: tuple[type[Exception], ...] = (*UNREACHABLE, *of_driver)
    try:
        yield
    except unreachable as error:
        raise StoreUnavailable(_reason(error)) from error
    except DBAPIError as error:
        # SQLAlchemy has no class of its own for a server that is starting, and wraps asyncpg's in its plain one.
        if error.connection_invalidated or isinstance(getattr(error.orig, "__cause__", None), unreachable):
            raise StoreUnavailable(_reason(error)) from error
        raise


def _reason(error: BaseException) -> str:
    cause = getattr(error, "orig", None) or error
    return f"{type(cause).__name__}: {cause}".splitlines()[0]


def open_engine(
    url: str, *, pool_size: int = 8, connect_timeout: float = 5.0, sandbox: bool = False, limits: Limits | None = None
) -> Engine:
    """The engine that a database URL names: `sqlite:///…` or `postgresql://…`."""
    if url.startswith("sqlite:"):
        from heliograph.store.sqlite import SqliteEngine

        return SqliteEngine(url, sandbox=sandbox)
    from heliograph.store.postgres import PostgresEngine

    given = limits or Limits()
    return PostgresEngine(url, pool_size=pool_size, connect_timeout=connect_timeout, sandbox=sandbox, limits=given)
