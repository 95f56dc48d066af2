"""What the store needs of SQLAlchemy's connections, awaited.

SQLAlchemy runs synchronously in a greenlet, within which its drivers for asyncio wait; `greenlet_spawn` is the way into
one. Its own asyncio package says the same of much more, and imports the ORM for it: an eighth of all imports, and
nothing of it is used at work. Migrations have that package (`Engine.sqlalchemy`): they want more, and are rare.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar, cast

import sqlalchemy
from sqlalchemy.engine import CursorResult
from sqlalchemy.sql import Executable
from sqlalchemy.util import greenlet_spawn

T = TypeVar("T")


class Connection:
    """One connection of an engine's pool, for as long as the context lasts, or from `start` to `close`."""

    def __init__(self, engine: sqlalchemy.Engine) -> None:
        self._engine = engine
        self._sync: sqlalchemy.Connection | None = None

    async def start(self) -> Self:
        """Take it from the pool, or dial. Raises what the driver and the pool raise."""
        self._sync = await greenlet_spawn(self._engine.connect)
        return self

    async def close(self) -> None:
        """Give it back."""
        await greenlet_spawn(self._started.close)

    async def execute(self, statement: Executable, parameters: Mapping[str, Any] | None = None) -> CursorResult[Any]:
        """Run one statement; all that it returns has been read."""
        result = await greenlet_spawn(self._started.execute, statement, parameters)
        return cast("CursorResult[Any]", result)

    async def run_sync(self, work: Callable[[sqlalchemy.Connection], T]) -> T:
        """Call what is written for a synchronous connection."""
        return await greenlet_spawn(work, self._started)

    async def driver(self) -> Any:
        """The connection of the driver below it."""
        proxied = await greenlet_spawn(getattr, self._started, "connection")
        return proxied.driver_connection

    async def invalidate(self) -> None:
        """Never use it again: when it is given back, it is dropped."""
        await greenlet_spawn(self._started.invalidate)

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await _to_its_end(self.close())

    @property
    def _started(self) -> sqlalchemy.Connection:
        if self._sync is None:
            raise RuntimeError("the connection is not started")
        return self._sync


async def dispose(engine: sqlalchemy.Engine) -> None:
    """Close every connection of the pool."""
    await greenlet_spawn(engine.dispose)


async def _to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Wait for `work` even when cancelled meanwhile: a connection that is half given back would be lost to the pool."""
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while True:
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            if task.done():
                raise
            cancelled = error
        else:
            break
    if cancelled is not None:
        raise cancelled
