"""What every benchmark here needs: rounds, what they cost, and how a figure is told."""

import json
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg

ROOT = Path(__file__).resolve().parent.parent
_PACKAGES = (
    "aiosqlite",
    "asyncpg",
    "httptools",
    "msgspec",
    "procrastinate",
    "psycopg",
    "sqlalchemy",
    "starlette",
    "uvicorn",
    "uvloop",
)
_SYNCS = 200


@dataclass(frozen=True, slots=True)
class Options:
    """What is to be measured, and how long."""

    databases: Sequence[str]
    """`postgresql`, `sqlite` or both."""
    rounds: int
    seconds: float
    """Length of one turn."""
    rate: float
    """Requests a second where latency is measured at a modest rate."""
    messages: int
    """How many are scheduled before the memory is looked at."""
    postgres: str
    """URL of a durable server; empty when it is not needed."""


@dataclass(frozen=True, slots=True)
class Spread:
    """What several rounds gave."""

    middle: float
    least: float
    most: float

    def __format__(self, form: str) -> str:
        return f"{self.middle:{form}} ({self.least:{form}} to {self.most:{form}})"


def spread(values: Sequence[float]) -> Spread:
    """The median of the rounds, the lowest and the highest."""
    return Spread(statistics.median(values), min(values), max(values))


def show_table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a Markdown table under a heading, and keep it for `keep`."""
    _SHOWN.append({"title": title, "head": list(head), "rows": [list(row) for row in rows]})
    show(f"\n## {title}\n")
    show(f"| {' | '.join(head)} |")
    show(f"|{'---|' * len(head)}")
    for row in rows:
        show(f"| {' | '.join(row)} |")


def show(line: str) -> None:
    """Print a line that belongs to the result."""
    _LINES.append(line)
    print(line, flush=True)


def keep(folder: Path) -> Path:
    """Write what was shown, as Markdown and as JSON, under the day and the commit; the Markdown file."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{time.strftime('%Y-%m-%d-%H%M', time.gmtime())}-{_commit().partition(' ')[0]}"
    file = folder / f"{name}.md"
    file.write_text("\n".join(_LINES).strip() + "\n")
    result = json.dumps({"machine": _MACHINE, "tables": _SHOWN}, indent=1)
    file.with_suffix(".json").write_text(result + "\n")
    return file


_LINES: list[str] = []
_SHOWN: list[dict[str, object]] = []
_MACHINE: dict[str, str] = {}


class Processes:
    """Processes whose processor time is counted; a process that ended in between is left out."""

    def __init__(self, *pids: int, with_children: bool = False) -> None:
        self._pids = pids
        self._with_children = with_children

    def seconds(self) -> float:
        """Processor time used since they began."""
        pids = set(self._pids)
        if self._with_children:
            pids |= {pid for pid in _all_pids() if _status(pid)[1] in self._pids}
        return sum(_status(pid)[0] for pid in pids)


def _all_pids() -> Iterator[int]:
    return (int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit())


def _status(pid: int) -> tuple[float, int]:
    """Processor seconds of a process and of those children it waited for, and its parent (proc_pid_stat(5))."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0, 0
    return sum(int(each) for each in fields[11:15]) / os.sysconf("SC_CLK_TCK"), int(fields[1])


async def postgres_processes(url: str) -> Processes:
    """All processes of the server, when it runs on this machine."""
    connection = await asyncpg.connect(url)
    try:
        backend = await connection.fetchval("SELECT pg_backend_pid()")
        return Processes(_status(backend)[1], with_children=True)
    finally:
        await connection.close()


async def postgres_settings(url: str) -> str:
    """The version and the settings that decide what a commit means."""
    names = ("server_version", "fsync", "synchronous_commit", "full_page_writes", "wal_sync_method", "shared_buffers")
    connection = await asyncpg.connect(url)
    try:
        return ", ".join([f"{name} {await connection.fetchval(f'SHOW {name}')}" for name in names])
    finally:
        await connection.close()


def show_machine(postgres: str, others: Mapping[str, str]) -> None:
    """Print what the figures depend on; `others` are programs beside which is measured."""
    lines = {
        "Commit": _commit(),
        "Machine": f"{os.cpu_count()} cores of {_processor()}, {_memory()}, {platform.system()} {platform.release()}",
        "fdatasync of 8 KiB": f"{_sync_milliseconds():.2f} ms in the temporary folder",
        "Load average": ", ".join(f"{each:.1f}" for each in os.getloadavg()) + " before the first round",
        "Python": platform.python_version() + _slow_build(),
        "Packages": ", ".join(f"{name} {version(name)}" for name in _PACKAGES),
        "PostgreSQL": postgres,
        "SQLite": f"{sqlite3.sqlite_version}, journal_mode WAL, synchronous FULL",
        **others,
        "Command": " ".join(["python -m bench", *sys.argv[1:]]),
    }
    _MACHINE.update(lines)
    for name, value in lines.items():
        show(f"- {name}: {value}")


def _commit() -> str:
    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--", "src", "bench")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + (" with local changes" if changed else "")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _slow_build() -> str:
    optimised = "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")
    return "" if optimised else " built without profile-guided optimisation"


def _memory() -> str:
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / (1 << 30):.0f} GiB"


def _sync_milliseconds() -> float:
    """The median time that a small write takes to reach the disk: the floor under every commit."""
    with TemporaryDirectory() as folder, (Path(folder) / "file").open("wb", buffering=0) as file:
        taken = []
        for _ in range(_SYNCS):
            started = time.perf_counter()
            file.write(b"\0" * 8192)
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - started)
    return statistics.median(taken) * 1_000


@contextmanager
def program(module: str) -> Iterator[tuple[int, int]]:
    """A program of ours that prints `base_url: …` and serves until SIGTERM: its port and its process id."""
    with subprocess.Popen([sys.executable, "-m", module], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline().rpartition(":")[2]), process.pid
        finally:
            process.terminate()
