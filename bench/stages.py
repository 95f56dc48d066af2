"""What a message costs in processor time, stage by stage: of the server by sampling, of all processes by the kernel.

    turn: messages for later (taken, and no more); then as many for now (taken, submitted, receipt, two webhooks)

The carrier is the sandbox's, within the server. The kernel's figure of a process is exact; how it falls to stages is
estimated from the samples, each of which stands for as much of it as the others.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.arrivals import Arrivals, receiver
from bench.burst import RECIPIENT, SERIAL, Burst, carry_out, length_of
from bench.measure import ROOT, Processes, postgres_processes, show_table, spread
from bench.passage import PassageOptions
from bench.sampled import FUNCTION, INTERVAL, LOOP, STAGES
from bench.service import SENDER, WrongCount, fetch_rows, new_database, send_at
from heliograph.settings import clean_environment
from heliograph.store.schema import migrate

SHOWN = 12
"""Functions in their table."""
WARM_UP = 500
"""Messages of the first turn, which is not counted."""
_PATIENCE = 60
_POLL = 0.02
_MICROS = 1_000_000
_TEXT = f"Reminder {SERIAL}: your appointment is tomorrow at 10:00. Reply C to call it off."
_SETTINGS = {
    "LOG__LEVEL": "warning",
    "SANDBOX__RECEIPT_DELAY": "0",
    "PACING__ENABLED": "off",
    "OUTGOING__ALLOW": "127.0.0.0/8",
}
_DELIVERED = "SELECT count(*) FROM messages WHERE status = 'delivered'"


@dataclass(slots=True)
class Costs:
    """Of one kind of turn, microseconds for each message, a figure a turn."""

    name: str
    processes: dict[str, list[float]] = field(default_factory=dict)
    stages: dict[str, list[float]] = field(default_factory=dict)
    rates: list[float] = field(default_factory=list)
    samples: int = 0
    functions: Counter[str] = field(default_factory=Counter)
    """Samples by the innermost function."""


@dataclass(frozen=True, slots=True)
class _Sampled:
    """A running server whose samples can be asked for."""

    pid: int
    port: int
    key: str
    file: Path

    def samples(self) -> Counter[str]:
        """How often each stage was met so far."""
        self.file.unlink(missing_ok=True)
        os.kill(self.pid, signal.SIGUSR1)
        until = time.monotonic() + _PATIENCE
        while not self.file.exists():
            if time.monotonic() > until:
                raise SystemExit("the server did not write its samples")
            time.sleep(_POLL)
        return Counter(json.loads(self.file.read_text()))

    def other_threads(self) -> float:
        """Processor seconds of all threads but the first: SQLite's are there."""
        ticks = 0
        for each in Path(f"/proc/{self.pid}/task").iterdir():
            if each.name != str(self.pid):
                ticks += sum(int(part) for part in (each / "stat").read_text().rpartition(")")[2].split()[11:13])
        return ticks / os.sysconf("SC_CLK_TCK")


def run(options: PassageOptions) -> None:
    """A table of processes and a table of stages for each database."""
    for kind in options.databases:
        with ExitStack() as until_end:
            arrivals = until_end.enter_context(receiver())
            url = new_database(kind, options, until_end)
            asyncio.run(migrate(url))
            server = until_end.enter_context(_server(url, arrivals))
            later, now = _take_turns(kind, url, server, arrivals, options)
        _show_processes(kind, later, now, options)
        _show_stages(kind, later, now)
        _show_functions(kind, later)


def _take_turns(
    kind: str, url: str, server: _Sampled, arrivals: Arrivals, options: PassageOptions
) -> tuple[Costs, Costs]:
    others = {"receiver": arrivals.processes}
    if kind == "postgresql":
        others["PostgreSQL"] = asyncio.run(postgres_processes(url))
    turns = _Turns(url, server, arrivals, others)
    for now in (False, True):
        turns.take(Costs("warm"), min(WARM_UP, options.count), now=now)
    later, whole = Costs("for later"), Costs("the whole way")
    for _ in range(options.rounds):
        turns.take(later, options.count, now=False)
        turns.take(whole, options.count, now=True)
    return later, whole


class _Turns:
    """What one turn costs."""

    def __init__(self, url: str, server: _Sampled, arrivals: Arrivals, others: Mapping[str, Processes]) -> None:
        self._url = url
        self._server = server
        self._arrivals = arrivals
        self._processes = {"server": Processes(server.pid), **others}
        self._first = 0
        self._sent = 0

    def take(self, costs: Costs, count: int, *, now: bool) -> None:
        """Take a turn; ends the program when a message is missing."""
        self._arrivals.begin()
        samples, threads = self._server.samples(), self._server.other_threads()
        before = {name: each.seconds() for name, each in self._processes.items()}
        burst = Burst(
            ports=[self._server.port],
            request=_request(self._server.key, now=now),
            answer="HTTP/1.1 200 ",
            first=self._first,
            count=count,
        )
        taken = carry_out(burst)
        self._first += count
        ended = self._wait(count) if now else taken.began + int(taken.outcome.seconds * 1e9)
        used = {name: each.seconds() - before[name] for name, each in self._processes.items()}
        used["load"] = taken.outcome.busy * taken.outcome.seconds
        threads = self._server.other_threads() - threads
        told = self._server.samples() - samples
        found = Counter({name: times for name, times in told.items() if not name.startswith(FUNCTION)})
        costs.functions += told - found
        costs.rates.append(count / ((ended - taken.began) / 1e9))
        _add(costs.processes, {name: _MICROS * each / count for name, each in used.items()})
        _add(costs.stages, _by_stage(found, used["server"], threads, count))
        costs.samples += found.total()

    def _wait(self, count: int) -> int:
        """The moment of the last webhook, two for each message."""
        until = time.monotonic() + _PATIENCE
        while (arrived := self._arrivals.arrived()).new < 2 * count:
            if time.monotonic() > until:
                raise SystemExit(f"{arrived.new} of {2 * count} webhooks came")
            time.sleep(_POLL)
        self._sent += count
        found = int(str(fetch_rows(self._url, _DELIVERED)[0][0]))
        if found != self._sent:
            raise WrongCount(f"{self._sent} messages were sent, and {found} are delivered")
        return arrived.last


def _by_stage(found: Counter[str], server: float, threads: float, count: int) -> dict[str, float]:
    """The kernel's figure, shared out by the samples. What other threads used fell to the loop, which waited."""
    each = server / max(found.total(), 1)
    seconds = {stage: each * times for stage, times in found.items()}
    seconds[LOOP] = max(seconds.get(LOOP, 0.0) - threads, 0.0)
    seconds["other threads: SQLite, names"] = threads
    return {stage: _MICROS * used / count for stage, used in seconds.items()}


def _add(kept: dict[str, list[float]], found: Mapping[str, float]) -> None:
    for name, value in found.items():
        kept.setdefault(name, []).append(value)


@contextmanager
def _server(url: str, arrivals: Arrivals) -> Iterator[_Sampled]:
    """The sandbox with the profiler in it."""
    with TemporaryDirectory(prefix="heliograph-bench-") as folder:
        file = Path(folder) / "samples"
        hook = f"http://127.0.0.1:{arrivals.port}/webhooks"
        command = [sys.executable, "-m", "bench.sampled", str(file), "serve", "--port", "0", "--sandbox"]
        command += ["--database", url]
        settings = {f"HELIOGRAPH_{name}": value for name, value in _SETTINGS.items()}
        settings["HELIOGRAPH_SANDBOX__WEBHOOK_URL"] = hook
        with (
            (Path(folder) / "log").open("w+b") as errors,
            subprocess.Popen(
                command, cwd=ROOT, env=clean_environment() | settings, stdout=subprocess.PIPE, stderr=errors, text=True
            ) as process,
        ):
            ready = _ready(process)
            if "webhook_public_key" not in ready:
                errors.seek(0)
                raise SystemExit(errors.read().decode())
            try:
                yield _Sampled(process.pid, int(ready["base_url"].rpartition(":")[2]), ready["api_key"], file)
            finally:
                process.terminate()


def _ready(process: "subprocess.Popen[str]") -> Mapping[str, str]:
    told = {}
    for line in process.stdout or ():
        name, _, value = line.strip().partition(": ")
        told[name] = value
        if name == "webhook_public_key":
            break
    return told


def _request(key: str, *, now: bool) -> str:
    message = {"from": SENDER, "to": f"+{RECIPIENT}", "text": _TEXT}
    path = "/v2/messages"
    if not now:
        path, message["send_at"] = "/v2/messages/schedule", f"{send_at()}Z"
    body = json.dumps(message)
    head = f"host: 127.0.0.1\r\nauthorization: Bearer {key}\r\naccept: application/json\r\n"
    head += f"content-type: application/json\r\ncontent-length: {length_of(body)}\r\n"
    return f"POST {path} HTTP/1.1\r\n{head}\r\n{body}"


def _show_processes(kind: str, later: Costs, now: Costs, options: PassageOptions) -> None:
    rows = [["messages a second", f"{spread(later.rates):,.0f}", f"{spread(now.rates):,.0f}"]]
    rows += [[f"{name}, us", *(_told(each.processes, name) for each in (later, now))] for name in now.processes]
    title = f"Processor time for each message, {kind}: {options.count:,} a turn, {options.rounds} rounds"
    show_table(title, ["", later.name, now.name], rows)


def _show_stages(kind: str, later: Costs, now: Costs) -> None:
    order = [*dict.fromkeys(stage for _, stage in STAGES), LOOP, "other threads: SQLite, names"]
    rows = [
        [stage, *(_told(each.stages, stage) for each in (later, now))]
        for stage in order
        if stage in later.stages or stage in now.stages
    ]
    rows.append(["samples, one every %.0f ms" % (INTERVAL * 1_000), str(later.samples), str(now.samples)])
    show_table(f"Of the server's, by stage, us, {kind}", ["", later.name, now.name], rows)


def _show_functions(kind: str, costs: Costs) -> None:
    rows = [
        [name.removeprefix(FUNCTION), f"{100 * times / max(costs.samples, 1):.1f} %"]
        for name, times in costs.functions.most_common(SHOWN)
    ]
    show_table(f"Where the server was, {costs.name}, {kind}: the function itself", ["function", "of all samples"], rows)


def _told(kept: Mapping[str, list[float]], name: str) -> str:
    """A stage that a turn did not meet counts as nothing in it."""
    return f"{spread(kept[name]):.0f}" if name in kept else ""
