"""Three PostgreSQL under Patroni, with an etcd of three members, on loopback."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from tests.availability.pair import free_port
from tests.chaos.evidence import seen
from tests.databases import _memory_folder, _owner, _programs_for

NAMES = ("one", "two", "three")
PROGRAMS = ("etcd", "patroni")


def missing() -> list[str]:
    """The programs that are not installed."""
    return [each for each in PROGRAMS if shutil.which(each) is None]


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

    async def leads(self, session: aiohttp.ClientSession) -> bool:
        """Whether Patroni says that it is the primary."""
        return await self._answers(session, "primary")

    async def is_synchronous(self, session: aiohttp.ClientSession) -> bool:
        """Whether commits wait for it."""
        return await self._answers(session, "synchronous")

    async def _answers(self, session: aiohttp.ClientSession, path: str) -> bool:
        try:
            limit = aiohttp.ClientTimeout(total=2)
            async with session.get(f"http://127.0.0.1:{self.rest}/{path}", timeout=limit) as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

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


class Cluster:
    """The three of them."""

    def __init__(self, members: list[Member], folder: Path) -> None:
        self.members = members
        self.folder = folder

    @property
    def url(self) -> str:
        """Names all three."""
        hosts = "&".join(f"host=127.0.0.1:{each.port}" for each in self.members)
        return f"postgresql://postgres@/postgres?{hosts}"

    async def leader(self) -> Member:
        """The primary, once there is one with a synchronous standby."""
        found: list[Member] = []

        async def look() -> bool:
            async with aiohttp.ClientSession() as session:
                leading = [each for each in self.members if await each.leads(session)]
                synchronous = [each for each in self.members if await each.is_synchronous(session)]
            found[:] = leading
            return len(leading) == 1 and bool(synchronous)

        await seen(look)
        return found[0]


@contextmanager
def patroni_cluster(*, synchronous: bool = True, strict: bool = True) -> Iterator[Cluster]:
    """A cluster whose members are begun; `Cluster.leader` says when it can be used."""
    owner = _owner()
    folder = Path(tempfile.mkdtemp(prefix="heliograph-patroni-", dir=_memory_folder()))
    programs = _programs_for(owner, folder)
    members = [Member(name, folder) for name in NAMES]
    clients = [free_port() for _ in NAMES]
    peers = [free_port() for _ in NAMES]
    for each in members:
        each.folder.mkdir()
        given = _settings(each, programs, clients, synchronous=synchronous, strict=strict)
        (each.folder / "patroni.json").write_bytes(msgspec.json.encode(given))
    if owner:
        for path in [folder, *folder.rglob("*")]:
            if path.is_dir() or path.suffix == ".json":
                os.chown(path, owner["user"], owner["group"])
    keepers: list[subprocess.Popen[bytes]] = []
    try:
        with (folder / "etcd.log").open("ab") as log:
            for index, name in enumerate(NAMES):
                words = _etcd(folder, index, name, clients, peers)
                keepers.append(
                    subprocess.Popen(words, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **owner)
                )
        for each in members:
            each.start()
        yield Cluster(members, folder)
    finally:
        for each in members:
            each.end()
        for keeper in keepers:
            keeper.kill()
            keeper.wait()
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


def _settings(member: Member, programs: Path, etcd: list[int], *, synchronous: bool, strict: bool) -> dict[str, Any]:
    postgres, rest = (f"127.0.0.1:{port}" for port in (member.port, member.rest))
    parameters = {"fsync": "off", "full_page_writes": "off", "max_wal_size": "256MB", "max_connections": 100}
    return {
        "scope": "heliograph",
        "name": member.name,
        "restapi": {"listen": rest, "connect_address": rest},
        "etcd3": {"hosts": [f"127.0.0.1:{port}" for port in etcd]},
        "bootstrap": {
            # As short as Patroni allows: what is tested is what happens, not how long an operator would wait for it.
            "dcs": {
                "ttl": 20,
                "loop_wait": 2,
                "retry_timeout": 3,
                "synchronous_mode": synchronous,
                "synchronous_mode_strict": strict,
                "postgresql": {"use_pg_rewind": False, "parameters": {**parameters, "wal_log_hints": "on"}},
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
