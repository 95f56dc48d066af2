"""Several API processes on one address: started, watched, begun again when they die, stopped together.

parent -- holds the address, takes no request
   |  each child is told the port, and inherits the end of a pipe that closes when the parent dies
   +-- child 1 .. N: `heliograph api`, each of which listens there with a socket of its own
"""

import argparse
import asyncio
import os
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from heliograph import server
from heliograph.clock import monotonic
from heliograph.commands.failure import CommandFailed
from heliograph.commands.supervision import Supervision
from heliograph.domain.instant import SECOND
from heliograph.log import get_logger
from heliograph.settings import Settings, unsupervised_environment

logger = get_logger("processes")

STEADY = 10 * SECOND
"""A process that lived for so long is begun again at once."""
PAUSE = 1.0
"""Seconds until one that died sooner is begun again, the first time; then twice as long each time."""
LONGEST_PAUSE = 30.0


class Given(NamedTuple):
    """What a child is given."""

    port: int
    parent: int
    """The descriptor that it inherits: the reading end of a pipe, which ends with the parent."""

    @classmethod
    def read(cls, text: str) -> Self:
        """As it stands on the child's command line."""
        port, _, parent = text.partition(",")
        return cls(int(port), int(parent))


def run_processes(given: argparse.Namespace, settings: Settings) -> int:
    """Run `given.processes` API processes until SIGTERM or SIGINT.

    Raises `CannotServe` for an address that is taken, and `CommandFailed` when one of them cannot be started at all.
    """
    with _reserved(settings) as held:
        told, parent = os.pipe()
        try:
            os.set_inheritable(told, True)
            given_on = f"{held.getsockname()[1]},{told}"
            command = [sys.executable, "-m", "heliograph", "api", "--given", given_on, *_passed_on(given)]
            family = _Family(command, told, given.processes)
            asyncio.run(family.run(server.address(settings, held), given.ready_file))
        finally:
            os.close(parent)
            os.close(told)
    return 0


def _reserved(settings: Settings) -> socket.socket:
    """The address, for as long as the socket lives: processes of this user alone may share it.

    Taken for nobody else first, as another family of this user would share it without a word.
    """
    with server.listen(settings) as alone:
        port = alone.getsockname()[1]
    return server.share(settings, port)


def _passed_on(given: argparse.Namespace) -> list[str]:
    named = {"--config": given.config, "--database": given.database, "--host": given.host}
    words = [f"{name}={value}" for name, value in named.items() if value is not None]
    return [*words, "--sandbox"] if given.sandbox else words


@dataclass(slots=True)
class _Child:
    process: asyncio.subprocess.Process
    started_at: int


class _Family:
    """The children of one parent."""

    def __init__(self, command: list[str], inherited: int, count: int) -> None:
        self._command = command
        self._inherited = inherited
        self._count = count
        self._stopping = asyncio.Event()
        self._running: set[asyncio.subprocess.Process] = set()

    async def run(self, base_url: str, ready_file: Path | None) -> None:
        """Return when all have stopped."""
        loop = asyncio.get_running_loop()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, self._stopping.set)
        try:
            begun = await asyncio.gather(*(self._begin() for _ in range(self._count)))
            children = [each for each in begun if each is not None]
            if self._stopping.is_set():
                return
            if len(children) < self._count:
                raise CommandFailed("A process could not be started; what it wrote says why.")
            if ready_file is not None:
                server.write_ready_file(ready_file, {"base_url": base_url})
            print(f"base_url: {base_url}", flush=True)
            async with Supervision() as supervision, asyncio.TaskGroup() as keeping:
                for child in children:
                    keeping.create_task(self._keep(child))
                supervision.works()
                await self._stopping.wait()
                supervision.stops()
                self._terminate()
        finally:
            self._terminate()
            await asyncio.gather(*(process.wait() for process in self._running))

    async def _begin(self) -> _Child | None:
        """A new child that accepts requests; None when it ended before it did."""
        process = await asyncio.create_subprocess_exec(
            *self._command,
            pass_fds=(self._inherited,),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            env=unsupervised_environment(),
        )
        self._running.add(process)
        assert process.stdout is not None  # noqa: S101 - it was asked for
        reading = asyncio.ensure_future(process.stdout.readline())
        stopping = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait([reading, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if reading.done() and reading.result():
            return _Child(process, monotonic())
        reading.cancel()
        return None

    async def _keep(self, child: _Child) -> None:
        """Begin a child again whenever it ends, the later the oftener it did so soon."""
        current: _Child | None = child
        failures = 0
        while not self._stopping.is_set():
            failures = 0 if current is not None and await self._lived(current) >= STEADY else failures + 1
            await self._rest(min(PAUSE * 2 ** (failures - 1), LONGEST_PAUSE) if failures else 0)
            if not self._stopping.is_set():
                current = await self._begin()

    async def _lived(self, child: _Child) -> int:
        """How long a child lived, once it has ended."""
        status = await child.process.wait()
        self._running.discard(child.process)
        if not self._stopping.is_set():
            logger.error("an API process ended", action="process_ended", pid=child.process.pid, status=status)
        return monotonic() - child.started_at

    async def _rest(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return

    def _terminate(self) -> None:
        for process in self._running:
            if process.returncode is None:
                process.terminate()
