"""SMSCs that nobody here wrote, each in a process of its own, and what it says that it was told."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

NODE_PROGRAM = Path(__file__).parent / "node" / "smsc.js"
PERL_PROGRAM = Path(__file__).parent / "perl" / "smsc.pl"


class Smsc:
    """An SMSC in a process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.port = 0

    async def told(self, name: str) -> Any:
        """Its next line with `name` in it; those before are passed over."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            said = json.loads(line)
            if name in said:
                return said
        raise AssertionError(f"the SMSC ended without a word of {name}")

    def does(self, **what: object) -> None:
        """Have it do something."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(what).encode() + b"\n")


Start = Callable[..., Awaitable[Smsc]]


@asynccontextmanager
async def running(*command: str | Path) -> AsyncIterator[Smsc]:
    """An SMSC for as long as it is needed."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    smsc = Smsc(process)
    try:
        smsc.port = (await smsc.told("port"))["port"]
        yield smsc
    finally:
        process.kill()
        await process.communicate()
