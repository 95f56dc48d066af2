"""The process: how long it takes to start, what it imports meanwhile, and how much memory it holds."""

import asyncio
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from re import MULTILINE
from re import compile as regex
from tempfile import TemporaryDirectory

from bench.measure import ROOT, Options, show_table, spread
from bench.schedule import WARM_UP
from bench.service import SETTINGS, new_database, service
from heliograph.store.schema import migrate
from heliograph.testing.server_process import ServerProcess

STARTS = 5
SHOWN = 14
"""Packages in the table of imports."""
# https://docs.python.org/3/using/cmdline.html#cmdoption-X: own time, time with what it imports, name.
_IMPORTED = regex(r"^import time:\s+(\d+) \|\s+\d+ \| +([\w.]+)$", MULTILINE)
_RESIDENT = regex(r"^VmRSS:\s+(\d+) kB$", MULTILINE)


def run_start(options: Options) -> None:
    """From starting the process to its first accepted request, and which imports that time goes to."""
    with ExitStack() as until_end:
        until_end.enter_context(_own_bytecode())
        url = new_database("sqlite", options, until_end)
        times = {"first of all: nothing compiled, Python's own library included": [start_milliseconds(url)]}
        times["the interpreter alone"] = [_run_python("") for _ in range(STARTS)]
        times["the interpreter and all imports"] = [
            _run_python("import heliograph.commands.serve") for _ in range(STARTS)
        ]
        for each in options.databases:
            url = new_database(each, options, until_end)
            asyncio.run(migrate(url))
            times[f"heliograph serve, {each}"] = [start_milliseconds(url) for _ in range(STARTS)]
        rows = [[name, f"{spread(taken):.0f}"] for name, taken in times.items()]
        show_table(f"Time until requests are accepted, ms: median of {STARTS} (lowest to highest)", ["", "ms"], rows)
        _show_imports(url)


def run_memory(options: Options) -> None:
    """Resident memory after the start and after many schedules."""
    rows = []
    for each in options.databases:
        with ExitStack() as until_end:
            running = until_end.enter_context(service(new_database(each, options, until_end)))
            started, scheduled = resident_mib(running.server.pid), 0
            while scheduled < options.messages:
                scheduled += running.schedule(WARM_UP).outcome.answered
            rows.append([each, f"{started:.0f}", f"{resident_mib(running.server.pid):.0f}", f"{scheduled:,}"])
    show_table("Resident memory of the server, MiB", ["", "started", "after the schedules", "schedules"], rows)


@contextmanager
def _own_bytecode() -> Iterator[None]:
    """Processes started within write and find compiled modules in a folder of their own."""
    before = dict(os.environ)
    with TemporaryDirectory() as folder:
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = folder
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


def start_milliseconds(url: str) -> float:
    """From starting the process to its first accepted request."""
    began = time.perf_counter()
    with ServerProcess(url, SETTINGS, sandbox=False):
        return (time.perf_counter() - began) * 1_000


def _run_python(code: str) -> float:
    began = time.perf_counter()
    # Not by the usual exit, which frees everything first.
    subprocess.run([sys.executable, "-c", f"{code}\nimport os; os._exit(0)"], cwd=ROOT, check=True)
    return (time.perf_counter() - began) * 1_000


def _show_imports(url: str) -> None:
    os.environ["PYTHONPROFILEIMPORTTIME"] = "1"
    with ServerProcess(url, SETTINGS, sandbox=False) as server:
        found = _IMPORTED.findall(server.log())
    del os.environ["PYTHONPROFILEIMPORTTIME"]
    spent, modules = Counter[str](), Counter[str]()
    for micros, module in found:
        package = module.partition(".")[0]
        package = package if package not in sys.stdlib_module_names else "Python's own library"
        spent[package] += int(micros)
        modules[package] += 1
    rows = [[name, f"{micros / 1_000:.1f}", str(modules[name])] for name, micros in spent.most_common(SHOWN)]
    rows.append(["all", f"{spent.total() / 1_000:.1f}", str(modules.total())])
    show_table("Imports until requests are accepted (measuring slows them)", ["package", "ms", "modules"], rows)


def resident_mib(pid: int) -> float:
    """What the process holds in memory."""
    match = _RESIDENT.search(Path(f"/proc/{pid}/status").read_text())
    if match is None:
        raise SystemExit(f"the process {pid} is gone")
    return int(match[1]) / 1024
