"""SQLite behind the store's face: one file, one connection that writes, others that read."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import sqlalchemy
from sqlalchemy import BigInteger, ColumnElement, bindparam, event, text
from sqlalchemy.engine import make_url

from heliograph.clock import SystemClock
from heliograph.log import get_logger
from heliograph.store.batch import Batch, json_arguments
from heliograph.store.connections import Connection
from heliograph.store.engine import Engine, Row, StoreUnavailable, Transaction

logger = get_logger("store")

BUSY_MS = 10_000
"""How long SQLite waits for another process's write, such as a command line beside a running server."""

CHANGES_OF_LOG = 1_000
"""After how many changed rows the log is put into the file, beside whoever writes."""

PAGES_OF_LOG = 16_000
"""At how many pages, of 4 KiB, the log is to begin anew: then the writer waits for what is left of it to be put."""

UTMOST_PAGES_OF_LOG = 64_000
"""At how many whoever commits puts the log into the file, as SQLite has it by itself: if all of this is of no avail."""


class SqliteEngine(Engine):
    """SQLite by aiosqlite."""

    driver_error = sqlite3.Error
    unreachable = (sqlite3.OperationalError,)

    def __init__(self, url: str, *, sandbox: bool) -> None:
        engine = sqlalchemy.create_engine(
            make_url(url).set(drivername="sqlite+aiosqlite"), isolation_level="AUTOCOMMIT", pool_size=4, max_overflow=4
        )
        event.listen(engine, "connect", _prepare)
        super().__init__(engine, SystemClock(), sandbox=sandbox)
        self._writing = asyncio.Lock()
        self._writer: Connection | None = None
        self._changes_before = 0
        self._checkpoint: asyncio.Task[None] | None = None

    @property
    def file(self) -> str:
        """Where it is, as SQLite names it."""
        return self._engine.url.database or ""

    @property
    def now(self) -> ColumnElement[int]:
        """The machine's clock, given with each statement: SQLite has none of its own that tells microseconds."""
        return bindparam("now", type_=BigInteger())

    def moment(self) -> dict[str, int]:
        """The machine's clock, the test offset included."""
        return {"now": self.clock.now()}

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """A transaction that holds the right to write from its first moment; others of this process wait in line."""
        async with self._writing:
            with self.translated():
                if self._writer is None:
                    self._writer = await self.connect().start()
                driver = await self._writer.driver()
                try:
                    await driver.execute("BEGIN IMMEDIATE")
                    transaction = Transaction(self, self._writer, driver)
                    yield transaction
                    await transaction.finish()
                    await driver.execute("COMMIT")
                except BaseException:
                    # Queued behind what the thread still does for a cancelled task; with nothing begun it says so.
                    with suppress(sqlite3.OperationalError):
                        await driver.execute("ROLLBACK")
                    raise
                transaction.committed()
                self._committed(driver.total_changes)

    def _committed(self, changes: int) -> None:
        """Have the log put into the file when it has grown; `changes` is how many rows the writer has changed so far.

        SQLite by itself has it done by whoever commits then, who waits for it: the longer, the more rows there are,
        for less often are two changes of one page.
        """
        if changes - self._changes_before >= CHANGES_OF_LOG and (self._checkpoint is None or self._checkpoint.done()):
            self._changes_before = changes
            self._checkpoint = asyncio.create_task(self._put_log(), name="checkpoint")

    async def _put_log(self) -> None:
        """Put into the file what the log has now. Nothing hangs on it; unless the log is long, nobody waits for it."""
        try:
            if await self._pages_put() >= PAGES_OF_LOG:
                # It begins anew once all of it is put. While somebody writes there is more each time, but less.
                await self._pages_put()
                async with self._writing:
                    await self._pages_put()
        except StoreUnavailable as error:
            logger.warning("the log of SQLite was not put into its file", action="checkpoint_failed", reason=str(error))

    async def _pages_put(self) -> int:
        return int((await self.fetch(text("PRAGMA wal_checkpoint(PASSIVE)")))[0]["checkpointed"])

    async def run_batch(
        self, driver: Any, batch: Batch, rows: Sequence[tuple[Any, ...]], scalars: Mapping[str, Any]
    ) -> Sequence[Row]:
        """By one call into the connection's thread."""
        compiled = self.compiled(batch)
        arguments = json_arguments(compiled, rows, {**self.moment(), **scalars})
        found = await driver.execute_fetchall(compiled.sql, arguments)
        return [dict(zip(compiled.names, each, strict=True)) for each in found]

    async def close(self) -> None:
        """Give back the writing connection too."""
        if self._checkpoint is not None:
            await self._checkpoint
        if self._writer is not None:
            await self._writer.close()
            self._writer = None
        await super().close()


def _prepare(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"busy_timeout={BUSY_MS}",
        f"wal_autocheckpoint={UTMOST_PAGES_OF_LOG}",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
