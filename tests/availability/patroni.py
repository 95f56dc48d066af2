"""Three PostgreSQL under Patroni, with an etcd of three members, on loopback."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import asyncpg
import msgspec

from heliograph.domain.instant import MILLISECOND
from tests.chaos.evidence import seen
from tests.databases import _memory_folder, _owner, _programs_for
from tests.ports import free_port

NAMES = ("one", "two", "three")
PROGRAMS = ("etcd", "patroni")
# pg_rewind asks for the hints, and for full pages in the log.
_PARAMETERS = {"fsync": "off", "max_wal_size": "256MB", "max_connections": 100, "wal_log_hints": "on"}
LOOK_AGAIN = 200 * MILLISECOND
"""Patroni takes a thread and a query for each answer."""
LEADING = "the leader with the lock"
TURNS = 3
"""One may have been under way already."""
SHIPPED = Path(__file__).parents[2] / "deploy" / "patroni.yml"


def patroni_version() -> tuple[int, ...]:
    """Of the one that is installed."""
    told = subprocess.run(["patroni", "--version"], check=True, capture_output=True, text=True).stdout
    return tuple(map(int, told.split()[-1].split(".")))


@dataclass(frozen=True, slots=True)
class Pace:
    """How soon Patroni acts, in seconds."""

    ttl: int
    loop_wait: int
    retry_timeout: int


QUICK = Pace(ttl=7, loop_wait=1, retry_timeout=3)
"""What happens is tested, not how long an operator would wait for it. From 3.2 on Patroni takes no `ttl` below 20: such
a one says so in its log, goes by 20, and the tests take as much longer."""


def shipped_pace() -> Pace:
    """What `deploy/patroni.yml` has."""
    text = SHIPPED.read_text()
    ttl, loop_wait, retry_timeout = (
        int(re.findall(rf"^ +{name}: (\d+)$", text, re.MULTILINE)[0]) for name in ("ttl", "loop_wait", "retry_timeout")
    )
    return Pace(ttl, loop_wait, retry_timeout)


class Keeper:
    """One member of etcd."""

    def __init__(self, words: list[str | Path], folder: Path) -> None:
        self._words = words
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin, with what it has kept."""
        with (self._folder / "etcd.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._words, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **_owner()
            )

    def end(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


class Member:
    """One machine: Patroni and its PostgreSQL."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder / name
        self.port = free_port()
        self.rest = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin Patroni, which begins PostgreSQL."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["patroni", self.folder / "patroni.json"],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
                start_new_session=True,
                **_owner(),
            )

    @property
    def url(self) -> str:
        """Of this server alone."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    async def leads(self, session: aiohttp.ClientSession) -> bool:
        """Whether Patroni says that it is the primary."""
        return await self.told(session, "primary") is not None

    async def is_synchronous(self, session: aiohttp.ClientSession) -> bool:
        """Whether commits wait for it."""
        return await self.told(session, "synchronous") is not None

    async def told(self, session: aiohttp.ClientSession, path: str) -> dict[str, Any] | None:
        """What Patroni says there, if it answers with 200."""
        try:
            limit = aiohttp.ClientTimeout(total=2)
            async with session.get(f"http://127.0.0.1:{self.rest}/{path}", timeout=limit) as response:
                return await response.json(content_type=None) if response.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None

    async def ask(self, method: str, path: str, body: object) -> str:
        """Have Patroni do something, as `patronictl` does; what it answers."""
        url = f"http://127.0.0.1:{self.rest}/{path}"
        async with aiohttp.ClientSession() as session, session.request(method, url, json=body) as response:
            text = await response.text()
            assert response.status == 200, text
            return text

    async def value(self, statement: str) -> Any:
        """What its PostgreSQL answers; nothing is written."""
        connection = await asyncpg.connect(self.url)
        try:
            return await connection.fetchval(statement)
        finally:
            connection.terminate()

    async def goes_on_leading(self) -> None:
        """Return once its Patroni has looked at everything again, twice at least, and still leads."""
        before = self.log.count(LEADING)

        async def look() -> bool:
            return self.log.count(LEADING) >= before + TURNS

        await seen(look, LOOK_AGAIN)

    @property
    def log(self) -> str:
        """What Patroni and PostgreSQL have written."""
        return (self.folder / "log").read_text(errors="replace")

    def signal(self, number: signal.Signals, *, patroni: bool) -> None:
        """To PostgreSQL and its backends, and to Patroni too."""
        pids = [self._process.pid] if patroni and self._process is not None else []
        with suppress(FileNotFoundError, IndexError, ValueError):
            postmaster = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
            pids += [postmaster, *_children(postmaster)]
        for each in pids:
            with suppress(ProcessLookupError):
                os.kill(each, number)

    def come_back(self) -> None:
        """Begin again, if it was ended."""
        if self._process is not None and self._process.poll() is not None:
            self.start()

    def end(self) -> None:
        """kill -9 of all."""
        self.signal(signal.SIGKILL, patroni=True)
        if self._process is not None:
            self._process.wait()
        self.signal(signal.SIGKILL, patroni=False)


def _children(pid: int) -> list[int]:
    with suppress(FileNotFoundError):
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


class Roles(NamedTuple):
    """Who is what."""

    leader: Member
    synchronous: Member
    """Commits wait for it; without synchronous replication one of the two that follow."""
    other: Member


class Cluster:
    """The three of them, and their etcd."""

    def __init__(self, members: list[Member], keepers: list[Keeper], *, synchronous: bool) -> None:
        self.members = members
        self.keepers = keepers
        self._synchronous = synchronous
        self._databases = count(1)

    async def whole(self) -> Roles:
        """Who is what, once one leads and both others follow it."""
        found: list[Roles] = []

        async def look() -> bool:
            async with aiohttp.ClientSession() as session:
                found[:] = [roles for roles in [await self._roles(session)] if roles is not None]
            return bool(found)

        await seen(look, LOOK_AGAIN)
        return found[0]

    async def _roles(self, session: aiohttp.ClientSession) -> Roles | None:
        told = [(each, await each.told(session, "primary")) for each in self.members]
        match [(each, said) for each, said in told if said is not None]:
            case [(leader, said)]:
                following = {each["application_name"] for each in said.get("replication", []) if _streams(each)}
            case _:
                return None
        others = [each for each in self.members if each is not leader]
        chosen = [each for each in others if await each.is_synchronous(session)] if self._synchronous else others[:1]
        if len(chosen) != 1 or following != {each.name for each in others}:
            return None
        [rest] = [each for each in others if each not in chosen]
        return Roles(leader, chosen[0], rest)

    async def is_led(self, *, by_other_than: Member | None = None) -> bool:
        """Whether anybody leads now."""
        async with aiohttp.ClientSession() as session:
            return any([await each.leads(session) for each in self.members if each is not by_other_than])

    async def new_database(self) -> str:
        """The URL of an empty database; it names all three."""
        name = f"of_test_{next(self._databases)}"
        leader = (await self.whole()).leader
        connection = await asyncpg.connect(leader.url)
        await connection.execute(f"CREATE DATABASE {name}")
        await connection.close()
        hosts = "&".join(f"host=127.0.0.1:{each.port}" for each in self.members)
        return f"postgresql://postgres@/{name}?{hosts}"


def _streams(sender: dict[str, Any]) -> bool:
    return bool(sender["state"] == "streaming")


@contextmanager
def patroni_cluster(pace: Pace, *, synchronous: bool = True) -> Iterator[Cluster]:
    """A cluster whose members are begun; `Cluster.whole` says when it can be used.

    Synchronous replication is strict, as in `deploy/patroni.yml`.
    """
    owner = _owner()
    folder = Path(tempfile.mkdtemp(prefix="heliograph-patroni-", dir=_memory_folder()))
    programs = _programs_for(owner, folder)
    members = [Member(name, folder) for name in NAMES]
    clients = [free_port() for _ in NAMES]
    peers = [free_port() for _ in NAMES]
    for each in members:
        each.folder.mkdir()
        given = _settings(each, programs, clients, pace, synchronous=synchronous)
        (each.folder / "patroni.json").write_bytes(msgspec.json.encode(given))
    if owner:
        for path in [folder, *folder.rglob("*")]:
            if path.is_dir() or path.suffix == ".json":
                os.chown(path, owner["user"], owner["group"])
    keepers = [Keeper(_etcd(folder, index, name, clients, peers), folder) for index, name in enumerate(NAMES)]
    parts: list[Keeper | Member] = [*keepers, *members]
    try:
        for part in parts:
            part.start()
        yield Cluster(members, keepers, synchronous=synchronous)
    finally:
        for part in reversed(parts):
            part.end()
        shutil.rmtree(folder, ignore_errors=True)


def _etcd(folder: Path, index: int, name: str, clients: list[int], peers: list[int]) -> list[str | Path]:
    client, peer = (f"http://127.0.0.1:{ports[index]}" for ports in (clients, peers))
    every = ",".join(f"{each}=http://127.0.0.1:{port}" for each, port in zip(NAMES, peers, strict=True))
    return [
        *("etcd", "--name", name, "--data-dir", folder / f"etcd-{name}"),
        *("--listen-client-urls", client, "--advertise-client-urls", client),
        *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
        *("--initial-cluster", every, "--unsafe-no-fsync"),
    ]


def _settings(member: Member, programs: Path, etcd: list[int], pace: Pace, *, synchronous: bool) -> dict[str, Any]:
    postgres, rest = (f"127.0.0.1:{port}" for port in (member.port, member.rest))
    return {
        "scope": "heliograph",
        "name": member.name,
        "restapi": {"listen": rest, "connect_address": rest},
        "etcd3": {"hosts": [f"127.0.0.1:{port}" for port in etcd]},
        "bootstrap": {
            "dcs": {
                "ttl": pace.ttl,
                "loop_wait": pace.loop_wait,
                "retry_timeout": pace.retry_timeout,
                "synchronous_mode": synchronous,
                "synchronous_mode_strict": synchronous,
                # A member that comes back and has what the others have not is rewound, as with what we ship.
                "postgresql": {"use_pg_rewind": True, "parameters": _PARAMETERS},
            },
            "initdb": [{"encoding": "UTF8"}, {"auth": "trust"}, "no-sync"],
        },
        "postgresql": {
            "listen": postgres,
            "connect_address": postgres,
            "data_dir": str(member.folder / "data"),
            "bin_dir": str(programs),
            "pgpass": str(member.folder / "pgpass"),
            "remove_data_directory_on_diverged_timelines": True,
            "authentication": {"superuser": {"username": "postgres"}, "replication": {"username": "postgres"}},
            "parameters": {"unix_socket_directories": str(member.folder)},
            "pg_hba": [
                "host all all 127.0.0.1/32 trust",
                "host replication all 127.0.0.1/32 trust",
                "local all all trust",
            ],
        },
        "watchdog": {"mode": "off"},
    }
