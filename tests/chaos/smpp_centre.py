"""The SMSC of the crash tests: `heliograph smsc` in a process, which may be cut off, silenced, killed and restarted.

record file --what it was given, on disk before the answer--> `submits`
its output  --a line for everything-------------------------> `delivered`, and the signals that tests wait for
"""

import asyncio
import re
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from heliograph.carriers.smpp.smsc_record import Submit, submits_in
from heliograph.settings import clean_environment

ACCOUNT = ("test", "secret")
COMMAND = (sys.executable, "-m", "heliograph", "smsc", "--account", ":".join(ACCOUNT))
LINE_LIMIT = 1 << 20

_SUBMIT = re.compile(r"link \d+: (?:submit|data)_sm #")
_DELIVERED = re.compile(r"link \d+: (.+): ESME_ROK$")
_BOUND = re.compile(r"link \d+: bound by ")
_ENDED = re.compile(r"link \d+: ended: ")


class SmscProcess:
    """One SMSC and all its runs: they share the record file, the port and what they said."""

    def __init__(self, record: Path, *arguments: str, program: Sequence[str] = COMMAND) -> None:
        self._record = record
        self._program = program
        self._arguments = arguments
        self._process: asyncio.subprocess.Process
        self._reader: asyncio.Task[None] | None = None
        self._changed = asyncio.Condition()
        self.port = 0
        self.lines: list[str] = []
        self.written = 0
        """Submits that were said to be written down, of all runs."""
        self.bound = 0
        """Binds that were accepted, of all runs."""
        self.ended = 0
        """Links that came to an end, bound or not, of all runs."""
        self.delivered: Counter[str] = Counter()
        """What was answered with ROK, as `receipt DELIVRD for ID` or `message FROM -> TO`; and how often."""

    async def start(self) -> None:
        """Return once it listens, on the same port each time."""
        options = ("--port", str(self.port), "--record", str(self._record), *self._arguments)
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            *self._program, *options, stdin=pipe, stdout=pipe, env=clean_environment(), limit=LINE_LIMIT
        )
        begun = len(self.lines)
        self._reader = asyncio.create_task(self._read(self._process), name="smsc-output")
        await self.until(lambda: any(line.startswith("listening on ") for line in self.lines[begun:]))
        listening = next(line for line in self.lines[begun:] if line.startswith("listening on "))
        self.port = int(listening.rpartition(":")[2])

    async def stop(self) -> None:
        """As by SIGTERM; its record is whole then."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
        await self._ended()

    async def crash_and_start(self) -> None:
        """kill -9: answers, receipts and messages that it had not sent are gone for ever."""
        self._process.kill()
        await self._ended()
        await self.start()

    def does(self, line: str) -> None:
        """Have it do something: a line on its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())

    def submits(self) -> list[Submit]:
        """Its record."""
        return list(submits_in(self._record))

    async def more_submits(self, count: int) -> None:
        """Return once it has written down so many more."""
        wanted = self.written + count
        await self.until(lambda: self.written >= wanted)

    async def silent_until(self, submits: int, links: int) -> None:
        """Fall silent; return once so many more submits came, or so many links were hung up on for it."""
        self.does("silence on")
        submits, links = self.written + submits, self.ended + links
        await self.until(lambda: self.written >= submits or self.ended >= links)

    async def more_binds(self, count: int) -> None:
        """Return once so many more binds were accepted."""
        wanted = self.bound + count
        await self.until(lambda: self.bound >= wanted)

    async def more_ends(self, count: int) -> None:
        """Return once so many more links have come to an end."""
        wanted = self.ended + count
        await self.until(lambda: self.ended >= wanted)

    async def stats(self) -> dict[str, int]:
        """What it counts."""
        begun = len(self.lines)
        self.does("stats")
        await self.until(lambda: any(line.startswith("stats: ") for line in self.lines[begun:]))
        told = next(line for line in self.lines[begun:] if line.startswith("stats: "))
        return {name: int(count) for name, _, count in (each.rpartition(" ") for each in told[7:].split(", "))}

    async def until(self, fact: Callable[[], bool]) -> None:
        """Return once something holds, looking at every line that it says."""
        async with self._changed:
            await self._changed.wait_for(fact)

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for raw in process.stdout:
            self._take(raw.decode().rstrip())
            async with self._changed:
                self._changed.notify_all()

    def _take(self, line: str) -> None:
        self.lines.append(line)
        self.written += _SUBMIT.match(line) is not None
        self.bound += _BOUND.match(line) is not None
        self.ended += _ENDED.match(line) is not None
        if (told := _DELIVERED.match(line)) is not None:
            self.delivered[told[1]] += 1

    async def _ended(self) -> None:
        await self._process.wait()
        if self._reader is not None:
            # To the end: what it said last is evidence.
            await self._reader


@asynccontextmanager
async def centre(
    record: Path, arguments: Sequence[str] = (), program: Sequence[str] = COMMAND
) -> AsyncIterator[SmscProcess]:
    """An SMSC for as long as it is needed; `program` is what is run, as where it is on another machine."""
    smsc = SmscProcess(record, *arguments, program=program)
    await smsc.start()
    try:
        yield smsc
    finally:
        await smsc.stop()
