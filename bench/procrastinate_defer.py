"""Deferring jobs with procrastinate and calling them off, one at a time, as our single-message requests are.

Called as a library, within one process: no HTTP, no key, no checks. The pool, the event loop and the number of callers
are what gave procrastinate its best figure here.
"""

import asyncio
import sys
import time
from array import array
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import procrastinate
import uvloop

from bench.load import RECIPIENTS, Outcome, outcome

_SECOND = 1_000_000_000


class Plan(msgspec.Struct, kw_only=True):
    """How many callers defer for how long."""

    url: str
    seconds: float
    callers: int = 64
    connections: int = 16
    ids: list[int] | None = None
    """Call these off, each once, until none is left; None: defer."""


def make_app(url: str, connections: int) -> procrastinate.App:
    """An app with its own asynchronous connector."""
    connector = procrastinate.PsycopgConnector(conninfo=url, min_size=connections, max_size=connections)
    return procrastinate.App(connector=connector)


async def prepare(url: str) -> None:
    """Make procrastinate's schema in an empty database."""
    app = make_app(url, 1)
    async with app.open_async():
        await app.schema_manager.apply_schema_async()


class _Callers:
    """Each defers its next job as soon as the last one is stored."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._serial = 0
        self.latencies = array("q")

    async def run(self) -> Outcome:
        app = make_app(self._plan.url, self._plan.connections)

        @app.task(name="send")
        async def send(sender: str, to: str, text: str) -> None:
            """Never run here."""

        async with app.open_async():
            started, used = time.perf_counter_ns(), time.process_time_ns()
            until = started + int(self._plan.seconds * _SECOND)
            callers = range(self._plan.callers)
            if self._plan.ids is None:
                await asyncio.gather(*(self._defer_until(send, until) for _ in callers))
            else:
                await asyncio.gather(*(self._cancel_until(app, self._plan.ids, until) for _ in callers))
            elapsed, used = time.perf_counter_ns() - started, time.process_time_ns() - used
        return outcome(self.latencies, elapsed, used)

    async def _defer_until(self, send: "procrastinate.tasks.Task[Any, Any, Any]", until: int) -> None:
        at = datetime.fromtimestamp(time.time(), UTC) + timedelta(hours=3)
        while (began := time.perf_counter_ns()) < until:
            serial = self._serial
            self._serial += 1
            text = f"Reminder {serial:010d}: your appointment is tomorrow at 10:00. Reply C to call it off."
            job = send.configure(schedule_at=at)
            await job.defer_async(sender="+18445550001", to=f"+1312555{serial % RECIPIENTS:04d}", text=text)
            self.latencies.append(time.perf_counter_ns() - began)

    async def _cancel_until(self, app: procrastinate.App, ids: list[int], until: int) -> None:
        while ids and (began := time.perf_counter_ns()) < until:
            if not await app.job_manager.cancel_job_by_id_async(ids.pop()):
                raise SystemExit("a job was not called off")
            self.latencies.append(time.perf_counter_ns() - began)


def main() -> None:
    """Carry out the plan that stands on standard input."""
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(_Callers(plan).run())))


if __name__ == "__main__":
    main()
