"""Disks so small that a test can fill them, and a PostgreSQL that lives on two of them.

mount --> room --ballast--> full: whatever needs another page fails with ENOSPC --> room again --> unmount

They are file systems in memory (tmpfs); to mount one takes root.
"""

import asyncio
import os
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from heliograph.domain.instant import MILLISECOND
from heliograph.service import Loop
from tests.chaos.evidence import seen
from tests.databases import _initialise, _Owner, _owner, _programs_for, _wait_until_ready

MIB = 1 << 20
PAGE = 4096
TOP_UP = 20 * MILLISECOND
"""How often what was given free on a full disk is taken again."""


class SmallDisk:
    """A disk that can be filled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Take every page that is free."""
        with self._ballast.open("ab", buffering=0) as ballast:
            for size in (MIB, PAGE):
                with suppress(OSError):  # there is no room for so much
                    while ballast.write(bytes(size)):
                        continue

    def free(self) -> None:
        """Give all of it back."""
        self._ballast.unlink(missing_ok=True)

    @asynccontextmanager
    async def kept_full(self) -> AsyncIterator[None]:
        """No page is free for long, whatever others give back."""
        self.fill()
        filling = _Filling(self)
        await filling.start()
        try:
            yield
        finally:
            await filling.stop()
            self.free()


class _Filling(Loop):
    name = "filling"

    def __init__(self, disk: SmallDisk) -> None:
        super().__init__()
        self._disk = disk

    async def run_pass(self) -> int:
        self._disk.fill()
        return TOP_UP


@contextmanager
def small_disk(folder: Path, size: int, owner: _Owner | None = None) -> Iterator[SmallDisk]:
    """Mount one at a folder that is made for it; unmounted at the end, whoever still uses it."""
    folder.mkdir()
    who = f",uid={owner['user']},gid={owner['group']}" if owner else ""
    mount: list[str | Path] = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700{who}", "heliograph-test", folder]
    subprocess.run(mount, check=True, capture_output=True)
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True, capture_output=True)


def why_none() -> str | None:
    """Why no disk can be mounted here; None if one can."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            with small_disk(Path(folder) / "disk", MIB):
                return None
        except FileNotFoundError:
            return "there is no program to mount disks"
        except subprocess.CalledProcessError as error:
            return f"a disk cannot be mounted: {error.stderr.decode().strip()}"


class SmallPostgres:
    """A server with its tables on one small disk and its write-ahead log on another."""

    def __init__(self, programs: Path, folder: Path, data: SmallDisk, wal: SmallDisk) -> None:
        self.data = data
        self.wal = wal
        self.url = f"postgresql://postgres@/postgres?host={quote(str(folder), safe='/')}"
        self._programs = programs
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def make(self) -> None:
        """An empty cluster whose log has small segments: it needs a new one after every megabyte."""
        _initialise(self._programs, self._tables, _owner(), "--waldir", self.wal.folder / "log", "--wal-segsize=1")

    def start(self) -> None:
        """Return once it takes connections."""
        options = ["listen_addresses=", "max_connections=100", "min_wal_size=2MB", "max_wal_size=8MB"]
        words = [word for each in options for word in ("-c", each)]
        command: list[str | Path] = [self._programs / "postgres", "-D", self._tables, "-k", self._folder, *words]
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                command, cwd="/", stdin=subprocess.DEVNULL, stdout=output, stderr=output, **_owner()
            )
        _wait_until_ready(self._process, self._tables, self._log)

    async def come_back(self) -> None:
        """Return once it takes connections again; it is started if it has given up, as by whoever looks after it."""

        async def look() -> bool:
            if self.ended:
                await asyncio.to_thread(self.start)
            return (self._tables / "postmaster.pid").read_text().rstrip().endswith("ready")

        await seen(look)

    def stop(self) -> None:
        """End it, whatever it is doing."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)  # its fast shutdown: sessions are ended
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
            self._process.kill()
            self._process.wait()

    @property
    def ended(self) -> bool:
        """Whether it has given up."""
        return self._process is not None and self._process.poll() is not None

    @property
    def log(self) -> str:
        """What it has written."""
        return self._log.read_text(errors="replace")

    @property
    def _tables(self) -> Path:
        return self.data.folder / "cluster"

    @property
    def _log(self) -> Path:
        return self._folder / "log"


@contextmanager
def small_postgres(data: int, wal: int) -> Iterator[SmallPostgres]:
    """A server that runs, with so many bytes for its tables and for its log."""
    owner = _owner()
    with ExitStack() as until_end:
        # The system's user of PostgreSQL cannot reach into the folders of a test.
        folder = Path(until_end.enter_context(tempfile.TemporaryDirectory(prefix="heliograph-disk-")))
        if owner:
            os.chown(folder, owner["user"], owner["group"])
        disks = [
            until_end.enter_context(small_disk(folder / name, size, owner))
            for name, size in {"tables": data, "log-disk": wal}.items()
        ]
        server = SmallPostgres(_programs_for(owner, folder), folder, *disks)
        until_end.callback(server.stop)
        server.make()
        server.start()
        yield server
