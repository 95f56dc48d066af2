"""PostgreSQL behind the store's face."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg
from sqlalchemy import BigInteger, ColumnElement, literal_column, select

from heliograph.clock import AnchoredClock, monotonic
from heliograph.domain.instant import MILLISECOND, SECOND, Instant
from heliograph.store.batch import Batch, array_arguments
from heliograph.store.connections import Connection
from heliograph.store.engine import Engine, Limits, Row, StoreUnavailable, Transaction
from heliograph.store.primary import postgres_engine

POSTGRES_UNREACHABLE = (
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresSystemError,
    asyncpg.TransactionRollbackError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.LockNotAvailableError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InvalidCachedStatementError,
)
"""What the driver raises when a server cannot be reached, is going down or coming up, or gave a transaction up.

A session that was ended while it idled within its transaction mostly shows as a closed connection: asyncpg reads the
server's last words only where it is waiting for an answer. Where it has read them while it was not, and the connection
is not closed yet, it is "in another operation" (its issues 784 and 1069).

A plan that a migration beside us made useless is made anew by whoever asks again.

A disk that fails is a system error of PostgreSQL (class 58). Its internal errors and data that it finds damaged (class
XX) are none of these: they hang on what was asked for, so a batch is done one by one, and asking again mends nothing.
"""

BEGIN = """BEGIN;
SET LOCAL plan_cache_mode = force_generic_plan;
SET LOCAL enable_hashjoin = off;
SET LOCAL enable_mergejoin = off;
SET LOCAL random_page_cost = 1.1"""
"""How PostgreSQL begins a transaction: one message to the server.

What is written goes by keys: a plan is made once, and it goes along indexes whatever the planner's figures say. Left to
itself it plans anew for every call, over all partitions of a table, which takes longer than the statement; and as it
does not reckon with partitions that are skipped while it runs, it would rather read small ones as a whole.
"""


COMMIT = """SELECT pg_logical_emit_message(true, 'heliograph', '') WHERE pg_current_xact_id_if_assigned() IS NULL;
COMMIT"""
"""How PostgreSQL ends a transaction: one message to the server. One that has changed nothing writes an empty record.

It may have found its own change, whose commit was not answered: then this server may have it alone, after a crash that
made visible what still waited for a standby. Without a record of its own such a commit would wait for no standby, and
what it acknowledges could be lost (P2), or claimed once more (P3).
"""


def _session(limits: Limits) -> dict[str, str]:
    return {
        "application_name": "heliograph",
        # Statements here are short and run thousands of times a second: compiling one took 300 ms, running it 1.
        "jit": "off",
        "idle_in_transaction_session_timeout": f"{limits.idle // MILLISECOND}ms",
        "lock_timeout": f"{limits.lock // MILLISECOND}ms",
    }


class PostgresEngine(Engine):
    """PostgreSQL by asyncpg."""

    driver_error = asyncpg.PostgresError
    unreachable = POSTGRES_UNREACHABLE

    _UTC = "(extract(epoch from statement_timestamp()) * 1000000)::bigint"
    _PASSING = "(extract(epoch from clock_timestamp()) * 1000000)::bigint"

    def __init__(self, url: str, *, pool_size: int, connect_timeout: float, sandbox: bool, limits: Limits) -> None:
        own = {"isolation_level": "AUTOCOMMIT", "pool_size": pool_size, "max_overflow": 0}
        engine = postgres_engine(url, connect_timeout, _session(limits), **own)
        super().__init__(engine, AnchoredClock(), sandbox=sandbox)
        self._limits = limits
        self._patience = limits.answer / SECOND

    @property
    def now(self) -> ColumnElement[int]:
        """`statement_timestamp()`: stable within a statement, so that an index is used for what is due."""
        return self._told_by(self._UTC)

    @property
    def passing(self) -> ColumnElement[int]:
        """`clock_timestamp()`."""
        return self._told_by(self._PASSING)

    def _told_by(self, clock: str) -> ColumnElement[int]:
        ahead = " + (SELECT ahead FROM test_clock)" if self.sandbox else ""
        return literal_column(f"({clock}{ahead})", BigInteger())

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """A transaction in READ COMMITTED, on a connection of the pool."""
        with self.translated():
            async with self.connect() as connection:
                driver = await connection.driver()
                try:
                    with _dropped_after(self._limits.answer, driver):
                        await driver.execute(BEGIN)
                        transaction = Transaction(self, connection, driver)
                        yield transaction
                        await transaction.finish()
                        with _no_warning(driver):
                            await driver.execute(COMMIT)
                except BaseException as error:
                    await _abandon(connection, driver, error)
                    raise
                transaction.committed()

    async def run_batch(
        self, driver: Any, batch: Batch, rows: Sequence[tuple[Any, ...]], scalars: Mapping[str, Any]
    ) -> Sequence[Row]:
        """By a prepared statement; asyncpg keeps it."""
        compiled = self.compiled(batch)
        try:
            found: Sequence[Row] = await driver.fetch(compiled.sql, *array_arguments(compiled, batch, rows, scalars))
        except asyncpg.CheckViolationError as error:
            # The bound of a partition has no name: a row was on its way to the rest when its day was made, and finds
            # the day next time. What a named check refuses hangs on the row, and must not hold up its neighbours.
            if error.constraint_name is None:
                raise StoreUnavailable(str(error)) from error
            raise
        return found

    async def synchronize_clock(self) -> None:
        """Anchor our clock to the server's."""
        await super().synchronize_clock()
        asked_at = monotonic()
        rows = await self.fetch(select(literal_column(self._UTC, BigInteger()).label("told")))
        if isinstance(self.clock, AnchoredClock):
            self.clock.anchor(Instant(rows[0]["told"]), asked_at, monotonic())


@contextmanager
def _dropped_after(limit: int, driver: Any) -> Iterator[None]:
    """Drop a connection that is still busy after so long: whoever waits for its answer is told that it is closed.

    Not asyncpg's `command_timeout`, which cancels the statement: a COMMIT that waits for a standby and is cancelled is
    committed on this server alone, and asked again it would find its own change and be acknowledged (promise P2).
    """
    timer = asyncio.get_running_loop().call_later(limit / SECOND, driver.terminate)
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def _no_warning(driver: Any) -> Iterator[None]:
    """Raise `StoreUnavailable` for a COMMIT that was answered with a warning.

    So answers a server whose wait for a standby somebody has cancelled: committed there, and perhaps nowhere else.
    """
    warnings: list[str] = []

    def note(_connection: object, message: Any) -> None:
        if message.severity_en == "WARNING":
            warnings.append(str(message))

    driver.add_log_listener(note)
    try:
        yield
    finally:
        driver.remove_log_listener(note)
    if warnings:
        raise StoreUnavailable(warnings[0])


async def _abandon(connection: Connection, driver: Any, error: BaseException) -> None:
    """Roll back, or drop a connection that can no longer be asked to, or that leads where nothing can be written.

    A connection whose COMMIT is still under way (the task was cancelled) is dropped too: its state is unknown.
    """
    if _is_read_only(error):
        driver.terminate()
    try:
        await asyncio.wait_for(driver.execute("ROLLBACK"), 5)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, TimeoutError):
        await connection.invalidate()


def _is_read_only(error: BaseException) -> bool:
    cause = getattr(getattr(error, "orig", None), "__cause__", None) or error
    return isinstance(cause, asyncpg.ReadOnlySQLTransactionError)
