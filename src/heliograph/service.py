"""What everything with a loop promises.

`start` returns when the service runs, `stop` when it has stopped; either may be called twice or in the wrong order.
A loop that fails is logged and begun again after a pause: one bad pass must not silence a service.
"""

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Protocol, Self

from heliograph.clock import monotonic
from heliograph.domain.instant import SECOND
from heliograph.log import get_logger

logger = get_logger("service")

RESTART_PAUSE = 1.0
"""Seconds between a failed pass and the next."""
QUIET_AFTER = 10 * SECOND
"""How long nothing must have been found before it is looked for less often."""
QUIET_POLL = SECOND
"""How often then."""


class Service(Protocol):
    """Started and stopped by the server."""

    async def start(self) -> None:
        """Return when it runs."""

    async def stop(self) -> None:
        """Return when it has stopped; what it had in hand is finished or handed back."""


class InContext(Service, Protocol):
    """A service that is started when its context is entered, and stopped when it is left."""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


class Attention:
    """How often to look for what nobody here is told of: less often when nothing was found for a while."""

    def __init__(self, often: int, seldom: int = QUIET_POLL, quiet_after: int = QUIET_AFTER) -> None:
        self._quiet_after = quiet_after
        self._often = often
        self._seldom = max(often, seldom)
        self._found_at = monotonic()

    def found(self) -> None:
        """There was something; more may follow."""
        self._found_at = monotonic()

    @property
    def pause(self) -> int:
        """Microseconds until the next look."""
        return self._often if monotonic() - self._found_at < self._quiet_after else self._seldom


class Loop:
    """A service that makes one pass after another, woken early by `wake`.

    A subclass gives `run_pass`, which says how many microseconds may go by before the next pass. Tests wait for
    `passed`, which counts the passes made.
    """

    name = "loop"

    def __init__(self) -> None:
        self.passed = 0
        self._task: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()
        self._stopping = False
        self._finished_pass = asyncio.Condition()

    async def run_pass(self) -> int:
        """Do what is to be done now; microseconds until it is worth looking again."""
        raise NotImplementedError

    def wake(self) -> None:
        """There may be something to do now."""
        self._woken.set()

    async def start(self) -> None:
        """Begin to make passes."""
        if self._task is None:
            self._stopping = False
            self._task = asyncio.create_task(self._run(), name=self.name)

    async def stop(self) -> None:
        """Make no further pass, and return when the one under way is over."""
        if self._task is None:
            return
        self._stopping = True
        self.wake()
        with suppress(asyncio.CancelledError):
            await self._task
        self._task = None

    async def wait_passed(self, count: int) -> None:
        """Return once `count` passes were made since the start."""
        async with self._finished_pass:
            await self._finished_pass.wait_for(lambda: self.passed >= count)

    async def _run(self) -> None:
        while not self._stopping:
            self._woken.clear()
            pause = await self._guarded_pass()
            async with self._finished_pass:
                self.passed += 1
                self._finished_pass.notify_all()
            if not self._stopping:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), pause)

    async def _guarded_pass(self) -> float:
        try:
            return await self.run_pass() / SECOND
        except Exception:
            logger.exception("a pass failed", action="pass_failed", service=self.name)
            return RESTART_PAUSE
