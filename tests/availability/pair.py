"""Two PostgreSQL servers on loopback, a primary and its standby, which a test crashes, freezes and promotes."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from select import select

import asyncpg

from tests.chaos.evidence import seen
from tests.databases import _initialise, _memory_folder, _owner, _programs_for, _wait_until_ready
from tests.ports import free_port

# A server that is killed keeps what it wrote; only a power loss would need these.
_NOT_DURABLE = ("fsync=off", "full_page_writes=off", "max_wal_size=256MB")


class Member:
    """One server."""

    def __init__(self, programs: Path, folder: Path, name: str) -> None:
        self.name = name
        self.port = free_port()
        self.data = folder / name
        self._programs = programs
        self._folder = folder
        self._owner = _owner()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Of this server alone."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def make(self) -> None:
        """A new, empty primary."""
        _initialise(self._programs, self.data, self._owner)
        with (self.data / "pg_hba.conf").open("a") as rules:
            rules.write("host replication all 127.0.0.1/32 trust\n")

    def copy(self, primary: "Member") -> None:
        """A standby of `primary`."""
        self._run(
            "pg_basebackup", "-d", primary.url, "-D", self.data, "-R", "-X", "stream", "--checkpoint=fast", "--no-sync"
        )
        primary_line = f"host=127.0.0.1 port={primary.port} user=postgres application_name={self.name}"
        with (self.data / "postgresql.auto.conf").open("a") as own:
            own.write(f"primary_conninfo = '{primary_line}'\n")

    def start(self, *options: str) -> None:
        """Return once it takes connections."""
        log = self._folder / f"{self.name}.log"
        given = [f"port={self.port}", f"unix_socket_directories={self._folder}", *_NOT_DURABLE, *options]
        words = [word for each in given for word in ("-c", each)]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self.data, *words],
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                **self._owner,
            )
        _wait_until_ready(self._process, self.data, log)

    def promote(self) -> None:
        """Return once it is a primary, on a timeline of its own."""
        self._run("pg_ctl", "promote", "--wait", "-D", self.data)

    def freeze(self) -> None:
        """SIGSTOP for it and all its backends, as a machine that is suspended."""
        _close(self._signal(signal.SIGSTOP))

    def thaw(self) -> None:
        """SIGCONT."""
        _close(self._signal(signal.SIGCONT))

    def crash(self) -> None:
        """kill -9 of all of it; return once nothing of it is left."""
        if self._process is not None:
            for each in self._signal(signal.SIGKILL):
                select([each], [], [])
                os.close(each)
            self._process.wait()
            # It still says that the server is ready.
            (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _signal(self, number: signal.Signals) -> list[int]:
        """Its backends, as descriptors that can be read from when they have ended; the postmaster makes no more."""
        assert self._process is not None
        if self._process.poll() is not None:
            return []
        pid = self._process.pid
        os.kill(pid, number)
        backends = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        opened = []
        for each in backends:
            with suppress(ProcessLookupError):
                opened.append(os.pidfd_open(int(each)))
                os.kill(int(each), number)
        return opened

    def _run(self, program: str, *words: str | Path) -> None:
        command = [self._programs / program, *words]
        made = subprocess.run(command, check=False, capture_output=True, text=True, cwd="/", **self._owner)
        assert made.returncode == 0, made.stdout + made.stderr


def _close(descriptors: list[int]) -> None:
    for each in descriptors:
        os.close(each)


@contextmanager
def replicated(*options: str) -> Iterator[tuple[Member, Member]]:
    """A primary and its standby, named `one` and `two`; `options` are the primary's."""
    owner = _owner()
    folder = Path(tempfile.mkdtemp(prefix="heliograph-pair-", dir=_memory_folder()))
    if owner:
        os.chown(folder, owner["user"], owner["group"])
    programs = _programs_for(owner, folder)
    one, two = (Member(programs, folder, name) for name in ("one", "two"))
    try:
        one.make()
        one.start(*options)
        two.copy(one)
        two.start()
        yield one, two
    finally:
        one.crash()
        two.crash()
        shutil.rmtree(folder)


def url_of(*members: Member) -> str:
    """One URL of several servers."""
    return "postgresql://postgres@/postgres?" + "&".join(f"host=127.0.0.1:{each.port}" for each in members)


async def caught_up(one: Member, two: Member) -> None:
    """Return once the standby has all that the primary has written."""
    primary, standby = [await asyncpg.connect(each.url) for each in (one, two)]
    wanted = await primary.fetchval("SELECT pg_current_wal_lsn()::text")

    async def look() -> bool:
        return bool(await standby.fetchval("SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn", wanted))

    await seen(look)
    primary.terminate()
    standby.terminate()
