"""Schedules and cancels over HTTP beside an echo on the same stack, and beside procrastinate.

    round: echo, then for each database schedule and cancel, then procrastinate

Everything runs on the same machine within the same minute, in turns, so that a disturbance hits all alike.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from bench import echo, procrastinate_defer
from bench.load import CONNECTIONS, Outcome, Plan
from bench.measure import Options, Processes, Spread, postgres_processes, program, show_table, spread
from bench.service import (
    SENDER,
    Service,
    Turn,
    WrongCount,
    carry_out,
    fetch,
    new_database,
    send_at,
    service,
    timed,
)

WARM_UP = 1.5
"""Seconds of the first turn, which is not counted."""
_COUNT_JOBS = "SELECT count(*) FROM procrastinate_jobs"


@dataclass(slots=True)
class Subject:
    """What is measured."""

    name: str
    take: Callable[[float], Turn]
    """Carry out a turn of so many seconds."""
    turns: list[Turn] = field(default_factory=list)


def run(options: Options) -> None:
    """How many schedules and cancels a second, as ratios; and how long each takes when the server is full."""
    with _subjects(options) as subjects:
        _take_turns(subjects, options)
    _show_rates(subjects)
    _show_latencies(subjects, f"Latency at {CONNECTIONS} in flight")


def run_latency(options: Options) -> None:
    """How long a schedule and a cancel take when they come at a modest, even rate."""
    with ExitStack() as until_end:
        subjects = []
        for each in options.databases:
            subjects += _verbs(each, until_end.enter_context(service(new_database(each, options, until_end))), options)
        _take_turns(subjects, options)
    _show_latencies(subjects, f"Latency at {options.rate:g} requests a second")


def _take_turns(subjects: Sequence[Subject], options: Options) -> None:
    for subject in subjects:
        subject.take(WARM_UP)
    for _ in range(options.rounds):
        for subject in subjects:
            subject.turns.append(subject.take(options.seconds))


def _verbs(name: str, running: Service, options: Options) -> list[Subject]:
    return [
        Subject(f"schedule, {name}", lambda seconds: running.schedule(seconds, options.rate)),
        Subject(f"cancel, {name}", lambda seconds: running.cancel(seconds, options.rate)),
    ]


@contextmanager
def _subjects(options: Options) -> Iterator[list[Subject]]:
    with ExitStack() as until_end:
        subjects = [_echo(*until_end.enter_context(program("bench.echo")))]
        for each in options.databases:
            running = until_end.enter_context(service(new_database(each, options, until_end)))
            subjects += [Subject(f"schedule, {each}", running.schedule), Subject(f"cancel, {each}", running.cancel)]
        if "postgresql" in options.databases:
            subjects.append(_procrastinate(new_database("postgresql", options, until_end)))
        yield subjects


def _echo(port: int, pid: int) -> Subject:
    def take(seconds: float) -> Turn:
        plan = Plan(port=port, path=echo.PATH, sender=SENDER, seconds=seconds, send_at=send_at())
        return timed(lambda: carry_out("bench.load", plan), Processes(pid), Processes())

    return Subject("echo", take)


def _procrastinate(url: str) -> Subject:
    asyncio.run(procrastinate_defer.prepare(url))
    database = asyncio.run(postgres_processes(url))
    deferred = 0

    def take(seconds: float) -> Turn:
        nonlocal deferred
        plan = procrastinate_defer.Plan(url=url, seconds=seconds, callers=CONNECTIONS)
        turn = timed(lambda: carry_out("bench.procrastinate_defer", plan), Processes(), database)
        deferred += turn.outcome.answered
        found = asyncio.run(fetch(url, _COUNT_JOBS))[0][0]
        if found != deferred:
            raise WrongCount(f"{deferred} jobs were deferred, and {found} are stored")
        return Turn(turn.outcome, _own_us(turn.outcome), turn.database_us)

    return Subject("procrastinate", take)


def _own_us(outcome: Outcome) -> float:
    """Who calls a library pays for it: there is no server, and the caller's processor time stands in its place."""
    return 1_000_000 * outcome.busy * outcome.seconds / outcome.answered


def _show_rates(subjects: Sequence[Subject]) -> None:
    head = ["", "per second", "of the echo", "times procrastinate", "server us", "database us", "generator busy"]
    rows = [[subject.name, *_rates(subject, subjects)] for subject in subjects]
    show_table(
        f"Rate at {CONNECTIONS} in flight: median of {len(subjects[0].turns)} rounds (lowest to highest)", head, rows
    )


def _rates(subject: Subject, subjects: Sequence[Subject]) -> list[str]:
    first, last = subjects[0], subjects[-1]
    return [
        f"{spread([turn.outcome.rate for turn in subject.turns]):,.0f}",
        f"{_ratio(subject, first):.2f}",
        f"{_ratio(subject, last):.1f}" if last.name == "procrastinate" else "",
        f"{spread([turn.server_us for turn in subject.turns]):.0f}",
        f"{spread([turn.database_us for turn in subject.turns]):.0f}",
        f"{spread([100 * turn.outcome.busy for turn in subject.turns]).middle:.0f} %",
    ]


def _ratio(subject: Subject, base: Subject) -> Spread:
    """Within each round, then over the rounds."""
    pairs = zip(subject.turns, base.turns, strict=True)
    return spread([mine.outcome.rate / beside.outcome.rate for mine, beside in pairs])


def _show_latencies(subjects: Sequence[Subject], title: str) -> None:
    rows = []
    for subject in subjects:
        outcomes = [turn.outcome for turn in subject.turns]
        middle = [f"{spread([getattr(each, name) / 1_000 for each in outcomes]):.1f}" for name in ("p50", "p99")]
        rows.append([subject.name, *middle, f"{max(each.longest for each in outcomes) / 1_000:.1f}"])
    show_table(f"{title}, ms: median of the rounds (lowest to highest)", ["", "p50", "p99", "longest"], rows)
